"""The memory of failed runs: one JSON line each, newest last, read by `voronka doctor`."""

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


def record_failure(home: Home, run_id: str, causes: Sequence[str]) -> None:
    """Append one failed run."""
    home.logs_dir.mkdir(parents=True, exist_ok=True)
    failed = FailedRun(run_id, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"), tuple(causes))
    with _file(home).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(failed), ensure_ascii=False) + "\n")


def last_failure(home: Home) -> FailedRun | None:
    """Return the newest failed run, if any."""
    try:
        lines = _file(home).read_text(encoding="utf-8").splitlines()
        stored = json.loads(lines[-1])
    except (OSError, ValueError, IndexError):
        return None
    return FailedRun(stored["run_id"], stored["failed_at"], tuple(stored["causes"]))


def _file(home: Home) -> Path:
    return home.logs_dir / "failures.jsonl"
