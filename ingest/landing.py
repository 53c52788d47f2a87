"""Pulls on their way into raw tables: what changed, what is gone, and the pull itself, for dlt."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dlt
import pyarrow as pa

from ingest.chunks import ChunkBudget
from ingest.collector import few_collections
from ingest.errors import IngestError, SourceContractError
from ingest.records import (
    PULLS_TABLE,
    Pull,
    PullKind,
    new_pull_id,
    pulls_table,
    tombstone_batch,
    utc_now,
)
from ingest.stored_state import StoredState
from ingest.windows import Window

_FLUSH_ROWS = 20_000
_QUEUED_BATCHES = 64


def land_pull(
    state: StoredState,
    budget: ChunkBudget,
    table: str,
    pull: Pull,
    batches: Iterable[pa.RecordBatch],
    *,
    read_again: Callable[[], Iterable[str]] | None = None,
    settle: Callable[[Pull], Pull] | None = None,
) -> Iterator[Any]:
    """Yield what changed, then tombstones, then the pull itself, all named for dlt.

    Where the source breaks off, the pull is written as incomplete and the chunk ends with the
    error; the complete pulls before it are committed all the same.

    Args:
        state: What is stored.
        budget: The chunk.
        table: The raw table.
        pull: What is being read.
        batches: Rows of that pull.
        read_again: Reads the ids of the whole list once more; snapshots only. Gone is what neither
            read shows: pages shift while they are read, and one of a vendor's machines may lag.
        settle: Fills in what is known of the pull only after reading, such as its window.
    """
    seen: set[str] = set()
    row_count = stored_count = 0
    is_complete = True
    waiting: list[pa.RecordBatch] = []
    waiting_rows = 0

    def flush() -> Iterator[Any]:
        nonlocal stored_count, waiting_rows
        rows = pa.Table.from_batches(waiting)
        waiting.clear()
        waiting_rows = 0
        changed = state.changed(table, rows, account_id=pull.source_account_id)
        stored_count += changed.num_rows
        if changed.num_rows:
            yield dlt.mark.with_table_name(changed, table)

    try:
        for batch in _parsed(batches):
            if read_again is not None:
                seen.update(str(value) for value in batch.column("record_id").to_pylist())
            row_count += batch.num_rows
            budget.spend(batch.num_rows)
            waiting.append(batch)
            waiting_rows += batch.num_rows
            if waiting_rows >= _FLUSH_ROWS:
                yield from flush()
        gone: list[str] = []
        if read_again is not None:
            stored = state.live_ids(table, account_id=pull.source_account_id)
            gone = [record_id for record_id in stored if record_id not in seen]
            if gone:
                again = set(read_again())
                gone = [record_id for record_id in gone if record_id not in again]
        if gone:
            waiting.append(
                tombstone_batch(
                    gone,
                    account_id=pull.source_account_id,
                    pull_id=pull.pull_id,
                    seen_gone_at=pull.observed_until_at,
                )
            )
    except IngestError as error:
        budget.fail(error)
        is_complete = False
    if waiting:
        yield from flush()
    finished = (settle(pull) if settle is not None else pull).finished(
        row_count=row_count, stored_count=stored_count, is_complete=is_complete
    )
    budget.note_pull(finished)
    yield dlt.mark.with_table_name(pulls_table([finished]), PULLS_TABLE)


def _parsed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches, each made with few collections; the consumer works under its own rule."""
    iterator = iter(batches)
    while True:
        with few_collections():
            batch = next(iterator, None)
        if batch is None:
            return
        yield batch


