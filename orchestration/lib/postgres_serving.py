"""PostgreSQL as the second serving target: the marts replaced whole, readers see old or new.

A build is loaded into a schema of its own, `marts_<run id>`, in one transaction; a killed run
leaves nothing. The switch renames two schemas in another transaction, and every session looks names
up anew at its next statement, prepared ones included. The build before stays under its own name
for `voronka rollback`.

A rename alone needs no lock, but a statement looks its tables up one after another: renamed in
between, it would read one table of yesterday and one of today (2 of 116,000 reads under 200
switches). So the switch holds the old tables for itself, for milliseconds, and gives way at once
to readers that do not let go.

What is published says so itself: the comment of a schema names its run and its home. So a schema
`marts` that somebody else made is never touched, and a lost state file loses nothing.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql

from orchestration.lib.errors import PostgresError, PublishError
from orchestration.lib.postgres_connection import PostgresTarget, connected
from orchestration.lib.postgres_loading import (
    MartColumn,
    columns_of,
    comment_statements,
    copy_rows,
    create_statement,
)
from orchestration.lib.postgres_roles import copy_grants, ensure_reader, hide_from_others
from orchestration.lib.serving import MARTS_SCHEMA

_COMMENT = re.compile(r"Voronka build (\S+), loaded (\S+ \S+) UTC, home (\S+)")
# Any number; it keeps two publishes of one database apart.
_ADVISORY_LOCK = 7_106_110_114
_SWITCH_TRIES = 5
_RETRYABLE = frozenset({"55P03", "40001", "40P01", "XX000"})
_SETTLE_SECONDS = 2.0
# How long a switch asks for the old tables before it gives way, in turn; readers wait as long. Less
# than the time (1 s by default) after which PostgreSQL looks for deadlocks and would end a reader.
_GATE_SECONDS = (0.1, 0.2, 0.4, 0.4, 0.4)
_LAST_GATE_SECONDS = 0.02
# Rows pass through once; DuckDB would otherwise keep up to four fifths of the machine's memory.
_READER_CONFIG: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "512MB"}


@dataclass(frozen=True)
class PostgresBuild:
    """One build in the database: the schema it stands in, its run, when it was loaded (UTC)."""

    schema: str
    run_id: str
    loaded_at: str


@dataclass(frozen=True)
class MartDescriptions:
    """What dbt knows of the marts: descriptions, and the columns that name a row of each table."""

    tables: Mapping[str, str]
    columns: Mapping[tuple[str, str], str]
    keys: Mapping[str, Sequence[str]]


def descriptions_of(manifest: Mapping[str, Any]) -> MartDescriptions:
    """Return what the dbt project says of the tables in the marts schema."""
    tables: dict[str, str] = {}
    columns: dict[tuple[str, str], str] = {}
    keys: dict[str, Sequence[str]] = {}
    names: dict[str, str] = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] not in {"model", "seed"} or node["schema"] != MARTS_SCHEMA:
            continue
        name = node.get("alias") or node["name"]
        names[unique_id] = name
        tables[name] = node.get("description") or ""
        for column in node.get("columns", {}).values():
            columns[name, column["name"]] = column.get("description") or ""
    for node in manifest["nodes"].values():
        test = node.get("test_metadata") or {}
        if test.get("name") == "unique_key" and node.get("attached_node") in names:
            keys.setdefault(names[node["attached_node"]], test["kwargs"]["columns"])
    return MartDescriptions(tables, columns, keys)


class PostgresServing:
    """The marts in one PostgreSQL database."""

    def __init__(self, target: PostgresTarget) -> None:
        self.target = target

    def builds(self) -> list[PostgresBuild]:
        """Return the whole builds of this home, the served one first, then the newest."""
        with connected(self.target) as connection:
            return self._builds(connection)

    def served(self) -> PostgresBuild | None:
        """Return the build readers see."""
        return next((one for one in self.builds() if one.schema == MARTS_SCHEMA), None)

    def load(
        self,
        file: Path,
        run_id: str,
        descriptions: MartDescriptions,
        tell: Callable[[str], None] = lambda _: None,
    ) -> dict[str, int]:
        """Load an audited DuckDB file into a schema of its own; readers do not see it yet.

        Args:
            file: The DuckDB file; it is opened for reading.
            run_id: The run that built it.
            descriptions: Comments and keys of the tables.
            tell: Receives what arrived otherwise than wanted, one line each.

        Returns:
            Rows by table, as the server counted them.

        Raises:
            PostgresError: The server cannot be reached or refuses.
            PublishError: A row or a type did not arrive.
        """
        schema = schema_of(run_id)
        with (
            duckdb.connect(str(file), read_only=True, config=_READER_CONFIG) as source,
            connected(self.target) as connection,
            connection.transaction(),
        ):
            connection.execute("set local timezone = 'UTC'")
            connection.execute("set local statement_timeout = 0")
            connection.execute("set local idle_in_transaction_session_timeout = 0")
            present = self._builds(connection)
            if any(build.run_id == run_id for build in present):
                return {}
            ensure_reader(connection, self.target)
            connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
            tables = [
                str(name)
                for (name,) in source.execute(
                    "select table_name from duckdb_tables() where schema_name = ? order by 1",
                    [MARTS_SCHEMA],
                ).fetchall()
            ]
            counts = {
                table: _load_table(source, connection, schema, table, descriptions, tell)
                for table in tables
            }
            copy_grants(connection, self.target, MARTS_SCHEMA, schema)
            loaded_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
            text = f"Voronka build {run_id}, loaded {loaded_at} UTC, home {self.target.home_id}"
            connection.execute(
                sql.SQL("comment on schema {} is {}").format(
                    sql.Identifier(schema), sql.Literal(text)
                )
            )
        return counts

    def switch(self, run_id: str) -> float:
        """Show a loaded build; a reader's next statement sees it, a running one ends on the old.

        Readers wait for milliseconds; readers that go on for seconds are not waited for.

        Calling it again does no harm: whether a lost connection lost the commit too is seen in
        the database.

        Args:
            run_id: A run whose build was loaded.

        Returns:
            Seconds the switch took.

        Raises:
            PostgresError: The server cannot be reached or refuses, or the build is not there.
        """
        started = time.monotonic()
        for attempt in range(1, _SWITCH_TRIES + 1):
            try:
                with connected(self.target) as connection:
                    self._switch(connection, run_id)
                return time.monotonic() - started
            except PostgresError as error:
                cause = error.__context__
                is_passing = isinstance(cause, psycopg.Error) and (
                    cause.sqlstate is None or cause.sqlstate in _RETRYABLE
                )
                if not is_passing or attempt == _SWITCH_TRIES:
                    raise
                time.sleep(0.2 * attempt)
        raise AssertionError("the last try returns or raises")

    def tidy(self, kept_run_ids: Iterable[str]) -> list[str]:
        """Remove builds nobody goes back to and hide the kept ones from readers.

        Args:
            kept_run_ids: Runs to keep; the served build stays anyway.

        Returns:
            What could not be removed, one line each; the next publish tries again.
        """
        kept = set(kept_run_ids)
        left = []
        with connected(self.target) as connection:
            others = [one for one in self._builds(connection) if one.schema != MARTS_SCHEMA]
            # A reader that looked up `marts` just before the switch may be about to ask whether
            # it may use that schema.
            if others and _statements_have_ended(connection):
                for build in others:
                    if build.run_id in kept:
                        hide_from_others(connection, build.schema)
            for build in others:
                if build.run_id not in kept:
                    left += _dropped(connection, build.schema)
        return left

    def repair(self, run_id: str) -> str | None:
        """Show the build that the home says is served, if a killed run left another one.

        Args:
            run_id: The run whose file the home serves.

        Returns:
            What was done, or None.
        """
        builds = {build.run_id: build for build in self.builds()}
        wanted = builds.get(run_id)
        if wanted is None or wanted.schema == MARTS_SCHEMA:
            return None
        self.switch(run_id)
        return f"PostgreSQL shows the build of {wanted.loaded_at} UTC"

    def _switch(self, connection: psycopg.Connection[Any], run_id: str) -> None:
        with connection.transaction():
            connection.execute("set local lock_timeout = '5s'")
            connection.execute("select pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
            builds = self._builds(connection)
            wanted = next((build for build in builds if build.run_id == run_id), None)
            if wanted is None:
                raise PostgresError(
                    f"PostgreSQL at {self.target} holds no build of run {run_id};"
                    " run `voronka refresh`."
                )
            if wanted.schema == MARTS_SCHEMA:
                return
            copy_grants(connection, self.target, MARTS_SCHEMA, wanted.schema)
            _hold_tables(connection)
            for build in builds:
                if build.schema == MARTS_SCHEMA:
                    _rename(connection, MARTS_SCHEMA, schema_of(build.run_id))
            _rename(connection, wanted.schema, MARTS_SCHEMA)

    def _builds(self, connection: psycopg.Connection[Any]) -> list[PostgresBuild]:
        rows = connection.execute(
            "select nspname, coalesce(obj_description(oid, 'pg_namespace'), ''),"
            " pg_get_userbyid(nspowner), pg_has_role(nspowner, 'usage')"
            " from pg_catalog.pg_namespace where nspname = %s or nspname like %s",
            [MARTS_SCHEMA, MARTS_SCHEMA + r"\_%"],
        ).fetchall()
        builds = []
        for schema, comment, owner, is_owner in rows:
            said = _COMMENT.fullmatch(comment)
            if said and said[3] == self.target.home_id:
                if not is_owner:
                    raise PostgresError(
                        f"PostgreSQL at {self.target}: the user {owner} published there before."
                        f" Publish as {owner} again, or let an administrator run: grant {owner} to"
                        f" {self.target.user};"
                    )
                builds.append(PostgresBuild(schema, said[1], said[2]))
            elif schema == MARTS_SCHEMA:
                whose = "by another home of Voronka" if said else "by somebody else"
                raise PostgresError(
                    f"PostgreSQL at {self.target}: the schema {MARTS_SCHEMA} was made {whose} and"
                    " stays as it is; give each company a database of its own, or remove the"
                    " schema."
                )
        builds.sort(key=lambda build: build.loaded_at, reverse=True)
        return sorted(builds, key=lambda build: build.schema != MARTS_SCHEMA)


def schema_of(run_id: str) -> str:
    """Return the schema in which a run's build stands while it is not the served one."""
    return f"{MARTS_SCHEMA}_{re.sub(r'[^a-z0-9]', '_', run_id.lower())}"[:63]


