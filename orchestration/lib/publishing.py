"""The last two steps of a refresh: show the new file, write the owner's page."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ingest.config import Settings
from ingest.warehouse import open_warehouse
from orchestration.lib.dbt_manifest import read_manifest
from orchestration.lib.environment import DASHBOARDS_DIR
from orchestration.lib.errors import NothingPublishedError, OtherVersionError, PostgresError
from orchestration.lib.progress import console, seconds_in_words, thousands
from orchestration.lib.serving import PublishedFile, ServeFolder

if TYPE_CHECKING:
    from orchestration.lib.postgres_serving import PostgresServing
    from orchestration.lib.session import Session


@dataclass(frozen=True)
class SecondTarget:
    """What was published to PostgreSQL: where, rows, seconds of the load and of the switch."""

    place: str
    rows: int
    load_seconds: float
    switch_seconds: float


def publish_marts(
    session: "Session", marts: Sequence[str]
) -> tuple[PublishedFile, SecondTarget | None]:
    """Audit and publish the build of this run, to PostgreSQL too where that is set.

    The rows are there before anything is switched, so a server that fails stops the publish while
    yesterday's build is still served everywhere.

    Returns:
        The published file, and what went to PostgreSQL.
    """
    started = time.monotonic()
    console().line("publish", f"auditing {len(marts)} tables")
    zone = company_zone(session.settings)
    postgres = postgres_serving(session.settings)
    loaded: list[tuple[int, float]] = []

    def load(file: Path) -> None:
        if postgres is not None:
            loaded.append(_load(postgres, session.settings, file, session.run_id))

    published = session.serve.publish(session.run_id, marts, zone, load)
    second = None
    if postgres is not None:
        rows, load_seconds = loaded[0]
        switch_seconds = _switch(postgres, session.serve, published)
        second = SecondTarget(str(postgres.target), rows, load_seconds, switch_seconds)
    console().line(
        "publish",
        f"{len(published.row_counts)} tables, {thousands(sum(published.row_counts.values()))} rows"
        f" published in {seconds_in_words(time.monotonic() - started)}",
    )
    return published, second


def roll_back(settings: Settings) -> PublishedFile:
    """Serve the build published before the present one, in PostgreSQL too; call it under the lock.

    Returns:
        The build that is served from now on.

    Raises:
        RollbackError: No earlier build is kept.
        OtherVersionError: The earlier build was made by another version; nothing was changed.
        PostgresError: PostgreSQL cannot be reached or refuses.
    """
    serve = ServeFolder(settings.home.serve_dir)
    postgres = postgres_serving(settings)
    earlier = serve.earlier()
    if earlier is not None:
        # Before anything is switched: else the page would go on showing the newer build.
        _check_version(
            serve,
            earlier,
            "Nothing was changed; run `voronka rollback` with the version that made it",
        )
    if postgres is not None and earlier is not None:
        # PostgreSQL keeps one build beside the served one; an older one comes from its file.
        _load(postgres, settings, serve.path_of(earlier), earlier.run_id)
    published = serve.rollback()
    if postgres is not None:
        _switch(postgres, serve, published)
    return published


def check_served_version(settings: Settings) -> None:
    """Refuse to show a served build that an update of the product left behind.

    Raises:
        OtherVersionError: The build was made by another version.
    """
    serve = ServeFolder(settings.home.serve_dir)
    current = serve.state().current
    if current is not None:
        _check_version(serve, current, "Run `voronka refresh`, which writes the page too")


def _check_version(serve: ServeFolder, published: PublishedFile, action: str) -> None:
    from orchestration.lib.cards import check_against, open_serve_file, read_dashboards

    files = read_dashboards(DASHBOARDS_DIR)
    with closing(open_serve_file(serve.path_of(published))) as connection:
        findings = [said for file in files for said in check_against(file, connection)]
    if findings:
        more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
        raise OtherVersionError(
            f"The build of {published.published_at} UTC was made by another version of Voronka, "
            f"the dashboards of this one do not fit it ({findings[0]}{more}). {action}."
        )


def repair_postgres(settings: Settings) -> Iterator[str]:
    """Let PostgreSQL show what the home serves, after a killed run; call it under the lock.

    A server that does not answer stops nothing yet: sources are read first, it is asked again
    before the publish.

    Yields:
        What was done or seen.
    """
    postgres = postgres_serving(settings)
    current = ServeFolder(settings.home.serve_dir).state().current
    if postgres is None or current is None:
        return
    try:
        done = postgres.repair(current.run_id)
    except PostgresError as error:
        yield f"{error}; the refresh goes on and asks again before it publishes"
        return
    if done is not None:
        yield done


def postgres_serving(settings: Settings) -> "PostgresServing | None":
    """Return the second serving target, or None where the settings name none."""
    if settings.serving != "postgres":
        return None
    from orchestration.lib.postgres_connection import target_of
    from orchestration.lib.postgres_serving import PostgresServing

    return PostgresServing(target_of(settings))


def _load(
    postgres: "PostgresServing", settings: Settings, file: Path, run_id: str
) -> tuple[int, float]:
    from orchestration.lib.postgres_serving import descriptions_of

    started = time.monotonic()
    counts = postgres.load(
        file,
        run_id,
        descriptions_of(read_manifest(settings.home)),
        lambda text: console().line("publish", text),
    )
    rows, seconds = sum(counts.values()), time.monotonic() - started
    if counts:
        console().line(
            "publish", f"{thousands(rows)} rows to {postgres.target} in {seconds_in_words(seconds)}"
        )
    return rows, seconds


def _switch(postgres: "PostgresServing", serve: ServeFolder, published: PublishedFile) -> float:
    seconds = postgres.switch(published.run_id)
    earlier = serve.earlier()
    for text in postgres.tidy([earlier.run_id] if earlier is not None else []):
        console().line("publish", text)
    return seconds


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
        NothingPublishedError: No refresh has published yet.
    """
    from orchestration.lib.page import render_page

    started = time.monotonic()
    home = settings.home
    serve = ServeFolder(home.serve_dir)
    current = serve.state().current
    if current is None:
        raise NothingPublishedError("Nothing is published yet; run `voronka refresh` first.")
    home.page_file.parent.mkdir(parents=True, exist_ok=True)
    render_page(
        serve.path_of(current),
        DASHBOARDS_DIR,
        home.page_file,
        settings.locale,
        {
            "run_id": current.run_id,
            "published_at": current.published_at,
            # The environment may name other sources than the home holds.
            "demo": settings.home.demo_marker.exists(),
            "has_metabase": settings.metabase_url is not None,
            "sources": [ref.name for ref in settings.enabled_sources if ref.name != "company"],
        },
    )
    console().line("page", f"written in {seconds_in_words(time.monotonic() - started)}")
    return home.page_file
