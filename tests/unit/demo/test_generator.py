"""The demo company is repeatable and believable."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from ingest.demo import CompanyTables, DemoCompany, personal_data_values, write_company_tables
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID

DAY = 86_400


@pytest.fixture(scope="module")
def firm() -> CompanyTables:
    return DemoCompany(leads=8000).world()


def column(table: pa.Table, name: str) -> list[Any]:
    found: list[Any] = table.column(name).to_pylist()
    return found


def last_stage(firm: CompanyTables) -> dict[int, int]:
    stage = dict(zip(column(firm.deals, "deal_id"), column(firm.deals, "stage_id"), strict=True))
    stage.update(
        zip(
            column(firm.stage_changes, "deal_id"),
            column(firm.stage_changes, "to_stage_id"),
            strict=True,
        )
    )
    return stage


def test_same_seed_gives_equal_tables() -> None:
    first, second = (DemoCompany(seed=7, months=3, leads=400).tables() for _ in range(2))
    assert first == second


def test_another_seed_gives_another_firm() -> None:
    first, second = (DemoCompany(seed=seed, months=3, leads=400).tables() for seed in (7, 8))
    assert not first.deals.equals(second.deals)


@pytest.mark.parametrize(("months", "leads"), [(1, 20), (3, 200), (18, 1000)])
def test_small_firms_work_too(months: int, leads: int) -> None:
    tables = DemoCompany(months=months, leads=leads).tables()
    assert tables.deals.num_rows <= leads
    assert tables.deals.num_rows >= 0.85 * leads


def test_number_of_deals_is_as_asked(firm: CompanyTables) -> None:
    assert firm.deals.num_rows == 8000


def test_nothing_happens_after_the_clock(firm: CompanyTables) -> None:
    for name, table in firm.items():
        for field in table.schema:
            if field.name.endswith("_at") and not field.name.endswith("due_at"):
                moments = [moment for moment in column(table, field.name) if moment is not None]
                assert max(moments, default=0) <= firm.now, (name, field.name)


def test_moves_of_a_deal_chain_in_time_order(firm: CompanyTables) -> None:
    place = dict(zip(column(firm.deals, "deal_id"), column(firm.deals, "stage_id"), strict=True))
    moment = dict(zip(column(firm.deals, "deal_id"), column(firm.deals, "created_at"), strict=True))
    for row in firm.stage_changes.to_pylist():
        assert row["from_stage_id"] == place[row["deal_id"]]
        assert row["changed_at"] >= moment[row["deal_id"]]
        assert row["from_stage_id"] != row["to_stage_id"]
        place[row["deal_id"]], moment[row["deal_id"]] = row["to_stage_id"], row["changed_at"]


def test_amounts_of_a_deal_chain(firm: CompanyTables) -> None:
    amount = dict(zip(column(firm.deals, "deal_id"), column(firm.deals, "amount"), strict=True))
    for row in firm.amount_changes.to_pylist():
        assert row["from_amount"] == amount[row["deal_id"]]
        amount[row["deal_id"]] = row["to_amount"]
    kind = dict(zip(column(firm.deals, "deal_id"), column(firm.deals, "kind"), strict=True))
    assert all(
        amount[deal] > 0
        for deal, stage in last_stage(firm).items()
        if stage == WON_STAGE_ID and kind[deal] != "service"
    )


def test_win_rate_and_prices_are_believable(firm: CompanyTables) -> None:
    stage = last_stage(firm)
    won = {deal for deal, at in stage.items() if at == WON_STAGE_ID}
    assert 0.10 <= len(won) / len(stage) <= 0.15
    amount = dict(zip(column(firm.deals, "deal_id"), column(firm.deals, "amount"), strict=True))
    amount.update(
        zip(
            column(firm.amount_changes, "deal_id"),
            column(firm.amount_changes, "to_amount"),
            strict=True,
        )
    )
    assert 100_000 < sum(amount[deal] for deal in won) / len(won) < 220_000


def test_network_advertising_loses_and_search_pays(firm: CompanyTables) -> None:
    stage = last_stage(firm)
    amount = dict(zip(column(firm.deals, "deal_id"), column(firm.deals, "amount"), strict=True))
    amount.update(
        zip(
            column(firm.amount_changes, "deal_id"),
            column(firm.amount_changes, "to_amount"),
            strict=True,
        )
    )
    channel_of = dict(
        zip(
            column(firm.ad_campaigns, "campaign_id"),
            column(firm.ad_campaigns, "channel"),
            strict=True,
        )
    )
    sold: Counter[str] = Counter()
    for row in firm.deals.to_pylist():
        if (
            row["utm_campaign"]
            and row["utm_campaign"].isdigit()
            and stage[row["deal_id"]] == WON_STAGE_ID
        ):
            sold[channel_of[int(row["utm_campaign"])]] += amount[row["deal_id"]]
    spent: Counter[str] = Counter()
    for row in firm.ad_spend.to_pylist():
        if row["known_to_at"] is None:
            spent[channel_of[row["campaign_id"]]] += row["cost_micros"] / 1e6
    assert sold["direct_network"] < spent["direct_network"]
    assert sold["direct_search"] > 3 * spent["direct_search"]


def test_last_week_fewer_people_came(firm: CompanyTables) -> None:
    monday = firm.now - (firm.now + 3 * 3600) % DAY
    weeks = Counter(
        (monday - created - 1) // (7 * DAY)
        for created in column(firm.deals, "created_at")
        if created < monday
    )
    before = sum(weeks[number] for number in range(1, 5)) / 4
    assert weeks[0] < 0.95 * before


def test_habits_of_sales_departments_occur(firm: CompanyTables) -> None:
    deals, changes = firm.deals.to_pylist(), firm.stage_changes.to_pylist()
    kinds = Counter(row["kind"] for row in deals)
    for kind, low, high in (("repeat", 0.03, 0.07), ("duplicate", 0.02, 0.04),
    ("continuation", 0.015, 0.03), ("test", 0.001, 0.005)):  # fmt: skip
        assert low <= kinds[kind] / len(deals) <= high, kind
    rank = {
        (row["pipeline_id"], row["stage_id"]): row["position"] for row in firm.stages.to_pylist()
    }
    steps = [
        (
            rank[row["to_pipeline_id"], row["to_stage_id"]]
            - rank[row["from_pipeline_id"], row["from_stage_id"]]
        )
        // 10
        for row in changes
        if row["to_stage_id"] not in {WON_STAGE_ID, LOST_STAGE_ID}
        and row["from_stage_id"] not in {WON_STAGE_ID, LOST_STAGE_ID}
    ]
    assert 0.01 <= sum(step < 0 for step in steps) / len(steps) <= 0.05
    assert 0.01 <= sum(step > 1 for step in steps) / len(steps) <= 0.08
    losses = [row for row in changes if row["to_stage_id"] == LOST_STAGE_ID]
    assert 0.08 <= sum(row["loss_reason_id"] is None for row in losses) / len(losses) <= 0.25
    assert any(row["from_stage_id"] == LOST_STAGE_ID for row in changes)
    assert any(row["changed_by"] == 0 for row in changes)
    assert any(row["published_at"] > row["changed_at"] for row in changes)
    moments = defaultdict(list)
    for row in changes:
        moments[row["deal_id"]].append(row["changed_at"])
    assert any(len(set(times)) < len(times) for times in moments.values())
    deleted = sum(row["deleted_at"] is not None for row in deals) / len(deals)
    assert 0.008 <= deleted <= 0.03
    assert any(row["resolved_at"] is None for row in firm.unsorted.to_pylist())


def test_a_rep_without_telephony_wins_deals_and_never_calls(firm: CompanyTables) -> None:
    callers = set(column(firm.calls, "user_id"))
    winners = {
        row["changed_by"]
        for row in firm.stage_changes.to_pylist()
        if row["to_stage_id"] == WON_STAGE_ID
    }
    assert winners - callers - {0}


def test_duplicates_are_second_requests_of_a_person_within_a_day(firm: CompanyTables) -> None:
    person = dict(
        zip(column(firm.contacts, "contact_id"), column(firm.contacts, "person_id"), strict=True)
    )
    asked = defaultdict(list)
    for row in firm.deals.to_pylist():
        if row["contact_id"] is not None:
            asked[person[row["contact_id"]]].append((row["created_at"], row["kind"]))
    doubles = [
        any(0 < moment - other <= DAY for other, _ in requests)
        for requests in asked.values()
        for moment, kind in requests
        if kind == "duplicate"
    ]
    assert doubles
    assert all(doubles)


def test_invoices_are_paid_in_full_in_part_and_not_at_all(firm: CompanyTables) -> None:
    paid: Counter[int] = Counter()
    for row in firm.payments.to_pylist():
        paid[row["invoice_id"]] += row["amount"]
    states = Counter(
        "unpaid"
        if not paid[row["invoice_id"]]
        else "paid"
        if paid[row["invoice_id"]] == row["amount"]
        else "part"
        for row in firm.invoices.to_pylist()
    )
    assert states["paid"] > 0.8 * firm.invoices.num_rows
    assert states["part"] > 0
    assert states["unpaid"] > 0


def test_advertising_figures_settle_and_some_days_vanish(firm: CompanyTables) -> None:
    versions = defaultdict(list)
    for row in firm.ad_spend.to_pylist():
        versions[row["campaign_id"], row["spend_date"]].append(row)
    for told in versions.values():
        for before, after in pairwise(told):
            assert before["known_to_at"] == after["known_from_at"]
    assert any(told[-1]["known_to_at"] is not None for told in versions.values())
    assert any(len({row["cost_micros"] for row in told}) > 3 for told in versions.values())
    assert any(len(told) == 7 for told in versions.values())


def test_personal_values_name_everybody(firm: CompanyTables) -> None:
    values = personal_data_values(firm)
    called = next(name for name in column(firm.deals, "name") if name.startswith("Звонок от "))
    assert called.removeprefix("Звонок от ") in values
    assert set(filter(None, column(firm.contacts, "phone"))) <= values
    assert set(filter(None, column(firm.contacts, "email"))) <= values
    assert any(" " in value and not re.search(r"\d", value) for value in values)
    assert all(len(value) >= 8 for value in values)


def test_company_tables_have_their_columns(firm: CompanyTables, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_company_tables(tmp_path, firm)
    heads = {}
    for path in sorted(tmp_path.iterdir()):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) > 1
        heads[path.name] = rows[0]
    assert heads == {
        "channel_map.csv": [
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "declared_channel",
            "channel",
            "is_paid",
            "priority",
        ],
        "loss_reason_map.csv": ["reason", "reason_category"],
        "pipeline_roles.csv": [
            "source_system",
            "source_account_id",
            "pipeline_id",
            "pipeline_role",
        ],
        "sales_plans.csv": ["period_type", "period_start_date", "metric_id", "plan_value"],
        "stage_map.csv": [
            "source_system",
            "source_account_id",
            "pipeline_id",
            "stage_id",
            "stage_category",
            "funnel_step",
        ],
    }


def test_plans_are_unique_and_reach_the_present(firm: CompanyTables, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_company_tables(tmp_path, firm)
    with (tmp_path / "sales_plans.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [(row["period_type"], row["period_start_date"], row["metric_id"]) for row in rows]
    assert len(keys) == len(set(keys))
    assert ("week", "2026-11-16", "sold") in keys
    assert ("month", "2026-11-01", "came") in keys
    assert all(float(row["plan_value"]) > 0 for row in rows)
