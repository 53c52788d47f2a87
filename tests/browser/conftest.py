"""One browser for all tests of the page, and the pages of two companies in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.lib.page import DASHBOARDS, render_page
from tests.browser.driver import Browser, browser, missing
from tests.unit.page.marts import write_marts

ORIGIN = {
    "company": "Ремонт и уют",
    "demo": True,
    "run_id": "f28c7055",
    "refreshed_at": "2026-11-21T20:45:00Z",
    "sources": ["amocrm", "yandex_direct"],
    "time_zone": "Europe/Moscow",
    "currency_code": "RUB",
}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser; without one the tests are skipped with the reason, but never in CI."""
    if absent := missing():
        said = f"not on this machine: {', '.join(absent)} (Debian: chromium, chromium-driver)"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(said)
        pytest.skip(said)
    with browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a company with everything connected, and of one with its CRM alone."""
    folder = tmp_path_factory.mktemp("browser")
    found = {}
    for company in ("full", "bare"):
        serve = write_marts(folder / f"{company}.duckdb", company)
        found[company] = folder / f"{company}.html"
        render_page(serve, DASHBOARDS, found[company], "ru", ORIGIN)
    return found
