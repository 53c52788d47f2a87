"""Exports that tell won and lost in a column of their own, beside a stage that stays where the deal was."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.product import Product

pytestmark = pytest.mark.e2e
OUTCOMES = ("won", "lost", "open")
# Where a deal of an outcome stands in a log whose losers stop at the offer and whose winners pass it.
RESTING_STAGES = {"won": "contract", "lost": "offer", "open": "talk"}
HEAD = """source_account_id: {account}
timezone: UTC
currency_code: RUB
observed_until: 2026-11-03T00:00:00
tables:
  - {{table: deals, file: deals.csv}}
"""
DECLARED_STAGES = """  - table: pipeline_stages
    rows:
      - {pipeline_id: s, stage_id: talk, stage_position: 1, stage_category: open}
      - {pipeline_id: s, stage_id: offer, stage_position: 2, stage_category: open}
"""
LOG = "  - {table: stage_changes, file: stage_changes.csv}\n"
ACCOUNTS = {"undeclared": "", "declared": DECLARED_STAGES, "logged": LOG}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_account(folder: Path, account: str) -> None:
    """Write thirty deals, ten of each outcome, all of them of October."""
    folder.mkdir()
    deals: list[dict[str, str]] = []
    changes: list[dict[str, str]] = []
    for number in range(30):
        created_at = datetime.fromisoformat("2026-10-01T09:00:00") + timedelta(hours=12 * number)
        closed_at = created_at + timedelta(hours=50)
        outcome = OUTCOMES[number % 3]
        stage = RESTING_STAGES[outcome] if account == "logged" else ("talk", "offer")[number % 2]
        deals.append(
            {
                "deal_id": str(number),
                "created_at": created_at.isoformat(),
                "pipeline_id": "s",
                "stage_id": stage,
                "outcome": outcome,
                "closed_at": "" if outcome == "open" else closed_at.isoformat(),
                "deal_amount": str(1000 + number),
            }
        )
        way = ("talk", "offer", "contract")
        changes += [
            {
                "deal_id": str(number),
                "changed_at": (created_at + timedelta(hours=10 * step)).isoformat(),
                "to_stage_id": passed,
            }
            for step, passed in enumerate(way[: way.index(stage) + 1])
        ]
    write(folder / "deals.csv", deals)
    write(folder / "stage_changes.csv", changes)
    (folder / "mapping.yaml").write_text(
        HEAD.format(account=account) + ACCOUNTS[account], encoding="utf-8"
    )


def own_deals(company: Product, account: str) -> list[dict[str, str]]:
    """Return the rows of the export itself."""
    with (company.home.parent / account / "deals.csv").open(encoding="utf-8") as rows:
        return list(csv.DictReader(rows))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Product:
    root = tmp_path_factory.mktemp("outcomes")
    for account in ACCOUNTS:
        write_account(root / account, account)
    folders = ":".join(str(root / account) for account in ACCOUNTS)
    product = Product(root / "home", {"VORONKA_SOURCES": "files", "VORONKA_FILES": folders})
    product.run("refresh")
    return product


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


def test_sold_is_the_sum_of_the_won_deals_of_the_exports(company: Product) -> None:
    own = sum(
        int(deal["deal_amount"])
        for account in ACCOUNTS
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
