"""From the same server bytes to a committed raw table: three ways to land amoCRM deals.

    python -m tests.bench.landing ours|parquet|defaults PAGES FOLDER

`parquet` is dlt fed with parsed dicts and told to write Parquet files; `defaults` is dlt as it comes, with nested tables and
insert statements. All three read the same pages of JSON, 250 deals each, from one file.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

PAGE = 250


def write_pages(path: Path, deals: int) -> None:
    """Write pages as the API sends them, one JSON document a line; a tenth of the deals carry a phone in their name."""
    draw = random.Random(20261121)
    with path.open("wb") as pages:
        for first in range(0, deals, PAGE):
            leads = [_deal(number, draw) for number in range(first, min(first + PAGE, deals))]
            page = {
                "_page": first // PAGE + 1,
                "_links": {
                    "self": {"href": "https://example.amocrm.ru/api/v4/leads?page=1&limit=250"}
                },
                "_embedded": {"leads": leads},
            }
            pages.write(orjson.dumps(page) + b"\n")


def _deal(number: int, draw: random.Random) -> dict[str, Any]:
    created = 1_700_000_000 + number * 37
    phone = f"+7 9{draw.randrange(10**9):09d}"
    codes = {
        "UTM_SOURCE": "yandex",
        "UTM_MEDIUM": "cpc",
        "UTM_CAMPAIGN": str(draw.randrange(10**8)),
        "_YM_UID": str(draw.randrange(10**18)),
    }
    link = {"self": {"href": f"https://example.amocrm.ru/api/v4/leads/{number}"}}
    return {
        "id": number,
        "name": f"Звонок от {phone}" if number % 10 == 0 else f"Сделка #{number}",
        "price": draw.randrange(10**6),
        "responsible_user_id": 500 + number % 30,
        "group_id": 0,
        "status_id": draw.choice((142, 143, 32392159, 32392165)),
        "pipeline_id": 3001,
        "loss_reason_id": None,
        "source_id": None,
        "created_by": 501,
        "updated_by": 501,
        "created_at": created,
        "updated_at": created + 86_400,
        "closed_at": None,
        "closest_task_at": None,
        "is_deleted": False,
        "custom_fields_values": [
            {
                "field_id": 7000 + place,
                "field_name": code.lower(),
                "field_code": code,
                "field_type": "tracking_data",
                "values": [{"value": value}],
            }
            for place, (code, value) in enumerate(codes.items())
        ],
        "score": None,
        "account_id": 900,
        "labor_cost": None,
        "is_price_modified_by_robot": False,
        "_links": link,
        "_embedded": {
            "tags": [{"id": 1, "name": "vip", "color": None}] if number % 5 == 0 else [],
            "companies": [],
            "contacts": [{"id": number + 10**6, "is_main": True, "_links": link}],
            "loss_reason": [],
        },
    }


def _pages(path: Path) -> Iterator[bytes]:
    with path.open("rb") as pages:
        yield from pages


def _ours(path: Path, folder: Path) -> int:
    import dlt

    from ingest.config import dlt_configured, load_settings
    from ingest.loading import ChunkBudget, StoredState, ensure_raw_tables, land_pull, pipeline_for
    from ingest.privacy import Privacy
    from ingest.records import Pull, new_pull_id, record_batch, utc_now
    from ingest.sources.amocrm.personal_data import rules_for

    settings = load_settings({"VORONKA_HOME": str(folder)})
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
    import dlt

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
    import duckdb

    with duckdb.connect(str(warehouse)) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])


def main(way: str, pages: str, folder: str) -> None:
    """Land the pages one way and print rows and seconds; imports count for nobody."""
    import dlt  # noqa: F401

    started = time.monotonic()
    if way == "ours":
        rows = _ours(Path(pages), Path(folder))
    elif way == "parquet":
        rows = _dlt(Path(pages), Path(folder), loader_file_format="parquet")
    else:
        rows = _dlt(Path(pages), Path(folder))
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
