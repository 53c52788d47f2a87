"""An ad platform corrects its past days: the marts follow, and can be rebuilt as they were before."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import duckdb
import pytest

from ingest.config import SourceRef, load_settings
from ingest.demo import CompanyTables
from ingest.demo.serving import DemoEndpoints, serve_demo
from ingest.loading import load_source
from tests.product import Product

# Four builds, two of them parsing all models for another known_as_of_at: a minute of CPU.
pytestmark = pytest.mark.campaign

CAMPAIGN = 7001
EARLIER, LATER = "2026-10-20T09:00:00+03:00", "2026-10-22T09:00:00+03:00"
CORRECTED = "2026-10-21T12:00:00+03:00"
Spend = dict[dt.date, tuple[Decimal, int]]


def told(
    day: int, cost: int, clicks: int, known_from: str, known_to: str | None = None
) -> dict[str, object]:
    return {
        "campaign_id": CAMPAIGN,
        "spend_date": dt.date(2026, 10, day),
        "impressions": 100 * clicks,
        "clicks": clicks,
        "cost_micros": cost * 1_000_000,
        "known_from_at": known_from,
        "known_to_at": known_to,
    }


# The 17th stays; of the 18th false clicks are taken back; the 19th vanishes; the 21st is new.
FIRM = CompanyTables.build(
    now=LATER,
    ad_campaigns=[
        {
            "campaign_id": CAMPAIGN,
            "name": "Kitchens",
            "channel": "direct_search",
            "started_on": dt.date(2026, 10, 1),
        }
    ],
    ad_spend=[
        told(17, 100, 10, "2026-10-18T01:00:00+03:00"),
        told(18, 200, 20, "2026-10-19T01:00:00+03:00", CORRECTED),
        told(18, 150, 14, CORRECTED),
        told(19, 300, 30, "2026-10-20T01:00:00+03:00", CORRECTED),
        told(21, 400, 40, "2026-10-22T01:00:00+03:00"),
    ],
)
# Net of VAT, as the platform tells it; the firm pays no VAT, so it bears 22 % more.
BEFORE: Spend = {
    dt.date(2026, 10, 17): (Decimal("100.00"), 10),
    dt.date(2026, 10, 18): (Decimal("200.00"), 20),
    dt.date(2026, 10, 19): (Decimal("300.00"), 30),
}
AFTER: Spend = {
    dt.date(2026, 10, 17): (Decimal("100.00"), 10),
    dt.date(2026, 10, 18): (Decimal("150.00"), 14),
    dt.date(2026, 10, 21): (Decimal("400.00"), 40),
}
BUILD = ("dbt", "--quiet", "build", "--exclude-resource-type", "test", "unit_test")
ALL = ("--select", "+fct_ad_spend_daily")
# What stands between the raw tables of the source and the mart.
CHANGED = ("--select", "source:raw_yandex_direct+,+fct_ad_spend_daily")


@dataclass
class Firm:
    """The firm's home, which is read at two moments."""

    product: Product
    endpoints: DemoEndpoints

    def pull(self, now: str) -> str:
        """Read the platform at a simulated moment; return the time from which that is known."""
        self.endpoints.set_now(now)
        settings = load_settings({"VORONKA_HOME": str(self.product.home), **self.product.settings})
        load_source(SourceRef("yandex_direct"), settings)
        known_at = dt.datetime.now(dt.UTC)
        time.sleep(0.01)
        return known_at.isoformat()

    def built(self, *selection: str, known_as_of: str = "") -> tuple[Spend, tuple[int, int]]:
        """Build the mart; return the platform's figures by day and the hash of all its rows."""
        clock = {"VORONKA_KNOWN_AS_OF_AT": known_as_of} if known_as_of else {}
        self.product.run(*BUILD, *selection, **clock)
        path = self.product.home / "serve" / "build.duckdb"
        with duckdb.connect(str(path), read_only=True) as marts:
            rows = marts.execute(
                "select spend_date, spend_native_amount, click_count, spend_amount "
                "from marts.fct_ad_spend_daily"
            ).fetchall()
            digest = marts.execute(
                "select count(*), sum(hash(spend)::hugeint) from marts.fct_ad_spend_daily as spend"
            ).fetchone()
        for _, native, _, borne in rows:
            assert borne == (native * Decimal("1.22")).quantize(Decimal("0.01"))
        assert digest is not None
        return {day: (native, clicks) for day, native, clicks, _ in rows}, digest


@pytest.fixture
def firm(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Firm]:
    with serve_demo(FIRM, now=EARLIER) as endpoints:
        monkeypatch.setenv("SOURCES__YANDEX_DIRECT__TOKEN", endpoints.token)
        product = Product(
            tmp_path_factory.mktemp("restated") / "home",
            {
                "VORONKA_SOURCES": "yandex_direct",
                "VORONKA_YANDEX_DIRECT_URL": endpoints.direct_url,
                "VORONKA_YANDEX_DIRECT_START_DATE": "2026-10-15",
                "VORONKA_YANDEX_DIRECT_REQUESTS_PER_SECOND": "1000",
            },
        )
        yield Firm(product, endpoints)


def test_a_later_pull_restates_spend_and_a_build_as_known_before_shows_the_old(firm: Firm) -> None:
    before_correction = firm.pull(EARLIER)
    spend, as_it_was = firm.built(*ALL)
    assert spend == BEFORE
    firm.pull(LATER)
    spend, as_it_is = firm.built(*CHANGED)
    assert spend == AFTER
    spend, rebuilt = firm.built(*CHANGED, known_as_of=before_correction)
    assert spend == BEFORE
    assert rebuilt == as_it_was
    assert firm.built(*CHANGED) == (AFTER, as_it_is)
