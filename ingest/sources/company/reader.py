"""Read and check the company's own tables; write templates of them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.sources.company.schema import COMPANY_TABLES, RAW_TABLES, CompanyTable
from ingest.tabular import (
    Dialect,
    Findings,
    Parsing,
    TextChunk,
    TextTable,
    UnreadableTableError,
    clean_text,
    open_table,
    parse_column,
)

COMMENT = "#"
_DELIMITERS = (",", ";", "\t")
_MAX_BYTES = 256 * 1024**2


def table_files(company_dir: Path, findings: Findings) -> dict[str, Path]:
    """Return the files of a company folder by table; other files are findings.

    Args:
        company_dir: The folder; it may be missing.
        findings: Where errors are collected.
    """
    files: dict[str, Path] = {}
    if not company_dir.is_dir():
        return files
    for path in sorted(company_dir.iterdir()):
        if path.name.startswith((".", "~$")) or path.name.lower().startswith("readme"):
            continue
        if path.suffix == ".csv" and path.stem in COMPANY_TABLES:
            files[path.stem] = path
        else:
            allowed = ", ".join(f"{name}.csv" for name in COMPANY_TABLES)
            findings.add(_shown(path), f"unknown file; allowed are {allowed}")
    return files


def read_table(table: CompanyTable, path: Path, account: str, findings: Findings) -> pa.Table:
    """Return the checked rows of one table, without `pull_id`.

    The result may be used only if no finding was added.

    Args:
        table: Its declaration.
        path: Its file.
        account: Written as source account.
        findings: Where errors are collected.
    """
    names = list(table.columns)
    landed = RAW_TABLES[table.name]
    schema = landed.remove(landed.get_field_index("pull_id"))
    chunks: list[pa.Table] = []
    try:
        dialect = Dialect(delimiter=_delimiter_of(path), comment=COMMENT)
        text = open_table(path, dialect, _MAX_BYTES)
        if not _accepts_header(table, path, text, findings):
            return schema.empty_table()
        chunks += [_checked(table, path, text, chunk, dialect, findings) for chunk in text.chunks]
    except UnreadableTableError as error:
        findings.add(_shown(path), error.reason, line=error.line)
    except OSError as error:
        findings.add(_shown(path), f"cannot be read ({error.strerror})")
    if not chunks:
        return schema.empty_table()
    rows = pa.concat_tables(chunks)
    _find_duplicates(table, path, rows, findings)
    _find_wrong_starts(path, rows, findings)
    numbers = pa.array(np.arange(1, rows.num_rows + 1, dtype=np.int64))
    columns: dict[str, Any] = {name: rows[name] for name in names}
    # A row of stage_map names an account of another source in the column of this name.
    columns.setdefault(
        "source_account_id", pa.repeat(pa.scalar(account, pa.string()), rows.num_rows)
    )
    columns["record_id"] = numbers.cast(pa.string())
    columns["row_number"] = numbers
    columns["payload"] = pa.nulls(rows.num_rows, pa.string())
    return pa.table([columns[name] for name in schema.names], schema=schema)


def write_templates(company_dir: Path) -> list[Path]:
    """Write a commented template of every table that the folder does not have; return the new ones.

    A template without rows changes nothing: the defaults hold until the first row is written.

    Args:
        company_dir: The folder; it is made where it is missing.
    """
    company_dir.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for table in COMPANY_TABLES.values():
        path = company_dir / f"{table.name}.csv"
        if path.exists():
            continue
        lines = [f"{COMMENT} {table.purpose}"]
        lines += [f"{COMMENT}   {_described(table, name)}" for name in table.columns]
        lines += [f"{COMMENT} Lines that start with {COMMENT} and a blank are not read. Examples:"]
        lines += [f"{COMMENT} {example}" for example in table.examples]
        lines.append(",".join(table.columns))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        written.append(path)
    return written


_KIND_WORDS = {
    "date": "date YYYY-MM-DD",
    "boolean": "true or false",
    "clock": "time of day HH:MM",
    "money": "number",
    "share": "share below 1, such as 0.22",
    "positive": "number above 0",
    "count": "whole number",
    "integer": "whole number",
}


def _described(table: CompanyTable, name: str) -> str:
    column = table.columns[name]
    kind = " | ".join(column.allowed) or _KIND_WORDS.get(column.kind, "text")
    return f"{name}: {kind}{', required' if column.required else ''}"


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _delimiter_of(path: Path) -> str:
    """Return the delimiter of the header line: a spreadsheet writes ; where commas are decimals."""
    with path.open("rb") as file:
        for line in file:
            if not line.lstrip(b"\xef\xbb\xbf").startswith(COMMENT.encode()) and line.strip():
                return max(_DELIMITERS, key=lambda sign: line.count(sign.encode()))
    return ","


def _accepts_header(table: CompanyTable, path: Path, text: TextTable, findings: Findings) -> bool:
    allowed = ", ".join(table.columns)
    is_accepted = True
    for name in text.header:
        if name not in table.columns:
            findings.add(_shown(path), f"unknown column; allowed are {allowed}", column=name)
            is_accepted = False
    for name in sorted({name for name in text.header if text.header.count(name) > 1}):
        findings.add(_shown(path), "the column is given twice", column=name)
        is_accepted = False
    for column in table.columns.values():
        if column.required and column.name not in text.header:
            findings.add(_shown(path), "required column is missing", column=column.name)
            is_accepted = False
    return is_accepted


def _checked(
    table: CompanyTable,
    path: Path,
    text: TextTable,
    chunk: TextChunk,
    dialect: Dialect,
    findings: Findings,
) -> pa.Table:
    file = _shown(path)
    for line, cells in chunk.ragged:
        findings.add(
            file, f"{len(cells)} fields where the header has {len(text.header)}", line=line
        )
    count = len(chunk.lines)
    arrays: list[Any] = []
    for name, column in table.columns.items():
        if name not in text.header:
            arrays.append(pa.nulls(count, pa.string()))
            continue
        values = clean_text(chunk.columns[text.header.index(name)])
        has_commas = pc.any(pc.match_substring(values, ",")).as_py()
        decimal = "," if dialect.delimiter == ";" and has_commas else "."
        parsed = parse_column(values, column, Parsing(ZoneInfo("UTC"), decimal=decimal))
        reason = f"not {parsed.expected}"
        for place in parsed.bad_rows.tolist():
            findings.add(
                file,
                reason,
                line=int(chunk.lines[place]),
                column=name,
                value=values[place].as_py(),
            )
        if column.required:
            for place in np.flatnonzero(pc.is_null(values).to_numpy(zero_copy_only=False)).tolist():
                findings.add(
                    file, "required value is empty", line=int(chunk.lines[place]), column=name
                )
        arrays.append(parsed.values)
    lines = pa.array(chunk.lines, pa.int64())
    return pa.table([*arrays, lines], names=[*table.columns, "_line"])


def _find_duplicates(table: CompanyTable, path: Path, rows: pa.Table, findings: Findings) -> None:
    first_lines: dict[tuple[str, ...], int] = {}
    for row in rows.select([*table.unique_by, "_line"]).to_pylist():
        line = row.pop("_line")
        key = tuple(value or "" for value in row.values())
        if key in first_lines:
            findings.add(
                _shown(path),
                "repeats an earlier row",
                line=line,
                column=", ".join(table.unique_by),
                value=f"{', '.join(key)} as in line {first_lines[key]}",
            )
        else:
            first_lines[key] = line


def _find_wrong_starts(path: Path, rows: pa.Table, findings: Findings) -> None:
    """Find periods that begin on another day than their own: they would meet no number."""
    if not {"period_type", "period_start_date"} <= set(rows.column_names):
        return
    for row in rows.select(["period_type", "period_start_date", "_line"]).to_pylist():
        try:
            day = date.fromisoformat(row["period_start_date"] or "")
        except ValueError:
            continue
        first = _first_day(row["period_type"], day)
        if first != day:
            findings.add(
                _shown(path),
                f"not the first day of a {row['period_type']}; this one begins on {first}",
                line=row["_line"],
                column="period_start_date",
                value=str(day),
            )


def _first_day(period_type: str | None, day: date) -> date:
    if period_type == "week":
        return day - timedelta(days=day.weekday())
    if period_type == "month":
        return day.replace(day=1)
    if period_type == "quarter":
        return day.replace(month=day.month - (day.month - 1) % 3, day=1)
    return day.replace(month=1, day=1) if period_type == "year" else day
