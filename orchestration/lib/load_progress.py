"""Progress of a load, on the terminal and in Dagster's log, and its summary by table."""

import time
from collections.abc import Callable
from typing import Any

from ingest.chunks import LoadSummary, ResourceSummary
from orchestration.lib.progress import console, seconds_in_words, thousands


class LoadReport:
    """Collects what the accounts of one source loaded and tells people on the way."""

    def __init__(self, source: str, log: Callable[[str], None]) -> None:
        self._source = source
        self._log = log
        self._started: dict[str, float] = {}
        self._resources: dict[str, ResourceSummary] = {}

    def progress(
        self,
        source: str,
        resource: str,
        done_windows: int,
        total_windows: int,
        rows: int,
        seconds_left: float | None,
    ) -> None:
        """Tell how far a resource is; ingest calls this after each window."""
        topic = f"{source}/{resource}"
        started = self._started.setdefault(topic, time.monotonic())
        text = f"{topic}: {thousands(rows)} rows, part {done_windows} of {total_windows}"
        seconds = time.monotonic() - started
        if seconds >= 1 and rows:
            text += f", {thousands(rows / seconds)} rows/s"
        if not 0 < done_windows < total_windows:
            return
        if seconds_left is not None:
            text += f", about {seconds_in_words(seconds_left)} left"
        console().throttled("load", topic, text)

    def add(self, summary: LoadSummary) -> None:
        """Take the summary of one account and tell its outcome, one line per resource."""
        for name, one in sorted(summary.resources.items()):
            self._resources[name] = self._resources.get(name, ResourceSummary()) + one
            self._tell(
                f"{summary.source}/{name}: {thousands(one.rows_seen)} rows read,"
                f" {thousands(one.rows_stored)} new or changed"
            )
        for warning in summary.warnings:
            self._tell(f"{summary.source}: warning: {warning}")
        self._tell(
            f"{summary.source}: {thousands(summary.rows_stored)} rows stored"
            f" in {seconds_in_words(summary.seconds)}"
        )

    def metadata(self) -> dict[str, dict[str, Any]]:
        """Return what was read and stored in this run, by table."""
        return {
            name: {
                "pull_count": one.pulls,
                "rows_read": one.rows_seen,
                "rows_stored": one.rows_stored,
            }
            for name, one in self._resources.items()
        }

    def _tell(self, text: str) -> None:
        console().line("load", text)
        self._log(text)
