"""One Metrica on loopback per test, and a home folder that reads it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.chunks import ChunkBudget, LoadRun, LoadSummary
from ingest.config import Home, Settings, SourceRef, load_settings
from ingest.loading import load_source
from ingest.sources.yandex_metrica import _read_counters, _read_visits
from ingest.stored_state import StoredState
from ingest.warehouse import ensure_raw_tables, open_warehouse
from tests.contract.yandex_metrica.metrica import Metrica

Query = Callable[[str], list[tuple[Any, ...]]]
Refresh = Callable[..., LoadSummary]


@pytest.fixture
def metrica() -> Iterator[Metrica]:
    with Metrica() as running:
        yield running


def settings_of(metrica: Metrica, home: Path, **options: str) -> Settings:
    """Return the settings of a home that reads the counters from 1 October 2026 on."""
    given = {
        "url": metrica.url,
        "counter_id": ",".join(metrica.counters),
        "requests_per_second": "1000",
        "requests_per_five_minutes": "100000",
        "poll_seconds": "0.01",
        "start_date": "2026-10-01",
        **options,
    }
    named = {f"VORONKA_YANDEX_METRICA_{name.upper()}": value for name, value in given.items()}
    return load_settings({"VORONKA_HOME": str(home), "VORONKA_SOURCES": "yandex_metrica", **named})


@contextmanager
def quick(metrica: Metrica) -> Iterator[None]:
    """Give the token, and nobody waits for the vendor's patience in a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCES__YANDEX_METRICA__TOKEN", metrica.token)
        patch.setattr("ingest.http._FIRST_PAUSE_SECONDS", 0.01)
        yield


def refresh_home(metrica: Metrica, home: Path, **options: str) -> LoadSummary:
    """Read the counters into a home."""
    with quick(metrica):
        return load_source(SourceRef("yandex_metrica"), settings_of(metrica, home, **options))


def read_home(metrica: Metrica, home: Path, **options: str) -> LoadSummary:
    """Read the counters into a home without dlt, which takes most of a small load."""
    settings, loaded = settings_of(metrica, home, **options), LoadRun("yandex_metrica")
    with quick(metrica), duckdb.connect(str(settings.home.warehouse)):
        try:
            while True:
                budget = ChunkBudget(loaded)
                state = StoredState(settings.home.warehouse, "raw_yandex_metrica")
                given = (SourceRef("yandex_metrica"), settings, state, budget)
                _append(settings.home, [*_read_counters(*given), *_read_visits(*given)])
                budget.commit()
                if budget.error is not None:
                    raise budget.error
                if not budget.has_more:
                    break
        finally:
            loaded.close()
    return LoadSummary(
        loaded.source, loaded.resources, (), 0.0, loaded.observed_until_at, tuple(loaded.warnings)
    )


def _append(home: Home, items: list[Any]) -> None:
    load_id = str(time.time_ns())
    with open_warehouse(home.warehouse) as connection:
        for item in items:
            connection.register("item", item.data)
            connection.execute(
                f'insert into raw_yandex_metrica."{item.meta.table_name}" by name '
                f"select *, '{load_id}' as _dlt_load_id from item"
            )
            connection.unregister("item")
        connection.execute(
            "insert into raw_yandex_metrica._dlt_loads by name "
            f"select '{load_id}' as load_id, 0 as status, now() as inserted_at"
        )


def query_home(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a home's warehouse."""
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("empty"))
    ensure_raw_tables(home)
    return home.warehouse


@pytest.fixture
def refresh(metrica: Metrica, tmp_path: Path, empty_warehouse: Path) -> Refresh:
    shutil.copy(empty_warehouse, Home(tmp_path).warehouse)
    return lambda **options: read_home(metrica, tmp_path, **options)


@pytest.fixture
def whole_refresh(metrica: Metrica, tmp_path: Path) -> Refresh:
    return lambda **options: refresh_home(metrica, tmp_path, **options)


@pytest.fixture
def query(tmp_path: Path) -> Query:
    return lambda sql: query_home(tmp_path, sql)
