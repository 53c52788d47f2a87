"""With only a token, the numbers of the last full month are the CRM's own."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest.demo import DemoCompany
from ingest.demo.serving import DemoEndpoints, serve_demo
from tests.product import Product

pytestmark = pytest.mark.e2e

MOSCOW = ZoneInfo("Europe/Moscow")
OCTOBER = (
    int(datetime(2026, 10, 1, tzinfo=MOSCOW).timestamp()),
    int(datetime(2026, 11, 1, tzinfo=MOSCOW).timestamp()) - 1,
)


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, DemoEndpoints]]:
    with serve_demo(DemoCompany(seed=7, months=4, leads=600).tables()) as endpoints:
        product = Product(
            tmp_path_factory.mktemp("totals") / "home",
            {
                "VORONKA_SOURCES": "amocrm",
                "VORONKA_AMOCRM_URL": endpoints.amocrm_url,
                "SOURCES__AMOCRM__TOKEN": endpoints.token,
            },
        )
        product.run("refresh")
        yield product, endpoints


def own_list(endpoints: DemoEndpoints, **filters: int) -> list[dict[str, Any]]:
    """Walk the CRM's own list of deals with a filter: a client of ten lines, nothing of the product's."""
    query = {
        key.replace("__", "][").join(("filter[", "]")) if "__" in key else key: value
        for key, value in filters.items()
    }
    url = f"{endpoints.amocrm_url}/api/v4/leads?" + urllib.parse.urlencode({"limit": 250, **query})
    leads: list[dict[str, Any]] = []
    while url:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"Authorization": f"Bearer {endpoints.token}"})
        ) as answer:
            if answer.status == 204:
                break
            page = json.load(answer)
        leads += page["_embedded"]["leads"]
        url = page["_links"].get("next", {}).get("href", "")
    return leads


def test_new_won_and_won_sum_differ_by_nothing_from_the_crms_own_list(
    crm: tuple[Product, DemoEndpoints],
) -> None:
    product, endpoints = crm
    new = own_list(endpoints, created_at__from=OCTOBER[0], created_at__to=OCTOBER[1])
    closed = own_list(endpoints, closed_at__from=OCTOBER[0], closed_at__to=OCTOBER[1])
    won = [lead for lead in closed if lead["status_id"] == 142]
    assert len(new) > 100
    assert len(won) > 10
    rows = dict(
        product.query("""
        select check_id, value from marts.rpt_data_trust
        where check_id in ('crm_new_deals', 'crm_won_deals', 'crm_won_amount')
    """)
    )
    assert rows["crm_new_deals"] - len(new) == 0
    assert rows["crm_won_deals"] - len(won) == 0
    assert rows["crm_won_amount"] - sum(lead["price"] for lead in won) == 0


def test_the_same_holds_for_the_marts_an_analyst_reads(crm: tuple[Product, DemoEndpoints]) -> None:
    product, endpoints = crm
    won = [
        lead
        for lead in own_list(endpoints, closed_at__from=OCTOBER[0], closed_at__to=OCTOBER[1])
        if lead["status_id"] == 142
    ]
    rows = product.query("""
        select count(*), sum(deal_amount) from marts.dim_deals
        where outcome = 'won' and not is_deleted
            and closed_at at time zone 'UTC' at time zone 'Europe/Moscow' >= timestamp '2026-10-01'
            and closed_at at time zone 'UTC' at time zone 'Europe/Moscow' < timestamp '2026-11-01'
    """)
    assert rows == [(len(won), sum(lead["price"] for lead in won))]


def test_deals_are_people_plus_the_rest(crm: tuple[Product, DemoEndpoints]) -> None:
    product, _ = crm
    unbalanced = product.query("""
        select period_type, period_start_date from marts.rpt_deal_bridge
        group by all
        having sum(deal_count) filter (where step = 'deals') <> sum(deal_count) filter (where step <> 'deals')
    """)
    assert unbalanced == []


def test_the_token_is_nowhere_in_the_home(crm: tuple[Product, DemoEndpoints]) -> None:
    product, endpoints = crm
    holders = [
        path
        for path in product.home.rglob("*")
        if path.is_file() and endpoints.token.encode() in path.read_bytes()
    ]
    assert holders == []
