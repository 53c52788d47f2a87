"""Connections to the databases behind the fake: real DuckDB files, real PostgreSQL servers.

A pool keeps its connections open for as long as the connection details stay, so a file replaced
under its path goes on answering with the old rows, and only another path (or all connections
closed) shows the new ones: api.md 10.3.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import fnmatch
import math
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb

# The pool of a Metabase: MB_JDBC_DATA_WAREHOUSE_MAX_CONNECTION_POOL_SIZE.
POOL_SIZE = 15
_DUCKDB_DETAILS = {
    "database_file",
    "read_only",
    "old_implicit_casting",
    "allow_unsigned_extensions",
    "memory_limit",
    "azure_transport_option_type",
    "motherduck_token",
    "init_sql",
    "additional-options",
    # Metabase's own, taken away before DuckDB sees them.
    "advanced-options",
    "use-connection-pool",
    "let-user-control-scheduling",
    "schedules.metadata_sync",
    "schedules.cache_field_values",
}
_DUCKDB_TYPES = {
    "BIGINT": "type/BigInteger",
    "HUGEINT": "type/BigInteger",
    "UBIGINT": "type/BigInteger",
    "INTEGER": "type/Integer",
    "SMALLINT": "type/Integer",
    "TINYINT": "type/Integer",
    "UINTEGER": "type/Integer",
    "DOUBLE": "type/Float",
    "FLOAT": "type/Float",
    "BOOLEAN": "type/Boolean",
    "VARCHAR": "type/Text",
    "DATE": "type/Date",
    "TIMESTAMP": "type/DateTime",
    "TIMESTAMP WITH TIME ZONE": "type/DateTimeWithLocalTZ",
    "TIME": "type/Time",
    "UUID": "type/UUID",
}
_POSTGRES_TYPES = {
    "bigint": "type/BigInteger",
    "integer": "type/Integer",
    "smallint": "type/Integer",
    "numeric": "type/Decimal",
    "double precision": "type/Float",
    "real": "type/Float",
    "boolean": "type/Boolean",
    "text": "type/Text",
    "character varying": "type/Text",
    "date": "type/Date",
    "timestamp without time zone": "type/DateTime",
    "timestamp with time zone": "type/DateTimeWithLocalTZ",
    "uuid": "type/UUID",
}


class EngineError(Exception):
    """The database refused: a connection or a statement."""


@dataclass(frozen=True)
class Column:
    """A column of a table or of a result."""

    name: str
    database_type: str
    base_type: str
    description: str | None = None


@dataclass(frozen=True)
class Table:
    """A table as a sync sees it."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    description: str | None = None


