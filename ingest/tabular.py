"""Read tables from files as text, with line numbers, and check typed columns.

Shared by the sources that read files (``files``, ``company``). One reader for each format gives the
same thing: a header and chunks of text columns with the line every row starts on, so that an error
can always name file, line, column and value. Parsing works on whole columns: the distinct values of
a column are parsed once, and values that do not parse come back as row indices.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import gzip
import html
import io
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import python_calamine

from ingest.errors import Finding

Kind = Literal[
    "text",
    "time",
    "date",
    "money",
    "share",
    "decimal",
    "positive",
    "count",
    "integer",
    "boolean",
    "clock",
    "phone",
    "email",
    "free_text",
    "tag",
    "person_name",
    "person_id",
    "company_name",
    "tax_id",
]

_PERSONAL_KINDS = frozenset(
    {"phone", "email", "free_text", "person_name", "person_id", "company_name", "tax_id"}
)

NUMBER_KINDS: frozenset[Kind] = frozenset(
    {"money", "share", "decimal", "positive", "count", "integer"}
)

MAX_UNPACKED_BYTES = 4 * 1024**3
"""Largest size a compressed file may unpack to: 4 GiB is about 25 million deals."""

MAX_CELLS = 200_000_000
"""Most cells a sheet or Parquet file may claim: a forged dimension costs memory before any row."""

CHUNK_ROWS = 50_000

TEXT_CELL, NUMBER_CELL, FAULTY_CELL = 0, 1, 2
"""What a cell is in its file: a number has no separators, whatever the texts beside it use; a
faulty cell has no value, its text is the error or the formula that was never calculated."""

SHOWN_EXAMPLES = 5
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".xlsx")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its type and the rules its values obey."""

    name: str
    kind: Kind = "text"
    required: bool = False
    allowed: tuple[str, ...] = ()
    references: str | None = None
    is_event: bool = False

    @property
    def is_personal(self) -> bool:
        """Say whether a value of this column may not be shown in a message."""
        return self.kind in _PERSONAL_KINDS


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one file is written."""

    encoding: str = "utf-8-sig"
    delimiter: str = ","
    header_row: int = 1
    sheet: str | None = None
    comment: str = ""


@dataclass(slots=True)
class _Places:
    count: int = 0
    examples: list[tuple[int | None, str | None]] = field(default_factory=list)


class Findings:
    """Errors of input files, one kind per file, column and reason, with its first places."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str | None], _Places] = {}

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(
        self,
        file: str,
        reason: str,
        *,
        line: int | None = None,
        column: str | None = None,
        value: str | None = None,
        count: int = 1,
    ) -> None:
        """Note one place; after the first five of a kind only the count grows.

        Args:
            file: The file's name.
            reason: What is wrong, the same words for the same kind.
            line: The line the row starts on.
            column: The column's name in the file.
            value: The value, never a personal one.
            count: How many places this call stands for.
        """
        if count == 0:
            return
        places = self._kinds.setdefault((file, reason, column), _Places())
        places.count += count
        if len(places.examples) < SHOWN_EXAMPLES:
            shown = value if value is None or len(value) <= 80 else f"{value[:77]}..."
            places.examples.append((line, shown))

    def listed(self) -> list[Finding]:
        """Return the findings in the order they were met."""
        listed = []
        for (file, reason, column), places in self._kinds.items():
            total = f" ({places.count} rows)" if places.count > 1 else ""
            listed += [
                Finding(f"{reason}{total}", file, line, column, value)
                for line, value in places.examples
            ]
        return listed


