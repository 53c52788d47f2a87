"""Raw tables written straight into a warehouse beside those that the APIs land."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from ingest.chunks import LoadSummary
from ingest.config import Settings, load_settings
from ingest.demo.scale import ScaledCompany, write_raw
from ingest.loading import load_source
from ingest.records import PULLS_TABLE
from ingest.sources import SOURCES
from orchestration.lib.demo import demo_sources

pytestmark = pytest.mark.e2e

COMPANY = ScaledCompany(deals=300, months=4)
OF_THE_READING = ("pull_id", "_dlt_load_id")


def load_over_http(settings: Settings, *names: str) -> dict[str, LoadSummary]:
    with demo_sources(settings) as served:
        return {
            ref.name: load_source(ref, served)
            for ref in served.sources
            if not names or ref.name in names
        }


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Settings]:
    """Return the same company, written straight and landed by its APIs, under the same key."""
    folder = tmp_path_factory.mktemp("scale")
    write_raw(COMPANY, folder / "written")
    for part in ("keys", "demo", "voronka.toml"):
        source = folder / "written" / part
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        (folder / "landed").mkdir(exist_ok=True)
        copy(source, folder / "landed" / part)
    written, landed = (
        load_settings({"VORONKA_HOME": str(folder / name)}) for name in ("written", "landed")
    )
    load_over_http(landed)
    return written, landed


def raw_rows(warehouse: Path, source: str, table: str) -> set[tuple[object, ...]]:
    columns = [
        name for name in (*SOURCES[source].raw_tables[table].names,) if name not in OF_THE_READING
    ]
    with duckdb.connect(str(warehouse)) as connection:
        rows = connection.execute(
            f"select {', '.join(columns)} from raw_{source}.{table}"
        ).fetchall()
    assert len(set(rows)) == len(rows)
    return set(rows)


def test_what_is_written_is_what_the_apis_land(homes: tuple[Settings, Settings]) -> None:
    written, landed = homes
    filled = set()
    for source in SOURCES:
        if source in {"files", "company"}:
            continue
        for table in SOURCES[source].raw_tables:
            theirs = raw_rows(landed.home.warehouse, source, table)
            ours = raw_rows(written.home.warehouse, source, table)
            assert not ours ^ theirs, (source, table, sorted(map(str, ours ^ theirs))[:2])
            if theirs:
                filled.add(f"{source}.{table}")
    assert {
        "amocrm.leads",
        "amocrm.events",
        "yandex_direct.campaign_daily_report",
        "yandex_metrica.visits",
    } <= filled


def test_a_later_load_finds_nothing_new(homes: tuple[Settings, Settings]) -> None:
    written, _ = homes
    with duckdb.connect(str(written.home.warehouse)) as connection:
        before = dict(
            connection.execute(
                f"select resource, sum(row_count) from raw_amocrm.{PULLS_TABLE} group by 1"
            ).fetchall()
        )
    # The advertising platforms were read by their own sources in the first place.
    for source, summary in load_over_http(written, "amocrm", "yandex_metrica").items():
        assert summary.rows_stored == 0, (source, summary.resources)
        if source == "amocrm":
            # The time that was written counts as read: only the overlap is asked for again.
            assert summary.resources["events"].rows_seen < before["events"] / 10
            assert summary.resources["leads"].rows_seen < before["leads"] / 2
