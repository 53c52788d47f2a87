"""One Metrica on loopback per test, and a home folder that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.config import Settings, SourceRef, load_settings
from ingest.loading import LoadSummary, load_source
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


def refresh_home(metrica: Metrica, home: Path, **options: str) -> LoadSummary:
    """Read the counters into a home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCES__YANDEX_METRICA__TOKEN", metrica.token)
        patch.setattr("ingest.http._FIRST_PAUSE_SECONDS", 0.01)
        return load_source(SourceRef("yandex_metrica"), settings_of(metrica, home, **options))


def query_home(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a home's warehouse."""
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def refresh(metrica: Metrica, tmp_path: Path) -> Refresh:
    return lambda **options: refresh_home(metrica, tmp_path, **options)


@pytest.fixture
def query(tmp_path: Path) -> Query:
    return lambda sql: query_home(tmp_path, sql)