def _load_table(
    source: duckdb.DuckDBPyConnection,
    connection: psycopg.Connection[Any],
    schema: str,
    table: str,
    descriptions: MartDescriptions,
    tell: Callable[[str], None],
) -> int:
    columns = columns_of(source, MARTS_SCHEMA, table)
    target = sql.Identifier(schema, table)
    connection.execute(create_statement(target, columns))
    arrived = copy_rows(source, MARTS_SCHEMA, table, columns, connection, target)
    counted = source.execute(f'select count(*) from {MARTS_SCHEMA}."{table}"').fetchone()
    if counted is None or counted[0] != arrived:
        raise PublishError(
            f"PostgreSQL took {arrived} rows of {table}, the file holds {counted and counted[0]};"
            " yesterday's build keeps serving."
        )
    key = [name for name in descriptions.keys.get(table, ()) if _holds(columns, name)]
    if key:
        names = sql.SQL(", ").join(sql.Identifier(name) for name in key)
        try:
            with connection.transaction():
                connection.execute(sql.SQL("create index on {} ({})").format(target, names))
        except psycopg.errors.ProgramLimitExceeded:
            # Readers miss an index, not the build: one text of 3,000 letters is enough.
            tell(
                f"{table} has no index on {', '.join(key)} in PostgreSQL: a text there is too long"
                " for one"
            )
    described = [
        (sql.Identifier(schema, table, column.name), text)
        for column in columns
        if (text := descriptions.columns.get((table, column.name)))
    ]
    comments = comment_statements(target, descriptions.tables.get(table), described)
    if comments:
        connection.execute(sql.SQL("; ").join(comments))
    connection.execute(sql.SQL("analyze {}").format(target))
    return arrived


