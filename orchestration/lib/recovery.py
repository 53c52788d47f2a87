"""Putting a home in order after a killed run; everything here happens under the lock."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.config import Home
from orchestration.lib.lock import current_holder
from orchestration.lib.serving import ServeFolder

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

_CHILD_FILE = "child.json"
_KEPT_RUNS = 30
_FORGOTTEN_AT_ONCE = 20
_LONGEST_START = timedelta(minutes=10)


@dataclass(frozen=True)
class Child:
    """A dbt process: its id and the moment the kernel started it, which no later process shares."""

    pid: int
    start_ticks: int


def remember_child(home: Home, pid: int) -> None:
    """Write down the dbt process of this run, so that the next run can end it if we are killed."""
    ticks = _start_ticks(pid)
    if ticks is not None:
        _child_file(home).write_text(json.dumps(asdict(Child(pid, ticks))))


def forget_child(home: Home) -> None:
    """Take the note away: the process has ended."""
    _child_file(home).unlink(missing_ok=True)


def end_orphan(home: Home) -> str | None:
    """End the dbt process that outlived a killed run; it would keep the warehouse locked.

    Returns:
        What was done, or None.
    """
    try:
        child = Child(**json.loads(_child_file(home).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    ended = None
    if _start_ticks(child.pid) == child.start_ticks:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while _start_ticks(child.pid) == child.start_ticks and time.monotonic() < deadline:
            time.sleep(0.05)
        ended = f"ended process {child.pid}, left by a killed run"
    forget_child(home)
    return ended


def fail_dead_runs(instance: "DagsterInstance", run_id: str) -> list[str]:
    """Mark the runs that a kill left as started; with the lock in our hands they are dead.

    Args:
        instance: Dagster's storage of this home.
        run_id: The run that holds the lock now.

    Returns:
        The ids of the runs that were marked.
    """
    dead = [run for run in _begun_runs(instance) if run.run_id != run_id]
    _fail(instance, dead)
    return [run.run_id for run in dead]


def fail_stranded_runs(
    instance: "DagsterInstance", home: Home, suspects: Collection[str]
) -> list[str]:
    """Mark the runs that no process works on, from outside of a run.

    Dagster counts them as working and would let no other run begin. A run has no lock in the moment
    of its start and of its end, so only one that is found without it twice is dead.

    Args:
        instance: Dagster's storage of this home.
        home: The home folder.
        suspects: What the look before this one returned.

    Returns:
        The ids of the runs that are suspected now.
    """
    from dagster import DagsterRunStatus, RunsFilter

    if current_holder(home.refresh_lock) is not None:
        return []
    # Until it holds the lock, a run of the UI imports and parses.
    long_ago = datetime.now(UTC) - _LONGEST_START
    runs = _begun_runs(instance)
    runs += instance.get_runs(
        RunsFilter(statuses=[DagsterRunStatus.STARTING], updated_before=long_ago)
    )
    found = {run.run_id: run for run in runs}
    _fail(instance, [run for run in found.values() if run.run_id in suspects])
    return sorted(set(found) - set(suspects))


def _begun_runs(instance: "DagsterInstance") -> "list[DagsterRun]":
    from dagster import DagsterRunStatus, RunsFilter

    from orchestration.lib.environment import COMMAND_TAG

    begun = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    # A run of the command exists only under the lock; one of the UI may be about to ask for it.
    created = [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING]
    runs = list(instance.get_runs(RunsFilter(statuses=begun)))
    runs += instance.get_runs(RunsFilter(statuses=created, tags={COMMAND_TAG: "true"}))
    return runs


def _fail(instance: "DagsterInstance", runs: "Iterable[DagsterRun]") -> None:
    for run in runs:
        instance.report_run_failed(run, "The process of this run was killed.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def forget_old_runs(instance: "DagsterInstance", home: Home) -> None:
    """Delete all but the newest runs from the run history, which would grow by 8 MB a refresh.

    Args:
        instance: Dagster's storage of this home.
        home: The home folder.
    """
    from dagster import DagsterRunStatus, RunsFilter

    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    run_ids = instance.get_run_ids(RunsFilter(statuses=ended))
    # The history of a year is not made smaller in one refresh.
    for run_id in run_ids[_KEPT_RUNS:][-_FORGOTTEN_AT_ONCE:]:
        instance.delete_run(run_id)
        shutil.rmtree(home.dagster_dir / run_id, ignore_errors=True)


def tidy_home(home: Home) -> list[str]:
    """Remove what killed runs left in the home's folders and restore the public file.

    Returns:
        What was done, one entry each.
    """
    done = [text for text in [end_orphan(home)] if text]
    done += ServeFolder(home.serve_dir).repair()
    # As `tempfile` names what becomes the page in one step.
    for path in home.page_file.parent.glob(f".{home.page_file.name}.????????"):
        path.unlink()
        done.append(f"removed {path.name}")
    logs = sorted(home.logs_dir.glob("refresh_*.log"), key=lambda path: path.stat().st_mtime)
    for path in logs[:-_KEPT_RUNS]:
        path.unlink()
    return done


def _child_file(home: Home) -> Path:
    folder = home.dbt_target_dir.parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder / _CHILD_FILE


def _start_ticks(pid: int) -> int | None:
    try:
        # The name in brackets may hold spaces; field 22 of proc(5) counts from after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie has ended and holds no file.
    return None if fields[0] == "Z" else int(fields[19])
