"""One browser for all tests of the page, and the pages of two companies in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
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
    """Pages of a company with everything connected, one with its CRM alone, a messy one."""
    folder = tmp_path_factory.mktemp("browser")
    found = {}
    for company in ("full", "bare", "messy"):
        serve = write_marts(folder / f"{company}.duckdb", "bare" if company == "bare" else "full")
        if company == "messy":
            _lengthen(serve)
        found[company] = folder / f"{company}.html"
        render_page(serve, DASHBOARDS, found[company], "ru", ORIGIN)
    return found


def _lengthen(serve: Path) -> None:
    """Give every name a word that no column holds, and the first screen its longest amount."""
    names = (
        "dim_pipeline_stages.stage_name", "dim_pipeline_stages.pipeline_name",
        "dim_deals.deal_name", "dim_campaigns.campaign_name", "dim_sales_reps.sales_rep_name",
        "rpt_funnel_conversions.to_step_name", "rpt_rejection_matrix.stage_name",
        "rpt_rejection_matrix.reason", "fct_deal_rejections.reason",
    )  # fmt: skip
    with duckdb.connect(str(serve)) as connection:
        for table, column in (name.split(".") for name in names):
            connection.execute(
                f"update marts.{table} set {column} = {column} || repeat('ы', 200) "
                f"where {column} not in ('entry', 'won', 'lost', 'nobody')"
            )
        connection.execute(
            "update marts.rpt_owner_panel set value = -184900000 where metric_id = 'earned'"
        )
