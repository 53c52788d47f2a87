"""Running the refresh job inside the command, recorded in the storage the UI reads."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterInstance

from ingest.errors import StorageError
from orchestration.lib.causes import Cause, causes_of, in_one_line
from orchestration.lib.environment import COMMAND_TAG

if TYPE_CHECKING:
    from dagster import JobDefinition

# One line per event would make the log file of a run thousands of lines long; the event log of
# the UI has them all.
_QUIET_CONSOLE = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}


@contextmanager
def open_instance(dagster_dir: Path) -> Iterator[DagsterInstance]:
    """Open Dagster's storage of this home.

    Raises:
        StorageError: The storage is broken or its disk is full; data and published files are not
            touched by that.
    """
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        dagster_dir.mkdir(parents=True, exist_ok=True)
        instance = DagsterInstance.get()
        instance.get_runs_count()
    except (OSError, sqlite3.Error, SQLAlchemyError) as error:
        if _is_full(error):
            raise _full_disk(dagster_dir) from None
        reason = in_one_line(str(error) or type(error).__name__)
        raise StorageError(
            f"the run history in {dagster_dir} cannot be opened ({reason})",
            action="Move that folder away and run again; only the history of runs is lost",
        ) from None
    try:
        with instance, _light_commits():
            yield instance
    except OperationalError as error:
        if _is_full(error):
            raise _full_disk(dagster_dir) from None
        raise


def _is_full(error: BaseException) -> bool:
    return "disk is full" in str(error) or getattr(error, "errno", None) == errno.ENOSPC


def _full_disk(folder: Path) -> StorageError:
    return StorageError(f"no space left on the disk of {folder}", action="Free some, run again")


@contextmanager
def _light_commits() -> Iterator[None]:
    """Spare Dagster's SQLite files a flush to disk per event.

    Dagster opens and closes a database for each of the thousands of events of a run; a commit then
    waits for the disk, and closing the last connection writes the whole log back. In WAL mode
    `synchronous = normal` keeps the files sound (a power cut may lose the last events of the run
    history), and a connection held open keeps the log in place until the run ends.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    held: dict[str, sqlite3.Connection] = {}

    def on_connect(connection: object, _record: object) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("pragma synchronous = normal")
        path = connection.execute("pragma database_list").fetchone()[2]
        if path and path not in held:
            held[path] = sqlite3.connect(path, check_same_thread=False)
            held[path].execute("select count(*) from sqlite_master").fetchone()

    event.listen(Engine, "connect", on_connect)
    try:
        yield
    finally:
        event.remove(Engine, "connect", on_connect)
        for connection in held.values():
            connection.close()


def run_job(job: "JobDefinition", instance: DagsterInstance, run_id: str) -> list[Cause]:
    """Execute a job in this process.

    Every step that does not depend on a failed one still runs, so one broken source does not hide
    that another one is broken too.

    Returns:
        Why the run failed; empty when it succeeded.
    """
    result = job.execute_in_process(
        run_config=_QUIET_CONSOLE,
        instance=instance,
        run_id=run_id,
        tags={COMMAND_TAG: "true"},
        raise_on_error=False,
    )
    if result.success:
        return []
    causes = causes_of(result.all_events)
    return causes or [Cause("Error", "the run failed without saying why")]
