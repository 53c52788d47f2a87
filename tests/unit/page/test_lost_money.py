"""What is called lost, and what is called lost without a reason."""

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


def test_losses_without_a_reason_are_one_number_wherever_they_stand(tmp_path: Path) -> None:
    """Whoever closed a duplicate without a word is counted everywhere, a robot nowhere."""
    path = write_marts(tmp_path / "reasons_serve.duckdb", "empty")
    with duckdb.connect(str(path)) as connection:
        for category, reason, count in (
            ("not_given", "not_given", 5),
            ("technical", "not_given", 2),
            ("expired", "expired", 7),
            ("not_kept", "not_kept", 3),
            ("price", "Дорого", 3),
        ):
            connection.execute(
                "insert into marts.rpt_rejection_matrix (month_date, stage_name, reason_category, "
                "reason, channel, rejection_count, superseded_count, deal_amount) "
                "values ('2026-11-01', 'Новая', ?, ?, 'avito', ?, 0, 0)",
                [category, reason, count],
            )
    reasons = {row["reason"]: row for row in rows(path, "reasons", "rejections")}
    (month,) = rows(path, "by_month", "rejections")
    (trust,) = rows(path, "reasons", "data_trust")
    assert reasons["not_given"]["rejection_count"] == 7
    assert month["not_given_count"] == 7
    assert trust["blank_count"] == 7
    assert trust["blank_ratio"] == pytest.approx(reasons["not_given"]["rejection_ratio"])
