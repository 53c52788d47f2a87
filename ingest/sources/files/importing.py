"""Turn a folder of files into checked neutral rows; nothing leaves unless all of it is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingest.privacy import Privacy, is_phone
from ingest.records import utc_now
from ingest.sources.files.mapping import Folder, TableEntry, shown_name, zone_named
from ingest.sources.files.schema import (
    ACCOUNT_SCHEMA,
    DEFAULT_PIPELINE_ID,
    NEUTRAL_TABLES,
    QUARANTINE_SCHEMA,
    RAW_TABLES,
    NeutralTable,
)
from ingest.tabular import (
    FAULTY_CELL,
    NUMBER_CELL,
    NUMBER_KINDS,
    Column,
    Findings,
    Kind,
    Parsing,
    TextChunk,
    TextTable,
    UnreadableTableError,
    clean_text,
    open_table,
    parse_column,
    parse_iso_time,
    time_text,
)

LAYOUT_VERSION = 2
"""Part of every content hash: raise it when the same file would land differently."""

_SEPARATOR = "\x1f"
_LINE, _ENTRY = "_line", "_entry"
_SHEET_ERROR = re.compile(r"#(?:N/A|Н/Д|[\w/]+[!?])")
_SHAPED_KINDS = NUMBER_KINDS | {"time", "date", "clock", "boolean"}
_A_VALUE = "a value but an error or a formula saved without its result"

# Words of headers under which exports keep a person's name: such a column is left out of payload.
_NAME_WORD = re.compile(r"фио|fio|имя|имени|фамили.*|отчеств.*|surname|patronymic")
_PERSON_WORD = re.compile(
    r"(контакт|клиент|покупател|плательщик|получател|заказчик).*"
    r"|contact|client|customer|person|buyer|payer|recipient|lead"
)
_ANY_NAME_WORD = re.compile(r"name|назван.*|наименован.*")
_NAME_PART = re.compile(r"(?:full|first|last|middle|sur|given|family)[\W_]*name", re.IGNORECASE)
# Words that say that a column about a person holds something else than the name.
_OTHER_WORD = re.compile(
    r"id|ид|uu?id|guid|№|no|номер|number|код|code|инн|кпп|tax|тип|type|вид|kind|статус|status|этап"
    r"|stage|сегмент.*|segment|город|city|регион|region|стран.*|country|канал|channel|источник.*"
    r"|source|дат[аы]|date|day|день|врем.*|time|at|сумм.*|amount|sum|колич.*|кол|count|число"
    r"|категори.*|category|групп.*|group|нов.*|new|повторн.*|since|ltv|оценк.*|рейтинг|rating|score"
    r"|скидк.*|discount|комментари.*|comment|должност.*|position|возраст|age|баланс|balance"
)
_WORD = re.compile(r"[^\W\d_]+|№")
_CAMEL_CASE = re.compile(r"(?<=[a-zа-яё])(?=[A-ZА-ЯЁ])")
_INITIALS = re.compile(r"\bф\.\s*и\.\s*о\b", re.IGNORECASE)
_PHONE_HEADER = re.compile(r".*(phone|mobile|телефон|моб).*|tel|тел\.?", re.IGNORECASE)
_EMAIL_HEADER = re.compile(r".*(e-?mail|почта).*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What an import needs beside the folder.

    Attributes:
        max_unpacked_bytes: Limit for compressed files.
        default_zone: Zone of times without an offset where the mapping names none.
        privacy: Hashes personal values.
        keeps_names: Whether names of sales reps land.
        fingerprint: Of the privacy key and mode: a change makes the same file land anew.
        imported_at: Now, as naive UTC: what a file tells of later times has not happened.
    """

    max_unpacked_bytes: int
    privacy: Privacy
    default_zone: str = "UTC"
    keeps_names: bool = False
    fingerprint: str = ""
    imported_at: datetime = field(default_factory=utc_now)


@dataclass(slots=True)
class ImportedFolder:
    """Everything of one folder, checked and normalised.

    Attributes:
        tables: Rows by raw table, without `pull_id`; supplied neutral tables, `source_accounts`
            and `quarantined_rows`.
        observed_until: UTC text up to which the folder tells what happened.
        remarks: Lines for the run's log.
    """

    tables: dict[str, pa.Table]
    observed_until: str | None
    remarks: list[str]


