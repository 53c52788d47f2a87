"""What the exports of `exports.py` say of won and lost, in the marts."""

from __future__ import annotations

import csv

import pytest

from tests.e2e.exports import ACCOUNTS
from tests.product import Product

pytestmark = pytest.mark.e2e


def own_deals(company: Product, account: str) -> list[dict[str, str]]:
    """Return the rows of the export itself."""
    with (company.home.parent / account / "deals.csv").open(encoding="utf-8") as rows:
        return list(csv.DictReader(rows))


@pytest.fixture(scope="module")
def company(small_firms: Product) -> Product:
    """Return the home that read the exports, beside the golden log."""
    return small_firms


@pytest.fixture(params=list(ACCOUNTS))
def account(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_deal_has_the_outcome_sum_and_day_of_the_export(
    company: Product, account: str
) -> None:
    rows = company.query(
        "select deal_id, outcome, strftime(closed_at, '%Y-%m-%dT%H:%M:%S'), deal_amount::bigint "
        f"from marts.dim_deals where source_account_id = '{account}' order by deal_id::int"
    )
    assert rows == [
        (deal["deal_id"], deal["outcome"], deal["closed_at"] or None, int(deal["deal_amount"]))
        for deal in own_deals(company, account)
    ]


def test_every_lost_deal_is_a_rejection_from_the_stage_it_stood_in(
    company: Product, account: str
) -> None:
    rows = company.query(
        "select deals.deal_id, rejections.is_superseded, stages.stage_id, "
        "strftime(rejections.rejected_at, '%Y-%m-%dT%H:%M:%S') "
        "from marts.fct_deal_rejections as rejections join marts.dim_deals as deals using (deal_key) "
        "join marts.dim_pipeline_stages as stages on stages.stage_key = rejections.from_stage_key "
        f"where deals.source_account_id = '{account}' order by deal_id::int"
    )
    lost = [deal for deal in own_deals(company, account) if deal["outcome"] == "lost"]
    assert rows == [(deal["deal_id"], False, deal["stage_id"], deal["closed_at"]) for deal in lost]


def test_win_rates_are_those_of_the_export(company: Product, account: str) -> None:
    rows = {
        definition: (won, total)
        for definition, won, total in company.query(
            "select definition_id, sum(numerator_count)::int, sum(denominator_count)::int "
            "from marts.rpt_funnel_conversions where definition_id like 'win_rate%' "
            f"and source_account_id = '{account}' group by 1"
        )
    }
    assert rows == {"win_rate_closed": (10, 20), "win_rate_created": (10, 30)}


def test_sold_is_the_sum_of_the_won_deals_of_everything_that_was_read(company: Product) -> None:
    # The golden log came by both its roads.
    own = sum(
        int(deal["deal_amount"])
        for account in (*ACCOUNTS, "golden", "golden")
        for deal in own_deals(company, account)
        if deal["outcome"] == "won"
    )
    assert company.query(
        "select sum(value)::int from marts.rpt_owner_panel where metric_id = 'sold' and period_type = 'month'"
    ) == [(own,)]


def test_the_export_agrees_with_the_marts_and_open_stages_with_outcomes_are_counted(
    company: Product, account: str
) -> None:
    rows = {
        check: (status, value)
        for check, status, value in company.query(
            "select check_id, status, value from marts.rpt_data_trust "
            f"where source_account_id = '{account}'"
        )
    }
    assert rows["crm_won_deals"] == ("ok", 10)
    # Winners of the log rest in a stage that only they end in.
    conflicts = 10 if account == "logged" else 20
    assert rows["stage_outcome_conflicts"] == ("warn", pytest.approx(conflicts / 30))


def test_a_stage_that_winners_pass_is_no_loss(company: Product) -> None:
    rows = company.query(
        "select transitions.from_stage_id, transitions.to_stage_id, transitions.direction, count(*) "
        "from marts.fct_deal_stage_transitions as transitions join marts.dim_deals as deals using (deal_key) "
        "where deals.source_account_id = 'logged' and transitions.direction <> 'entry' group by all order by 1, 2"
    )
    assert rows == [
        ("offer", "contract", "won", 10),
        ("offer", "lost", "lost", 10),
        ("talk", "offer", "forward", 20),
    ]
