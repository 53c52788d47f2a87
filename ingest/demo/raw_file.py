"""Raw tables written straight into a warehouse: whole columns in, committed loads out.

What lands is what the sources land: the same columns, the same hash of the payload, one row of
`_pulls` per list that was read and one row of `_dlt_loads` at the very end. Until then every row
counts for nobody, as those of a killed load.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

import duckdb
import numpy as np
import pyarrow as pa

from ingest.config import Home
from ingest.demo.arrow import Column, compute, holds_any
from ingest.records import (
    PULLS_TABLE,
    RECORD_SCHEMA,
    TIMESTAMP,
    Pull,
    payload_hash,
    pulls_table,
)
from ingest.warehouse import ensure_raw_tables

_DIGEST_BYTES = 16
_WAITING_BYTES = 400_000_000


def hashes(payloads: Column) -> Column:
    """Return the hash of each payload, as `payload_hash` makes it.

    Args:
        payloads: JSON texts as they are stored.
    """
    data: list[bytes] = compute.cast(payloads, pa.binary()).to_pylist()
    digests = b"".join([blake2b(text, digest_size=_DIGEST_BYTES).digest() for text in data])
    text = digests.hex().encode()
    width = 2 * _DIGEST_BYTES
    places = np.arange(0, (len(data) + 1) * width, width, dtype=np.int32)
    found: Column = pa.Array.from_buffers(
        pa.string(), len(data), [None, pa.py_buffer(places.tobytes()), pa.py_buffer(text)]
    )
    if holds_any(payloads, b"?"):
        # Queries of links do not count; the few texts with a question mark go the long way.
        asked = compute.match_substring(payloads, "?")
        texts = compute.cast(compute.filter(payloads, asked), pa.binary()).to_pylist()
        long = pa.array([payload_hash(text) for text in texts], pa.string())
        found = compute.replace_with_mask(found, asked, long)
    return found


def record_table(
    record_ids: Column,
    cursors: Column,
    payloads: Column,
    *,
    account_id: str,
    pull_id: str,
) -> pa.Table:
    """Return records in the shape in which every JSON API lands.

    Args:
        record_ids: Ids, whole numbers or texts.
        cursors: Times of change in Unix seconds, or None where the list has none.
        payloads: JSON texts.
        account_id: The source account.
        pull_id: The pull that brings them.
    """
    count = len(payloads)
    nothing: Column = pa.nulls(count)
    moments = (
        nothing.cast(TIMESTAMP)
        if cursors is None
        else compute.cast(compute.multiply(cursors, 1_000_000), TIMESTAMP)
    )
    return pa.table(
        [
            pa.repeat(pa.scalar(account_id), count),
            compute.cast(record_ids, pa.string()),
            moments,
            pa.repeat(pa.scalar(False), count),
            payloads,
            hashes(payloads),
            pa.repeat(pa.scalar(pull_id), count),
        ],
        schema=RECORD_SCHEMA,
    )


class RawFile:
    """A new warehouse that takes whole columns; a thread of its own writes them down.

    All rows are one transaction: committed after each part, the ends of all tables would be packed
    again and again. And DuckDB gets one thread: with two it packs half row groups, a quarter more
    work in all, while the caller has work for the other core.
    """

    def __init__(self, home: Home, *, memory_limit: str = "2GB") -> None:
        """Make the declared raw tables and open the file.

        Args:
            home: The home folder.
            memory_limit: What DuckDB may take.
        """
        ensure_raw_tables(home)
        self._path: Path = home.warehouse
        self._connection = duckdb.connect(str(home.warehouse))
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute("set preserve_insertion_order = false")
        self._connection.execute("set memory_limit = ?", [memory_limit])
        self._connection.execute("set threads = 1")
        self._connection.execute("begin")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="raw_file")
        self._waiting: deque[tuple[Future[None], int]] = deque()
        self._loads: dict[str, str] = {}
        self._pulls: dict[tuple[str, str], Pull] = {}
        self._rows: dict[tuple[str, str], int] = {}

    def __enter__(self) -> RawFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._settle()
        finally:
            self._writer.shutdown(wait=True)
            self._connection.close()

    @property
    def rows(self) -> dict[str, int]:
        """Return how many rows each table has got, by `source.table`."""
        return {f"{source}.{table}": count for (source, table), count in self._rows.items()}

    def open_pull(self, source: str, pull: Pull) -> str:
        """Say that a list is being read; it is complete once the file is committed.

        Args:
            source: The source's name.
            pull: What is read, and in which window.

        Returns:
            The pull's id.
        """
        self._pulls[source, pull.resource] = pull
        self._rows.setdefault((source, pull.resource), 0)
        self._loads.setdefault(source, str(time.time()))
        return pull.pull_id

    def pull_id(self, source: str, table: str) -> str:
        """Return the id of the pull that reads a table.

        Args:
            source: The source's name.
            table: The raw table.
        """
        return self._pulls[source, table].pull_id

    def append(self, source: str, table: str, rows: pa.Table) -> None:
        """Write rows; the caller goes on while the last ones are written.

        Args:
            source: The source's name.
            table: The raw table.
            rows: All its columns but dlt's load id.
        """
        if not rows.num_rows:
            return
        self._rows[source, table] += rows.num_rows
        written = self._writer.submit(self._insert, f'raw_{source}."{table}"', source, rows)
        self._waiting.append((written, rows.nbytes))
        while sum(size for _, size in self._waiting) > _WAITING_BYTES:
            self._waiting.popleft()[0].result()

    def commit(self) -> None:
        """Write the pulls, then the rows by which everything counts."""
        self._settle()
        for source, load_id in self._loads.items():
            pulls = pulls_table(
                pull.finished(row_count=self._rows[key], stored_count=self._rows[key])
                for key, pull in self._pulls.items()
                if key[0] == source
            )
            self._insert(f"raw_{source}.{PULLS_TABLE}", source, pulls)
            self._connection.execute(
                f"insert into raw_{source}._dlt_loads values (?, ?, 0, now(), '')",
                [load_id, source],
            )
        self._connection.execute("commit")
        self._connection.execute("checkpoint")

    def _settle(self) -> None:
        while self._waiting:
            self._waiting.popleft()[0].result()

    def _insert(self, target: str, source: str, rows: pa.Table) -> None:
        # Batches that are gone once read: DuckDB holds what it was given until the commit.
        batches = deque(rows.to_batches())
        schema = rows.schema
        del rows
        given = pa.RecordBatchReader.from_batches(schema, _emptied(batches))
        self._connection.register("given_rows", given)
        self._connection.execute(
            f"insert into {target} by name select *, '{self._loads[source]}' as _dlt_load_id "
            "from given_rows"
        )
        self._connection.unregister("given_rows")


def _emptied(batches: deque[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while batches:
        yield batches.popleft()
