"""Cards against the tables they read: a published file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from orchestration.lib.cards.parts import (
    NUMERIC_FORMATS,
    TIME_FORMATS,
    CardError,
    Column,
)
from orchestration.lib.cards.reading import read_dashboards
from orchestration.lib.cards.schema import (
    DashboardFile,
)
from orchestration.lib.cards.sql import bound_sql


def open_serve_file(serve_file: Path) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection that can reach nothing but the published file.

    A card's SQL is data: it must not read another file of the machine, and no run may wait on it.
    """
    connection = duckdb.connect(str(serve_file), read_only=True)
    connection.execute("set enable_external_access = false")
    connection.execute("set threads = 2")
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set lock_configuration = true")
    return connection


def _type_finding(column: Column, name: str, type_name: str) -> str | None:
    numeric = type_name.startswith(("DECIMAL", "HUGEINT", "UHUGEINT")) or type_name in {
        "BIGINT", "INTEGER", "DOUBLE", "FLOAT", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER",
    }  # fmt: skip
    if column.format in NUMERIC_FORMATS and not numeric:
        return f'column "{name}" has format {column.format} and type {type_name}'
    if column.format in TIME_FORMATS and not type_name.startswith(("DATE", "TIMESTAMP")):
        return f'column "{name}" has format {column.format} and type {type_name}'
    return None


def check_against(file: DashboardFile, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return what the cards of one file ask for that the published file does not have.

    Args:
        file: The dashboard.
        connection: A connection from `open_serve_file`.

    Returns:
        One finding per line, empty when all is well.
    """
    findings: list[str] = list(_binding_findings(file, connection))
    for card in file.dashboard.cards():
        chosen = dict.fromkeys(card.filters, "x")
        try:
            rows = connection.execute(f"describe {bound_sql(card, chosen)}").fetchall()
        except duckdb.Error as error:
            message = " ".join(str(error).split("LINE ")[0].split())
            findings.append(f"{file.where(card, 'sql')}: {message}")
            continue
        types = {str(row[0]): str(row[1]) for row in rows}
        given = ", ".join(types)
        for name, column in card.columns.items():
            sources = [column.source.en, column.source.ru] if column.source else [name]
            wanted = [*sources, *([column.link] if column.link else [])]
            for source in wanted:
                if source not in types:
                    where = file.where(card, "columns")
                    findings.append(f'{where}: its sql gives no column "{source}" ({given})')
            if name in types and (said := _type_finding(column, name, types[name])):
                findings.append(f"{file.where(card, 'columns')}: {said}")
            beside = {"period": "period_type", "unit": "unit"}.get(column.format)
            if beside and beside not in types:
                where = file.where(card, "columns")
                findings.append(f'{where}: format {column.format} needs a column "{beside}"')
    return findings


def _binding_findings(file: DashboardFile, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    types = {
        f"{table}.{column}": str(type_name)
        for table, column, type_name in connection.execute(
            "select table_name, column_name, data_type from information_schema.columns "
            "where table_schema = 'marts'"
        ).fetchall()
    }
    for card in file.dashboard.cards():
        for name, binding in card.filters.items():
            kind = file.dashboard.filters[name].kind
            where = f"{file.where(card, 'filters')}.{name}"
            if binding not in types:
                yield f"{where}: there is no column marts.{binding}"
                continue
            is_time = types[binding].startswith(("DATE", "TIMESTAMP"))
            wanted = "a date or a moment" if kind != "category" else "a text"
            if is_time != (kind != "category") or (not is_time and types[binding] != "VARCHAR"):
                found = types[binding].lower()
                yield f"{where}: a filter of kind {kind} needs {wanted}; {binding} is {found}"


def check_dashboards(folder: Path, serve_file: Path) -> list[DashboardFile]:
    """Return the dashboards of `folder` after proving them against a published file.

    Args:
        folder: The folder with the YAML files.
        serve_file: A published DuckDB file with schema `marts`.

    Returns:
        The dashboards in order.

    Raises:
        CardError: If a file has mistakes or asks for columns that are not there.
    """
    files = read_dashboards(folder)
    connection = open_serve_file(serve_file)
    try:
        findings = [said for file in files for said in check_against(file, connection)]
    finally:
        connection.close()
    if findings:
        raise CardError(findings)
    return files
