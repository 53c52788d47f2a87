"""A tap on a number opens the list of what was counted."""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from orchestration.lib.cards import DashboardFile
from tests.unit.metabase.taps import taps


def test_no_number_opens_an_empty_list(
    shipped: list[DashboardFile], published: Callable[[str], duckdb.DuckDBPyConnection]
) -> None:
    # The losses of this company stand in their report alone.
    found = [tap for tap in taps(shipped, published("full")) if "rejection" not in tap.place]
    assert len({tap.place for tap in found}) > 5
    assert [tap for tap in found if tap.number > 0 and not tap.listed] == []
    # Also what nobody answers for.
    assert [tap for tap in found if "nobody" in tap.passed.values()]
