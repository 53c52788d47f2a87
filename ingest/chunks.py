"""How much one chunk of a run may read, what the chunks share, and what a run did."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ingest.errors import IngestError
from ingest.records import Pull

CHUNK_ROWS = 200_000
CHUNK_SECONDS = 60.0


class Progress(Protocol):
    """Called after each window; the caller prints, or does not."""

    def __call__(
        self,
        source: str,
        resource: str,
        done_windows: int,
        total_windows: int,
        rows: int,
        seconds_left: float | None,
    ) -> None:
        """Take note of how far a resource is."""


@dataclass(frozen=True)
class ResourceSummary:
    """What one run read and stored of one resource."""

    pulls: int = 0
    rows_seen: int = 0
    rows_stored: int = 0

    def __add__(self, other: "ResourceSummary") -> "ResourceSummary":
        return ResourceSummary(
            self.pulls + other.pulls,
            self.rows_seen + other.rows_seen,
            self.rows_stored + other.rows_stored,
        )


@dataclass(frozen=True)
class LoadSummary:
    """What one run of one source account did."""

    source: str
    resources: Mapping[str, ResourceSummary]
    load_ids: tuple[str, ...]
    seconds: float
    observed_until_at: datetime | None
    warnings: tuple[str, ...] = ()

    @property
    def rows_seen(self) -> int:
        """Return the rows that the source showed."""
        return sum(summary.rows_seen for summary in self.resources.values())

    @property
    def rows_stored(self) -> int:
        """Return the rows that were new or changed."""
        return sum(summary.rows_stored for summary in self.resources.values())


@dataclass
class LoadRun:
    """What the chunks of one run share: who speaks to the API, and what is read already."""

    source: str
    progress: Progress | None = None
    shared: dict[str, Any] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    started: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    resources: dict[str, ResourceSummary] = field(default_factory=dict)
    observed_until_at: datetime | None = None
    warnings: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Close what the chunks shared."""
        for shared in self.shared.values():
            if hasattr(shared, "close"):
                shared.close()


class ChunkBudget:
    """How much one chunk may read, where it reports, and what broke it."""

    def __init__(
        self,
        run: LoadRun | None = None,
        *,
        max_rows: int = CHUNK_ROWS,
        max_seconds: float = CHUNK_SECONDS,
    ) -> None:
        """Start the chunk's clock.

        Args:
            run: What the chunks of this run share.
            max_rows: No new window starts after so many rows.
            max_seconds: No new window starts after so many seconds.
        """
        self.run = run or LoadRun("")
        self.error: IngestError | None = None
        self.has_more = False
        self.rows = 0
        self._max_rows = max_rows
        self._deadline = time.monotonic() + max_seconds
        self._finished: list[str] = []
        self._lock = threading.Lock()

    @property
    def shared(self) -> dict[str, Any]:
        """Return objects that live as long as the run, closed at its end."""
        return self.run.shared

    @property
    def is_spent(self) -> bool:
        """Return whether no new window may start in this chunk."""
        return (
            self.error is not None
            or self.rows >= self._max_rows
            or time.monotonic() >= self._deadline
        )

    def spend(self, rows: int) -> None:
        """Count rows that were read.

        Args:
            rows: How many.
        """
        with self._lock:
            self.rows += rows

    def postpone(self) -> None:
        """Say that a resource has windows left for the next chunk."""
        self.has_more = True

    def fail(self, error: IngestError) -> None:
        """End the chunk early; what is complete is committed before the error is raised.

        Args:
            error: What broke it; the first one counts.
        """
        with self._lock:
            self.error = self.error or error

    def warn(self, text: str) -> None:
        """Tell the user something that does not stop the load, once.

        Args:
            text: One line.
        """
        with self._lock:
            if text not in self.run.warnings:
                self.run.warnings.append(text)

    def is_done(self, resource: str) -> bool:
        """Return whether an earlier chunk of this run finished the resource.

        Args:
            resource: The resource's name.
        """
        return resource in self.run.done or resource in self._finished

    def finish(self, resource: str) -> None:
        """Say that a resource needs no further chunk.

        Args:
            resource: The resource's name.
        """
        self._finished.append(resource)

    def report(self, resource: str, done: int, total: int, rows: int = 0) -> None:
        """Tell the user how far a resource is.

        Args:
            resource: The resource's name.
            done: Windows read in this run.
            total: Windows to read in this run.
            rows: Rows read since the last report.
        """
        with self._lock:
            first = self.run.started.setdefault(resource, time.monotonic())
            read = self.run.rows[resource] = self.run.rows.get(resource, 0) + rows
        if self.run.progress is None:
            return
        left = (time.monotonic() - first) / done * (total - done) if done else None
        self.run.progress(self.run.source, resource, done, total, read, left)

    def note_pull(self, pull: Pull) -> None:
        """Count a finished pull.

        Args:
            pull: With its outcome.
        """
        with self._lock:
            summary = self.run.resources.get(pull.resource, ResourceSummary())
            self.run.resources[pull.resource] = summary + ResourceSummary(
                1, pull.row_count, pull.stored_count
            )
            if pull.observed_until_at is not None:
                known = self.run.observed_until_at or pull.observed_until_at
                self.run.observed_until_at = max(known, pull.observed_until_at)

    def commit(self) -> None:
        """Carry finished resources over to the next chunk, once this one is committed."""
        self.run.done.update(self._finished)
