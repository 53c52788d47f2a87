"""Each vendor's limits, seen from the server's side: never over, hardly under, never banned."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ingest.config import SourceRef
from ingest.demo import CompanyTables, DemoCompany
from ingest.demo.amocrm_server import AmoOptions
from ingest.demo.direct_server import DirectOptions
from ingest.demo.metrica_server import MetricaOptions
from ingest.demo.serving import DemoEndpoints, serve_demo
from ingest.demo.vk_server import VkOptions
from ingest.http import RetryPolicy
from ingest.sources.vk_ads.client import VkAdsClient
from ingest.sources.vk_ads.settings import VkAdsSettings
from ingest.sources.yandex_direct.client import DirectClient
from ingest.sources.yandex_direct.settings import YandexDirectSettings
from ingest.sources.yandex_metrica.client import MetricaClient
from ingest.sources.yandex_metrica.settings import YandexMetricaSettings
from tests.disturbed import Home

pytestmark = pytest.mark.campaign
LEAST_USE = 0.95


@pytest.fixture(scope="module")
def firm() -> CompanyTables:
    return DemoCompany(seed=7, months=4, leads=600).tables()


@pytest.fixture(scope="module")
def endpoints(firm: CompanyTables) -> Iterator[DemoEndpoints]:
    """Serve every API with its vendor's limits."""
    with serve_demo(
        firm,
        amocrm=AmoOptions(),
        direct=DirectOptions(),
        vk=VkOptions(page_limit=1),
        metrica=MetricaOptions(requests_per_window=None),
    ) as found:
        yield found


def used(statistics: dict[str, Any]) -> float:
    """Return the requests a second while there was work."""
    busy = statistics["first_to_last_seconds"] - statistics["idle_seconds"]
    return float((statistics["requests"] - 1) / busy)


def judge(name: str, statistics: dict[str, Any], *, allowed: float, most: tuple[str, int]) -> None:
    busiest = statistics[most[0]]
    share = used(statistics) / allowed
    print(
        f"\n{name}: {statistics['requests']} requests, {most[0]} {busiest} of {most[1]}, "
        f"{share:.1%} of {allowed:g} a second, {statistics['by_status']}"
    )
    assert busiest <= most[1]
    assert share >= LEAST_USE
    assert not {"429", "403", "503"} & set(statistics["by_status"])


def in_threads(work: Callable[[int], object], times: int) -> None:
    """Do the same from four threads, as the sources do."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(times)))


def test_amocrm(endpoints: DemoEndpoints, tmp_path: Path) -> None:
    home = Home(tmp_path, endpoints, {"VORONKA_AMOCRM_REQUESTS_PER_SECOND": "7"})
    home.load("amocrm")
    judge(
        "amoCRM",
        endpoints.statistics()["amocrm"],
        allowed=7.0,
        most=("busiest_second", 7),
    )


def test_yandex_direct(endpoints: DemoEndpoints, firm: CompanyTables) -> None:
    settings = YandexDirectSettings(url=endpoints.direct_url)
    today = dt.datetime.fromtimestamp(firm.now, tz=dt.UTC).date()
    with DirectClient(settings, token=endpoints.token, account="direct") as client:

        def one_day(offset: int) -> None:
            day = today - dt.timedelta(days=offset + 1)
            client.daily_report(day, day)

        in_threads(one_day, 80)
    judge(
        "Yandex Direct",
        endpoints.statistics()["direct"],
        allowed=2.0,
        most=("busiest_ten_seconds", 20),
    )


def test_vk_ads(endpoints: DemoEndpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, endpoints)
    with home.secrets_of():
        options = VkAdsSettings(url=endpoints.vk_url, page_size=1)
        with VkAdsClient(SourceRef("vk_ads"), home.settings.home, options) as client:
            client.count_plans()
            before = endpoints.statistics()["vk"]["requests"]
            in_threads(lambda _: client.count_plans(), 700)
    statistics = endpoints.statistics()["vk"]
    assert statistics["requests"] - before == 700
    judge("VK Ads", statistics, allowed=20.0, most=("busiest_second", 20))


def test_yandex_metrica(endpoints: DemoEndpoints) -> None:
    settings = YandexMetricaSettings(url=endpoints.metrica_url, requests_per_five_minutes=100_000)
    with MetricaClient(
        settings,
        endpoints.metrica_counter_id,
        token=endpoints.token,
        account="metrica",
        mark=b"limits",
        policy=RetryPolicy(),
    ) as client:
        in_threads(lambda _: client.counter(), 150)
    judge(
        "Yandex Metrica",
        endpoints.statistics()["metrica"],
        allowed=10.0,
        most=("busiest_second", 10),
    )
