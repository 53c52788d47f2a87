"""The one writer of a home folder: an advisory lock on refresh.lock, held for a whole run.

DuckDB allows one writing process and answers a second one with an error about a file; this lock
answers with who is working and since when, before anything is started.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestration.lib.errors import LockHeldError

_held_here: dict[Path, LockHolder] = {}


@dataclass(frozen=True)
class LockHolder:
    """Who holds the lock: process, run and since when (UTC)."""

    pid: int
    run_id: str
    since: str

    def describe(self) -> str:
        """Return the holder in words."""
        return f"process {self.pid}, run {self.run_id}, since {self.since} UTC"


@contextmanager
def refresh_lock(path: Path, run_id: str) -> Iterator[LockHolder]:
    """Hold the lock of a home folder.

    The command takes it before Dagster starts and the Dagster resource takes it again for the same
    run; the second time only reads what this process already holds.

    Args:
        path: The lock file.
        run_id: The run that will hold it.

    Raises:
        LockHeldError: Another process, or another run of this process, holds it.
    """
    path = path.resolve()
    held = _held_here.get(path)
    if held is not None:
        if held.run_id != run_id:
            raise LockHeldError(_held_message(held))
        yield held
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A child that outlived a killed run must not keep the lock (recovery ends such children),
    # so the descriptor is closed on exec, which is Python's default.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _try_exclusively(descriptor):
            raise LockHeldError(_held_message(_read(path)))
        holder = LockHolder(
            pid=os.getpid(),
            run_id=run_id,
            since=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        _held_here[path] = holder
        try:
            yield holder
        finally:
            del _held_here[path]
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def current_holder(path: Path) -> LockHolder | None:
    """Return who holds the lock now, or None when it is free."""
    held = _held_here.get(path.resolve())
    if held is not None:
        return held
    if not path.exists():
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path)
        return None
    finally:
        os.close(descriptor)


def _try_exclusively(descriptor: int) -> bool:
    # `current_holder` of another process locks for a moment to look; that is not a refresh.
    for attempt in range(3):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt < 2:
                time.sleep(0.05)
        else:
            return True
    return False


def _read(path: Path) -> LockHolder:
    try:
        return LockHolder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        # The holder has the lock but has not written its name yet.
        return LockHolder(pid=0, run_id="unknown", since="unknown")


def _held_message(holder: LockHolder) -> str:
    return (
        f"A refresh of this home is already running ({holder.describe()}); "
        "wait until it ends, then run again."
    )
