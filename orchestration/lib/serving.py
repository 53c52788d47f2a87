"""Publishing: marts are built in a file of their own, audited, and only then shown.

DuckDB keeps every reader away from a file that is being written, so nobody reads the file under
construction. Publishing gives it a path of its own that is never used again (an open connection
pool would serve the old content of a replaced path without an error), and puts a copy in the place
analysts know by an atomic rename.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.lib.errors import DiskSpaceError, PublishError, RollbackError

KEPT_FILES = 3
MARTS_SCHEMA = "marts"
_MARGIN_BYTES = 200 * 1024 * 1024
# What publishing itself writes here, its run ids being UUIDs; analysts keep files beside it.
_OUR_NAME = re.compile(
    r"voronka_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.duckdb(\.wal)?"
    r"|build\.duckdb(\.wal)?|voronka\.duckdb\.(wal|tmp)|(state|held)\.json\.tmp"
)


@dataclass(frozen=True)
class PublishedFile:
    """One published build: its run, file, moment (UTC), rows by table, the company's zone."""

    run_id: str
    file_name: str
    published_at: str
    row_counts: Mapping[str, int]
    time_zone: str | None = None


@dataclass(frozen=True)
class ServeState:
    """What is served now and what can be gone back to, newest first."""

    current_run_id: str | None = None
    published: tuple[PublishedFile, ...] = field(default=())

    @property
    def current(self) -> PublishedFile | None:
        """Return the build that is served."""
        return next((one for one in self.published if one.run_id == self.current_run_id), None)

    @property
    def accepted(self) -> tuple[PublishedFile, ...]:
        """Return the served build and those before it: a rollback rejected the newer ones."""
        run_ids = [one.run_id for one in self.published]
        if self.current_run_id not in run_ids:
            return self.published
        return self.published[run_ids.index(self.current_run_id) :]

    @property
    def time_zone(self) -> str | None:
        """Return the company's zone as the served build knows it."""
        return self.current.time_zone if self.current is not None else None


