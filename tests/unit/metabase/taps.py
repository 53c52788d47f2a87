"""What a tap on a number opens: the number, and how many rows the list behind it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from orchestration.lib.cards import Card, DashboardFile, Format, bound_sql

_LIMIT = re.compile(r"\blimit\s+\d+\s*$")


@dataclass(frozen=True)
class Tap:
    """A number of one row, and the list that opens with the row's values as filters."""

    place: str
    format: Format
    passed: dict[str, Any]
    number: int | float | Decimal
    listed: int


def taps(files: Sequence[DashboardFile], published: duckdb.DuckDBPyConnection) -> Iterator[Tap]:
    """Yield every number whose tap hands over values of its row.

    Args:
        files: The dashboards.
        published: A connection to published marts.
    """
    cards = {
        f"{file.dashboard.name}/{card.key}": (file, card)
        for file in files
        for card in file.dashboard.cards()
    }
    for key, (file, card) in cards.items():
        for name, column in card.columns.items():
            if column.opens is None or not column.passes:
                continue
            _, listing = cards[column.opens]
            for row in _rows(file, card, published):
                passed = {kind: row[source] for kind, source in column.passes.items()}
                if card.display == "matrix" and None in passed.values():
                    # The page has no tap there, Metabase none in the whole matrix.
                    continue
                # A value that is null, or that the list does not filter by, restricts nothing.
                chosen = {
                    kind: str(value)
                    for kind, value in passed.items()
                    if value is not None and kind in listing.filters
                }
                whole = _LIMIT.sub("", bound_sql(listing, chosen).strip())
                counted = published.execute(f"select count(*) from (\n{whole}\n)").fetchone()
                assert counted is not None
                yield Tap(f"{key}.{name}", column.format, passed, row[name] or 0, counted[0])


def _rows(
    file: DashboardFile, card: Card, published: duckdb.DuckDBPyConnection
) -> list[dict[str, Any]]:
    held = {
        name: kind.default
        for name, kind in file.dashboard.filters.items()
        if kind.default is not None and name in card.filters
    }
    cursor = published.execute(bound_sql(card, held))
    names = [str(about[0]) for about in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
