"""Rows from a published DuckDB file into a real PostgreSQL on loopback, its defaults unchanged: every commit on disk.

    python -m tests.bench.postgres FILE URL

The timed part is what a refresh does: table, rows in batches, statistics, commit.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import duckdb

from tests.postgres.cluster import PASSWORD

ROWS = 1_000_000
COLUMNS = 20


def write_marts(path: Path, rows: int) -> None:
    """Write a table like a wide mart: keys, names, categories, money, weights, times, flags, gaps."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        connection.execute(f"""
            create table marts.fct_deals as select
                'amocrm:900:' || n as deal_key, n as deal_number, md5(n::varchar) as customer_key,
                'Сделка № ' || n || case when n % 50 = 0 then ' "кавычки", и; запятые' else '' end as deal_name,
                ['open', 'won', 'lost'][1 + (n % 3)::int] as outcome, ['yandex', 'google', 'vk', 'avito', null][1 + (hash(n) % 5)::int] as channel,
                'https://example.amocrm.ru/leads/detail/' || n as deal_url, null::varchar as note,
                (hash(n) % 100000000 / 100.0)::decimal(18, 2) as deal_amount,
                case when n % 3 = 0 then (hash(n + 1) % 100000000 / 100.0)::decimal(18, 2) end as paid_amount,
                (hash(n) % 1000000 / 1000000.0)::decimal(18, 12) as weight, (hash(n + 3) % 1000 / 7.0)::double as score,
                (n % 100)::integer as stage_position, (hash(n) % 1000000)::bigint as dwell_seconds, n % 2 = 0 as is_won, n % 7 = 0 as has_utm,
                timestamp '2024-01-01' + interval (n % 40000000) second as created_at,
                case when n % 3 > 0 then timestamp '2024-02-01' + interval (n % 40000000) second end as closed_at,
                timestamp '2024-02-01' + interval (n % 40000 * 1000001) microsecond as changed_at, date '2024-01-01' + (n % 700)::int as created_date
            from (select range as n from range({rows}))
        """)


def main(file: str, url: str) -> None:
    """Load the file and print rows and seconds; imports count for nobody."""
    from ingest.config import load_settings
    from orchestration.lib.postgres_connection import target_of
    from orchestration.lib.postgres_serving import MartDescriptions, PostgresServing

    os.environ["POSTGRES__PASSWORD"] = PASSWORD
    settings = {"VORONKA_SERVING": "postgres", "VORONKA_POSTGRES_URL": url}
    home = {"VORONKA_HOME": str(Path(file).parent / "home")}
    serving = PostgresServing(target_of(load_settings({**settings, **home})))
    started = time.monotonic()
    counts = serving.load(Path(file), "bench", MartDescriptions({}, {}, {}))
    loaded = time.monotonic()
    serving.switch("bench")
    print(
        json.dumps(
            {
                "rows": sum(counts.values()),
                "seconds": loaded - started,
                "switch_seconds": time.monotonic() - loaded,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
