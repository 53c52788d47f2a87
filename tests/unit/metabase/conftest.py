"""Published files and the shipped dashboards, for queries to run on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.lib.cards import DashboardFile, open_serve_file, read_dashboards
from orchestration.lib.environment import DASHBOARDS_DIR
from tests.unit.metabase.files import manifest
from tests.unit.page.marts import write_marts


@pytest.fixture(scope="session")
def serve_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of published files, each made once: "full", "empty" or "hostile"."""
    folder = tmp_path_factory.mktemp("metabase")

    def make(company: str) -> Path:
        path = folder / f"{company}_serve.duckdb"
        return path if path.exists() else write_marts(path, company)

    return make


@pytest.fixture(scope="session")
def published(
    serve_file: Callable[[str], Path],
) -> Callable[[str], duckdb.DuckDBPyConnection]:
    """Return a maker of connections to published files."""
    return lambda company: open_serve_file(serve_file(company))


@pytest.fixture(scope="session")
def shipped() -> list[DashboardFile]:
    """Return the dashboards of the product."""
    return read_dashboards(DASHBOARDS_DIR)


@pytest.fixture(scope="session")
def marts_manifest() -> dict[str, Any]:
    """Return what dbt knows of the marts."""
    return manifest()
