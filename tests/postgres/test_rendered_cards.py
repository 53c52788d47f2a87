"""The SQL that Metabase is given answers alike in both engines, every card of every dashboard."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from orchestration.lib.cards import open_serve_file, read_dashboards
from orchestration.lib.environment import DASHBOARDS_DIR
from orchestration.lib.metabase.published import published_company
from orchestration.lib.metabase.rendering import desired_state
from orchestration.lib.postgres_serving import PostgresServing, descriptions_of
from tests.postgres.cluster import Database
from tests.unit.metabase.files import manifest
from tests.unit.metabase.running import sent
from tests.unit.page.marts import write_marts


def alike(one: Any, two: Any) -> bool:
    if isinstance(one, int | float | Decimal) and not isinstance(one, bool):
        return two is not None and math.isclose(float(one), float(two), rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == two)


def sortable(row: tuple[Any, ...]) -> list[str]:
    def written(value: Any) -> str:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return f"{float(value):.6e}"
        return value.isoformat() if isinstance(value, date) else str(value)

    return [written(value) for value in row]


def test_every_rendered_card_answers_alike_in_both_engines(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    published = write_marts(tmp_path / "serve.duckdb", "full")
    about = manifest()
    serving.load(published, "run-1", descriptions_of(about))
    serving.switch("run-1")
    state = desired_state(
        read_dashboards(DASHBOARDS_DIR), about, "ru", company=published_company(published, "ru")
    )
    duckdb = open_serve_file(published)
    wrong = []
    rows_seen = 0
    with database.connect() as postgres:
        for card in state.cards:
            query = sent(card)
            expected = duckdb.execute(query).fetchall()
            try:
                cursor = postgres.execute(query.encode())
            except psycopg.Error as error:
                wrong.append(f"{card.key}: {str(error).splitlines()[0]}")
                continue
            names = tuple(column.name for column in cursor.description or [])
            found = cursor.fetchall()
            rows_seen += len(found)
            if names != card.columns or len(found) != len(expected):
                wrong.append(f"{card.key}: {len(found)} rows of {names} for {len(expected)}")
            for one, two in zip(
                sorted(expected, key=sortable), sorted(found, key=sortable), strict=False
            ):
                if not all(alike(left, right) for left, right in zip(one, two, strict=True)):
                    wrong.append(f"{card.key}: {two} instead of {one}")
                    break
    duckdb.close()
    assert wrong == []
    assert rows_seen > 300