def content_hashes(folder: Folder, options: ImportOptions) -> dict[str, str]:
    """Return the hash of what every raw table of the folder would be made from.

    Args:
        folder: The folder with its mapping.
        options: How it would be read.

    Raises:
        OSError: A file cannot be read.
    """
    head = (
        LAYOUT_VERSION,
        folder.mapping.source_account_id,
        folder.mapping.timezone or options.default_zone,
        options.fingerprint,
        options.keeps_names,
    )
    parts: dict[str, list[str]] = {name: [] for name in NEUTRAL_TABLES}
    for entry in folder.entries:
        parts[entry.table].append(entry.model_dump_json())
        if entry.file is not None:
            parts[entry.table].append(_file_hash(folder.path / entry.file))
    hashes = {name: _hash(head, *texts) if texts else "" for name, texts in parts.items()}
    whole = _hash(
        head, folder.mapping.currency_code, folder.mapping.observed_until, *hashes.values()
    )
    for entry in folder.entries:
        if entry.on_error == "quarantine":
            # Which rows pass depends on the tables they refer to.
            hashes[entry.table] = _hash(whole, entry.table)
    return {**hashes, "source_accounts": whole, "quarantined_rows": whole}


def _hash(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _file_hash(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def import_folder(folder: Folder, options: ImportOptions, findings: Findings) -> ImportedFolder:
    """Return the rows of a folder; what is wrong is added to ``findings``.

    The result may be used only if no finding was added.

    Args:
        folder: The folder with its mapping.
        options: How to read it.
        findings: Where errors are collected.
    """
    return _FolderImport(folder, options, findings).run()


@dataclass(slots=True)
class _Quarantine:
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: TableEntry, line: int, reason: str, payload: str) -> None:
        self.rows.append(
            {
                "table_name": entry.table,
                "file_name": entry.file,
                "line_number": line,
                "reason": reason,
                "payload": payload,
            }
        )


class _FolderImport:
    def __init__(self, folder: Folder, options: ImportOptions, findings: Findings) -> None:
        self._folder = folder
        self._options = options
        self._findings = findings
        self._zone = zone_named(folder.mapping.timezone or options.default_zone)
        self._quarantine = _Quarantine()
        self._remarks: list[str] = []
        self._tables: dict[str, pa.Table] = {}
        self._unreadable: set[str] = set()

    def run(self) -> ImportedFolder:
        if self._folder.ignored_files:
            self._remark(f"not read: {', '.join(self._folder.ignored_files)}")
        for name, table in NEUTRAL_TABLES.items():
            entries = [
                (index, entry)
                for index, entry in enumerate(self._folder.entries)
                if entry.table == name
            ]
            if entries:
                self._tables[name] = self._read_table(table, entries)
        observed_until = self._observed_until()
        tables = {
            name: self._landed(NEUTRAL_TABLES[name], rows) for name, rows in self._tables.items()
        }
        account = self._folder.mapping.source_account_id
        tables["source_accounts"] = pa.Table.from_pylist(
            [
                {
                    "source_account_id": account,
                    "record_id": account,
                    "row_number": 1,
                    "time_zone": self._zone.key,
                    "currency_code": self._folder.mapping.currency_code,
                    "observed_until": observed_until,
                }
            ],
            schema=_without_pull(ACCOUNT_SCHEMA),
        )
        tables["quarantined_rows"] = pa.Table.from_pylist(
            [{"source_account_id": account, **row} for row in self._quarantine.rows],
            schema=_without_pull(QUARANTINE_SCHEMA),
        )
        if self._quarantine.rows:
            self._remark(f"{len(self._quarantine.rows)} rows put into quarantine")
        return ImportedFolder(tables, observed_until, self._remarks)

    def _remark(self, text: str) -> None:
        self._remarks.append(f"{shown_name(self._folder.mapping_path)}: {text}")

    def _read_table(
        self, table: NeutralTable, entries: Sequence[tuple[int, TableEntry]]
    ) -> pa.Table:
        working = _working_schema(table)
        chunks: list[pa.Table] = [working.empty_table()]
        for index, entry in entries:
            reader = _EntryReader(
                self._folder, entry, self._zone, self._options, self._findings, self._quarantine
            )
            try:
                for rows in reader.read():
                    marks = pa.array(np.full(rows.num_rows, index, dtype=np.int64))
                    chunks.append(rows.append_column(_ENTRY, marks))
            except UnreadableTableError as error:
                self._findings.add(reader.file_name, error.reason, line=error.line)
                self._unreadable.add(table.name)
            except OSError as error:
                reason = (
                    "no such file"
                    if isinstance(error, FileNotFoundError)
                    else (f"cannot be read ({error.strerror})")
                )
                self._findings.add(reader.file_name, reason)
                self._unreadable.add(table.name)
            if reader.is_rejected:
                self._unreadable.add(table.name)
            for remark in reader.remarks:
                self._remark(remark)
        rows = pa.concat_tables(chunks).combine_chunks()
        rows = self._without_duplicates(table, rows)
        for column in table.columns.values():
            if column.references is not None:
                rows = self._without_dangling(table, column, rows)
        return rows

    def _without_duplicates(self, table: NeutralTable, rows: pa.Table) -> pa.Table:
        if not table.unique_by or rows.num_rows == 0:
            return rows
        keys = _keys(rows, table.unique_by)
        codes = keys.dictionary_encode().indices
        numbers = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False)
        is_repeated = np.ones(len(numbers), dtype=bool)
        is_repeated[np.unique(numbers, return_index=True)[1]] = False
        is_repeated &= numbers >= 0
        return self._reject(
            table, rows, is_repeated, f"duplicate {table.unique_by[0]}", table.unique_by[0]
        )

    def _without_dangling(self, table: NeutralTable, column: Column, rows: pa.Table) -> pa.Table:
        target = NEUTRAL_TABLES[column.references or ""]
        if target.name not in self._tables or target.name in self._unreadable:
            return rows
        known = self._tables[target.name]
        wanted = rows[column.name].combine_chunks()
        target_id = target.unique_by[0]
        is_known = pc.is_in(wanted, value_set=known[target_id].combine_chunks())
        if target.name == "pipeline_stages" and column.name != "from_stage_id":
            # A stage is (pipeline, stage). A move may start in another pipeline, so only the
            # stage it enters is looked up in the row's pipeline.
            has_pipeline = pc.is_valid(rows["pipeline_id"].combine_chunks())
            pairs = _keys(rows, (column.name, "pipeline_id"))
            pair_is_known = pc.is_in(pairs, value_set=_keys(known, target.unique_by))
            is_known = pc.if_else(has_pipeline, pair_is_known, is_known)
        is_dangling = pc.and_(pc.is_valid(wanted), pc.invert(is_known))
        if table.names_other_records:
            is_own = pc.is_null(rows["deal_source_system"].combine_chunks())
            is_dangling = pc.and_(is_dangling, is_own)
        return self._reject(
            table,
            rows,
            is_dangling.to_numpy(zero_copy_only=False),
            f"{column.name} is not in the supplied table {target.name}",
            column.name,
        )

    def _reject(
        self,
        table: NeutralTable,
        rows: pa.Table,
        is_bad: np.ndarray[Any, np.dtype[np.bool_]],
        reason: str,
        column: str,
    ) -> pa.Table:
        """Report bad rows, or move them into quarantine where their entry allows it."""
        if not is_bad.any():
            return rows
        leaves = np.zeros(len(is_bad), dtype=bool)
        entry_numbers = rows[_ENTRY].to_numpy()
        for number in np.unique(entry_numbers[is_bad]):
            entry = self._folder.entries[int(number)]
            places = np.flatnonzero(is_bad & (entry_numbers == number))
            first = pa.array(places[:5].tolist(), pa.int64())
            if entry.on_error == "quarantine":
                leaves[places] = True
                gone = (
                    rows.select([*table.columns, _LINE])
                    .take(pa.array(places.tolist(), pa.int64()))
                    .to_pylist()
                )
                for row in gone:
                    line = row.pop(_LINE)
                    shown = {name: value for name, value in row.items() if value is not None}
                    self._quarantine.add(entry, line, reason, orjson.dumps(shown).decode())
                continue
            file_name = _file_name(self._folder, entry)
            shown_column = (entry.columns or {}).get(column, column)
            lines = rows[_LINE].take(first).to_pylist()
            values = rows[column].take(first).to_pylist()
            for line, value in zip(lines, values, strict=True):
                self._findings.add(
                    file_name,
                    reason,
                    line=line,
                    column=shown_column,
                    value=value and self._options.privacy.mask_text(value),
                )
            self._findings.add(
                file_name, reason, column=shown_column, count=len(places) - len(lines)
            )
        return rows.filter(pa.array(~leaves)) if leaves.any() else rows

    def _observed_until(self) -> str | None:
        """Return the newest event up to now, or what the mapping states; one slip would move it."""
        now = time_text(self._options.imported_at)
        newest, has_later = "", False
        later = Findings()
        for name, rows in self._tables.items():
            for column in NEUTRAL_TABLES[name].columns.values():
                if column.is_event and rows.num_rows:
                    moments = self._moments(rows, column)
                    is_later = pc.fill_null(pc.greater(moments, pa.scalar(now)), False)
                    has_later |= self._note_later(column, rows, is_later, later)
                    latest = pc.max(moments.filter(pc.invert(is_later))).as_py()
                    newest = max(newest, latest or "")
        for finding in later.listed():
            self._remark(str(finding))
        stated = self._folder.mapping.observed_until
        if stated is None:
            return newest or (now if has_later else None)
        until = time_text(parse_iso_time(stated, self._zone))
        if until > now:
            self._remark(f"observed_until {until} UTC has not come; {now} UTC is taken instead")
            return now
        if newest > until:
            self._remark(f"events up to {newest} UTC lie after observed_until {until} UTC")
        return until

    def _moments(self, rows: pa.Table, column: Column) -> Any:
        """Return an event column as UTC times; a date is the midnight it begins with."""
        values = rows[column.name].combine_chunks()
        if column.kind != "date":
            return values
        return map_distinct(values, lambda day: time_text(parse_iso_time(day, self._zone)))

    def _note_later(self, column: Column, rows: pa.Table, is_later: Any, later: Findings) -> bool:
        """Note the events after the import with their places; say whether there is one."""
        found = rows.select([column.name, _LINE, _ENTRY]).filter(is_later)
        for value, line, number in zip(
            *(found[name].to_pylist() for name in found.column_names), strict=True
        ):
            entry = self._folder.entries[number]
            later.add(
                _file_name(self._folder, entry),
                "after the moment of import, so it does not move the present",
                line=line,
                column=(entry.columns or {}).get(column.name, column.name),
                value=value,
            )
        return found.num_rows > 0

    def _landed(self, table: NeutralTable, rows: pa.Table) -> pa.Table:
        count = rows.num_rows
        numbers = pa.array(np.arange(1, count + 1, dtype=np.int64))
        texts = numbers.cast(pa.string())
        record_ids: Any = texts
        if table.unique_by:
            record_ids = pc.coalesce(_keys(rows, table.unique_by, separator=":"), texts)
        columns: dict[str, Any] = {
            "source_account_id": pa.repeat(
                pa.scalar(self._folder.mapping.source_account_id, pa.string()), count
            ),
            "record_id": record_ids,
            "row_number": numbers,
        }
        schema = _without_pull(RAW_TABLES[table.name])
        return pa.table(
            [columns[name] if name in columns else rows[name] for name in schema.names],
            schema=schema,
        )


