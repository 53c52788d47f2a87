"""What committed loads and complete pulls hold, as far as a load asks."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest.records import PULL_SCHEMA, PULLS_TABLE, Pull
from ingest.warehouse import open_warehouse
from ingest.windows import Window, merge_windows, without

_OPENING = threading.Lock()


@dataclass(frozen=True)
class _Overview:
    """What one account has stored: tables with rows; windows of complete pulls, oldest first."""

    tables: frozenset[str] = frozenset()
    windows: Sequence[tuple[str, datetime, datetime, str | None]] = ()


class StoredState:
    """What committed loads and complete pulls hold; uncommitted rows do not exist here.

    Every question opens the warehouse and closes it again: dlt opens the same file for writing
    later in the same process.
    """

    def __init__(self, warehouse: Path, dataset: str) -> None:
        """Look at one source's tables.

        Args:
            warehouse: The DuckDB file; it may be missing.
            dataset: The schema, such as `raw_amocrm`.
        """
        self._warehouse = warehouse
        self._dataset = dataset
        self._overviews: dict[str, _Overview] = {}
        self._emitted: dict[str, dict[str, str]] = {}

    def changed(self, table: str, rows: pa.Table, *, account_id: str) -> pa.Table:
        """Return the rows that differ from the newest stored version of their record.

        Rows that this chunk already emitted count as stored, so windows may overlap.

        Args:
            table: The raw table.
            rows: With record_id, payload_hash and is_deleted; of one record the last one counts.
            account_id: The source account of all rows.
        """
        if rows.num_rows == 0:
            return rows
        stored = self._newest_hashes(table, rows, account_id)
        emitted = self._emitted.setdefault(f"{table}\n{account_id}", {})
        keep: list[bool] = []
        record_ids: list[Any] = rows.column("record_id").to_pylist()
        digests: list[Any] = rows.column("payload_hash").to_pylist()
        deletions: list[Any] = rows.column("is_deleted").to_pylist()
        for record_id, digest, is_deleted in zip(record_ids, digests, deletions, strict=True):
            version = f"-{digest}" if is_deleted else digest
            known = emitted.get(record_id)
            if known is None:
                known = stored.get(record_id)
            differs = known != version
            if differs:
                emitted[record_id] = version
            keep.append(differs)
        return rows if all(keep) else rows.filter(pa.array(keep))

    def live_ids(
        self, table: str, *, account_id: str, prefixes: Sequence[str] | None = None
    ) -> list[str]:
        """Return ids of stored records whose newest version is no tombstone, in order.

        Args:
            table: The raw table.
            account_id: The source account.
            prefixes: Only ids that start with one of these (days of a day window).
        """
        if not self._holds(table, account_id):
            return []
        scope = ""
        values: list[Any] = [account_id]
        if prefixes is not None:
            if not prefixes:
                return []
            scope = f"and ({' or '.join(['starts_with(records.record_id, ?)'] * len(prefixes))})"
            values.extend(prefixes)
        with self._connection() as connection:
            found = connection.execute(
                f"""
                with newest as ({self._newest_sql(connection, table, scope)})
                select record_id from newest where not is_deleted order by record_id
                """,
                values,
            ).fetchall()
        return [row[0] for row in found]

    def accounts_with(self, table: str, record_ids: Sequence[str]) -> set[str]:
        """Return the accounts that ever stored one of these records.

        Args:
            table: The raw table.
            record_ids: Ids that no two accounts share.
        """
        if not record_ids or not self._warehouse.exists():
            return set()
        with self._connection() as connection:
            connection.register("wanted_ids", pa.table({"record_id": pa.array(record_ids)}))
            found = connection.execute(
                f"""
                select distinct source_account_id from {self._committed(table)}
                where record_id in (select record_id from wanted_ids)
                """
            ).fetchall()
        return {row[0] for row in found}

    def coverage(
        self, resource: str, *, account_id: str, content_hash: str | None = None
    ) -> list[Window]:
        """Return the time that complete pulls of a resource have read, merged, in order.

        Args:
            resource: The resource's name.
            account_id: The source account.
            content_hash: Only pulls that asked the same question, and only the time that no later
                pull read with another one; None takes all.
        """
        covered: list[Window] = []
        for name, start, end, question in self._overview(account_id).windows:
            if name != resource:
                continue
            if content_hash in {None, question}:
                covered.append(Window(start, end))
            elif question is not None:
                # Its answers are the newest now: who goes back to the first question asks anew.
                covered = without(covered, Window(start, end))
        return merge_windows(covered)

    def last_pull(self, resource: str, *, account_id: str) -> Pull | None:
        """Return the newest complete pull of a resource, or None.

        Args:
            resource: The resource's name.
            account_id: The source account.
        """
        if not self._holds(PULLS_TABLE, account_id):
            return None
        columns = ", ".join(PULL_SCHEMA.names)
        with self._connection() as connection:
            row = connection.execute(
                f"""
                select {columns} from {self._committed(PULLS_TABLE)} as pulls
                where source_account_id = ? and resource = ? and is_complete
                order by finished_at desc, pull_id desc limit 1
                """,
                [account_id, resource],
            ).fetchone()
        return None if row is None else Pull(**dict(zip(PULL_SCHEMA.names, row, strict=True)))

    def _newest_hashes(self, table: str, rows: pa.Table, account_id: str) -> dict[str, str]:
        if not self._holds(table, account_id):
            return {}
        with self._connection() as connection:
            connection.register("batch_ids", pa.table({"record_id": rows.column("record_id")}))
            scope = "and records.record_id in (select record_id from batch_ids)"
            found = connection.execute(
                f"""
                select record_id, case when is_deleted then '-' else '' end || payload_hash
                from ({self._newest_sql(connection, table, scope)})
                """,
                [account_id],
            ).fetchall()
        return dict(found)

    def _newest_sql(self, connection: duckdb.DuckDBPyConnection, table: str, scope: str) -> str:
        columns = connection.execute(
            "select column_name from duckdb_columns() where schema_name = ? and table_name = ?",
            [self._dataset, table],
        ).fetchall()
        has_cursor = ("cursor_at",) in columns
        by_cursor = "records.cursor_at desc nulls last, " if has_cursor else ""
        return f"""
            select records.record_id, records.payload_hash, records.is_deleted
            from "{self._dataset}"."{table}" as records
            inner join {self._committed(PULLS_TABLE)} as pulls
                on records.pull_id = pulls.pull_id and pulls.is_complete
            inner join "{self._dataset}"._dlt_loads as loads
                on records._dlt_load_id = loads.load_id and loads.status = 0
            where records.source_account_id = ? {scope}
            qualify row_number() over (
                partition by records.record_id
                order by loads.inserted_at desc, pulls.finished_at desc, {by_cursor}records.pull_id
            ) = 1
        """

    def _committed(self, table: str) -> str:
        return (
            f'(select * from "{self._dataset}"."{table}" where _dlt_load_id in '
            f'(select load_id from "{self._dataset}"._dlt_loads where status = 0))'
        )

    def _holds(self, table: str, account_id: str) -> bool:
        return table in self._overview(account_id).tables

    def _overview(self, account_id: str) -> "_Overview":
        if account_id not in self._overviews:
            self._overviews[account_id] = self._look(account_id)
        return self._overviews[account_id]

    def _look(self, account_id: str) -> "_Overview":
        """Ask at once what every list would ask first: opening the file costs more than asking."""
        if not self._warehouse.exists():
            return _Overview()
        with self._connection() as connection:
            names = {
                row[0]
                for row in connection.execute(
                    "select table_name from duckdb_tables() where schema_name = ?", [self._dataset]
                ).fetchall()
            }
            if not {PULLS_TABLE, "_dlt_loads"} <= names:
                return _Overview()
            holding = {
                table
                for table in names
                if not table.startswith("_dlt")
                and connection.execute(
                    f'select 1 from "{self._dataset}"."{table}" '
                    "where source_account_id = ? limit 1",
                    [account_id],
                ).fetchone()
            }
            windows = connection.execute(
                f"""
                select resource, window_start_at, window_end_at, content_hash
                from {self._committed(PULLS_TABLE)} as pulls
                where source_account_id = ? and is_complete and window_start_at < window_end_at
                order by finished_at, pull_id
                """,
                [account_id],
            ).fetchall()
        return _Overview(frozenset(holding), windows)

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # Windows are read by several threads, and DuckDB refuses to open a file in one of them
        # while another is closing it.
        with _OPENING, open_warehouse(self._warehouse) as connection:
            yield connection