class UnreadableTableError(Exception):
    """A file cannot be read as a table; ``line`` says where reading stopped."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(slots=True)
class TextChunk:
    """Rows of one file as text columns; an empty cell is the empty string.

    Attributes:
        columns: A text array for each column of the header.
        lines: The line every row starts on.
        ragged: Rows with more or fewer fields than the header, with their lines.
        cell_marks: What each cell is in the file, row by column; None where all are text.
    """

    columns: list[Any]
    lines: np.ndarray[Any, np.dtype[np.int64]]
    ragged: list[tuple[int, list[str]]] = field(default_factory=list)
    cell_marks: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def cells_marked(self, place: int, mark: int) -> pa.BooleanArray | None:
        """Say which cells of a column carry a mark; None where no cell does."""
        if self.cell_marks is None:
            return None
        found = self.cell_marks[:, place] == mark
        return pa.array(found) if found.any() else None


@dataclass(slots=True)
class TextTable:
    """A file as a header and chunks of rows."""

    header: list[str]
    chunks: Iterator[TextChunk]
    has_typed_cells: bool = False


def open_table(path: Path, dialect: Dialect, max_unpacked_bytes: int) -> TextTable:
    """Return the header and the row chunks of a file.

    Args:
        path: The file; its suffix decides the format.
        dialect: How the file is written.
        max_unpacked_bytes: Limit for what a compressed file may unpack to.

    Raises:
        UnreadableTableError: When the file is not a readable table; chunks may raise it too.
    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _open_parquet(path, max_unpacked_bytes)
    if name.endswith(".xlsx"):
        return _open_xlsx(path, dialect, max_unpacked_bytes)
    if name.endswith((".csv", ".csv.gz")):
        return _open_csv(path, dialect, max_unpacked_bytes)
    raise UnreadableTableError(f"unknown file type; use one of {', '.join(SUFFIXES)}")


class _BoundedReader(io.RawIOBase):
    """Pass bytes through and stop when an archive unpacks to more than the limit."""

    def __init__(self, source: gzip.GzipFile, limit: int) -> None:
        self._source = source
        self._left = limit
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._source.read(len(buffer))
        self._left -= len(block)
        if self._left < 0:
            raise UnreadableTableError(
                f"unpacks to more than {self._limit} bytes; raise max_unpacked_bytes if that is"
                " right"
            )
        buffer[: len(block)] = block
        return len(block)


def _clean_lines(stream: IO[str], comment: str) -> Iterator[str]:
    is_before_header = True
    for number, line in enumerate(stream, start=1):
        if "\0" in line:
            raise UnreadableTableError("NUL byte: the file is binary, damaged or UTF-16", number)
        # Behind the header a sign without a blank begins a value, such as the reason "#price".
        is_comment = bool(comment) and (
            line.startswith(f"{comment} ")
            or line.rstrip() == comment
            or (is_before_header and line.startswith(comment))
        )
        is_before_header = is_before_header and (is_comment or not line.strip())
        # A comment becomes an empty line, so that line numbers stay those of the file.
        yield "\n" if is_comment else line


def _open_csv(path: Path, dialect: Dialect, limit: int) -> TextTable:
    encoding = _python_encoding(dialect.encoding)
    rows = _csv_rows(path, dialect, encoding, limit)
    header: list[str] | None = None
    for line, row in rows:
        if line >= dialect.header_row:
            header = [cell.strip() for cell in row]
            break
    if header is None:
        raise UnreadableTableError(
            "the file is empty: no header"
            if dialect.header_row == 1
            else f"the file has no row {dialect.header_row} for the header"
        )
    return TextTable(header=header, chunks=_row_chunks(rows, len(header)))


