"""Dagster's SQLite storage, made fit for runs of a thousand events; `dagster.yaml` names it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

# Dagster's own patience with a file that another process is writing.
_BUSY_SECONDS = 30
# The UI looks at hundreds of runs, each in a file of its own; a run needs two files open.
_OPEN_FILES = 8


class EventLog(SqliteEventLogStorage):
    """The same files and tables, with one SQLAlchemy engine per file instead of one per question.

    Dagster makes a new engine for each of the 3,500 questions of a run; each opens and closes its
    file and compiles its statements anew: a third of the CPU time of a small refresh. What is once
    there, and is asked for before every asset event, is remembered: 3 % of it.
    """

    def __init__(self, base_dir: str) -> None:
        """Open the log of a folder.

        Args:
            base_dir: Holds one file per run, and the index of all.
        """
        self._engines: dict[str, Engine] = {}
        self._there: set[tuple[str, str]] = set()
        super().__init__(base_dir)

    def has_table(self, table_name: str) -> bool:
        """Return whether the index has a table; one that is there stays.

        Dagster asks before every asset event, each time with an engine of its own.
        """
        return self._stays("table", table_name, super().has_table)

    def has_secondary_index(self, name: str) -> bool:
        """Return whether a migration of the index is done; one that is done stays so."""
        return self._stays("migration", name, super().has_secondary_index)

    def _stays(self, kind: str, name: str, ask: Callable[[str], bool]) -> bool:
        if (kind, name) not in self._there:
            if not ask(name):
                return False
            self._there.add((kind, name))
        return True

    def delete_events(self, run_id: str) -> None:
        """Delete all that a run left; Dagster would keep the run's file and its checks for ever.

        Args:
            run_id: A run that has ended.
        """
        checks = AssetCheckExecutionsTable
        with self.index_connection() as connection:
            self.delete_events_for_run(connection, run_id)
            connection.execute(checks.delete().where(checks.c.run_id == run_id))
        self.free_concurrency_slots_for_run(run_id)
        with self._db_lock:
            engine = self._engines.pop(run_id, None)
            if engine is not None:
                engine.dispose()
            self._initialized_dbs.discard(run_id)
            for suffix in ("", "-wal", "-shm"):
                Path(self.path_for_shard(run_id) + suffix).unlink(missing_ok=True)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine_of(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def dispose(self) -> None:
        """Close the files."""
        super().dispose()
        with self._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()

    def _engine_of(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
            )
        # Used last, closed last.
        self._engines[shard] = engine
        while len(self._engines) > _OPEN_FILES:
            self._engines.pop(next(iter(self._engines))).dispose()
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine


class RunHistory(DagsterSqliteStorage):
    """Runs, schedules and events of one home, in the files that Dagster's own storage makes."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the storage of a folder; Dagster calls it with the values of `dagster.yaml`.

        Args:
            base_dir: Dagster's folder in the home.
            inst_data: How Dagster finds this class again in a process of its own.
        """
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Return the storage that `dagster.yaml` asks for."""
        return cls.from_local(inst_data=inst_data, **config_value)
