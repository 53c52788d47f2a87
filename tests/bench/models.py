"""The models under dbt beside the same tables made by plain SQL in one DuckDB process.

    python -m tests.bench.models plain|dbt FOLDER

The plain way runs the compiled text of the same models in the same order with the same settings: what is left over is the price of
dbt itself and of the contracts that it checks. Tests stand apart (`python -m tests.bench` prints them per node).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

from ingest.config import load_settings
from ingest.warehouse import ensure_raw_tables
from orchestration.lib.environment import dbt_environment, dbt_executable

CHANGES_PER_DEAL = 10
TOUCHES_PER_DEAL = 5
STARTED = 1_700_000_000
SPAN_SECONDS = 47_000_000

# A deal walks through six open stages, never twice in a row through the same one, and ends won (12 %), lost (58 %) or open.
_STAGE = "(11 + (hash(deal) % 97 + step * (1 + hash(deal) % 4)) % 6)::int"
_LAST = (
    "case when hash(deal) % 100 < 12 then 142 when hash(deal) % 100 < 70 then 143 else {stage} end"
)


def write_warehouse(folder: Path, deals: int) -> None:
    """Write raw tables of a company straight into a new warehouse: no API, no parsing in Python."""
    settings = load_settings({"VORONKA_HOME": str(folder)})
    ensure_raw_tables(settings.home)
    with duckdb.connect(str(settings.home.warehouse)) as connection:
        connection.execute(
            "set threads = 2; set memory_limit = '6GB'; set preserve_insertion_order = false; set TimeZone = 'UTC'"
        )
        created = f"({STARTED} + deal * {SPAN_SECONDS}::bigint // {deals})::bigint"
        stage_before = _STAGE.replace("step", "(step - 1)")
        stage_after = f"case when step = {CHANGES_PER_DEAL} then {_LAST.format(stage=_STAGE)} else {_STAGE} end"
        moved = f"({created} + step * 61000 + (hash(deal) % 977)::bigint)"
        statements = {
            "leads": f"""
                select deal::varchar as record_id, {moved} as cursor_seconds, printf(
                    '{{"id":%d,"name":"Deal %d","price":%d,"responsible_user_id":%d,"status_id":%d,"pipeline_id":3001,"loss_reason_id":null,'
                    || '"created_by":501,"created_at":%d,"updated_at":%d,"closed_at":%s,"is_deleted":false,"custom_fields_values":['
                    || '{{"field_id":1,"field_name":"utm_source","field_code":"UTM_SOURCE","field_type":"tracking_data","values":[{{"value":"%s"}}]}},'
                    || '{{"field_id":2,"field_name":"utm_medium","field_code":"UTM_MEDIUM","field_type":"tracking_data","values":[{{"value":"cpc"}}]}},'
                    || '{{"field_id":3,"field_name":"_ym_uid","field_code":"_YM_UID","field_type":"tracking_data","values":[{{"value":"client-%d"}}]}}],'
                    || '"account_id":900,"_embedded":{{"tags":[],"companies":[],"contacts":[{{"id":%d,"is_main":true}}]}}}}',
                    deal, deal, 1000 + (hash(deal) % 900000)::bigint, 500 + (hash(deal) % 30)::bigint, {stage_after}, {created}, {moved},
                    case when {stage_after} in (142, 143) then ({moved})::varchar else 'null' end,
                    ['yandex', 'google', 'vk', 'avito', 'mail'][1 + (hash(deal) % 5)::int], deal, (deal / 1.2)::bigint
                ) as payload
                from (select range as deal, {CHANGES_PER_DEAL} as step from range({deals}))
            """,
            "events": f"""
                select printf('01bench%012d%02d', deal, step) as record_id, {moved} as cursor_seconds, printf(
                    '{{"id":"01bench%012d%02d","type":"lead_status_changed","entity_id":%d,"entity_type":"lead","created_by":%d,"created_at":%d,'
                    || '"value_after":[{{"lead_status":{{"id":%d,"pipeline_id":3001}}}}],"value_before":[{{"lead_status":{{"id":%d,"pipeline_id":3001}}}}],'
                    || '"account_id":900,"_links":{{"self":{{"href":"https://example.amocrm.ru/api/v4/events/%d"}}}}}}',
                    deal, step, deal, 500 + (hash(deal) % 30)::bigint, {moved}, {stage_after}, {stage_before}, deal
                ) as payload
                from (select range as deal from range({deals})), (select range as step from range(1, {CHANGES_PER_DEAL + 1}))
            """,
            "contacts": f"""
                select person::varchar as record_id, {STARTED} as cursor_seconds, printf(
                    '{{"id":%d,"created_at":{STARTED},"updated_at":{STARTED},"custom_fields_values":[{{"field_id":5,"field_name":"Phone","field_code":"PHONE",'
                    || '"field_type":"multitext","values":[{{"value":"ph_%s"}}]}}],"account_id":900,"_embedded":{{"companies":[]}}}}',
                    person, md5((person - person % 20 // 19)::varchar)
                ) as payload
                from (select range as person from range(({deals} / 1.2)::bigint + 1))
            """,
            "account": """
                select '900' as record_id, 1700000000 as cursor_seconds, '{"id":900,"name":"Bench","subdomain":"bench","currency":"RUB",'
                    || '"_embedded":{"datetime_settings":{"timezone":"Europe/Moscow"}}}' as payload
            """,
            "pipelines": f"""
                select '3001' as record_id, 1700000000 as cursor_seconds, '{json.dumps(_PIPELINE)}' as payload
            """,
        }
        for table, rows in statements.items():
            connection.execute(f"""
                insert into raw_amocrm.{table} by name
                select '900' as source_account_id, record_id, make_timestamp(cursor_seconds::bigint * 1000000) as cursor_at, false as is_deleted,
                    payload, record_id as payload_hash, 'pull-{table}' as pull_id, '1' as _dlt_load_id
                from ({rows})
            """)
            _complete(connection, "raw_amocrm", "900", table)
        visits = f"""
            select '{{}}' as payload, 'bench' as source_account_id, (deal * {TOUCHES_PER_DEAL} + step)::varchar as record_id, deal * {TOUCHES_PER_DEAL} + step as row_number,
                (deal * {TOUCHES_PER_DEAL} + step)::varchar as visit_id, strftime(make_timestamp((({created} - step * 90000) * 1000000)::bigint), '%Y-%m-%d %H:%M:%S') as visited_at,
                'client-' || deal as client_id, ['yandex', 'google', 'vk', 'avito', 'mail'][1 + ((hash(deal) + step) % 5)::int] as utm_source, 'cpc' as utm_medium,
                'pull-visits' as pull_id, '1' as _dlt_load_id
            from (select range as deal from range({deals})), (select range as step from range({TOUCHES_PER_DEAL}))
        """
        connection.execute(f"insert into raw_files.visits by name {visits}")
        _complete(connection, "raw_files", "bench", "visits")
        for schema in ("raw_amocrm", "raw_files"):
            connection.execute(
                f"insert into {schema}._dlt_loads values ('1', 'bench', 0, timestamptz '2026-01-01 00:00:00+00', '')"
            )
        connection.execute("checkpoint")


_PIPELINE: dict[str, Any] = {
    "id": 3001,
    "name": "Sales",
    "sort": 1,
    "is_main": True,
    "is_archive": False,
    "account_id": 900,
    "_embedded": {
        "statuses": [
            *(
                {
                    "id": 11 + place,
                    "name": f"Stage {place + 1}",
                    "sort": 10 * (place + 1),
                    "pipeline_id": 3001,
                    "type": 0,
                }
                for place in range(6)
            ),
            {"id": 142, "name": "Won", "sort": 10000, "pipeline_id": 3001, "type": 0},
            {"id": 143, "name": "Lost", "sort": 11000, "pipeline_id": 3001, "type": 0},
        ]
    },
}


def _complete(connection: duckdb.DuckDBPyConnection, schema: str, account: str, table: str) -> None:
    connection.execute(f"""
        insert into {schema}._pulls by name
        select 'pull-{table}' as pull_id, '{account}' as source_account_id, '{table}' as resource, 'snapshot' as kind,
            timestamp '2026-01-01' as started_at, timestamp '2026-01-01' as finished_at, make_timestamp({STARTED + SPAN_SECONDS}::bigint * 1000000) as observed_until_at,
            (select count(*) from {schema}.{table}) as row_count, (select count(*) from {schema}.{table}) as stored_count, true as is_complete, '1' as _dlt_load_id
    """)


def dbt_environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of dbt on the copy of the warehouse in a folder."""
    home = load_settings({"VORONKA_HOME": str(folder)}).home
    return dict(os.environ) | dbt_environment(home)


def dbt(folder: Path, *arguments: str) -> float:
    """Run dbt and return its seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [str(dbt_executable()), *arguments],
        env=dbt_environment_of(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-2000:])
    return time.monotonic() - started


def prepare(folder: Path) -> None:
    """Load the seeds and compile the models, so that both ways start from the same place."""
    dbt(folder, "seed", "--quiet")
    dbt(folder, "compile", "--quiet")


def copy_home(source: Path, target: Path) -> None:
    """Copy a prepared home: the two ways must not warm each other's files."""
    shutil.copytree(source, target)


def plain(folder: Path) -> int:
    """Make every model's relation with plain SQL, in one process, in dbt's order."""
    home = load_settings({"VORONKA_HOME": str(folder)}).home
    manifest = json.loads((home.dbt_target_dir / "manifest.json").read_text())
    models = {
        key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"
    }
    ordered: list[str] = []

    def visit(key: str) -> None:
        if key in models and key not in ordered:
            for parent in models[key]["depends_on"]["nodes"]:
                visit(parent)
            ordered.append(key)

    for key in models:
        visit(key)
    serve_file = home.serve_dir / "build.duckdb"
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(
            "set memory_limit = '4GB'; set threads = 2; set TimeZone = 'UTC'; set preserve_insertion_order = false"
        )
        connection.execute(f"attach if not exists '{serve_file}' as serve")
        for key in ordered:
            node = models[key]
            kind = "view" if node["config"]["materialized"] == "view" else "table"
            if node["config"]["materialized"] == "ephemeral":
                continue
            connection.execute(
                f'create schema if not exists "{node["database"]}"."{node["schema"]}"'
            )
            connection.execute(
                f"create or replace {kind} {node['relation_name']} as {node['compiled_code']}"
            )
        connection.execute("checkpoint")
    return len(ordered)


def main(way: str, folder: str) -> None:
    """Build the models one way and print their number and the seconds."""
    started = time.monotonic()
    rows = plain(Path(folder)) if way == "plain" else int(bool(dbt(Path(folder), "run", "--quiet")))
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
