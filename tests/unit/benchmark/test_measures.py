"""The register of measures, against the models that exist and tables made of what each needs."""

from __future__ import annotations

import re

import duckdb
import pytest
import yaml

from orchestration.lib.benchmark.measure import Way
from orchestration.lib.benchmark.measures import MEASURES
from orchestration.lib.environment import DBT_PROJECT_DIR, REPOSITORY

TYPES = (
    (r"^is_|_is_", "boolean"),
    (r"_at$", "timestamp"),
    (r"_date$", "date"),
    (r"^(price|value|priority)$|_amount$|_weight$|_ratio$", "decimal(18, 2)"),
    (r"_count$|_number$|_position$|_seconds$", "bigint"),
)
# What the marts answer today. A renamed column would turn a line into "not built" silently.
ANSWERED = {
    "won_ratio",
    "funnel_conversion",
    "stage_moves",
    "came",
    "sold",
    "deal_kind_repeat",
    "deal_kind_continuation",
    "deal_kind_duplicate",
    "deal_kind_test",
    "same_customer",
    "deal_channel",
    "channel_sold",
    "assisting_channel",
    "wasted_campaign",
    "spend_in_channels",
    "restated_spend",
    "spend_with_vat",
    "loss_reasons",
    "non_target",
    "unpaid_invoice",
    "owed",
    "stale_source",
    "lost_events",
}


def column_type(name: str) -> str:
    return next((kind for pattern, kind in TYPES if re.search(pattern, name)), "varchar")


def contracts() -> dict[str, set[str]]:
    """Return the columns that the models of the marts promise."""
    found = {}
    for path in (DBT_PROJECT_DIR / "models" / "marts").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            found[f"marts.{model['name']}"] = {
                column["name"] for column in model.get("columns", [])
            }
    return found


def make(connection: duckdb.DuckDBPyConnection, way: Way) -> None:
    for table, columns in way.needs.items():
        schema, name = table.split(".")
        typed = ", ".join(f'"{column}" {column_type(column)}' for column in columns)
        connection.execute(f'create schema if not exists "{schema}"')
        connection.execute(f'create table "{schema}"."{name}" ({typed})')


def test_names_are_unique():
    names = [measure.measure_id for measure in MEASURES]
    assert len(names) == len(set(names))


def test_lines_of_one_truth_stand_together():
    truths = [measure.truth_id for measure in MEASURES]
    changes = [one for one, before in zip(truths, [None, *truths], strict=False) if one != before]
    assert len(changes) == len(set(changes))


def test_every_naive_way_names_its_source_and_every_lack_of_one_its_reason():
    for measure in MEASURES:
        assert bool(measure.naive) == bool(measure.naive_title), measure.measure_id
        assert re.search(r"\[[A-Z]+\d*|definitions \d", measure.naive_source), measure.measure_id
        assert "\n" not in measure.naive_source


@pytest.mark.parametrize(
    ("measure", "side"),
    [
        pytest.param(measure, side, id=f"{side}-{measure.measure_id}")
        for side in ("ours", "naive")
        for measure in MEASURES
        if getattr(measure, side) is not None
    ],
)
def test_a_way_reads_nothing_but_what_it_says_it_needs(connection, measure, side):
    way = getattr(measure, side)
    make(connection, way)
    for query in filter(None, (measure.true if side == "ours" else "", way.sql, way.ready_when)):
        connection.execute(query)


def test_the_marts_still_answer_what_they_answered():
    promised = contracts()
    answered = {
        measure.measure_id
        for measure in MEASURES
        if all(
            set(names) <= promised.get(table, set())
            for table, names in measure.ours.needs.items()
            if table.startswith("marts.")
        )
    }
    assert answered >= ANSWERED


def test_what_is_not_answered_says_what_would_build_it():
    for measure in MEASURES:
        if measure.measure_id not in ANSWERED:
            assert measure.builds, measure.measure_id


# The files of the truth, the function that knows their folder, and the folder as a part of a path.
TRUTH = re.compile(r"""truth_(items|sizes|folder)|\bworld_[a-z_]+|(?<=["'/])truth(?=["'/])""")


@pytest.mark.parametrize(
    "line",
    [
        "read_parquet('{{ env_var('VORONKA_HOME') }}/demo/truth/world_deals.parquet')",
        "parquet.read_table(home.demo_dir / 'truth' / 'world_deals.parquet')",
        'folder = home.demo_dir / "truth"',
        "name = 'world_visits'",
        "from orchestration.lib.benchmark.world import truth_folder",
        "select * from truth_items",
    ],
)
def test_a_reader_of_the_truth_is_seen(line):
    assert TRUTH.search(line)


@pytest.mark.parametrize(
    "line", ["-- What is true: the truth of a deal is its log.", "real_world = 1", "not_truthful"]
)
def test_the_word_alone_reads_nothing(line):
    assert not TRUTH.search(line)


def test_the_pipeline_never_reads_the_truth():
    readers = [
        path.relative_to(REPOSITORY)
        for folder in ("dbt_project", "ingest", "orchestration")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in {".py", ".sql", ".yml", ".yaml", ".csv"}
        and TRUTH.search(path.read_text(encoding="utf-8"))
    ]
    allowed = ("ingest/demo/", "orchestration/lib/benchmark/", "orchestration/lib/demo.py")
    assert [path for path in readers if not path.as_posix().startswith(allowed)] == []
