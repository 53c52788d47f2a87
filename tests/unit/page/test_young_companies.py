"""What the page says where there is one seller, no client yet, no loss, no history of moves."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.unit.page.marts import first_stage_alone
from tests.unit.page.test_page import NARROW
from tests.unit.page.test_speed import rows, said


def _funnel(connection: duckdb.DuckDBPyConnection, *, lost: int, is_logged: bool) -> None:
    """Put ten old deals of one pipeline in, of which `lost` did not get to the sale."""
    connection.execute(
        "update marts.dim_pipeline_stages set source_account_id = '900', pipeline_id = 'main'"
    )
    connection.execute(
        "insert into marts.dim_deals (deal_key, source_account_id, is_first_move_known) "
        "values ('1', '900', ?)",
        [is_logged],
    )
    connection.execute(
        "insert into marts.rpt_funnel_conversions (definition_id, cohort_month_date, "
        "source_account_id, pipeline_id, to_step_name, to_step_position, is_mature, "
        "from_previous_denominator_count, from_previous_numerator_count) "
        "values ('cohort_reached_or_beyond', '2026-09-01', '900', 'main', 'won', 2, true, 10, ?)",
        [10 - lost],
    )


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        (0, "Из 10 сделок, о которых уже можно судить, ни одна не остановилась по дороге."),
        (1, "дальше не пошла 1 из 10 сделок"),
        (7, "дальше не пошло 7 из 10 сделок"),
    ],
)
def test_where_deals_stop_is_said_of_old_deals(tmp_path: Path, lost: int, sentence: str) -> None:
    path = tmp_path / "serve.duckdb"
    with first_stage_alone(path) as connection:
        _funnel(connection, lost=lost, is_logged=True)
    assert sentence in said(path)


def test_without_a_history_of_moves_nobody_knows_where_deals_stop(tmp_path: Path) -> None:
    path = tmp_path / "serve.duckdb"
    with first_stage_alone(path) as connection:
        _funnel(connection, lost=7, is_logged=False)
    assert rows(path, "leak_step", "owner") == []
    assert rows(path, "steps", "leaks") == []
    assert "или нет истории перемещений" in said(path)


def test_a_week_without_a_new_client_has_no_cost_of_one(tmp_path: Path) -> None:
    path = tmp_path / "serve.duckdb"
    with first_stage_alone(path) as connection:
        connection.execute(
            "insert into marts.rpt_owner_panel (period_type, period_start_date, metric_id, n, "
            "state, missing, missing_en, missing_ru, is_complete, fresh_until_at, time_zone) "
            "values ('week', '2026-11-09', 'acquisition_cost', 0, 'partial', 'full_costs', "
            "'salaries', 'зарплаты', true, '2026-11-21 20:40:00', 'Europe/Moscow')"
        )
    page = said(path)
    assert "считать не из чего" in page
    assert "не учтено: зарплаты" not in page


def test_one_seller_is_no_spread_of_sellers(tmp_path: Path) -> None:
    path = tmp_path / "serve.duckdb"
    with first_stage_alone(path) as connection:
        connection.execute(
            "insert into marts.dim_sales_reps (sales_rep_key, sales_rep_name) "
            "values ('anna', 'Анна')"
        )
        connection.execute(
            "insert into marts.dim_deals (deal_key, stage_key, sales_rep_key, outcome, deal_kind, "
            "deal_amount, is_deleted, created_at, closed_at) values ('1', 'new', 'anna', 'won', "
            "'new', 100, false, '2026-11-10 09:00:00', '2026-11-11 09:00:00')"
        )
    page = said(path)
    assert "За 180 дней продавал один человек: Анна" in page
    assert "равных продавцов 1,0" not in page


@pytest.mark.parametrize(
    ("balance", "sentence"),
    [
        (None, "Что из них оплачено, неизвестно: нет ни статусов, ни оплат."),
        (100, "Не оплачен 1 счёт на 100"),
        (0, "Все счета оплачены; всего их 1"),
    ],
)
def test_a_bill_of_which_nothing_is_told_is_not_called_unpaid(
    tmp_path: Path, balance: int | None, sentence: str
) -> None:
    path = tmp_path / "serve.duckdb"
    with first_stage_alone(path) as connection:
        connection.execute(
            "insert into marts.fct_invoices (invoice_key, status, issued_at, invoice_amount, "
            "balance_amount, is_deleted) values ('1', 'unknown', '2026-11-10 09:00:00', 100, ?, "
            "false)",
            [balance],
        )
    assert sentence in said(path).replace(NARROW, "")
    assert bool(rows(path, "unpaid", "invoices")) == (balance == 100)
