"""One Direct on loopback per test, and a home folder that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.chunks import LoadSummary
from ingest.config import Settings, SourceRef, load_settings
from ingest.loading import load_source
from tests.contract.yandex_direct.direct_server import DirectServer

Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def server() -> Iterator[DirectServer]:
    with DirectServer() as running:
        yield running


@pytest.fixture
def settings(server: DirectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SOURCES__YANDEX_DIRECT__TOKEN", server.token)
    return load_settings(
        {
            "VORONKA_HOME": str(tmp_path),
            "VORONKA_SOURCES": "yandex_direct",
            "VORONKA_YANDEX_DIRECT_URL": server.url,
            "VORONKA_YANDEX_DIRECT_CLIENT_LOGIN": "roga-kopyta",
            "VORONKA_YANDEX_DIRECT_REQUESTS_PER_SECOND": "500",
            "VORONKA_YANDEX_DIRECT_START_DATE": "2026-09-05",
        }
    )


@pytest.fixture
def refresh(settings: Settings) -> Callable[[], LoadSummary]:
    return lambda: load_source(SourceRef("yandex_direct"), settings)


@pytest.fixture
def query(settings: Settings) -> Query:
    def run(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(settings.home.warehouse)) as connection:
            return connection.execute(sql).fetchall()

    return run
