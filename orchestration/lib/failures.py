"""The memory of failed runs: one JSON line each, newest last, read by `voronka doctor`."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest.config import Home


@dataclass(frozen=True)
class FailedRun:
    """A run that failed: when (UTC) and why."""

    run_id: str
    failed_at: str
    causes: tuple[str, ...]


def record_failure(
    home: Home, run_id: str, causes: Sequence[str], failed_at: datetime | None = None
) -> None:
    """Append one failed run.

    Args:
        home: The home folder.
        run_id: The run.
        causes: Why it failed.
        failed_at: When (UTC); default: now.
    """
    home.logs_dir.mkdir(parents=True, exist_ok=True)
    moment = (failed_at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M:%S")
    failed = FailedRun(run_id, moment, tuple(causes))
    with _file(home).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(failed), ensure_ascii=False) + "\n")


def last_failure(home: Home) -> FailedRun | None:
    """Return the run that failed last, if any."""
    # The sensor may write an older failure later: it sees those of a time when it did not run.
    newest_first = reversed(_failures(home))
    return max(newest_first, key=lambda failed: failed.failed_at, default=None)


def is_recorded(home: Home, run_id: str) -> bool:
    """Return whether the failure of a run was written down."""
    return any(failed.run_id == run_id for failed in _failures(home))


def _failures(home: Home) -> list[FailedRun]:
    try:
        lines = _file(home).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    failures = []
    for line in lines:
        # A full disk may have left half a line.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            stored = json.loads(line)
            failures.append(
                FailedRun(stored["run_id"], stored["failed_at"], tuple(stored["causes"]))
            )
    return failures


def _file(home: Home) -> Path:
    return home.logs_dir / "failures.jsonl"
