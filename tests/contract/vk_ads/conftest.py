"""One VK Ads on loopback per test, and a home folder that reads it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.chunks import ChunkBudget, LoadRun, LoadSummary
from ingest.config import Home, Settings, SourceRef, load_settings
from ingest.http import RetryPolicy
from ingest.loading import load_source
from ingest.sources.vk_ads import _reads
from ingest.sources.vk_ads.client import VkAdsClient
from ingest.sources.vk_ads.settings import VkAdsSettings
from ingest.stored_state import StoredState
from ingest.warehouse import ensure_raw_tables, open_warehouse
from tests.contract.vk_ads.server import Desk

Query = Callable[[str], list[tuple[Any, ...]]]
Refresh = Callable[[], LoadSummary]
MakeClient = Callable[..., VkAdsClient]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as running:
        yield running


@pytest.fixture
def environment(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("SOURCES__VK_ADS__CLIENT_ID", "client")
    monkeypatch.setenv("SOURCES__VK_ADS__CLIENT_SECRET", "client-secret-value")
    # Nobody waits for the vendor's patience in a test.
    monkeypatch.setattr("ingest.sources.vk_ads._SECOND_CHANCE_PAUSES", (0.0, 0.0, 0.0))
    return {
        "VORONKA_HOME": str(tmp_path),
        "VORONKA_SOURCES": "vk_ads",
        "VORONKA_VK_ADS_URL": desk.url,
        "VORONKA_VK_ADS_REQUESTS_PER_SECOND": "500",
        "VORONKA_VK_ADS_START_DATE": "2026-10-25",
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load_settings(environment)


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("empty"))
    ensure_raw_tables(home)
    return home.warehouse


@pytest.fixture
def refresh(environment: dict[str, str], empty_warehouse: Path) -> Iterator[Refresh]:
    """Yield a load that writes what the source yields without dlt, which takes most of a load."""
    warehouse = Home(Path(environment["VORONKA_HOME"])).warehouse

    def run() -> LoadSummary:
        settings = load_settings(environment)
        home, loaded = settings.home, LoadRun("vk_ads")
        try:
            while True:
                budget = ChunkBudget(loaded)
                state = StoredState(home.warehouse, "raw_vk_ads")
                reads = _reads(SourceRef("vk_ads"), settings, state, budget)
                _append(home, [item for read in reads.values() for item in read])
                budget.commit()
                if budget.error is not None:
                    raise budget.error
                if not budget.has_more:
                    break
        finally:
            loaded.close()
        return LoadSummary(
            "vk_ads", loaded.resources, (), 0.0, loaded.observed_until_at, tuple(loaded.warnings)
        )

    shutil.copy(empty_warehouse, warehouse)
    # While one connection is open, the others of this process cost nothing.
    with duckdb.connect(str(warehouse)):
        yield run


def _append(home: Home, items: list[Any]) -> None:
    load_id = str(time.time_ns())
    with open_warehouse(home.warehouse) as connection:
        for item in items:
            connection.register("item", item.data)
            connection.execute(
                f'insert into raw_vk_ads."{item.meta.table_name}" by name '
                f"select *, '{load_id}' as _dlt_load_id from item"
            )
            connection.unregister("item")
        connection.execute(
            "insert into raw_vk_ads._dlt_loads by name "
            f"select '{load_id}' as load_id, 0 as status, now() as inserted_at"
        )


@pytest.fixture
def whole_refresh(environment: dict[str, str]) -> Refresh:
    return lambda: load_source(SourceRef("vk_ads"), load_settings(environment))


@pytest.fixture
def make_client(settings: Settings) -> MakeClient:
    def make(**changes: Any) -> VkAdsClient:
        ref = SourceRef("vk_ads")
        options = settings.options_of(ref, VkAdsSettings).model_copy(update=changes)
        policy = RetryPolicy(attempts=3, first_pause_seconds=0.01, longest_wait_seconds=20.0)
        return VkAdsClient(ref, settings.home, options, policy=policy, sleep=lambda _: None)

    return make


@pytest.fixture
def query(settings: Settings) -> Query:
    def run(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(settings.home.warehouse)) as connection:
            return connection.execute(sql).fetchall()

    return run
