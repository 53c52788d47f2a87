"""What advertising cost in the marts is what the platforms told last, campaign by campaign."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal

import pytest

from ingest.demo import DemoCompany
from tests.product import Product

pytestmark = pytest.mark.e2e


def test_the_cost_of_every_campaign_is_what_its_platform_told_last(
    demo: tuple[Product, str],
) -> None:
    product, _ = demo
    company = json.loads((product.home / "demo" / "company.json").read_text(encoding="utf-8"))
    tables = DemoCompany(**company).tables()
    told: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for row in tables.ad_spend.to_pylist():
        ends = row["known_to_at"]
        if row["known_from_at"] <= tables.now and (ends is None or ends > tables.now):
            figures = (row["impressions"], row["clicks"], Decimal(row["cost_micros"]) / 1_000_000)
            key = (row["platform"], str(row["campaign_id"]))
            told[key] = [have + more for have, more in zip(told[key], figures, strict=True)]
    assert {platform for platform, _ in told} == {"yandex_direct", "vk_ads"}
    published = product.query(
        """
        select
            spend.platform, campaigns.campaign_id,
            sum(spend.impression_count), sum(spend.click_count), sum(spend.spend_native_amount)
        from marts.fct_ad_spend_daily as spend
        inner join marts.dim_campaigns as campaigns using (campaign_key)
        group by all
        """
    )
    assert {(row[0], row[1]): [Decimal(value) for value in row[2:]] for row in published} == told
    assert product.query("select distinct vat_mode from marts.fct_ad_spend_daily") == [("net",)]
    names = product.query("select count(*) from marts.dim_campaigns where campaign_name is null")
    assert names == [(0,)]
