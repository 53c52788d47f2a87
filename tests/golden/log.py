"""The golden log as a firm whose CRM the demo server plays."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.demo import CompanyTables
from ingest.demo.serving import serve_demo

FOLDER = Path(__file__).with_name("files")
STAGE_IDS = {"1": 11, "2": 12, "3": 13, "4": 14, "W": 142, "L": 143}
DEAL_IDS = {name: 1001 + place for place, name in enumerate("ABCDEFGH")}
REP_IDS = {"M1": 501, "M2": 502, "M3": 503}


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8") as rows:
        return list(csv.DictReader(rows))


def golden_company() -> CompanyTables:
    """Return the eight deals as tables the demo server can render."""
    stages = [
        {"stage_id": STAGE_IDS[row["stage_id"]], "name": row["stage_name"]}
        for row in _rows("pipeline_stages.csv")
    ]
    changes = _rows("stage_changes.csv")
    entered = {}
    moves = []
    for row in changes:
        if row["deal_id"] not in entered:
            entered[row["deal_id"]] = STAGE_IDS[row["to_stage_id"]]
            continue
        moves.append(
            {
                "deal_id": DEAL_IDS[row["deal_id"]],
                "changed_at": f"{row['changed_at']}+00:00",
                "to_stage_id": STAGE_IDS[row["to_stage_id"]],
                "changed_by": REP_IDS[row["changed_by_sales_rep_id"]],
            }
        )
    return CompanyTables.build(
        now="2026-01-21T00:00:00+00:00",
        account={"time_zone": "UTC", "currency_code": "RUB", "name": "Golden"},
        users=[
            {
                "user_id": number,
                "name": name,
                "email": f"{name}@golden.example",
                "is_admin": name == "M1",
            }
            for name, number in REP_IDS.items()
        ],
        pipelines=[{"pipeline_id": 3001, "name": "Sales", "stages": stages}],
        deals=[
            {
                "deal_id": DEAL_IDS[row["deal_id"]],
                "name": row["name"],
                "created_at": f"{row['created_at']}+00:00",
                "stage_id": entered[row["deal_id"]],
                "amount": int(row["deal_amount"]),
                "responsible_user_id": REP_IDS[row["sales_rep_id"]],
                "segment": row["segment"],
            }
            for row in _rows("deals.csv")
        ],
        stage_changes=moves,
    )


@contextmanager
def serve_golden_log() -> Iterator[dict[str, str]]:
    """Serve the log in the amoCRM protocol; yields the settings that connect to it."""
    with serve_demo(golden_company()) as endpoints:
        yield {
            "VORONKA_SOURCES": "amocrm",
            "VORONKA_AMOCRM_URL": endpoints.amocrm_url,
            "SOURCES__AMOCRM__TOKEN": endpoints.token,
        }