def read_windows(
    state: StoredState,
    budget: ChunkBudget,
    table: str,
    windows: Sequence[Window],
    read: Callable[[Window, str], Iterable[pa.RecordBatch]],
    *,
    account_id: str,
    observed_until_at: datetime,
    kind: PullKind = "window",
    content_hash: str | None = None,
    parallel: int = 4,
    done_before: int = 0,
) -> Iterator[Any]:
    """Yield the rows and pulls of closed windows that several threads read at once.

    Paging inside a window is sequential by protocol, so only several windows together use the
    pace that the vendor allows. Windows left when the budget is spent wait for the next chunk.

    Args:
        state: What is stored.
        budget: The chunk.
        table: The raw table, which is also the resource's name.
        windows: What to read, in this order.
        read: Yields the batches of one window, given its pull id.
        account_id: The source account.
        observed_until_at: The server's present.
        kind: Written into `_pulls`.
        content_hash: Names what is asked; another question must read the same time again.
        parallel: How many windows are read at once.
        done_before: Windows of this resource that earlier chunks of the run read.
    """
    total = done_before + len(windows)
    done = done_before

    def new_pull(window: Window) -> Pull:
        return Pull(
            pull_id=new_pull_id(),
            source_account_id=account_id,
            resource=table,
            kind=kind,
            started_at=utc_now(),
            window_start_at=window.start,
            window_end_at=window.end,
            observed_until_at=observed_until_at,
            content_hash=content_hash,
        )

    budget.report(table, done, total)
    if len(windows) == 1 or parallel == 1:
        for index, window in enumerate(windows):
            if budget.is_spent:
                budget.postpone()
                return
            pull = new_pull(window)
            before = budget.rows
            yield from land_pull(state, budget, table, pull, read(window, pull.pull_id))
            budget.report(table, done_before + index + 1, total, budget.rows - before)
        if budget.error is None:
            budget.finish(table)
        return

    with _Readers(read, parallel) as readers:
        waiting = list(reversed(windows))
        running: dict[int, _RunningWindow] = {}
        while waiting or running:
            while waiting and len(running) < parallel and not budget.is_spent:
                window = waiting.pop()
                pull = new_pull(window)
                running[readers.start(window, pull.pull_id)] = _RunningWindow(pull)
            if not running:
                budget.postpone()
                return
            number, batch, outcome = readers.next()
            current = running[number]
            if batch is not None:
                budget.spend(batch.num_rows)
                current.rows += batch.num_rows
                current.waiting.append(batch)
                if sum(piece.num_rows for piece in current.waiting) < _FLUSH_ROWS:
                    continue
            yield from _flush_window(state, table, current)
            if batch is None:
                del running[number]
                if isinstance(outcome, IngestError):
                    budget.fail(outcome)
                    readers.stop()
                elif outcome is not None:
                    raise outcome
                finished = current.pull.finished(
                    row_count=current.rows,
                    stored_count=current.stored,
                    is_complete=outcome is None,
                )
                budget.note_pull(finished)
                yield dlt.mark.with_table_name(pulls_table([finished]), PULLS_TABLE)
                done += outcome is None
                budget.report(table, done, total, current.rows)
    if budget.error is None:
        budget.finish(table)


@dataclass
class _RunningWindow:
    """A window that a thread is reading."""

    pull: Pull
    rows: int = 0
    stored: int = 0
    waiting: list[pa.RecordBatch] = field(default_factory=list)


class _Readers:
    """Threads that read windows into one bounded queue, so that memory stays bounded too."""

    def __init__(
        self, read: Callable[[Window, str], Iterable[pa.RecordBatch]], parallel: int
    ) -> None:
        self._read = read
        self._queue: queue.Queue[tuple[int, pa.RecordBatch | None, BaseException | None]] = (
            queue.Queue(_QUEUED_BATCHES)
        )
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="window")
        self._count = 0

    def __enter__(self) -> "_Readers":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        while True:
            # A reader blocked on a full queue would keep the pool from shutting down.
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, window: Window, pull_id: str) -> int:
        self._count += 1
        self._pool.submit(self._work, self._count, window, pull_id)
        return self._count

    def next(self) -> tuple[int, pa.RecordBatch | None, BaseException | None]:
        return self._queue.get()

    def stop(self) -> None:
        self._stopping.set()

    def _work(self, number: int, window: Window, pull_id: str) -> None:
        outcome: BaseException | None = None
        try:
            for batch in self._read(window, pull_id):
                if self._stopping.is_set():
                    raise SourceContractError("reading stopped because another window failed")
                self._put((number, batch, None))
        except BaseException as error:
            outcome = error
        self._put((number, None, outcome))

    def _put(self, item: tuple[int, pa.RecordBatch | None, BaseException | None]) -> None:
        while True:
            try:
                self._queue.put(item, timeout=0.5)
            except queue.Full:
                if self._stopping.is_set() and item[1] is not None:
                    return
            else:
                return


def _flush_window(state: StoredState, table: str, current: _RunningWindow) -> Iterator[Any]:
    if not current.waiting:
        return
    rows = pa.Table.from_batches(current.waiting)
    current.waiting.clear()
    changed = state.changed(table, rows, account_id=current.pull.source_account_id)
    current.stored += changed.num_rows
    if changed.num_rows:
        yield dlt.mark.with_table_name(changed, table)
