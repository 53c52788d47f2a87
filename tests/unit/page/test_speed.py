"""Typical waits: what an unanswered lead and a move that nobody wrote down mean for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.lib.cards import bound_sql, read_dashboards
from orchestration.lib.page import DASHBOARDS, render_page
from tests.unit.page.marts import first_stage_alone
from tests.unit.page.test_page import text_of

NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Lead:
    """A lead by the working minutes it stayed in its first stage."""

    minutes: int
    is_waiting: bool = False
    is_measured: bool = True
    sales_rep: str | None = None


Company = Callable[[Sequence[Lead]], Path]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Return a maker of a published file that holds nothing but leads."""

    def make(leads: Sequence[Lead]) -> Path:
        path = tmp_path / "leads_serve.duckdb"
        with first_stage_alone(path) as connection:
            connection.execute(
                "insert into marts.dim_dates (date_day, month_date) "
                "values ('2026-11-10', '2026-11-01')"
            )
            for number, lead in enumerate(leads):
                if lead.sales_rep is not None:
                    connection.execute(
                        "insert into marts.dim_sales_reps (sales_rep_key, sales_rep_name) "
                        "select ?, ? where ? not in "
                        "(select sales_rep_key from marts.dim_sales_reps)",
                        [lead.sales_rep] * 3,
                    )
                connection.execute(
                    "insert into marts.dim_deals (deal_key, stage_key, stage_category, outcome, "
                    "deal_kind, is_deleted, is_mid_funnel_start, sales_rep_key) "
                    "values (?, 'new', 'open', 'open', 'new', false, false, ?)",
                    [str(number), lead.sales_rep],
                )
                connection.execute(
                    "insert into marts.fct_deal_stage_visits (visit_key, deal_key, visit_number, "
                    "stage_key, entered_at, dwell_seconds, dwell_business_seconds, is_censored, "
                    "is_left_truncated, is_dwell_measured) "
                    "values (?, ?, 1, 'new', '2026-11-10 09:00:00', ?, ?, ?, false, ?)",
                    [
                        f"{number}:1", str(number), lead.minutes * 60, lead.minutes * 60,
                        lead.is_waiting, lead.is_measured,
                    ],
                )  # fmt: skip
        return path

    return make


def rows(path: Path, key: str, dashboard: str = "speed") -> list[dict[str, Any]]:
    """Return what a card of a dashboard answers."""
    file = next(one for one in read_dashboards(DASHBOARDS) if one.dashboard.name == dashboard)
    card = next(one for one in file.dashboard.cards() if one.key == key)
    with duckdb.connect(str(path), read_only=True) as connection:
        cursor = connection.execute(bound_sql(card, {}))
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def said(path: Path) -> str:
    """Return the Russian page as text."""
    out = path.parent / "index.html"
    render_page(path, DASHBOARDS, out, "ru", {})
    return text_of(out.read_text(encoding="utf-8"), "ru").replace(NO_BREAK, " ")


@pytest.mark.parametrize(
    ("leads", "minutes"),
    [
        ([Lead(10), Lead(20), Lead(30)], 20),
        ([Lead(10), Lead(20), Lead(30), Lead(40)], 20),
        # Two still wait, one of them longest of all: at risk 5, 3, 2 at minutes 10, 30, 40.
        ([Lead(10), Lead(20, is_waiting=True), Lead(30), Lead(40), Lead(50, is_waiting=True)], 40),
        # Read as answers, the short waits of those nobody took would give 5.
        ([Lead(5, is_waiting=True)] * 3 + [Lead(60), Lead(90)], 60),
        ([Lead(60), Lead(90)] + [Lead(100, is_waiting=True)] * 3, None),
        ([Lead(0, is_waiting=True)] * 13, None),
        ([Lead(0), Lead(0), Lead(30, is_waiting=True)], 0),
        ([Lead(7), Lead(9000, is_measured=False), Lead(9000, is_measured=False)], 7),
        ([Lead(9000, is_measured=False)], None),
    ],
)
def test_half_of_the_leads_are_moved_by_the_typical_wait(
    company: Company, leads: list[Lead], minutes: int | None
) -> None:
    path = company(leads)
    assert rows(path, "summary")[0]["median_minutes"] == minutes
    assert [row["median_minutes"] for row in rows(path, "by_sales_rep")] == [minutes]
    if any(lead.is_measured for lead in leads):
        assert [row["median_minutes"] for row in rows(path, "by_month")] == [minutes]


def test_typical_wait_of_each_is_of_his_own_leads(company: Company) -> None:
    path = company(
        [Lead(10, sales_rep="anna"), Lead(30, sales_rep="anna"), Lead(70, sales_rep="anna")]
        + [Lead(5, sales_rep="boris"), Lead(90, is_waiting=True, sales_rep="boris")]
        + [Lead(5, is_waiting=True)] * 4
    )
    found = {row["sales_rep_name"]: row for row in rows(path, "by_sales_rep")}
    assert {name: row["median_minutes"] for name, row in found.items()} == {
        "anna": 30, "boris": 5, "nobody": None,
    }  # fmt: skip
    assert {name: row["waiting_count"] for name, row in found.items()} == {
        "anna": 0, "boris": 1, "nobody": 4,
    }  # fmt: skip


def test_leads_nobody_took_have_no_typical_wait(company: Company) -> None:
    page = said(company([Lead(45, is_waiting=True)] * 3))
    assert "Ещё ждут: 3 — это больше, чем сдвинули, поэтому обычный срок пока неизвестен." in page
    assert "Обычно ждут" not in page.split("Сколько ждали заявки")[0].split("Скорость", 1)[1]


def test_without_a_history_of_moves_nothing_is_claimed_of_waits(company: Company) -> None:
    leads = [Lead(9000, is_measured=False)] * 3 + [Lead(9000, is_waiting=True, is_measured=False)]
    path = company(leads)
    page = said(path)
    assert "За 90 дней пришло 4 заявки. Сколько они ждали, не измерить" in page
    assert "За рабочий час взяли" not in page
    buckets = {row["bucket"]: row["lead_count"] for row in rows(path, "buckets")}
    assert buckets.pop("unmeasured") == 4
    assert set(buckets.values()) == {0}
    assert rows(path, "by_month") == []
    assert [row["waiting_count"] for row in rows(path, "by_sales_rep")] == [None]
    assert rows(path, "waiting") == []
    assert rows(path, "silent") == []


def test_what_is_not_measured_stands_beside_what_is(company: Company) -> None:
    path = company([Lead(10), Lead(20), Lead(9000, is_measured=False)])
    page = said(path)
    assert "За рабочий час взяли 100" in page
    assert "Не измерить: 1" in page
    assert rows(path, "buckets")[-1]["bucket"] == "unmeasured"
    assert sum(row["lead_count"] for row in rows(path, "buckets")) == 3
    measured = company([Lead(10), Lead(20)])
    assert "Не измерить" not in said(measured)
    assert rows(measured, "buckets")[-1]["bucket"] == "waiting"