def _csv_rows(
    path: Path, dialect: Dialect, encoding: str, limit: int
) -> Iterator[tuple[int, list[str]]]:
    raw: IO[bytes]
    line = 1
    with path.open("rb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as unzipped:
                bounded = _BoundedReader(unzipped, limit)
                raw = io.BufferedReader(bounded, 1 << 20)
                yield from _decoded_rows(raw, path, dialect, encoding, line)
            return
        yield from _decoded_rows(file, path, dialect, encoding, line)


def _decoded_rows(
    raw: IO[bytes], path: Path, dialect: Dialect, encoding: str, line: int
) -> Iterator[tuple[int, list[str]]]:
    text = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    reader = csv.reader(
        _clean_lines(text, dialect.comment), delimiter=dialect.delimiter, strict=True
    )
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except UnicodeError as error:
        place = ""
        if isinstance(error, UnicodeDecodeError):
            place = f" (byte 0x{error.object[error.start]:02x})"
        raise UnreadableTableError(
            f"not {dialect.encoding} text{place};"
            " save it as UTF-8 or name its encoding, for example windows-1251",
            _undecodable_line(path, encoding),
        ) from None
    except csv.Error as error:
        reason = str(error)
        if "field larger" in reason or "unexpected end" in reason:
            reason += ": a quote that opens here is never closed"
        raise UnreadableTableError(f"not well-formed CSV: {reason}", line) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableTableError(f"damaged gzip file: {error}", line) from None
    finally:
        text.detach()


def _python_encoding(encoding: str) -> str:
    """Return the codec to decode with; UTF-8 always forgives a byte order mark."""
    name = codecs.lookup(encoding).name
    return "utf-8-sig" if name in ("utf-8", "utf-8-sig") else name


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """Find the line of the first undecodable byte; only where lines end with the byte 0x0A."""
    if encoding.startswith(("utf-16", "utf-32")):
        return None
    with path.open("rb") as file:
        source = gzip.GzipFile(fileobj=file) if path.name.lower().endswith(".gz") else file
        for number, line in enumerate(source, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return None


def _row_chunks(rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[TextChunk]:
    kept: list[list[str]] = []
    lines: list[int] = []
    ragged: list[tuple[int, list[str]]] = []
    for line, row in rows:
        if len(row) == width:
            kept.append(row)
            lines.append(line)
        else:
            ragged.append((line, row))
        if len(kept) >= CHUNK_ROWS or len(ragged) >= CHUNK_ROWS:
            yield _text_chunk(kept, lines, ragged, width)
            kept, lines, ragged = [], [], []
    if kept or ragged:
        yield _text_chunk(kept, lines, ragged, width)


def _text_chunk(
    rows: list[list[str]], lines: list[int], ragged: list[tuple[int, list[str]]], width: int
) -> TextChunk:
    columns = (
        [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
        if rows
        else [pa.array([], pa.string()) for _ in range(width)]
    )
    return TextChunk(columns=columns, lines=np.array(lines, dtype=np.int64), ragged=ragged)


_Faults = dict[int, dict[int, str]]

_CELL_START = re.compile(rb"<(?:\w+:)?c[\s>/]", re.ASCII)
_CELL_REFERENCE = re.compile(rb"""<(?:\w+:)?c\s[^>]*?\br=["']([A-Z]{1,3})(\d{1,7})["']""", re.ASCII)
_CELL = re.compile(
    rb"<(?:\w+:)?c(?=[\s>/])([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.ASCII | re.DOTALL
)
_CELL_TYPE = re.compile(rb"""\bt=["'](\w+)["']""", re.ASCII)
_FAULT_SIGNS = (b"<f", b":f", b't="e"', b"t='e'")
_FORMULA = re.compile(rb"<(?:\w+:)?f(?=[\s>/])[^>]*?(?:/>|>([^<]*)<)", re.ASCII)
_VALUE = re.compile(rb"<(?:\w+:)?v(?=[\s>/])[^>]*?(?:/>|>([^<]*)<)", re.ASCII)
_LONGEST_CELL_BYTES = 1 << 20


class _SheetScan:
    """What one sheet's XML shows and the reader of workbooks does not.

    The reader gives an empty text for a cell with an error and for a formula that was saved without
    its result, so that rows and sums would vanish in silence.
    """

    def __init__(self) -> None:
        self.last_row = self.last_column = 0
        self.faults: _Faults = {}
        self._rest = b""

    def feed(self, block: bytes) -> None:
        """Look at the next part; the cell it ends in waits for the rest of it."""
        text = self._rest + block
        start = text.rfind(b"<c ")
        if start < 0:
            start = max((found.start() for found in _CELL_START.finditer(text)), default=0)
        self._look_at(text[:start])
        self._rest = text[start:][-_LONGEST_CELL_BYTES:]

    def close(self) -> None:
        """Look at the last cell."""
        self._look_at(self._rest)

    def _look_at(self, text: bytes) -> None:
        for letters, row in _CELL_REFERENCE.findall(text):
            self.last_column = max(self.last_column, _column_number(letters))
            self.last_row = max(self.last_row, int(row))
        if not any(sign in text for sign in _FAULT_SIGNS):
            return
        for attributes, body in _CELL.findall(text):
            fault = _fault_of(attributes, body)
            if fault is None:
                continue
            place = _CELL_REFERENCE.match(b"<c" + attributes)
            if place is None:
                raise UnreadableTableError(
                    f"a cell holds {fault} and does not say where it stands; open the workbook in a"
                    " spreadsheet program and save it"
                )
            self.faults.setdefault(int(place[2]), {})[_column_number(place[1])] = fault


def _fault_of(attributes: bytes, body: bytes) -> str | None:
    """Return the error or the formula of a cell without a value, None for every other cell."""
    kind = _CELL_TYPE.search(attributes)
    value = _VALUE.search(body)
    stored = ((value[1] or b"") if value is not None else b"").strip()
    if kind is not None and kind[1] == b"e":
        return _xml_text(stored) or "#ERROR"
    formula = _FORMULA.search(body)
    # An empty text is what a formula gave; without a type an empty value is none.
    is_text = value is not None and kind is not None and kind[1] == b"str"
    if formula is None or stored or is_text:
        return None
    return f"={_xml_text(formula[1] or b'')}"


def _xml_text(text: bytes) -> str:
    return html.unescape(text.decode("utf-8", errors="replace"))


def _check_workbook(path: Path, limit: int) -> dict[str, _Faults]:
    """Return the faulty cells of each sheet by its path in the archive.

    Refuses an archive that unpacks to too much, or whose sheets span too many cells. The reader
    allocates a sheet as a full rectangle, so two cells in opposite corners of an empty sheet would
    take all memory; both limits are checked on the unpacked stream, not on what the archive claims.
    """
    left = limit
    faults: dict[str, _Faults] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                is_sheet = entry.filename.startswith("xl/worksheets/")
                scan = _SheetScan()
                with archive.open(entry) as stream:
                    while block := stream.read(1 << 20):
                        left -= len(block)
                        if left < 0:
                            raise UnreadableTableError(
                                f"unpacks to more than {limit} bytes; raise max_unpacked_bytes if"
                                " that is right"
                            )
                        if is_sheet:
                            scan.feed(block)
                scan.close()
                if scan.last_column * scan.last_row > MAX_CELLS:
                    raise UnreadableTableError(
                        f"a sheet spans {scan.last_row} rows x {scan.last_column} columns; delete"
                        " the stray cells far from the table"
                    )
                if scan.faults:
                    faults[entry.filename] = scan.faults
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnreadableTableError(f"not a readable .xlsx file: {error}") from None
    return faults


_SHEET_TAG = re.compile(r"<(?:\w+:)?(?:sheet|Relationship)\s([^>]*)>")
_ATTRIBUTE = re.compile(r"""(?:\w+:)?(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def _faults_of_sheet(path: Path, name: str, faults: dict[str, _Faults]) -> _Faults:
    """Return the faulty cells of the sheet that the workbook lists under a name."""
    if not faults:
        return {}
    with zipfile.ZipFile(path) as archive:
        sheets, targets = (
            [
                {key: html.unescape(one or other) for key, one, other in _ATTRIBUTE.findall(tag)}
                for tag in _SHEET_TAG.findall(archive.read(part).decode("utf-8", "replace"))
            ]
            for part in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels")
        )
    wanted = {sheet.get("id") for sheet in sheets if sheet.get("name") == name}
    for target in targets:
        if target.get("Id") in wanted:
            stands_at = target.get("Target", "")
            return faults.get(stands_at[1:] if stands_at.startswith("/") else f"xl/{stands_at}", {})
    return {}


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _open_xlsx(path: Path, dialect: Dialect, limit: int) -> TextTable:
    faults = _check_workbook(path, limit)
    try:
        workbook = python_calamine.CalamineWorkbook.from_path(path)
    except python_calamine.PasswordError:
        raise UnreadableTableError("the workbook is protected by a password") from None
    except (python_calamine.CalamineError, OSError) as error:
        raise UnreadableTableError(f"not a readable .xlsx file: {error}") from None
    names = workbook.sheet_names
    if dialect.sheet is None and len(names) > 1:
        raise UnreadableTableError(
            f"the workbook has {len(names)} sheets ({', '.join(names)}); name one with sheet:"
        )
    name = dialect.sheet if dialect.sheet is not None else names[0]
    if name not in names:
        raise UnreadableTableError(f"no sheet {name!r}; the workbook has {', '.join(names)}")
    sheet = workbook.get_sheet_by_name(name)
    rows = _xlsx_rows(sheet, _faults_of_sheet(path, name, faults))
    header: list[str] | None = None
    for number, row, _ in rows:
        if number >= dialect.header_row:
            header = [cell.strip() for cell in row]
            break
    if header is None:
        raise UnreadableTableError("the sheet is empty: no header")
    return TextTable(header=header, chunks=_xlsx_chunks(rows, len(header)), has_typed_cells=True)


def _xlsx_rows(
    sheet: python_calamine.CalamineSheet, faults: _Faults
) -> Iterator[tuple[int, list[str], bytes]]:
    """Yield number, texts and cell marks of the rows that are not empty."""
    number, row = 0, list[Any]()
    for number, row in enumerate(sheet.iter_rows(), start=1):
        texts = [_cell_text(cell) for cell in row]
        marks = bytearray(_cell_mark(cell) for cell in row)
        if number in faults:
            _mark_faults(texts, marks, faults[number])
        if any(texts):
            yield number, texts, bytes(marks)
    # The reader's sheet ends with its last value.
    for late in sorted(line for line in faults if line > number):
        texts, marks = [""] * len(row), bytearray(len(row))
        _mark_faults(texts, marks, faults[late])
        if any(texts):
            yield late, texts, bytes(marks)


def _mark_faults(texts: list[str], marks: bytearray, faults: dict[int, str]) -> None:
    for column, fault in faults.items():
        if column <= len(texts):
            texts[column - 1] = fault
            marks[column - 1] = FAULTY_CELL


def _xlsx_chunks(rows: Iterator[tuple[int, list[str], bytes]], width: int) -> Iterator[TextChunk]:
    while kept := list(islice(rows, CHUNK_ROWS)):
        chunk = _text_chunk(
            [texts for _, texts, _ in kept], [line for line, _, _ in kept], [], width
        )
        marks = np.frombuffer(b"".join(marks for _, _, marks in kept), dtype=np.uint8)
        chunk.cell_marks = marks.reshape(len(kept), width)
        yield chunk


def _cell_mark(cell: object) -> int:
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return NUMBER_CELL if is_number else TEXT_CELL


def _cell_text(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else format(Decimal(repr(cell)), "f")
    if isinstance(cell, dt.datetime):
        return cell.isoformat(sep=" ")
    return str(cell)


def _open_parquet(path: Path, limit: int) -> TextTable:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableTableError(f"not a readable Parquet file: {error}") from None
    metadata = file.metadata
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if size > limit or metadata.num_rows * metadata.num_columns > MAX_CELLS:
        raise UnreadableTableError(
            f"unpacks to {size} bytes and {metadata.num_rows} rows; the limit is {limit} bytes and"
            f" {MAX_CELLS} cells; raise max_unpacked_bytes if that is right"
        )
    header = [str(name) for name in file.schema_arrow.names]
    return TextTable(header=header, chunks=_parquet_chunks(file), has_typed_cells=True)


def _parquet_chunks(file: pq.ParquetFile) -> Iterator[TextChunk]:
    row = 1
    marks = np.array([_column_mark(kind) for kind in file.schema_arrow.types], dtype=np.uint8)
    try:
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            lines = np.arange(row, row + batch.num_rows, dtype=np.int64)
            row += batch.num_rows
            columns = [_column_text(column) for column in batch.columns]
            cell_marks = np.broadcast_to(marks, (batch.num_rows, len(marks)))
            yield TextChunk(columns, lines, cell_marks=cell_marks)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableTableError(f"damaged Parquet file: {error}", row) from None


def _column_mark(kind: Any) -> int:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return NUMBER_CELL if is_number else TEXT_CELL


def _column_text(values: Any) -> Any:
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = values.cast(pa.string())
    elif pa.types.is_floating(kind) or pa.types.is_nested(kind) or pa.types.is_binary(kind):
        texts = pa.array([_parquet_text(cell) for cell in values.to_pylist()], pa.string())
    else:
        texts = values.cast(pa.string())
    return pc.fill_null(texts, "")


def _parquet_text(cell: object) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bytes):
        return cell.decode("utf-8", errors="replace")
    if isinstance(cell, list | dict):
        return orjson.dumps(cell, default=str).decode()
    return _cell_text(cell)


@dataclass(frozen=True, slots=True)
class Parsing:
    """What the parser of a column needs beyond the value."""

    zone: ZoneInfo
    decimal: str = "."
    thousands: str = ""
    time_format: str | None = None
    has_typed_cells: bool = False


@dataclass(slots=True)
class ParsedColumn:
    """Normalised values (null where empty or bad) and the rows that did not parse."""

    values: pa.StringArray
    bad_rows: np.ndarray[Any, np.dtype[np.int64]]
    expected: str


def clean_text(values: Any) -> Any:
    """Return trimmed values with null for empty.

    Excel's ``="00123"``, written to keep leading zeros, gives its content.
    """
    trimmed = pc.utf8_trim_whitespace(values)
    if pc.any(pc.starts_with(trimmed, pattern='="')).as_py():
        trimmed = pc.replace_substring_regex(trimmed, pattern=r'^="([^"]*)"$', replacement=r"\1")
    is_empty = pc.equal(trimmed, pa.scalar(""))
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), trimmed)


_PLAIN_TIME = r"^(19[789]\d|20\d\d)-\d\d-\d\d[ T]\d\d:\d\d:\d\d$"
_QUARTER_HOUR = 900


def _plain_times(values: pa.StringArray, zone: ZoneInfo) -> pa.StringArray | None:
    """Return a column of whole-second local times as UTC, or None where one is anything else.

    Does what `parse_iso_time` does, 15 times faster: since 1970 clocks change on a quarter of an
    hour, so one look at the zone serves every time of that quarter.
    """
    if not pc.all(pc.match_substring_regex(values, _PLAIN_TIME)).as_py():
        return None
    try:
        local = values.cast(pa.timestamp("s")).cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    seconds = local.drop_null().to_numpy()
    if not len(seconds):
        return values
    quarters, places = np.unique(seconds // _QUARTER_HOUR, return_inverse=True)
    offsets = np.empty(len(quarters), dtype=np.int64)
    for place, quarter in enumerate(quarters.tolist()):
        moment = dt.datetime.fromtimestamp(quarter * _QUARTER_HOUR, dt.UTC)
        offset = moment.replace(tzinfo=zone).utcoffset()
        offsets[place] = offset.total_seconds() if offset is not None else 0
    everywhere = np.zeros(len(local), dtype=np.int64)
    everywhere[pc.is_valid(local).to_numpy(zero_copy_only=False)] = offsets[places]
    utc: Any = pc.subtract(local, pa.array(everywhere))
    texts: pa.StringArray = utc.cast(pa.timestamp("s")).cast(pa.string())
    return texts


def parse_column(
    values: pa.StringArray,
    column: Column,
    parsing: Parsing,
    is_number: pa.BooleanArray | None = None,
) -> ParsedColumn:
    """Return the normalised text of a column and the rows whose value does not parse.

    Times become ``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC, dates ``YYYY-MM-DD``, numbers plain
    decimals, booleans ``true`` or ``false``.

    Args:
        values: The column as text.
        column: Its type and rules.
        parsing: How the file writes times and numbers.
        is_number: Which cells the file keeps as numbers; None where it keeps text only.
    """
    if is_number is not None and (parsing.decimal, parsing.thousands) != (".", ""):
        # The number 1.234 became the text "1.234", which as a text of this file means 1234.
        plain = replace(parsing, decimal=".", thousands="")
        nothing = pa.scalar(None, pa.string())
        numbers = parse_column(pc.if_else(is_number, values, nothing), column, plain)
        texts = parse_column(pc.if_else(is_number, nothing, values), column, parsing)
        return ParsedColumn(
            pc.coalesce(numbers.values, texts.values),
            np.union1d(numbers.bad_rows, texts.bad_rows),
            texts.expected,
        )
    parser, expected = _parser_for(column, parsing)
    none_bad = np.zeros(0, dtype=np.int64)
    if parser is None:
        return ParsedColumn(values, none_bad, expected)
    if column.kind == "time" and parsing.time_format is None:
        fast = _plain_times(values, parsing.zone)
        if fast is not None:
            return ParsedColumn(fast, none_bad, expected)
    encoded = values.dictionary_encode()
    distinct: list[Any] = encoded.dictionary.to_pylist()
    parsed: list[str | None] = []
    bad_codes: list[int] = []
    for code, value in enumerate(distinct):
        try:
            parsed.append(parser(value))
        except (ValueError, OverflowError):
            parsed.append(None)
            bad_codes.append(code)
    normalised = pa.array(parsed, pa.string()).take(encoded.indices)
    if not bad_codes:
        return ParsedColumn(normalised, none_bad, expected)
    is_bad: Any = pc.is_in(encoded.indices, value_set=pa.array(bad_codes, encoded.indices.type))
    bad_rows = np.flatnonzero(pc.fill_null(is_bad, False).to_numpy(zero_copy_only=False))
    return ParsedColumn(normalised, bad_rows.astype(np.int64), expected)


def _parser_for(column: Column, parsing: Parsing) -> tuple[Callable[[str], str] | None, str]:
    kind = column.kind
    if column.allowed:
        return _choice_parser(column.allowed), f"one of {', '.join(column.allowed)}"
    if kind == "time":
        return _time_parser(parsing), _time_expectation(parsing, "time")
    if kind == "date":
        return _date_parser(parsing), _time_expectation(parsing, "date")
    if kind == "clock":
        return _parse_clock, "a time of day HH:MM"
    if kind == "boolean":
        return _parse_boolean, "true or false"
    if kind == "money":
        return _number_parser(parsing, 16, None), "a number with at most 16 digits before the point"
    if kind == "decimal":
        return _number_parser(parsing, 12, 0), "a number of at least 0"
    if kind == "positive":
        return _positive_parser(parsing), "a number above 0"
    if kind == "share":
        return _share_parser(parsing), "a share from 0 to below 1, such as 0.20"
    if kind == "count":
        return _integer_parser(parsing, 0), "a whole number of at least 0"
    if kind == "integer":
        return _integer_parser(parsing, None), "a whole number"
    return None, "text"


def _choice_parser(allowed: tuple[str, ...]) -> Callable[[str], str]:
    choices = {choice.lower(): choice for choice in allowed}

    def parse(value: str) -> str:
        try:
            return choices[value.lower()]
        except KeyError:
            raise ValueError from None

    return parse


def _time_expectation(parsing: Parsing, noun: str) -> str:
    if parsing.time_format is not None:
        return f"a {noun} like {parsing.time_format}"
    return "a date YYYY-MM-DD" if noun == "date" else "a time YYYY-MM-DD HH:MM:SS (ISO 8601)"


_ISO_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:[T ](\d{2}:\d{2})(:\d{2}(?:[.,]\d{1,9})?)? ?(Z|z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)


def parse_iso_time(value: str, zone: ZoneInfo) -> dt.datetime:
    """Return an ISO 8601 time as naive UTC; without an offset it is local time of ``zone``.

    A bare date is local midnight. A local time that a clock change repeats is taken the first time;
    one it skips is read with the offset before the change, so it stays on its day.
    """
    match = _ISO_TIME.fullmatch(value)
    if match is None:
        raise ValueError(value)
    day, clock, seconds, offset = match.groups()
    if seconds is not None:
        seconds = seconds.replace(",", ".")[:10]
        whole, _, fraction = seconds.partition(".")
        seconds = f"{whole}.{fraction:0<6}" if fraction else whole
    moment = dt.datetime.fromisoformat(f"{day} {clock or '00:00'}{seconds or ':00'}")
    if offset is None:
        return _local_to_utc(moment, zone)
    if offset in "Zz":
        return moment
    sign = -1 if offset[0] == "-" else 1
    digits = offset[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 18 or minutes > 59:
        raise ValueError(value)
    return moment - sign * dt.timedelta(hours=hours, minutes=minutes)


def _local_to_utc(moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    return moment.replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None)


def _by_format(value: str, time_format: str) -> dt.datetime:
    # Without %z the result is local time of the mapping's zone, which the caller adds.
    return dt.datetime.strptime(value, time_format)  # noqa: DTZ007


def _parse_moment(value: str, parsing: Parsing) -> dt.datetime:
    """Return a value as naive UTC by the column's format, else by ISO 8601."""
    if parsing.time_format is None:
        return parse_iso_time(value, parsing.zone)
    try:
        moment = _by_format(value, parsing.time_format)
    except ValueError:
        # Cells that Excel or Parquet keep as real dates arrive as ISO whatever their format.
        if not parsing.has_typed_cells:
            raise
        return parse_iso_time(value, parsing.zone)
    if moment.tzinfo is not None:
        return moment.astimezone(dt.UTC).replace(tzinfo=None)
    return _local_to_utc(moment, parsing.zone)


def time_text(moment: dt.datetime) -> str:
    """Return a naive UTC time as raw tables keep it."""
    if not 1900 <= moment.year <= 2200:
        raise ValueError(moment)
    return moment.isoformat(sep=" ")


def _time_parser(parsing: Parsing) -> Callable[[str], str]:
    return lambda value: time_text(_parse_moment(value, parsing))


def _date_parser(parsing: Parsing) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if parsing.time_format is not None:
            try:
                return _whole_day(_by_format(value, parsing.time_format))
            except ValueError:
                if not parsing.has_typed_cells:
                    raise
        match = _ISO_TIME.fullmatch(value)
        if match is None or match.group(4) is not None:
            raise ValueError(value)
        return _whole_day(parse_iso_time(value, ZoneInfo("UTC")))

    return parse


def _whole_day(moment: dt.datetime) -> str:
    """Return the day of a moment; a time of day would be lost in a date, so it is refused."""
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        raise ValueError(moment)
    if not 1900 <= moment.year <= 2200:
        raise ValueError(moment)
    return moment.date().isoformat()


_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::00)?|(24):(00)", re.ASCII)


def _parse_clock(value: str) -> str:
    match = _CLOCK.fullmatch(value)
    if match is None:
        raise ValueError(value)
    hours, minutes = match.group(1) or match.group(3), match.group(2) or match.group(4)
    return f"{int(hours):02d}:{minutes}"


_TRUE = frozenset({"true", "t", "yes", "y", "1", "да"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "нет"})


def _parse_boolean(value: str) -> str:
    lowered = value.lower()
    if lowered in _TRUE:
        return "true"
    if lowered in _FALSE:
        return "false"
    raise ValueError(value)


_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d+))?", re.ASCII)
# A sign elsewhere is no separator: with thousands "," the text 12,50 is not 1250.
_GROUPED = {
    ",": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII),
    ".": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?", re.ASCII),
}
_SPACES = str.maketrans("", "", " \u00a0\u202f\u2009'")


def _plain_number(value: str, parsing: Parsing) -> tuple[str, str, str]:
    text = value.replace("\u2212", "-").translate(_SPACES)
    if parsing.thousands and parsing.thousands in text:
        if _GROUPED[parsing.thousands].fullmatch(text) is None:
            raise ValueError(value)
        text = text.replace(parsing.thousands, "")
    if parsing.decimal != ".":
        if "." in text:
            raise ValueError(value)
        text = text.replace(parsing.decimal, ".")
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(value)
    sign, whole, fraction = match.groups()
    return ("-" if sign == "-" else ""), whole.lstrip("0") or "0", fraction or ""


def _number_parser(parsing: Parsing, max_digits: int, at_least: int | None) -> Callable[[str], str]:
    def parse(value: str) -> str:
        sign, whole, fraction = _plain_number(value, parsing)
        if len(whole) > max_digits or len(fraction) > 30:
            raise ValueError(value)
        number = f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
        if at_least is not None and Decimal(number) < at_least:
            raise ValueError(value)
        return number

    return parse


def _positive_parser(parsing: Parsing) -> Callable[[str], str]:
    number = _number_parser(parsing, 12, 0)

    def parse(value: str) -> str:
        text = number(value)
        if not Decimal(text):
            raise ValueError(value)
        return text

    return parse


def _share_parser(parsing: Parsing) -> Callable[[str], str]:
    number = _number_parser(parsing, 1, 0)

    def parse(value: str) -> str:
        text = number(value)
        if Decimal(text) >= 1:
            raise ValueError(value)
        return text

    return parse


def _integer_parser(parsing: Parsing, at_least: int | None) -> Callable[[str], str]:
    def parse(value: str) -> str:
        sign, whole, fraction = _plain_number(value, parsing)
        # "12.0" is how a whole number leaves a spreadsheet or a data frame with gaps.
        if fraction.strip("0") or len(whole) > 18:
            raise ValueError(value)
        number = f"{sign}{whole}" if whole != "0" else "0"
        if at_least is not None and int(number) < at_least:
            raise ValueError(value)
        return number

    return parse
