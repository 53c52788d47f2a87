"""The company's own tables: what a stage, a reason, a channel or a plan means here.

Flow: `$VORONKA_HOME/company/*.csv` -> checked rows -> `raw_company.<table>`, all tables in one
load, or none. An unchanged file is not loaded again; a changed one is a new snapshot, so a number
of last month can be rebuilt with last month's rules. A missing or empty table means the default.

Run: voronka refresh (the source is always enabled)
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa

from ingest.errors import InputDataError
from ingest.records import PULLS_TABLE, Pull, new_pull_id, pulls_table, utc_now
from ingest.sources.company.reader import read_table, table_files, write_templates
from ingest.sources.company.schema import COMPANY_TABLES, RAW_TABLES
from ingest.tabular import Findings

if TYPE_CHECKING:
    from pathlib import Path

    from dlt.extract import DltSource

    from ingest.chunks import ChunkBudget
    from ingest.config import Settings, SourceRef
    from ingest.stored_state import StoredState

__all__ = ["COMPANY_TABLES", "RAW_TABLES", "build_source", "check_tables", "write_templates"]

ACCOUNT = "company"
_LAYOUT_VERSION = 2


def build_source(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> DltSource:
    """Return a dlt source with one resource per table.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.
        state: What earlier committed loads stored.
        budget: The chunk; all tables are one chunk.
    """
    snapshots = _Snapshots(settings.home.company_dir, state, budget)

    @dlt.source(name=ref.name, max_table_nesting=0)
    def company() -> Any:
        for table in RAW_TABLES:
            yield dlt.resource(
                snapshots.rows(table),
                name=table,
                primary_key=(),
                write_disposition="append",
            )

    return company()


def check_tables(company_dir: Path) -> dict[str, int]:
    """Return the number of rows of every table the company supplies; nothing is loaded.

    Args:
        company_dir: The folder of the tables.

    Raises:
        InputDataError: Something in them is wrong.
    """
    return {name: rows.num_rows for name, rows in _read_all(company_dir).items()}


def _read_all(company_dir: Path) -> dict[str, pa.Table]:
    findings = Findings()
    tables = {
        name: read_table(COMPANY_TABLES[name], path, ACCOUNT, findings)
        for name, path in table_files(company_dir, findings).items()
    }
    if findings:
        raise InputDataError(
            "the company's tables have errors; nothing of them was loaded",
            findings=findings.listed(),
            account="company",
            action="Correct these places:",
        )
    return tables


class _Snapshots:
    """The snapshot pulls of one run, made when the first table is asked for."""

    def __init__(self, company_dir: Path, state: StoredState, budget: ChunkBudget) -> None:
        self._company_dir = company_dir
        self._state = state
        self._budget = budget
        self._tables: dict[str, pa.Table] | None = None

    def rows(self, table: str) -> Iterator[Any]:
        """Yield a table and its pull if it changed."""
        if self._tables is None:
            self._tables = _read_all(self._company_dir)
        started_at = utc_now()
        schema = RAW_TABLES[table]
        last = self._state.last_pull(table, account_id=ACCOUNT)
        rows = self._tables.get(table)
        content_hash = "" if rows is None else self._hash_of(table)
        if content_hash != ((last.content_hash or "") if last is not None else ""):
            pull = Pull(
                pull_id=new_pull_id(),
                source_account_id=ACCOUNT,
                resource=table,
                kind="snapshot",
                started_at=started_at,
                content_hash=content_hash,
            )
            count = 0 if rows is None else rows.num_rows
            if rows is not None and count:
                names = pa.repeat(pa.scalar(pull.pull_id, pa.string()), count)
                landed = rows.append_column("pull_id", names).select(schema.names)
                yield dlt.mark.with_table_name(landed, table)
            finished = pull.finished(row_count=count, stored_count=count)
            self._budget.spend(count)
            self._budget.note_pull(finished)
            self._budget.report(table, 1, 1, count)
            yield dlt.mark.with_table_name(pulls_table([finished]), PULLS_TABLE)
        self._budget.finish(table)

    def _hash_of(self, table: str) -> str:
        digest = blake2b(f"{_LAYOUT_VERSION} {table} ".encode(), digest_size=16)
        digest.update((self._company_dir / f"{table}.csv").read_bytes())
        return digest.hexdigest()