class ServeFolder:
    """The folder of published files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # dbt's profile names this path; a new one each run would throw its parse cache away.
        self.build_file = folder / "build.duckdb"
        self.public_file = folder / "voronka.duckdb"
        self.state_file = folder / "state.json"
        self.held_file = folder / "held.json"

    def state(self) -> ServeState:
        """Return what is published, as written by the last publish or rollback."""
        try:
            stored = json.loads(self.state_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ServeState()
        return ServeState(
            current_run_id=stored["current_run_id"],
            published=tuple(PublishedFile(**one) for one in stored["published"]),
        )

    def hold(self, file_names: Iterable[str]) -> None:
        """Keep these files until told otherwise: Metabase has them open, or is about to.

        Args:
            file_names: All that must stay; those held before and not named may go.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(self.held_file, sorted(set(file_names)))

    def held(self) -> set[str]:
        """Return the names of the files that must stay."""
        try:
            return set(json.loads(self.held_file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return set()

    def path_of(self, published: PublishedFile) -> Path:
        """Return the file of a published build."""
        return self.folder / published.file_name

    def new_serve_file(self) -> Path:
        """Return the path to build into; what a broken build left there is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove_database(self.build_file)
        return self.build_file

    def make_working_copy(self) -> None:
        """Put a copy of what is published where dbt builds."""
        build_file = self.new_serve_file()
        current = self.state().current
        if current is not None and self.path_of(current).exists():
            shutil.copyfile(self.path_of(current), build_file)

    def audit(self, expected_tables: Iterable[str]) -> dict[str, int]:
        """Checkpoint the built file and return its row counts.

        Args:
            expected_tables: Every table the dbt project declares in the marts schema.

        Raises:
            PublishError: The file is missing, a table is missing, or a view stands among the
                tables (a view reads the warehouse, which readers must not open).
        """
        if not self.build_file.exists():
            raise PublishError("dbt built no file to publish; run `voronka refresh` again.")
        with duckdb.connect(str(self.build_file)) as connection:
            connection.execute("checkpoint")
            found = dict(
                connection.execute(
                    "select table_name, table_type from information_schema.tables"
                    " where table_schema = ?",
                    [MARTS_SCHEMA],
                ).fetchall()
            )
            missing = sorted(set(expected_tables) - set(found))
            views = sorted(name for name, kind in found.items() if kind != "BASE TABLE")
            if missing:
                raise PublishError(
                    f"The built file lacks {_listed(missing)}; yesterday's file keeps serving."
                )
            if views:
                raise PublishError(
                    f"{_listed(views)} must be tables, not views; yesterday's file keeps serving."
                )
            if not found:
                raise PublishError("The built file holds no marts; yesterday's file keeps serving.")
            row_counts = {}
            for name in sorted(found):
                row = connection.execute(f'select count(*) from {MARTS_SCHEMA}."{name}"').fetchone()
                row_counts[name] = int(row[0]) if row else 0
        if _wal_of(self.build_file).exists():
            raise PublishError(
                "The built file could not be checkpointed; is the disk full? "
                "Yesterday's file keeps serving."
            )
        return row_counts

    def publish(
        self,
        run_id: str,
        expected_tables: Iterable[str],
        time_zone: str | None = None,
        before_switch: Callable[[Path], None] | None = None,
    ) -> PublishedFile:
        """Audit the built file and make it the one that is served.

        Builds that a rollback rejected are forgotten: nobody wants to be led back to them.

        Readers of the public file never see an error: those who opened it go on reading the
        content they opened, those who come later open the new one.

        Args:
            run_id: The run that built the file; it becomes part of the file name.
            expected_tables: Every table the dbt project declares in the marts schema.
            time_zone: The company's zone, kept for the schedule.
            before_switch: Called with the audited file; what it raises stops the publish.

        Returns:
            The published build.
        """
        row_counts = self.audit(expected_tables)
        if before_switch is not None:
            before_switch(self.build_file)
        published = PublishedFile(
            run_id=run_id,
            file_name=f"voronka_{run_id}.duckdb",
            published_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            row_counts=row_counts,
            time_zone=time_zone,
        )
        target = self.path_of(published)
        if target.exists():
            raise PublishError(f"Run {run_id} was published before; a path is never used twice.")
        _flush(self.build_file)
        self.build_file.chmod(0o444)
        self.build_file.rename(target)
        self._serve(published, (published, *self.state().accepted))
        return published

    def rollback(self) -> PublishedFile:
        """Serve the build published before the one served now.

        Returns:
            The build that is served from now on.

        Raises:
            RollbackError: No earlier build is kept.
        """
        earlier = self.earlier()
        if earlier is None:
            raise RollbackError(
                "No earlier published file is kept, so there is nothing to go back to."
            )
        self._serve(earlier, self.state().published)
        return earlier

    def earlier(self) -> PublishedFile | None:
        """Return the build that a rollback would serve."""
        state = self.state()
        before = (one for one in state.accepted if one.run_id != state.current_run_id)
        return next((one for one in before if self.path_of(one).exists()), None)

    def repair(self) -> list[str]:
        """Remove what a killed run left and restore the public file; call it under the lock.

        Returns:
            The names of what was removed or restored.
        """
        done = []
        for name in self.leftovers():
            (self.folder / name).unlink()
            done.append(f"removed {name}")
        current = self.state().current
        if current is not None and self.path_of(current).exists() and not self._shows(current):
            # Killed between the two renames of a publish: the state file decides.
            self._copy_to_public(current)
            done.append(f"restored {self.public_file.name}")
        return done

    def leftovers(self) -> list[str]:
        """Return the files of ours that no published build explains (doctor shows them)."""
        if not self.folder.exists():
            return []
        known = {one.file_name for one in self.state().published} | self.held()
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if _OUR_NAME.fullmatch(path.name) and path.name not in known and path.is_file()
        )

    def _serve(self, current: PublishedFile, published: tuple[PublishedFile, ...]) -> None:
        kept = list(published[:KEPT_FILES])
        if current not in kept:
            kept.append(current)
        before = self.state().published
        self._copy_to_public(current)
        state = {
            "current_run_id": current.run_id,
            "published": [asdict(one) for one in kept],
        }
        self._write(self.state_file, state)
        held = self.held()
        for old in before:
            if old not in kept and old.file_name not in held:
                # A reader that still has it open keeps its content until it closes.
                _remove_database(self.path_of(old))

    @staticmethod
    def _write(file: Path, content: object) -> None:
        temporary = file.with_suffix(".json.tmp")
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
        _flush(temporary)
        temporary.replace(file)

    def _copy_to_public(self, published: PublishedFile) -> None:
        source = self.path_of(published)
        temporary = self.folder / "voronka.duckdb.tmp"
        temporary.unlink(missing_ok=True)
        # A copy, not a link: an analyst who opens the public file for writing by mistake must not
        # touch the file that a rollback or Metabase needs. copy2 keeps the time of change, by
        # which `repair` sees which build the public file is.
        shutil.copy2(source, temporary)
        _flush(temporary)
        temporary.replace(self.public_file)
        # Left by someone who opened the public file for writing; it belongs to the old content.
        _wal_of(self.public_file).unlink(missing_ok=True)

    def _shows(self, published: PublishedFile) -> bool:
        if not self.public_file.exists():
            return False
        public, own = self.public_file.stat(), self.path_of(published).stat()
        return (public.st_size, public.st_mtime_ns) == (own.st_size, own.st_mtime_ns)


def bytes_needed(warehouse: Path, serve: ServeFolder) -> int:
    """Return the free disk a refresh may use: a new build, its public copy, growth, a margin."""
    current = serve.state().current
    last_build = (
        serve.path_of(current).stat().st_size
        if current is not None and serve.path_of(current).exists()
        else 0
    )
    warehouse_bytes = warehouse.stat().st_size if warehouse.exists() else 0
    return 2 * last_build + warehouse_bytes // 2 + _MARGIN_BYTES


def check_disk_space(home: Path, warehouse: Path, serve: ServeFolder) -> None:
    """Refuse to start a refresh that would fill the disk.

    Raises:
        DiskSpaceError: Fewer bytes are free than a refresh may use.
    """
    needed = bytes_needed(warehouse, serve)
    free = shutil.disk_usage(home).free
    if free < needed:
        raise DiskSpaceError(
            f"Only {_megabytes(free)} MB are free in {home}, a refresh may need "
            f"{_megabytes(needed)} MB; free some space or move the home (VORONKA_HOME)."
        )


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:,.0f}".replace(",", " ")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _wal_of(database: Path) -> Path:
    return database.with_name(database.name + ".wal")


def _remove_database(database: Path) -> None:
    database.unlink(missing_ok=True)
    _wal_of(database).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
