"""What the published numbers say of their own writing: currency, clock, values of filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestration.lib.cards import DashboardFile, open_serve_file
from orchestration.lib.metabase.formats import Company

# Longer lists are searched by typing; Metabase does that with the column itself.
_MOST_OFFERED = 100


def published_company(serve_file: Path, locale: str) -> Company:
    """Return in which language, currency and zone the published numbers are to be written.

    Args:
        serve_file: A published file.
        locale: "ru" or "en".

    Returns:
        The company; without a currency and in UTC where the owner's panel is empty.
    """
    connection = open_serve_file(serve_file)
    try:
        row = connection.execute(
            "select max(currency_code), max(time_zone) from marts.rpt_owner_panel"
        ).fetchone()
    finally:
        connection.close()
    currency, zone = row or (None, None)
    return Company("en" if locale == "en" else "ru", currency, zone or "UTC")


def published_values(
    serve_file: Path, dashboards: Sequence[DashboardFile]
) -> dict[str, tuple[str, ...]]:
    """Return the values that stand in the columns of filters which have words for them.

    Args:
        serve_file: A published file.
        dashboards: The dashboard files.

    Returns:
        "table.column" to its values in order; a column with more than a list can hold is left out.
    """
    bindings = {
        binding
        for file in dashboards
        for card in file.dashboard.cards()
        for name, binding in card.filters.items()
        if file.dashboard.filters[name].kind == "category" and file.dashboard.filters[name].values
    }
    found: dict[str, tuple[str, ...]] = {}
    connection = open_serve_file(serve_file)
    try:
        for binding in sorted(bindings):
            table, column = binding.split(".")
            rows = connection.execute(
                f"select distinct {column} from marts.{table} where {column} is not null "
                f"order by 1 limit {_MOST_OFFERED + 1}"
            ).fetchall()
            if len(rows) <= _MOST_OFFERED:
                found[binding] = tuple(str(row[0]) for row in rows)
    finally:
        connection.close()
    return found
