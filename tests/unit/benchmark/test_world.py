from datetime import datetime
from decimal import Decimal

import pytest

from orchestration.lib.benchmark.world import attach_truth
from orchestration.lib.errors import BenchmarkError


def test_deals_are_told_as_they_ended(connection):
    rows = connection.execute(
        "select deal_id, person_id, kind, outcome, amount, closed_at, is_gone"
        " from truth.deals order by deal_id"
    ).fetchall()
    first_closed = datetime(2026, 1, 31, 21, 30)  # noqa: DTZ001 - UTC, as in the marts
    assert rows[0] == ("101", "1", "new", "won", Decimal("120.00"), first_closed, False)
    assert [row[:4] for row in rows[1:]] == [
        ("102", "2", "new", "lost"),
        ("103", "1", "repeat", "won"),
        ("104", None, "test", "open"),
        ("105", "2", "new", "open"),
    ]
    assert [row[6] for row in rows] == [False, False, False, False, True]


def test_moves_keep_their_order_and_reasons_their_names(connection):
    rows = connection.execute(
        "select deal_id, change_number, from_stage_id, to_stage_id, loss_reason"
        " from truth.stage_changes order by deal_id, change_number"
    ).fetchall()
    assert rows[:3] == [
        ("101", 1, "1", "2", None),
        ("101", 2, "2", "3", None),
        ("101", 3, "3", "142", None),
    ]
    assert rows[3] == ("102", 1, "1", "143", "Дорого")


def test_what_was_paid_is_summed_by_invoice(connection):
    rows = connection.execute(
        "select invoice_id, invoice_amount - paid_amount from truth.invoices order by 1"
    ).fetchall()
    assert rows == [("1", Decimal(0)), ("2", Decimal(20))]


def test_a_home_without_truth_is_refused(connection, tmp_path):
    with pytest.raises(BenchmarkError, match="only the home of a demo company"):
        attach_truth(connection, tmp_path)
