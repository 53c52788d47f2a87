"""From a DuckDB file into PostgreSQL: types, tables and rows, as fast as the server takes them.

DuckDB hands out Arrow batches, pgpq turns a batch into PostgreSQL's binary COPY format, psycopg
sends it. 1,000,000 rows of 20 mixed columns, client and server on the same 2 busy cores: 298,000
rows/s; ADBC's driver 199,000; DuckDB's CSV writer through a pipe 141,000 (`make bench`).
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import sql

from orchestration.lib.errors import PublishError

# About 10 MB of binary rows at a time: memory stays flat however large a table is.
ROWS_PER_BATCH = 25_000
# PostgreSQL's text cannot hold the byte 0; the sign for "unreadable" stands in its place.
_WITHOUT_ZERO_BYTES = 'replace("{name}", chr(0), chr(65533))'
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")

# DuckDB's type -> PostgreSQL's, and the expression that gives COPY the width it expects.
_TYPES: dict[str, tuple[str, str]] = {
    "BOOLEAN": ("boolean", "{column}"),
    "TINYINT": ("smallint", "cast({column} as smallint)"),
    "SMALLINT": ("smallint", "{column}"),
    "INTEGER": ("integer", "{column}"),
    "BIGINT": ("bigint", "{column}"),
    "HUGEINT": ("numeric(38, 0)", "cast({column} as decimal(38, 0))"),
    "FLOAT": ("double precision", "cast({column} as double)"),
    "DOUBLE": ("double precision", "{column}"),
    "DATE": ("date", "{column}"),
    "TIMESTAMP": ("timestamp", "{column}"),
    "VARCHAR": ("text", "{column}"),
}


@dataclass(frozen=True)
class MartColumn:
    """One column of a table in both engines."""

    name: str
    duckdb_type: str
    is_nullable: bool
    has_zero_bytes: bool = False

    @property
    def postgres_type(self) -> str:
        """Return the type in PostgreSQL that holds every value exactly."""
        decimal = _DECIMAL.fullmatch(self.duckdb_type)
        if decimal:
            return f"numeric({decimal[1]}, {decimal[2]})"
        return _TYPES[self.duckdb_type][0]

    @property
    def selected(self) -> str:
        """Return the expression DuckDB evaluates for it."""
        quoted = f'"{self.name}"'
        if _DECIMAL.fullmatch(self.duckdb_type):
            return quoted
        if self.has_zero_bytes:
            return f"{_WITHOUT_ZERO_BYTES.format(name=self.name)} as {quoted}"
        return f"{_TYPES[self.duckdb_type][1].format(column=quoted)} as {quoted}"


def columns_of(source: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[MartColumn]:
    """Return the columns of a table in their order.

    Raises:
        PublishError: A column has a type that PostgreSQL does not get from us.
    """
    rows = source.execute(
        "select column_name, data_type, is_nullable from duckdb_columns()"
        " where schema_name = ? and table_name = ? order by column_index",
        [schema, table],
    ).fetchall()
    columns = [MartColumn(str(name), str(kind), bool(nullable)) for name, kind, nullable in rows]
    for column in columns:
        if column.duckdb_type not in _TYPES and not _DECIMAL.fullmatch(column.duckdb_type):
            raise PublishError(
                f"{schema}.{table}.{column.name} is of type {column.duckdb_type}, which is not"
                " served from PostgreSQL; cast it in the model."
            )
    texts = [column.name for column in columns if column.duckdb_type == "VARCHAR"]
    if not texts:
        return columns
    # Looking costs a fifth of a second for 7,000,000 texts, replacing in all of them half a second.
    checks = ", ".join(f'bool_or(contains("{name}", chr(0)))' for name in texts)
    found = source.execute(f'select {checks} from {schema}."{table}"').fetchone() or ()
    zeroed = {name for name, has_zero in zip(texts, found, strict=True) if has_zero}
    return [replace(column, has_zero_bytes=column.name in zeroed) for column in columns]


def create_statement(target: sql.Identifier, columns: Sequence[MartColumn]) -> sql.Composed:
    """Return the statement that makes the table."""
    parts = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(column.postgres_type),
            sql.SQL("" if column.is_nullable else " not null"),
        )
        for column in columns
    ]
    return sql.SQL("create table {} ({})").format(target, sql.SQL(", ").join(parts))


def copy_rows(
    source: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    columns: Sequence[MartColumn],
    connection: psycopg.Connection[Any],
    target: sql.Identifier,
) -> int:
    """Copy all rows of a table that this transaction made, in batches.

    Args:
        source: The audited DuckDB file.
        schema: Its schema.
        table: Its table.
        columns: What `columns_of` returned.
        connection: An open transaction, in which the target was created (COPY FREEZE asks for
            it: the rows are then visible to transactions that began before, instead of an empty
            table).
        target: The new table.

    Returns:
        The rows that the server counted.
    """
    select = f'select {", ".join(one.selected for one in columns)} from {schema}."{table}"'
    reader = source.execute(select).to_arrow_reader(ROWS_PER_BATCH)
    encoder = ArrowToPostgresBinaryEncoder(reader.schema)
    statement = sql.SQL("copy {} from stdin (format binary, freeze)").format(target)
    with connection.cursor() as cursor:
        # The next batch is read and encoded while the server takes this one.
        with cursor.copy(statement) as copy, ThreadPoolExecutor(1) as ahead:
            copy.write(encoder.write_header())
            coming = ahead.submit(_next_encoded, reader, encoder)
            while (encoded := coming.result()) is not None:
                coming = ahead.submit(_next_encoded, reader, encoder)
                copy.write(encoded)
            copy.write(encoder.finish())
        return cursor.rowcount


def _next_encoded(
    reader: pa.RecordBatchReader, encoder: ArrowToPostgresBinaryEncoder
) -> bytes | None:
    try:
        return encoder.write_batch(reader.read_next_batch())
    except StopIteration:
        return None


def comment_statements(
    target: sql.Identifier,
    description: str | None,
    columns: Iterable[tuple[sql.Identifier, str]],
) -> list[sql.Composed]:
    """Return the statements that describe a table and its columns.

    Args:
        target: The table.
        description: What it holds, or None.
        columns: Full name of each described column, and its description.
    """
    statements = []
    if description:
        statements.append(
            sql.SQL("comment on table {} is {}").format(target, sql.Literal(description))
        )
    for name, text in columns:
        statements.append(sql.SQL("comment on column {} is {}").format(name, sql.Literal(text)))
    return statements
