"""Published files of companies in different states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.lib.page import DASHBOARDS, PageSummary, render_page
from tests.unit.page.marts import write_marts

Render = Callable[..., str]
ORIGIN = {
    "company": "Ремонт и уют",
    "run_id": "3fb2c9aa-1111",
    "refreshed_at": "2026-11-21T20:45:00Z",
    "sources": ["amoCRM", "Яндекс Директ"],
    "time_zone": "Europe/Moscow",
}


@pytest.fixture(scope="session")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of published files, each made once."""
    folder = tmp_path_factory.mktemp("marts")

    def make(company: str = "full") -> Path:
        path = folder / f"{company}_serve.duckdb"
        return path if path.exists() else write_marts(path, company)

    return make


@pytest.fixture(scope="session")
def page(
    companies: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[str, PageSummary]]:
    """Return a renderer: company and locale to HTML and summary, each made once."""
    made: dict[tuple[str, str], tuple[str, PageSummary]] = {}
    folder = tmp_path_factory.mktemp("pages")

    def make(company: str = "full", locale: str = "ru") -> tuple[str, PageSummary]:
        key = (company, locale)
        if key not in made:
            out = folder / company / locale / "index.html"
            summary = render_page(companies(company), DASHBOARDS, out, locale, ORIGIN)
            made[key] = (out.read_text(encoding="utf-8"), summary)
        return made[key]

    return make
