"""A tap on a number opens the list of what was counted."""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from orchestration.lib.cards import DashboardFile
from tests.unit.metabase.taps import taps


def test_no_number_opens_an_empty_list(
    shipped: list[DashboardFile], published: Callable[[str], duckdb.DuckDBPyConnection]
) -> None:
    # Losses and credits of this company stand in their reports alone: the demo company has all.
    found = [
        tap
        for tap in taps(shipped, published("full"))
        if not tap.place.startswith(("rejections", "channels"))
    ]
    assert len({tap.place for tap in found}) > 5
    assert [tap for tap in found if tap.number > 0 and not tap.listed] == []
    # Also what nobody answers for.
    assert [tap for tap in found if "nobody" in tap.passed.values()]


def test_the_list_holds_what_was_counted(
    shipped: list[DashboardFile], published: Callable[[str], duckdb.DuckDBPyConnection]
) -> None:
    # Losses and credits of this company stand in their reports alone: the demo company has all.
    found = [
        tap
        for tap in taps(shipped, published("full"))
        if tap.format == "integer" and not tap.place.startswith(("rejections", "channels"))
    ]
    assert len({tap.place for tap in found}) > 4
    assert [tap for tap in found if tap.number != tap.listed] == []
