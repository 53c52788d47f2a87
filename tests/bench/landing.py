"""From the same server bytes to a committed raw table: ways to land amoCRM deals.

    python -m tests.bench.landing ours|keep|parquet|defaults PAGES FOLDER

`ours` is the product as it comes: phones and mail addresses become hashes, names go. `keep` is the product told to keep personal
data, which is what dlt does. `parquet` is dlt fed with parsed dicts and told to write Parquet files; `defaults` is dlt as it comes,
with nested tables and insert statements. All read the same pages of JSON, 250 deals each, from one file, as the demo company's CRM
sent them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import httpx
import orjson

from ingest.chunks import ChunkBudget
from ingest.config import dlt_configured, load_settings
from ingest.demo import DemoCompany
from ingest.demo.serving import serve_demo
from ingest.landing import land_pull
from ingest.loading import pipeline_for
from ingest.privacy import Privacy
from ingest.records import Pull, new_pull_id, record_batch, utc_now
from ingest.sources.amocrm.personal_data import rules_for
from ingest.sources.amocrm.settings import LEAD_PARTS
from ingest.stored_state import StoredState
from ingest.warehouse import ensure_raw_tables

PAGE = 250
_READ_BYTES = 1_000_000


def write_pages(path: Path, deals: int) -> int:
    """Write the pages that the demo company's CRM sends, one JSON document a line, and return their deals."""
    rows = 0
    with (
        serve_demo(DemoCompany(leads=deals).tables()) as endpoints,
        httpx.Client(headers={"authorization": f"Bearer {endpoints.token}"}, timeout=60) as client,
        path.open("wb") as pages,
    ):
        following: str | None = (
            f"{endpoints.amocrm_url}/api/v4/leads?limit={PAGE}&with={LEAD_PARTS}"
        )
        while following:
            answer = client.get(following).raise_for_status()
            page = orjson.loads(answer.content)
            rows += len(page["_embedded"]["leads"])
            pages.write(answer.content + b"\n")
            following = page["_links"].get("next", {}).get("href")
    return rows


def _pages(path: Path) -> Iterator[bytes]:
    # A page is 400 KB: with Python's own 8 KB at a time the file would cost what parsing it costs.
    with path.open("rb", buffering=_READ_BYTES) as pages:
        yield from pages


def _ours(path: Path, folder: Path, personal_data: str = "hash") -> int:
    settings = load_settings({"VORONKA_HOME": str(folder), "VORONKA_PERSONAL_DATA": personal_data})
    ensure_raw_tables(settings.home)
    scrub = Privacy(settings).scrubber(rules_for("leads", keep_sales_rep_names=False))
    state = StoredState(settings.home.warehouse, "raw_amocrm")
    pull = Pull(new_pull_id(), "900", "leads", "window", utc_now())

    @dlt.resource(name="leads", write_disposition="append")
    def leads() -> Iterator[Any]:
        batches = (
            record_batch(
                orjson.loads(page)["_embedded"]["leads"],
                account_id="900",
                pull_id=pull.pull_id,
                id_of=lambda deal: str(deal["id"]),
                cursor_of=lambda deal: deal["updated_at"],
                privacy=scrub,
            )
            for page in _pages(path)
        )
        yield from land_pull(state, ChunkBudget(), "leads", pull, batches)

    with dlt_configured(settings.home):
        pipeline_for(settings.home, "amocrm").run(leads, loader_file_format="parquet")
    return _count(settings.home.warehouse, "raw_amocrm.leads")


def _dlt(path: Path, folder: Path, **options: Any) -> int:
    @dlt.resource(name="leads", write_disposition="append")
    def leads() -> Iterator[Any]:
        for page in _pages(path):
            yield json.loads(page)["_embedded"]["leads"]

    warehouse = folder / "warehouse.duckdb"
    dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(warehouse)),
        dataset_name="raw",
    ).run(leads, **options)
    return _count(warehouse, "raw.leads")


def _count(warehouse: Path, table: str) -> int:
    with duckdb.connect(str(warehouse)) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])


def land(way: str, pages: Path, folder: Path) -> int:
    """Land the pages one way into a new folder and return the rows of the raw table."""
    folder.mkdir()
    if way == "ours":
        return _ours(pages, folder)
    if way == "keep":
        return _ours(pages, folder, "keep")
    if way == "parquet":
        return _dlt(pages, folder, loader_file_format="parquet")
    return _dlt(pages, folder)


def main(way: str, pages: str, folder: str) -> None:
    """Land the pages one way and print rows and seconds; imports count for nobody."""
    place = Path(folder)
    # dlt imports much of itself, and of what it stands on, only when it is first needed.
    with Path(pages).open("rb") as every, (place / "first.jsonl").open("wb") as first:
        first.write(every.readline())
    land(way, place / "first.jsonl", place / "first")
    started = time.monotonic()
    rows = land(way, Path(pages), place / "all")
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
