"""Exports that tell won and lost in a column of their own, beside a stage that stays where the deal was."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

OUTCOMES = ("won", "lost", "open")
# Where a deal of an outcome stands in a log whose losers stop at the offer and whose winners pass it.
RESTING_STAGES = {"won": "contract", "lost": "offer", "open": "talk"}
HEAD = """source_account_id: {account}
timezone: UTC
currency_code: RUB
observed_until: 2026-11-03T00:00:00
tables:
  - {{table: deals, file: deals.csv}}
"""
DECLARED_STAGES = """  - table: pipeline_stages
    rows:
      - {pipeline_id: s, stage_id: talk, stage_position: 1, stage_category: open}
      - {pipeline_id: s, stage_id: offer, stage_position: 2, stage_category: open}
"""
LOG = "  - {table: stage_changes, file: stage_changes.csv}\n"
# As long as most sales of the golden log take: a home has one window in which its cohorts count.
CYCLE = timedelta(days=15)
ACCOUNTS = {"undeclared": "", "declared": DECLARED_STAGES, "logged": LOG}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_account(folder: Path, account: str) -> None:
    """Write thirty deals, ten of each outcome, all of them of October."""
    folder.mkdir()
    deals: list[dict[str, str]] = []
    changes: list[dict[str, str]] = []
    for number in range(30):
        created_at = datetime.fromisoformat("2026-10-01T09:00:00") + timedelta(hours=12 * number)
        closed_at = created_at + CYCLE
        outcome = OUTCOMES[number % 3]
        stage = RESTING_STAGES[outcome] if account == "logged" else ("talk", "offer")[number % 2]
        deals.append(
            {
                "deal_id": str(number),
                "created_at": created_at.isoformat(),
                "pipeline_id": "s",
                "stage_id": stage,
                "outcome": outcome,
                "closed_at": "" if outcome == "open" else closed_at.isoformat(),
                "deal_amount": str(1000 + number),
            }
        )
        way = ("talk", "offer", "contract")
        changes += [
            {
                "deal_id": str(number),
                "changed_at": (created_at + timedelta(hours=10 * step)).isoformat(),
                "to_stage_id": passed,
            }
            for step, passed in enumerate(way[: way.index(stage) + 1])
        ]
    write(folder / "deals.csv", deals)
    write(folder / "stage_changes.csv", changes)
    (folder / "mapping.yaml").write_text(
        HEAD.format(account=account) + ACCOUNTS[account], encoding="utf-8"
    )


def write_exports(root: Path) -> None:
    """Write the exports of all accounts, each into the folder of its name."""
    for account in ACCOUNTS:
        write_account(root / account, account)