def _without_pull(schema: pa.Schema) -> pa.Schema:
    return schema.remove(schema.get_field_index("pull_id"))


def _working_schema(table: NeutralTable) -> pa.Schema:
    names = [*table.columns, "payload", _LINE, _ENTRY]
    return pa.schema(
        [(name, pa.int64() if name in (_LINE, _ENTRY) else pa.string()) for name in names]
    )


def _keys(rows: Any, names: Sequence[str], separator: str = _SEPARATOR) -> Any:
    """Return the key of every row; null where its first column is; a stage has a pipeline."""
    first = rows[names[0]].combine_chunks()
    if len(names) == 1:
        return first
    others: list[Any] = [
        pc.fill_null(rows[name].combine_chunks(), DEFAULT_PIPELINE_ID) for name in names[1:]
    ]
    return pc.binary_join_element_wise(first, *others, separator)


def _file_name(folder: Folder, entry: TableEntry) -> str:
    """Return the name messages give to where an entry's rows stand; `rows` have no lines."""
    return entry.file or f"{shown_name(folder.mapping_path)} rows of {entry.table}"


class _EntryReader:
    """Reads one mapping entry chunk by chunk into neutral columns."""

    def __init__(
        self,
        folder: Folder,
        entry: TableEntry,
        zone: ZoneInfo,
        options: ImportOptions,
        findings: Findings,
        quarantine: _Quarantine,
    ) -> None:
        self.file_name = _file_name(folder, entry)
        self.remarks: list[str] = []
        self.is_rejected = False
        self._folder = folder
        self._entry = entry
        self._zone = zone
        self._options = options
        self._findings = findings
        self._quarantine = quarantine
        self._header: list[str] = []
        self._has_typed_cells = False
        self._positions: dict[str, int] = {}
        self._unmapped: list[int] = []
        self._unreadable_contacts = 0

    def read(self) -> Iterator[pa.Table]:
        """Yield working rows; what is wrong goes to the findings or into quarantine."""
        table = self._open()
        self._header = table.header
        self._has_typed_cells = table.has_typed_cells
        if not self._bind():
            self.is_rejected = True
            return
        for chunk in table.chunks:
            yield self._neutral_rows(self._without_skipped(chunk))
        if self._unreadable_contacts:
            self.remarks.append(
                f"{self.file_name}: {self._unreadable_contacts} values are no phone or e-mail and"
                " were left out"
            )

    def _open(self) -> TextTable:
        entry = self._entry
        if entry.rows is None:
            return open_table(
                self._folder.path / (entry.file or ""),
                entry.dialect,
                self._options.max_unpacked_bytes,
            )
        header = list(dict.fromkeys(name for row in entry.rows for name in row))
        if not header:
            return TextTable(header=list(entry.neutral.columns), chunks=iter(()))
        columns = [
            pa.array([row.get(name, "") for row in entry.rows], pa.string()) for name in header
        ]
        lines = np.arange(1, len(entry.rows) + 1, dtype=np.int64)
        return TextTable(header=header, chunks=iter([TextChunk(columns, lines)]))

    def _bind(self) -> bool:
        """Find every mapped column in the header; say all that is missing at once."""
        entry, header = self._entry, self._header
        columns = entry.neutral.columns
        wanted = entry.columns
        if wanted is None:
            wanted = {
                name: name for name in columns if name in header and name not in entry.fixed_values
            }
        is_bound = True
        lost_hint = ""
        signs = re.findall("[;,|\t]", header[0]) if len(header) == 1 else []
        if signs:
            # Of a file without a header this line is a person, so it is not quoted.
            sign = max(signs, key=signs.count)
            lost_hint = f" (the header is one column with the sign {sign!r} in it; set delimiter)"
        for neutral, source in wanted.items():
            count = header.count(source)
            if count == 1:
                self._positions[neutral] = header.index(source)
                continue
            is_bound = False
            reason = f"no such column{lost_hint}" if count == 0 else f"{count} columns of this name"
            if count == 0 and columns[neutral].required:
                reason = f"required column is missing{lost_hint}"
            self._findings.add(self.file_name, reason, column=source)
        for neutral in entry.neutral.required:
            if neutral not in wanted and neutral not in entry.fixed_values:
                is_bound = False
                self._findings.add(
                    self.file_name, f"required column is missing{lost_hint}", column=neutral
                )
        for neutral in {**entry.values, **entry.formats}:
            if is_bound and neutral not in self._positions:
                is_bound = False
                self._findings.add(
                    self.file_name, "values or formats of a column that is not read", column=neutral
                )
        for source in entry.skip_rows_where:
            if source not in header:
                is_bound = False
                self._findings.add(self.file_name, "skip_rows_where: no such column", column=source)
        used = set(self._positions.values())
        self._unmapped = [place for place in range(len(header)) if place not in used]
        kept: list[str] = []
        left_out: list[str] = []
        for place in self._unmapped:
            is_left_out = self._unmapped_cleaner(header[place]) is _dropped
            (left_out if is_left_out else kept).append(header[place] or f"column {place + 1}")
        if kept:
            self.remarks.append(
                f"{self.file_name}: columns kept in payload only: {', '.join(kept)}"
            )
        if left_out:
            self.remarks.append(
                f"{self.file_name}: left out as names of people: {', '.join(left_out)}"
            )
        return is_bound

    def _without_skipped(self, chunk: TextChunk) -> TextChunk:
        rules = self._entry.skip_rows_where
        if not rules:
            return chunk
        patterns = {
            self._header.index(name): re.compile(
                "|".join(
                    ".*".join(re.escape(part) for part in value.split("*")) for value in values
                ),
                re.DOTALL,
            )
            for name, values in rules.items()
        }
        keeps = np.ones(len(chunk.lines), dtype=bool)
        for place, pattern in patterns.items():
            encoded = pc.utf8_trim_whitespace(chunk.columns[place]).dictionary_encode()
            texts: list[Any] = encoded.dictionary.to_pylist()
            is_hit = [pattern.fullmatch(text) is not None for text in texts]
            hits = pa.array(is_hit, pa.bool_()).take(encoded.indices)
            keeps &= ~hits.to_numpy(zero_copy_only=False)
        ragged = [
            item
            for item in chunk.ragged
            if not any(
                place < len(item[1]) and pattern.fullmatch(item[1][place].strip())
                for place, pattern in patterns.items()
            )
        ]
        mask = pa.array(keeps)
        return TextChunk(
            [column.filter(mask) for column in chunk.columns],
            chunk.lines[keeps],
            ragged,
            None if chunk.cell_marks is None else chunk.cell_marks[keeps],
        )

    def _neutral_rows(self, chunk: TextChunk) -> pa.Table:
        entry = self._entry
        count = len(chunk.lines)
        rejected: dict[int, str] = {}
        for line, cells in chunk.ragged:
            reason = f"{len(cells)} fields where the header has {len(self._header)}"
            if entry.on_error == "quarantine":
                self._quarantine.add(entry, line, reason, self._safe_payload(cells))
            else:
                self._findings.add(self.file_name, reason, line=line)
        arrays: list[Any] = []
        for name, column in entry.neutral.columns.items():
            values = self._values_of(name, count, chunk)
            if values is None:
                arrays.append(pa.nulls(count, pa.string()))
                continue
            is_faulty = self._faulty(name, chunk)
            told = values
            if is_faulty is not None:
                self._note_bad(column, chunk, values, _places(is_faulty), _A_VALUE, rejected)
                told = pc.if_else(is_faulty, pa.scalar(None, pa.string()), values)
            parsed = parse_column(
                told, column, self._parsing(name), self._marked(name, NUMBER_CELL, chunk)
            )
            self._note_bad(column, chunk, told, parsed.bad_rows, parsed.expected, rejected)
            if column.required:
                self._note_bad(column, chunk, values, _places(pc.is_null(values)), "", rejected)
            arrays.append(self._without_personal(column, parsed.values))
        arrays.append(self._payloads(chunk, count))
        arrays.append(pa.array(chunk.lines, pa.int64()))
        rows = pa.table(arrays, names=[*entry.neutral.columns, "payload", _LINE])
        if rejected and entry.on_error == "quarantine":
            keeps = np.ones(count, dtype=bool)
            for place in sorted(rejected):
                keeps[place] = False
                cells = [cells[place].as_py() for cells in chunk.columns]
                self._quarantine.add(
                    entry, int(chunk.lines[place]), rejected[place], self._safe_payload(cells)
                )
            rows = rows.filter(pa.array(keeps))
        return rows

    def _parsing(self, name: str) -> Parsing:
        if name not in self._positions:
            return Parsing(self._zone)
        return Parsing(
            self._zone,
            decimal=self._entry.decimal,
            thousands=self._entry.thousands,
            time_format=self._entry.formats.get(name),
            has_typed_cells=self._has_typed_cells,
        )

    def _marked(self, name: str, mark: int, chunk: TextChunk) -> pa.BooleanArray | None:
        """Say which cells behind a neutral column carry a mark; None where none does."""
        place = self._positions.get(name)
        return None if place is None else chunk.cells_marked(place, mark)

    def _faulty(self, name: str, chunk: TextChunk) -> Any | None:
        """Say which cells have no value, unless the mapping says what their error means."""
        is_faulty = self._marked(name, FAULTY_CELL, chunk)
        mapped = self._entry.values.get(name)
        if is_faulty is None or mapped is None:
            return is_faulty
        texts = clean_text(chunk.columns[self._positions[name]])
        return pc.and_(is_faulty, pc.invert(pc.is_in(texts, value_set=pa.array(list(mapped)))))

    def _values_of(self, name: str, count: int, chunk: TextChunk) -> Any | None:
        if name not in self._positions:
            fixed = self._entry.fixed_values.get(name)
            return None if not fixed else pa.repeat(pa.scalar(fixed, pa.string()), count)
        values = clean_text(chunk.columns[self._positions[name]])
        mapped = self._entry.values.get(name)
        if mapped is None:
            return values
        values = map_distinct(values, lambda text: mapped.get(text, text) or None)
        return pc.fill_null(values, mapped[""]) if mapped.get("") else values

    def _note_bad(
        self,
        column: Column,
        chunk: TextChunk,
        values: Any,
        places: np.ndarray[Any, np.dtype[np.int64]],
        expected: str,
        rejected: dict[int, str],
    ) -> None:
        if not len(places):
            return
        reason = f"not {expected}" if expected else "required value is empty"
        if self._entry.on_error == "quarantine":
            for place in places:
                rejected.setdefault(int(place), f"{column.name}: {reason}")
            return
        shown = column.name
        if column.name in self._positions:
            shown = self._header[self._positions[column.name]]
        for place in places[:5]:
            value = values[int(place)].as_py()
            self._findings.add(
                self.file_name,
                reason,
                line=int(chunk.lines[place]),
                column=shown,
                value=value if value is None else self._shown(value, column, expected),
            )
        self._findings.add(self.file_name, reason, column=shown, count=len(places[5:]))

    def _shown(self, value: str, column: Column, expected: str) -> str:
        """Return a bad value as a message may quote it: columns slip, and names with them."""
        if column.is_personal:
            return "(hidden)"
        if expected == _A_VALUE:
            return self._options.privacy.mask_text(value)
        return self._safe_text(value, column.kind)

    def _safe_text(self, text: str, kind: Kind) -> str:
        """Return a value of a kind without a cleaner of its own as others may see it."""
        privacy = self._options.privacy
        is_error = _SHEET_ERROR.fullmatch(text) is not None
        if not (privacy.keeps or is_error) and kind in _SHAPED_KINDS and _tells_of_people(text):
            return "(hidden)"
        return privacy.mask_text(text)

    def _without_personal(self, column: Column, values: Any) -> Any:
        change = self._cleaner(column.kind)
        if change is None:
            return values
        cleaned = map_distinct(values, change)
        if column.kind in ("phone", "email"):
            self._unreadable_contacts += cleaned.null_count - values.null_count
        return cleaned

    def _cleaner(self, kind: Kind) -> Callable[[str], str | None] | None:
        """Return what takes personal data out of values of a kind; None leaves them as they are."""
        privacy = self._options.privacy
        if kind == "person_name":
            return None if self._options.keeps_names else _dropped
        if privacy.keeps:
            return None
        if kind == "phone":
            return lambda text: privacy.hash_phone(text) if is_phone(text) else None
        if kind == "email":
            return lambda text: privacy.hash_email(text) if "@" in text else None
        if kind == "person_id":
            return self._masked_id
        if kind == "free_text":
            return privacy.mask_text
        if kind == "tag":
            return partial(privacy.mask_text, only_plain=True)
        if kind == "company_name":
            return privacy.mask_company
        return None

    def _masked_id(self, text: str) -> str:
        """Return an id of a person; many exports know sales reps by their names only."""
        privacy = self._options.privacy
        if not self._options.keeps_names and _is_full_name(text):
            # A name is no contact point; it gets the kind of token it always had.
            return privacy.hash_phone(text)
        return privacy.mask_text(text)

    def _unmapped_cleaner(self, name: str) -> Callable[[str], str | None] | None:
        """Return the cleaner of a column outside the mapping, by what its header says it holds."""
        if self._options.privacy.keeps:
            return None
        name = name.strip()
        if _PHONE_HEADER.fullmatch(name):
            return self._cleaner("phone")
        if _EMAIL_HEADER.fullmatch(name):
            return self._cleaner("email")
        if _is_name_header(name):
            return _dropped
        return self._cleaner("free_text")

    def _payloads(self, chunk: TextChunk, count: int) -> Any:
        names: list[str] = []
        columns: list[list[str | None]] = []
        for place in self._unmapped:
            change = self._unmapped_cleaner(self._header[place])
            if change is _dropped:
                continue
            values = clean_text(chunk.columns[place])
            cleaned = values if change is None else map_distinct(values, change)
            names.append(self._header[place] or f"column_{place + 1}")
            columns.append(cleaned.to_pylist())
        if not columns:
            return pa.nulls(count, pa.string())
        texts = [
            orjson.dumps(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)
        ]
        return pa.array(texts, pa.binary()).cast(pa.string())

    def _safe_payload(self, cells: Sequence[str]) -> str:
        """Return a raw row as JSON without personal values."""
        kinds = {
            place: self._entry.neutral.columns[name].kind for name, place in self._positions.items()
        }
        safe: dict[str, str | None] = {}
        for place, cell in enumerate(cells):
            name = self._header[place] if place < len(self._header) else ""
            text = cell.strip()
            kind = kinds.get(place)
            change = self._unmapped_cleaner(name) if kind is None else self._cleaner(kind)
            if not text or change is _dropped:
                continue
            shown = self._safe_text(text, kind or "text") if change is None else change(text)
            safe[name or f"column_{place + 1}"] = shown
        return orjson.dumps(safe).decode()