def _holds(columns: Sequence[MartColumn], name: str) -> bool:
    return any(column.name == name for column in columns)


def _hold_tables(connection: psycopg.Connection[Any]) -> None:
    """Keep readers out of the served tables until the transaction ends.

    A reader that holds one for longer than a moment is past looking names up: it ends on the build
    it began with, and only the tables it leaves free are held.
    """
    tables = [sql.Identifier(MARTS_SCHEMA, name) for name in _table_names(connection, MARTS_SCHEMA)]
    if not tables:
        return
    every = sql.SQL("lock table {} in access exclusive mode").format(sql.SQL(", ").join(tables))
    row = connection.execute(
        "select setting::int / 2000.0 from pg_catalog.pg_settings where name = 'deadlock_timeout'"
    ).fetchone()
    longest = float(row[0]) if row else min(_GATE_SECONDS)
    for wanted in _GATE_SECONDS:
        seconds = min(wanted, longest)
        try:
            with connection.transaction():
                connection.execute(f"set local statement_timeout = {max(1, int(seconds * 1000))}")
                connection.execute(every)
                connection.execute("set local statement_timeout = 0")
            return
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            # Whoever waited behind us goes first.
            time.sleep(seconds / 2)
    deadline = time.monotonic() + max(_GATE_SECONDS)
    for table in tables:
        if time.monotonic() > deadline:
            return
        with (
            contextlib.suppress(psycopg.errors.LockNotAvailable),
            connection.transaction(),
        ):
            connection.execute(f"set local lock_timeout = {int(_LAST_GATE_SECONDS * 1000)}")
            connection.execute(sql.SQL("lock table {} in access exclusive mode").format(table))
            connection.execute("set local lock_timeout = '5s'")


