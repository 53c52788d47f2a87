"""Moves that nobody wrote down: no first move is made of them, and no standstill of an age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from tests.unit.page.marts import first_stage_alone
from tests.unit.page.test_speed import rows, said

DAY = 86_400


@dataclass(frozen=True)
class Lead:
    """A lead by its first move, the days it stood before, and whether the CRM wrote that down."""

    direction: str | None
    days: int
    is_logged: bool = True


Company = Callable[[Sequence[Lead]], Path]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Return a maker of a published file that holds leads and their first moves."""

    def make(leads: Sequence[Lead]) -> Path:
        path = tmp_path / "moves_serve.duckdb"
        with first_stage_alone(path) as connection:
            for number, lead in enumerate(leads):
                key = str(number)
                is_waiting = lead.direction is None
                connection.execute(
                    "insert into marts.dim_deals (deal_key, deal_id, stage_key, stage_category, "
                    "outcome, deal_kind, deal_amount, is_deleted, is_mid_funnel_start, "
                    "is_first_move_known, created_at) "
                    "values (?, ?, 'new', 'open', 'open', 'new', 100, false, false, ?, "
                    "'2026-11-10 09:00:00')",
                    [key, key, lead.is_logged],
                )
                connection.execute(
                    "insert into marts.fct_deal_stage_visits (visit_key, deal_key, visit_number, "
                    "stage_key, entered_at, dwell_seconds, is_censored, is_left_truncated, "
                    "is_dwell_measured, standing_seconds) "
                    "values (?, ?, 1, 'new', '2026-11-10 09:00:00', ?, ?, false, ?, ?)",
                    [
                        f"{key}:1", key, lead.days * DAY, is_waiting, lead.is_logged,
                        lead.days * DAY if is_waiting and lead.is_logged else None,
                    ],
                )  # fmt: skip
                if not is_waiting:
                    connection.execute(
                        "insert into marts.fct_deal_stage_transitions (transition_key, deal_key, "
                        "transition_number, from_stage_key, direction, change_channel, "
                        "dwell_seconds, is_dwell_measured) "
                        "values (?, ?, 2, 'new', ?, 'human', ?, ?)",
                        [f"{key}:2", key, lead.direction, lead.days * DAY, lead.is_logged],
                    )
        return path

    return make


def test_first_moves_are_told_of_logged_leads_and_the_others_stand_apart(company: Company) -> None:
    path = company(
        [
            Lead("forward", 2),
            Lead("forward", 4),
            Lead("lost", 1),
            Lead(None, 3),
            Lead("lost", 90, is_logged=False),
            Lead("won", 90, is_logged=False),
            Lead(None, 90, is_logged=False),
        ]
    )
    summary = rows(path, "summary", "hand_over")[0]
    assert summary == {
        "lead_count": 7, "accepted_count": 2, "rejected_count": 1, "moved_count": 0,
        "waiting_count": 1, "seen_count": 4, "unseen_count": 3,
    }  # fmt: skip
    outcomes = {
        (row["direction"], row["change_channel"]): (row["lead_count"], row["median_seconds"])
        for row in rows(path, "outcomes", "hand_over")
    }
    assert outcomes == {
        ("forward", "human"): (2, 3 * DAY),
        ("lost", "human"): (1, DAY),
        ("waiting", "nobody"): (1, None),
        ("unseen", "unknown"): (3, None),
    }
    assert "Неизвестно: 3 — нет записи о первом ходе" in said(path)


def test_a_company_without_a_log_is_told_so(company: Company) -> None:
    path = company([Lead("lost", 90, is_logged=False), Lead(None, 90, is_logged=False)])
    assert "Что с ними сделали сначала, неизвестно: истории перемещений нет" in said(path)
    assert rows(path, "turned_down", "hand_over") == []


def test_only_a_log_tells_how_long_a_deal_stands(company: Company) -> None:
    path = company([Lead(None, 40), Lead(None, 20), Lead(None, 90, is_logged=False)])
    stock = rows(path, "stock", "funnel")[0]
    assert (stock["deal_count"], stock["old_count"]) == (3, 1)
    assert stock["median_dwell_seconds"] == 30 * DAY
    longest = [row["standing_seconds"] for row in rows(path, "open_deals", "funnel")]
    assert longest == [40 * DAY, 20 * DAY, None]
    assert [row["deal_count"] for row in rows(path, "standing_by_stage", "leaks")] == [1]

    path.unlink()
    path = company([Lead(None, 90, is_logged=False)])
    stock = rows(path, "stock", "funnel")[0]
    assert (stock["median_dwell_seconds"], stock["old_count"]) == (None, None)
    assert rows(path, "standing_by_stage", "leaks") == []


def test_deals_without_a_log_are_listed_by_their_age(company: Company) -> None:
    path = company([Lead(None, 90, is_logged=False)] * 3)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "update marts.dim_deals set created_at = created_at - to_days(cast(deal_id as integer))"
        )
    assert [row["deal_name"] for row in rows(path, "open_deals", "funnel")] == ["2", "1", "0"]


@pytest.mark.parametrize("is_logged", [True, False])
def test_steps_between_the_beginning_and_the_sale_need_a_log(
    company: Company, is_logged: bool
) -> None:
    """Without one every lost deal went straight to the end: the first step looked the leakiest."""
    path = company([Lead("lost", 1, is_logged=is_logged)])
    with duckdb.connect(str(path)) as connection:
        connection.execute("update marts.dim_deals set source_account_id = '900'")
        connection.execute(
            "update marts.dim_pipeline_stages set source_account_id = '900', pipeline_id = 'p'"
        )
        for position, (step, count) in enumerate((("1", 40), ("2", 30), ("won", 12)), start=1):
            connection.execute(
                "insert into marts.rpt_funnel_conversions (definition_id, is_mature, "
                "source_account_id, pipeline_id, cohort_month_date, to_step, to_step_name, "
                "to_step_position, numerator_count, denominator_count, imputed_ratio) "
                "values ('cohort_reached_or_beyond', true, '900', 'p', '2026-05-01', ?, ?, ?, "
                "?, 100, 0)",
                [step, step, position, count],
            )
    shown = [(row["step"], row["conversion_ratio"]) for row in rows(path, "steps", "funnel")]
    if is_logged:
        assert shown == [("entry", None), ("1", 0.4), ("2", 0.75), ("won", 0.4)]
        assert "потеряли здесь: 60 — самая большая потеря" in said(path)
    else:
        assert shown == [("entry", None), ("won", 0.12)]
        assert "потеряли здесь: 88" in said(path)
        assert "самая большая потеря" not in said(path)


def test_without_a_log_nobody_knows_at_which_stage_a_deal_was_lost(company: Company) -> None:
    path = company([])
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "insert into marts.rpt_rejection_matrix (month_date, stage_name, reason_category, "
            "reason, channel, rejection_count, superseded_count, deal_amount) "
            "values ('2026-11-01', 'created', 'price', 'Дорого', 'avito', 4, 0, 0)"
        )
    assert "Этап неизвестен" in said(path)


def test_one_lead_of_each_kind_takes_the_singular(company: Company) -> None:
    page = said(company([Lead("forward", 1), Lead("lost", 2), Lead(None, 3)]))
    assert "дальше пошла 1 , сразу закрыта 1 , ещё ждёт 1" in page


def test_a_single_lead_comes_in_the_singular(company: Company) -> None:
    assert "За 90 дней пришла 1 заявка" in said(company([Lead(None, 3)]))
