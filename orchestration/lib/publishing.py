"""The last two steps of a refresh: show the new file, write the owner's page."""

import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from ingest.config import Settings
from ingest.loading import open_warehouse
from orchestration.lib.environment import DASHBOARDS_DIR
from orchestration.lib.errors import PublishError
from orchestration.lib.progress import console, seconds_in_words, thousands
from orchestration.lib.serving import PublishedFile, ServeFolder
from orchestration.lib.session import Session


def publish_marts(session: Session, marts: Sequence[str]) -> PublishedFile:
    """Audit and publish the build of this run."""
    started = time.monotonic()
    console().line("publish", f"auditing {len(marts)} tables")
    zone = company_zone(session.settings)
    published = session.serve.publish(session.run_id, marts, zone)
    console().line(
        "publish",
        f"{len(published.row_counts)} tables, {thousands(sum(published.row_counts.values()))} rows"
        f" published in {seconds_in_words(time.monotonic() - started)}",
    )
    return published


def company_zone(settings: Settings) -> str | None:
    """Return the zone the models used: the setting, else the CRM account's."""
    if settings.timezone is not None:
        return settings.timezone
    with open_warehouse(settings.home.warehouse) as connection:
        try:
            row = connection.execute(
                "select time_zone from intermediate.int_company_settings"
            ).fetchone()
        except (duckdb.CatalogException, duckdb.BinderException):
            return None
    return str(row[0]) if row and row[0] else None


def write_page(settings: Settings) -> Path:
    """Render the owner's page from the file that is served now.

    Returns:
        The page's path.

    Raises:
        PublishError: Nothing is published yet.
    """
    from orchestration.lib.page import render_page

    started = time.monotonic()
    home = settings.home
    serve = ServeFolder(home.serve_dir)
    current = serve.state().current
    if current is None:
        raise PublishError("Nothing is published yet; run `voronka refresh` first.")
    home.page_file.parent.mkdir(parents=True, exist_ok=True)
    render_page(
        serve.path_of(current),
        DASHBOARDS_DIR,
        home.page_file,
        settings.locale,
        {
            "run_id": current.run_id,
            "published_at": current.published_at,
            "demo": settings.is_demo,
            "sources": [ref.name for ref in settings.enabled_sources if ref.name != "company"],
        },
    )
    console().line("page", f"written in {seconds_in_words(time.monotonic() - started)}")
    return home.page_file
