"""How models are replaced in place: macros/materializations.sql on a project of six models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.lib.environment import DBT_PROJECT_DIR, QUIET

_PROJECT = """
name: small
version: "1.0.0"
profile: small
flags: {send_anonymous_usage_stats: false, log_level_file: none}
"""
_PROFILES = """
small: {target: one, outputs: {one: {type: duckdb, path: small.duckdb, schema: main, threads: 1}}}
"""
_CONTRACTS = """
models:
  - name: under_contract
    config: {contract: {enforced: true}}
    columns:
      - {name: amount, data_type: "decimal(18, 2)", constraints: [{type: not_null}]}
      - {name: label, data_type: text}
  - name: view_under_contract
    config: {contract: {enforced: true}}
    columns: [{name: amount, data_type: bigint}]
"""
_LOADS = """
{{
    config(
        materialized="incremental",
        pre_hook="
            {% if is_incremental() %}
            delete from {{ this }} where load_id = 'taken back'
            {% endif %}
        "
    )
}}
with loads as (select * from loads)
select load_id, amount {COLUMN} from loads
{% if is_incremental() %} where load_id not in (select load_id from {{ this }}) {% endif %}
"""
_TABLE = "{{ config(materialized='table') }} "
_STEPS: tuple[dict[str, str], ...] = (
    {
        "under_contract": _TABLE + "select 'first' as label, 1.00::decimal(18, 2) as amount",
        "view_under_contract": "select 1::bigint as amount -- a comment ends it",
        "was_view": "select 1 as number",
        "was_table": _TABLE + "select 1 as number",
        "appended": _LOADS.replace("{COLUMN}", ""),
        "widened": _LOADS.replace("{COLUMN}", ""),
    },
    {
        "under_contract": _TABLE + "select 'second' as label, null::decimal(18, 2) as amount",
        "view_under_contract": "select 'two' as amount",
        "was_view": _TABLE + "select 2 as number",
        "was_table": "select 2 as number",
        "widened": _LOADS.replace("{COLUMN}", ", amount * 2 as doubled"),
    },
)


class Step:
    """What one run said and left behind."""

    def __init__(self, folder: Path) -> None:
        results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
        self.status = {one["unique_id"].split(".")[-1]: one["status"] for one in results}
        self.message = {one["unique_id"].split(".")[-1]: one["message"] for one in results}
        with duckdb.connect(str(folder / "small.duckdb")) as connection:
            self.rows: dict[str, list[tuple[Any, ...]]] = {
                name: connection.sql(f"from {name} order by all").fetchall() for name in _STEPS[0]
            }
            self.kinds = dict(
                connection.sql(
                    "select table_name, table_type from information_schema.tables"
                ).fetchall()
            )


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """Run the small project twice, with loads and models changed in between."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "dbt_project.yml").write_text(_PROJECT)
    (folder / "profiles.yml").write_text(_PROFILES)
    (folder / "models").mkdir()
    (folder / "models" / "contracts.yml").write_text(_CONTRACTS)
    (folder / "macros").mkdir()
    shutil.copy(DBT_PROJECT_DIR / "macros" / "materializations.sql", folder / "macros")
    loads = (
        "create table loads as from (values ('one', 1), ('taken back', 3)) as t (load_id, amount)",
        # A load never changes; here it does, to tell a row that was kept from one read again.
        "update loads set amount = 10 * amount; insert into loads values ('two', 2)",
    )
    done = []
    for models, statement in zip(_STEPS, loads, strict=True):
        for name, text in models.items():
            (folder / "models" / f"{name}.sql").write_text(text)
        with duckdb.connect(str(folder / "small.duckdb")) as connection:
            connection.execute(statement)
        dbt = Path(sys.executable).with_name("dbt")
        arguments = ["--quiet", "run", "--project-dir", str(folder), "--profiles-dir", str(folder)]
        subprocess.run([str(dbt), *arguments], cwd=folder, env={**QUIET}, check=False)
        done.append(Step(folder))
    return done


def test_models_of_every_kind_are_built(steps: list[Step]) -> None:
    assert set(steps[0].status.values()) == {"success"}
    assert steps[0].rows["appended"] == [("one", 1), ("taken back", 3)]


def test_a_broken_contract_stops_the_model_and_leaves_what_was_there(steps: list[Step]) -> None:
    assert steps[1].status["under_contract"] == steps[1].status["view_under_contract"] == "error"
    assert "NOT NULL" in steps[1].message["under_contract"]
    assert "contract" in steps[1].message["view_under_contract"]
    for name in ("under_contract", "view_under_contract"):
        assert steps[1].rows[name] == steps[0].rows[name]


def test_a_model_may_turn_from_view_to_table_and_back(steps: list[Step]) -> None:
    assert steps[1].kinds["was_view"] == "BASE TABLE"
    assert steps[1].kinds["was_table"] == "VIEW"
    assert steps[1].rows["was_view"] == steps[1].rows["was_table"] == [(2,)]


def test_an_incremental_model_reads_only_what_it_has_not(steps: list[Step]) -> None:
    assert steps[1].rows["appended"] == [("one", 1), ("taken back", 30), ("two", 2)]


def test_a_new_column_is_filled_for_the_loads_of_before(steps: list[Step]) -> None:
    assert steps[1].rows["widened"] == [("one", 10, 20), ("taken back", 30, 60), ("two", 2, 4)]


def test_nothing_is_left_beside_the_models(steps: list[Step]) -> None:
    assert set(steps[1].kinds) == {*_STEPS[0], "loads"}