def _table_names(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    rows = connection.execute(
        "select tables.relname from pg_catalog.pg_class as tables"
        " inner join pg_catalog.pg_namespace as schemas on tables.relnamespace = schemas.oid"
        " where schemas.nspname = %s and tables.relkind = 'r' order by 1",
        [schema],
    ).fetchall()
    return [str(name) for (name,) in rows]


def _rename(connection: psycopg.Connection[Any], old: str, new: str) -> None:
    connection.execute(
        sql.SQL("alter schema {} rename to {}").format(sql.Identifier(old), sql.Identifier(new))
    )


def _statements_have_ended(connection: psycopg.Connection[Any]) -> bool:
    """Wait a moment until every transaction that runs now in this database has ended."""
    running = (
        "select locks.virtualtransaction from pg_catalog.pg_locks as locks"
        " join pg_catalog.pg_stat_activity as activity on locks.pid = activity.pid"
        " where locks.locktype = 'virtualxid' and activity.datname = current_database()"
        " and locks.pid <> pg_backend_pid()"
    )
    before = set(connection.execute(running).fetchall())
    deadline = time.monotonic() + _SETTLE_SECONDS
    while before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
        before &= set(connection.execute(running).fetchall())
    return True


def _dropped(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Drop a build's tables and schema, nothing that somebody else hung on them."""
    tables = _table_names(connection, schema)
    try:
        with connection.transaction():
            connection.execute("set local lock_timeout = '2s'")
            if tables:
                names = sql.SQL(", ").join(sql.Identifier(schema, name) for name in tables)
                connection.execute(sql.SQL("drop table {} restrict").format(names))
            connection.execute(sql.SQL("drop schema {} restrict").format(sql.Identifier(schema)))
    except psycopg.errors.DependentObjectsStillExist as error:
        detail = " ".join((error.diag.message_detail or "").splitlines()[:1])
        return [
            f"{schema} stays: {detail}. A view over {MARTS_SCHEMA} goes on reading the build it was"
            " made on; drop it and make it again"
        ]
    except psycopg.errors.LockNotAvailable:
        return [f"{schema} is still being read; the next publish removes it"]
    return []
