"""Two seeds of every fault on a small company; twenty of them, and whole refreshes: tests/campaign."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.demo import DemoCompany
from ingest.demo.faults import FaultPlan
from ingest.demo.serving import DemoEndpoints, serve_demo
from tests.disturbed import SERVERS, Home, Tally, Undisturbed, disturbed_loads

pytestmark = pytest.mark.e2e
# Fewer windows, fewer requests: a fault can meet each of them all the same.
OPTIONS = {
    "VORONKA_AMOCRM_WINDOW_DAYS": "80",
    "VORONKA_AMOCRM_HISTORY_DAYS": "70",
    "VORONKA_YANDEX_DIRECT_START_DATE": "2026-09-01",
    "VORONKA_VK_ADS_START_DATE": "2026-09-01",
    "VORONKA_YANDEX_METRICA_START_DATE": "2026-09-01",
}


@pytest.fixture(scope="module")
def endpoints() -> Iterator[DemoEndpoints]:
    with serve_demo(DemoCompany(seed=7, months=2, leads=150).tables(), **SERVERS) as found:
        yield found


@pytest.mark.parametrize(
    ("source", "seeds"),
    [("amocrm", (1, 2)), ("yandex_direct", (1,)), ("vk_ads", (2,)), ("yandex_metrica", (1,))],
)
def test_faults_lose_and_double_nothing(
    source: str,
    seeds: tuple[int, ...],
    endpoints: DemoEndpoints,
    tmp_path: Path,
    quick_pauses: None,
) -> None:
    tally = Tally()
    expected = Undisturbed.of(Home(tmp_path / "calm", endpoints, OPTIONS), source, is_short=True)
    assert all(len(rows) for table, rows in expected.second.items() if table in _NEVER_EMPTY)
    for seed in seeds:
        home = Home(tmp_path / str(seed), endpoints, OPTIONS, by_oauth=seed == 2)
        disturbed_loads(home, source, FaultPlan(seed), expected, tally, is_short=True)
    assert sum(tally.injected.values()) >= 5, tally.table()
    assert tally.doubled == 0, tally.table()


_NEVER_EMPTY = frozenset(
    {"leads", "events", "contacts", "campaign_daily_report", "ad_plan_daily_statistics", "visits"}
)