def _places(is_hit: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.flatnonzero(is_hit.to_numpy(zero_copy_only=False)).astype(np.int64)


def _dropped(_: str) -> str | None:
    return None


def _is_name_header(header: str) -> bool:
    """Say whether a header promises names of people; in doubt about a person it does."""
    if _NAME_PART.search(header):
        return True
    plain = _CAMEL_CASE.sub(" ", _INITIALS.sub("фио", header)).lower()
    words = _WORD.findall(plain)
    if any(_NAME_WORD.fullmatch(word) for word in words):
        return True
    return any(_PERSON_WORD.fullmatch(word) for word in words) and (
        any(_ANY_NAME_WORD.fullmatch(word) for word in words)
        or not any(_OTHER_WORD.fullmatch(word) for word in words)
    )


def _tells_of_people(text: str) -> bool:
    """Say whether a value that should be a number or a time may be a name; `yesterday` is none."""
    words = [word for word in _WORD.findall(text) if len(word) > 1]
    return len(words) > 1 or any(word[0].isupper() for word in words)


def _is_full_name(text: str) -> bool:
    """Say whether an id is two to four capitalised words, the way exports write people."""
    words = text.split()
    return 2 <= len(words) <= 4 and all(
        word[0].isupper() and word.strip(".-").replace(".", "").replace("-", "").isalpha()
        for word in words
    )


def map_distinct(values: Any, change: Callable[[str], str | None]) -> Any:
    """Return a column with each distinct value changed once; nulls stay null.

    Args:
        values: A text array.
        change: Gives the new value of an old one.
    """
    encoded = values.dictionary_encode()
    changed = pa.array([change(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return changed.take(encoded.indices)
