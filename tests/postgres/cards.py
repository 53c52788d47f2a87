"""The same cards asked of two engines."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import duckdb
import psycopg

from orchestration.lib.cards import CardBase, DashboardFile, bound_sql

Row = tuple[Any, ...]


def differences(
    files: Sequence[DashboardFile],
    published: duckdb.DuckDBPyConnection,
    served: psycopg.Connection[Any],
) -> Iterator[str]:
    """Yield where a card answers otherwise in PostgreSQL than in DuckDB, by card and choice."""
    for file in files:
        for card in file.dashboard.cards():
            if not isinstance(card, CardBase):
                continue
            for choice in _choices(file, card, published):
                where = f"{file.dashboard.name}/{card.key} {choice or ''}".rstrip()
                query = bound_sql(card, choice)
                expected = published.execute(query)
                names = [column[0] for column in expected.description or []]
                rows = expected.fetchall()
                try:
                    cursor = served.execute(query)
                except psycopg.Error as error:
                    yield f"{where}: {str(error).splitlines()[0]}"
                    continue
                found_names = [column.name for column in cursor.description or []]
                if found_names != names:
                    yield f"{where}: columns {found_names} instead of {names}"
                    continue
                yield from (f"{where}: {text}" for text in _unlike(names, rows, cursor.fetchall()))


def _choices(
    file: DashboardFile, card: CardBase, published: duckdb.DuckDBPyConnection
) -> list[dict[str, str]]:
    """Return what is chosen at first, and the commonest value of every filter."""
    filters = file.dashboard.filters
    at_first = {name: filters[name].default or "" for name in card.filters if filters[name].default}
    chosen = {}
    for name, binding in card.filters.items():
        table, column = binding.split(".")
        row = published.execute(
            f"select {column}::varchar from marts.{table} where {column} is not null"
            f" group by {column} order by count(*) desc, {column} limit 1"
        ).fetchone()
        if row is not None:
            chosen[name] = str(row[0])
    return [at_first, chosen] if chosen != at_first else [at_first]


def _unlike(names: Sequence[str], rows: Sequence[Row], found: Sequence[Row]) -> Iterator[str]:
    if len(rows) != len(found):
        yield f"{len(found)} rows instead of {len(rows)}"
        return
    for position, (row, other) in enumerate(zip(rows, found, strict=True)):
        for name, value, seen in zip(names, row, other, strict=True):
            if not _same(value, seen):
                is_order = sorted(map(_sortable, rows)) == sorted(map(_sortable, found))
                kind = "the order differs: " if is_order else ""
                yield f"{kind}row {position + 1}, {name} is {seen!r} instead of {value!r}"
                return


def _same(one: Any, two: Any) -> bool:
    if _is_number(one) and _is_number(two):
        return math.isclose(float(one), float(two), rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(two) and one == two


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _sortable(row: Row) -> list[str]:
    return [
        f"{float(value):.6e}"
        if _is_number(value)
        else str(value.isoformat() if isinstance(value, dt.date) else value)
        for value in row
    ]