@dataclass(frozen=True)
class Result:
    """What a statement returned; `is_cut` when there were more rows than asked for."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool


class Pool(Protocol):
    """Open connections to one database."""

    @property
    def identity(self) -> tuple[Any, ...]:
        """Return what tells the content read from any other."""
        ...

    def run(self, sql: str, limit: int) -> Result:
        """Return at most `limit` rows of a statement."""
        ...

    def tables(self) -> list[Table]:
        """Return what is there."""
        ...

    def close(self) -> None:
        """Close what nobody uses, and the rest when it comes back."""
        ...


class Instances:
    """DuckDB's cache of instances, one process's: a path is read again when nobody has it open.

    Each instance gets a hard link of its own, so that other connections of this Python process,
    which DuckDB would put into the same instance, are another process's as far as the fake goes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, tuple[Path, int]] = {}

    def connect(self, path: Path) -> duckdb.DuckDBPyConnection:
        """Return a connection to what the path held when the first of those open now came.

        Raises:
            EngineError: There is no file, or it is not one of DuckDB's.
        """
        with self._lock:
            link, count = self._open.get(path, (None, 0))
            if link is None:
                if not path.is_file():
                    raise EngineError(
                        f'IO Error: Cannot open database "{path}" in read-only mode:'
                        " database does not exist"
                    )
                link = _link_to(path)
            try:
                connection = duckdb.connect(str(link), read_only=True)
                connection.execute("set TimeZone = 'UTC'")
            except duckdb.Error as error:
                if not count:
                    _remove(link, path)
                raise EngineError(str(error)) from error
            self._open[path] = (link, count + 1)
            return connection

    def close(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        """Close a connection; with the last one the instance goes."""
        with self._lock:
            connection.close()
            link, count = self._open[path]
            if count > 1:
                self._open[path] = (link, count - 1)
            else:
                del self._open[path]
                _remove(link, path)

    def identity(self, path: Path) -> tuple[Any, ...]:
        """Return what tells the content read through a path now from any other content."""
        with self._lock:
            about = self._open.get(path, (path, 0))[0].stat()
        return (about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size)

    @property
    def count(self) -> int:
        """Return how many instances are open."""
        return len(self._open)


def _link_to(path: Path) -> Path:
    # The name stays: its stem is the catalog's name in SQL.
    link = Path(tempfile.mkdtemp(prefix="fake-metabase-")) / path.name
    try:
        os.link(path.resolve(), link)
    except OSError:
        # Another file system: the product's own connections share the instance then.
        link.parent.rmdir()
        return path
    return link


def _remove(link: Path, path: Path) -> None:
    if link != path:
        shutil.rmtree(link.parent, ignore_errors=True)


class DuckdbPool:
    """Connections to one path; they share what DuckDB read when the first was opened."""

    def __init__(self, details: dict[str, Any], instances: Instances) -> None:
        unknown = sorted(set(details) - _DUCKDB_DETAILS)
        if unknown:
            raise EngineError(f"The following options were not recognized: {', '.join(unknown)}")
        self._path = Path(str(details.get("database_file") or ""))
        self._instances = instances
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(POOL_SIZE)
        self._is_closed = False
        self._idle = [instances.connect(self._path)]

    @property
    def identity(self) -> tuple[Any, ...]:
        """Return what tells the content read from any other."""
        return self._instances.identity(self._path)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._slots:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            # A query that asked for the pool just before it was closed still gets its answer.
            connection = connection or self._instances.connect(self._path)
            try:
                yield connection
            finally:
                with self._lock:
                    is_kept = not self._is_closed
                    if is_kept:
                        self._idle.append(connection)
                if not is_kept:
                    self._instances.close(self._path, connection)

    def run(self, sql: str, limit: int) -> Result:
        """Return at most `limit` rows of a statement.

        Raises:
            EngineError: DuckDB refused it.
        """
        with self._borrowed() as connection:
            try:
                cursor = connection.execute(sql)
                rows = cursor.fetchmany(limit + 1)
                described = cursor.description or []
            except duckdb.Error as error:
                raise EngineError(str(error)) from error
        columns = tuple(
            Column(name, str(kind), duckdb_base_type(str(kind))) for name, kind, *_ in described
        )
        return Result(columns, tuple(shown_row(row) for row in rows[:limit]), len(rows) > limit)

    def tables(self) -> list[Table]:
        """Return all tables of all schemas, comments as descriptions."""
        with self._borrowed() as connection:
            rows = connection.execute(
                "select schema_name, table_name, column_name, data_type, comment"
                " from duckdb_columns() where not internal and database_name = current_database()"
                " order by schema_name, table_name, column_index"
            ).fetchall()
            comments = {
                (schema, name): comment
                for schema, name, comment in connection.execute(
                    "select schema_name, table_name, comment from duckdb_tables()"
                    " where comment is not null"
                ).fetchall()
            }
        return gathered(rows, comments, duckdb_base_type)

    def close(self) -> None:
        """Close idle connections now and busy ones when they come back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            self._instances.close(self._path, connection)


class PostgresPool:
    """Connections to a PostgreSQL server, through the driver the product uses."""

    def __init__(self, details: dict[str, Any]) -> None:
        # Imported late: only tests with a server need the driver.
        import psycopg

        self._psycopg = psycopg
        self._settings = {
            "host": details.get("host") or "localhost",
            "port": int(details.get("port") or 5432),
            "dbname": details.get("dbname") or details.get("db"),
            "user": details.get("user"),
            "password": details.get("password"),
            "connect_timeout": 5,
        }
        self._filter = details.get("schema-filters-type") or "all"
        patterns = str(details.get("schema-filters-patterns") or "").split(",")
        self._patterns = [pattern.strip() for pattern in patterns if pattern.strip()]
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(POOL_SIZE)
        self._is_closed = False
        self._idle = [self._connect()]

    @property
    def identity(self) -> tuple[Any, ...]:
        """Return what is never the same again: the rows of a server change under the pool."""
        return (uuid.uuid4(),)

    def _connect(self) -> Any:
        try:
            connection = self._psycopg.connect(**self._settings, autocommit=True)
            connection.execute("set timezone to 'UTC'")
        except self._psycopg.Error as error:
            raise EngineError(str(error)) from error
        return connection

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Any]:
        with self._slots:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._connect()
            try:
                yield connection
            finally:
                with self._lock:
                    is_kept = not self._is_closed and not connection.closed
                    if is_kept:
                        self._idle.append(connection)
                if not is_kept:
                    connection.close()

    def run(self, sql: str, limit: int) -> Result:
        """Return at most `limit` rows of a statement.

        Raises:
            EngineError: PostgreSQL refused it.
        """
        with self._borrowed() as connection:
            try:
                cursor = connection.execute(sql)
                rows = cursor.fetchmany(limit + 1) if cursor.description else []
                described = cursor.description or []
                types = connection.adapters.types
            except self._psycopg.Error as error:
                raise EngineError(str(error)) from error
        columns = []
        for one in described:
            about = types.get(one.type_code)
            kind = about.regtype if about is not None else "unknown"
            columns.append(Column(one.name, kind, _POSTGRES_TYPES.get(kind, "type/*")))
        shown = tuple(shown_row(row) for row in rows[:limit])
        return Result(tuple(columns), shown, len(rows) > limit)

    def tables(self) -> list[Table]:
        """Return all tables the role may read, of the schemas the details let through."""
        with self._borrowed() as connection:
            rows = connection.execute(
                "select n.nspname, c.relname, a.attname, format_type(a.atttypid, null),"
                " col_description(c.oid, a.attnum) from pg_attribute as a"
                " join pg_class as c on c.oid = a.attrelid"
                " join pg_namespace as n on n.oid = c.relnamespace"
                " where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm')"
                " and n.nspname <> 'information_schema' and n.nspname not like 'pg!_%' escape '!'"
                " and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')"
                " order by n.nspname, c.relname, a.attnum"
            ).fetchall()
        shown = [row for row in rows if self._is_shown(row[0])]
        return gathered(shown, {}, lambda kind: _POSTGRES_TYPES.get(kind, "type/*"))

    def _is_shown(self, schema: str) -> bool:
        is_named = any(fnmatch.fnmatchcase(schema, pattern) for pattern in self._patterns)
        return self._filter == "all" or is_named == (self._filter == "inclusion")

    def close(self) -> None:
        """Close idle connections now and busy ones when they come back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def gathered(rows: list[Any], comments: dict[tuple[str, str], str], base_type: Any) -> list[Table]:
    """Return tables from rows of (schema, table, column, type, comment)."""
    columns: dict[tuple[str, str], list[Column]] = {}
    for schema, table, column, kind, comment in rows:
        columns.setdefault((schema, table), []).append(
            Column(column, kind, base_type(kind), comment)
        )
    return [
        Table(schema, name, tuple(found), comments.get((schema, name)))
        for (schema, name), found in columns.items()
    ]


def open_pool(engine: str, details: dict[str, Any], instances: Instances) -> Pool:
    """Return a pool that reached its database.

    Raises:
        EngineError: It did not.
    """
    if engine == "duckdb":
        return DuckdbPool(details, instances)
    if engine == "postgres":
        return PostgresPool(details)
    raise EngineError(f"There is no driver for {engine}.")


def duckdb_base_type(kind: str) -> str:
    """Return Metabase's base type of a DuckDB type."""
    name = kind.upper()
    if name.startswith("DECIMAL"):
        return "type/Decimal"
    if name.startswith("ENUM"):
        return "type/Text"
    return _DUCKDB_TYPES.get(name, "type/*")


def shown_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row as it looks in JSON."""
    return tuple(_shown(value) for value in row)


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return f"{value.isoformat()}T00:00:00Z"
    if isinstance(value, (uuid.UUID, dt.time, dt.timedelta)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_shown(one) for one in value]
    return str(value)
