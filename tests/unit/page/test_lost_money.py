"""What is called lost: no deal that was deleted or made to try the CRM."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.unit.page.marts import write_marts
from tests.unit.page.test_speed import rows


@pytest.mark.parametrize(("is_deleted", "deal_kind"), [(True, "new"), (False, "test")])
def test_deleted_and_test_deals_are_no_loss(
    tmp_path: Path, is_deleted: bool, deal_kind: str
) -> None:
    """The line counts what the months and the list of rejections count."""
    path = write_marts(tmp_path / "losses_serve.duckdb", "empty")
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "insert into marts.rpt_owner_panel (fresh_until_at, time_zone) "
            "values ('2026-11-21 20:40:00', 'Europe/Moscow')"
        )
        for key, deleted, kind in (("lost", False, "new"), ("other", is_deleted, deal_kind)):
            connection.execute(
                "insert into marts.dim_deals (deal_key, is_deleted, deal_kind) values (?, ?, ?)",
                [key, deleted, kind],
            )
            connection.execute(
                "insert into marts.fct_deal_rejections (rejection_key, deal_key, rejected_at, "
                "deal_amount, is_superseded) values (?, ?, '2026-11-10 09:00:00', 100, false)",
                [key, key],
            )
    (lost,) = rows(path, "standing", "leaks")
    assert (lost["leak"], lost["item_count"], lost["amount"]) == ("lost", 1, 100)
