"""Bring your own tables: folders of CSV, XLSX and Parquet files in the documented neutral layout.

Flow: mapping.yaml -> files as text -> checked and normalised columns -> `raw_files.<table>`, all
tables of all folders in one load, or none. An unchanged table is not loaded again.

Run: VORONKA_SOURCES=files VORONKA_FILES=folder voronka refresh
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa

from ingest.errors import ConfigurationError, InputDataError
from ingest.privacy import Privacy, key_fingerprint
from ingest.records import PULLS_TABLE, Pull, new_pull_id, pulls_table, utc_now
from ingest.sources.files.importing import ImportOptions, content_hashes, import_folder
from ingest.sources.files.mapping import Folder, load_folder, shown_name
from ingest.sources.files.schema import NEUTRAL_TABLES, RAW_TABLES
from ingest.sources.files.settings import FilesSettings
from ingest.tabular import Findings
from ingest.warehouse import open_warehouse

if TYPE_CHECKING:
    from dlt.extract import DltSource

    from ingest.chunks import ChunkBudget
    from ingest.config import Settings, SourceRef
    from ingest.stored_state import StoredState

__all__ = ["NEUTRAL_TABLES", "RAW_TABLES", "build_source", "check_folders"]

_YIELDED_ROWS = 200_000


def build_source(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> DltSource:
    """Return a dlt source with one resource per raw table.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.
        state: What earlier committed loads stored.
        budget: The chunk; the files of all folders are one chunk.
    """
    snapshots = _Snapshots(ref, settings, state, budget)

    @dlt.source(name=ref.name, max_table_nesting=0)
    def files() -> Any:
        for table in RAW_TABLES:
            yield dlt.resource(
                snapshots.rows(table),
                name=table,
                primary_key=(),
                write_disposition="append",
            )

    return files()


def check_folders(ref: SourceRef, settings: Settings) -> list[str]:
    """Read every folder and return remarks, without loading anything; for `voronka doctor`.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.

    Raises:
        InputDataError: Something in the folders is wrong.
        ConfigurationError: No folder is named.
    """
    findings = Findings()
    folders = _folders(ref, settings, findings)
    options = _options(ref, settings)
    remarks: list[str] = []
    for folder in folders:
        remarks += import_folder(folder, options, findings).remarks
    _stop_at(findings, ref)
    return remarks


def _folders(ref: SourceRef, settings: Settings, findings: Findings) -> list[Folder]:
    if not settings.files:
        raise ConfigurationError(
            "no folder is named",
            account=str(ref),
            action="Set VORONKA_FILES, or files in voronka.toml, to folders with a mapping.yaml",
        )
    folders: list[Folder] = []
    for path in settings.files:
        folder = load_folder(path, findings)
        if folder is None:
            continue
        account = folder.mapping.source_account_id
        if any(account == other.mapping.source_account_id for other in folders):
            findings.add(
                shown_name(folder.mapping_path),
                "another folder has the same source_account_id",
                column="source_account_id",
                value=account,
            )
        folders.append(folder)
    return folders


def _options(ref: SourceRef, settings: Settings) -> ImportOptions:
    privacy = Privacy(settings)
    return ImportOptions(
        max_unpacked_bytes=settings.options_of(ref, FilesSettings).max_unpacked_bytes,
        privacy=privacy,
        default_zone=settings.timezone or "UTC",
        keeps_names=settings.sales_rep_names == "keep",
        fingerprint="keep" if privacy.keeps else key_fingerprint(settings.home) or "",
    )


def _stop_at(findings: Findings, ref: SourceRef) -> None:
    if findings:
        raise InputDataError(
            "the files break the neutral layout; nothing of them was loaded",
            findings=findings.listed(),
            account=str(ref),
            action="Correct these places, or set on_error: quarantine for the entry:",
        )


class _Snapshots:
    """The snapshot pulls of one run, made when the first table is asked for."""

    def __init__(
        self, ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
    ) -> None:
        self._ref = ref
        self._settings = settings
        self._state = state
        self._budget = budget
        self._due: dict[str, list[tuple[Pull, pa.Table]]] | None = None

    def rows(self, table: str) -> Iterator[Any]:
        """Yield the changed snapshots of a table and their pulls."""
        if self._due is None:
            self._due = self._read()
        for pull, rows in self._due.get(table, []):
            names = pa.repeat(pa.scalar(pull.pull_id, pa.string()), rows.num_rows)
            landed = rows.append_column("pull_id", names).select(RAW_TABLES[table].names)
            for start in range(0, landed.num_rows, _YIELDED_ROWS):
                yield dlt.mark.with_table_name(landed.slice(start, _YIELDED_ROWS), table)
            self._budget.spend(rows.num_rows)
            self._budget.note_pull(pull)
            self._budget.report(table, 1, 1, rows.num_rows)
            yield dlt.mark.with_table_name(pulls_table([pull]), PULLS_TABLE)
        self._budget.finish(table)

    def _read(self) -> dict[str, list[tuple[Pull, pa.Table]]]:
        findings = Findings()
        folders = _folders(self._ref, self._settings, findings)
        options = _options(self._ref, self._settings)
        due: dict[str, list[tuple[Pull, pa.Table]]] = {}
        for folder in folders:
            for pull, rows in self._changed(folder, options, findings):
                due.setdefault(pull.resource, []).append((pull, rows))
        _stop_at(findings, self._ref)
        named = {folder.mapping.source_account_id for folder in folders}
        for account in self._stored_accounts():
            if account in named:
                continue
            for table in RAW_TABLES:
                last = self._state.last_pull(table, account_id=account)
                if last is not None and last.row_count:
                    due.setdefault(table, []).append(self._emptied(account, table))
                    self._budget.warn(f"files of {account} are no longer named and count no more")
        return due

    def _changed(
        self, folder: Folder, options: ImportOptions, findings: Findings
    ) -> Iterator[tuple[Pull, pa.Table]]:
        """Yield pulls of the tables whose content differs from what is stored."""
        account = folder.mapping.source_account_id
        try:
            hashes = content_hashes(folder, options)
        except OSError:
            # Reading the folder names the file and the reason.
            hashes = {}
        last = {table: self._state.last_pull(table, account_id=account) for table in RAW_TABLES}
        changed = {
            table
            for table, pull in last.items()
            if hashes.get(table, "") != ((pull.content_hash or "") if pull is not None else "")
        }
        if hashes and not changed:
            return
        started_at = utc_now()
        imported = import_folder(folder, options, findings)
        if findings:
            return
        for remark in imported.remarks:
            self._budget.warn(remark)
        observed = imported.observed_until
        for table in sorted(changed):
            rows = imported.tables.get(table)
            if rows is None:
                yield self._emptied(account, table)
                continue
            pull = Pull(
                pull_id=new_pull_id(),
                source_account_id=account,
                resource=table,
                kind="snapshot",
                started_at=started_at,
                observed_until_at=datetime.fromisoformat(observed) if observed else None,
                content_hash=hashes[table],
            )
            yield (
                pull.finished(row_count=rows.num_rows, stored_count=rows.num_rows),
                rows,
            )

    def _emptied(self, account: str, table: str) -> tuple[Pull, pa.Table]:
        """Return the snapshot of a table that is no longer supplied."""
        landed = RAW_TABLES[table]
        schema = landed.remove(landed.get_field_index("pull_id"))
        pull = Pull(
            pull_id=new_pull_id(),
            source_account_id=account,
            resource=table,
            kind="snapshot",
            started_at=utc_now(),
            content_hash="",
        )
        return pull.finished(row_count=0, stored_count=0), schema.empty_table()

    def _stored_accounts(self) -> list[str]:
        warehouse = self._settings.home.warehouse
        if not warehouse.exists():
            return []
        with open_warehouse(warehouse) as connection:
            found = connection.execute(
                f"select distinct source_account_id from raw_files.{PULLS_TABLE}"
                " where is_complete order by 1"
            ).fetchall()
        return [row[0] for row in found]
