"""Read `mapping.yaml`: how the columns of a folder's files become the neutral columns."""

from __future__ import annotations

import codecs
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ingest.sources.files.schema import DEAL_SOURCE_COLUMNS, NEUTRAL_TABLES, NeutralTable
from ingest.tabular import SUFFIXES, Dialect, Findings, parse_iso_time

MAPPING_NAME = "mapping.yaml"


def _known_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError:
        raise ValueError(
            f"unknown encoding {value!r}; use for example utf-8 or windows-1251"
        ) from None
    return value


def _delimiter(value: str) -> str:
    value = {"\\t": "\t", "tab": "\t"}.get(value, value)
    if len(value) != 1 or value in '\r\n"':
        raise ValueError("a delimiter is one character, such as ; or tab")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class TableEntry(BaseModel):
    """One entry of `tables`: where rows of a neutral table come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    file: str | None = None
    rows: tuple[dict[str, str], ...] | None = None
    columns: dict[str, str] | None = None
    constants: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    formats: dict[str, str] = Field(default_factory=dict)
    encoding: Annotated[str, BeforeValidator(_known_encoding)] = "utf-8"
    delimiter: Annotated[str, BeforeValidator(_delimiter)] = ","
    header_row: int = Field(default=1, ge=1)
    sheet: str | None = None
    skip_rows_where: dict[str, Annotated[tuple[str, ...], BeforeValidator(_listed)]] = Field(
        default_factory=dict
    )
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ","] = ""
    on_error: Literal["stop", "quarantine"] = "stop"
    deal_source_system: str | None = None
    deal_source_account_id: str | None = None

    @property
    def neutral(self) -> NeutralTable:
        """Return the neutral table the entry feeds."""
        return NEUTRAL_TABLES[self.table]

    @property
    def dialect(self) -> Dialect:
        """Return how the entry's file is written."""
        return Dialect(
            encoding=self.encoding,
            delimiter=self.delimiter,
            header_row=self.header_row,
            sheet=self.sheet,
        )

    @property
    def fixed_values(self) -> dict[str, str]:
        """Return the constants of every row, the record's own source among them."""
        own = {name: getattr(self, name) for name in DEAL_SOURCE_COLUMNS}
        return {**self.constants, **{name: value for name, value in own.items() if value}}

    @model_validator(mode="after")
    def _check(self) -> TableEntry:
        table = NEUTRAL_TABLES.get(self.table)
        if table is None:
            raise ValueError(
                f"unknown table {self.table!r}; the tables are {', '.join(NEUTRAL_TABLES)}"
            )
        if (self.file is None) == (self.rows is None):
            raise ValueError("give either file or rows")
        if self.rows is not None and self.columns is not None:
            raise ValueError("rows already use the neutral columns; leave columns out")
        if self.file is not None and not self.file.lower().endswith(SUFFIXES):
            raise ValueError(f"file {self.file!r} is none of {', '.join(SUFFIXES)}")
        named = [
            *(self.columns or {}),
            *self.constants,
            *self.values,
            *self.formats,
            *(name for row in self.rows or () for name in row),
        ]
        for name in named:
            if name not in table.columns:
                raise ValueError(
                    f"unknown column {name!r} of {self.table}; its columns are"
                    f" {', '.join(table.columns)}"
                )
        both = sorted(set(self.columns or {}) & set(self.fixed_values))
        if both:
            raise ValueError(f"{', '.join(both)} is given both as a column and as a constant")
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same character")
        if not table.names_other_records and (
            self.deal_source_system or self.deal_source_account_id
        ):
            raise ValueError(f"{self.table} has no deal_source_system")
        for name, time_format in self.formats.items():
            if table.columns[name].kind not in ("time", "date"):
                raise ValueError(f"formats: {name} is not a time; use decimal for numbers")
            _check_format(name, time_format)
        return self


def _check_format(name: str, time_format: str) -> None:
    example = dt.datetime(2001, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    try:
        if "%" not in time_format:
            raise ValueError
        dt.datetime.strptime(example.strftime(time_format), time_format)  # noqa: DTZ007
    except ValueError:
        raise ValueError(
            f"formats: {name}: {time_format!r} is not a format such as '%d-%m-%Y %H:%M'"
        ) from None


class MappingFile(BaseModel):
    """The whole of `mapping.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source_account_id: str = Field(pattern=r"^\S+( \S+)*$")
    timezone: str | None = None
    currency_code: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    observed_until: str | None = None
    folder: str | None = None
    tables: tuple[TableEntry, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> MappingFile:
        zone = zone_named(self.timezone or "UTC")
        if self.observed_until is not None:
            try:
                parse_iso_time(self.observed_until, zone)
            except ValueError:
                raise ValueError(
                    f"observed_until: {self.observed_until!r} is not an ISO 8601 time"
                ) from None
        return self


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone: {name!r} is not a zone such as Europe/Moscow") from None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to import: its mapping, where its files are, and the entries in reading order."""

    mapping_path: Path
    path: Path
    mapping: MappingFile
    entries: tuple[TableEntry, ...]
    ignored_files: tuple[str, ...] = ()


class _TextLoader(yaml.SafeLoader):
    """Read every scalar as text: an id `007`, a stage `no` or a date must not change its type."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


_TextLoader.yaml_implicit_resolvers = {}


def load_folder(path: Path, findings: Findings) -> Folder | None:
    """Return the folder that a mapping describes, or note in ``findings`` why it cannot be read.

    Args:
        path: A folder with `mapping.yaml`, or a mapping file anywhere whose `folder` names one.
        findings: Where errors are collected.
    """
    mapping_path = path / MAPPING_NAME if path.is_dir() else path
    name = shown_name(mapping_path)
    if not mapping_path.is_file():
        reason = (
            f"the folder has no {MAPPING_NAME}"
            if path.is_dir()
            else "no such folder or mapping file; check VORONKA_FILES"
        )
        findings.add(name, reason)
        return None
    try:
        document = yaml.load(mapping_path.read_text("utf-8-sig"), _TextLoader)  # noqa: S506
    except UnicodeDecodeError:
        findings.add(name, "not UTF-8 text")
        return None
    except RecursionError:
        findings.add(name, "not YAML: nested too deeply")
        return None
    except (yaml.YAMLError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        findings.add(name, f"not YAML: {problem}", line=mark.line + 1 if mark else None)
        return None
    if not isinstance(document, Mapping):
        findings.add(name, "no keys; at least source_account_id is needed")
        return None
    try:
        mapping = MappingFile.model_validate(document)
    except ValidationError as error:
        for problem in error.errors():
            reason, key = _explained(problem)
            findings.add(name, reason, column=key)
        return None
    base = mapping_path.parent / mapping.folder if mapping.folder else mapping_path.parent
    if not base.is_dir():
        findings.add(name, f"no such folder {mapping.folder!r}", column="folder")
        return None
    return _with_plain_files(mapping_path, base, mapping, findings)


def shown_name(mapping_path: Path) -> str:
    """Return a mapping's name as messages show it: with its folder, without the whole path."""
    return f"{mapping_path.parent.name}/{mapping_path.name}"


def _explained(problem: Any) -> tuple[str, str]:
    key = ""
    for part in problem["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    if problem["type"] == "extra_forbidden":
        model = TableEntry if key.startswith("tables[") and "." in key else MappingFile
        return f"unknown key; allowed are {', '.join(model.model_fields)}", key
    if problem["type"] == "missing":
        return "missing", key
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return reason.replace("tuple", "list").replace("dictionary", "set of key: value"), key


def _with_plain_files(
    mapping_path: Path, base: Path, mapping: MappingFile, findings: Findings
) -> Folder:
    """Add the files that are named after a neutral table and that no entry mentions."""
    entries = list(mapping.tables or ())
    mapped_tables = {entry.table for entry in entries}
    mapped_files = {(base / entry.file).resolve() for entry in entries if entry.file is not None}
    found: dict[str, list[str]] = {}
    ignored: list[str] = []
    for file in sorted(base.iterdir()):
        suffix = next((end for end in SUFFIXES if file.name.lower().endswith(end)), None)
        if suffix is None or not file.is_file() or file.resolve() in mapped_files:
            continue
        table = file.name[: -len(suffix)]
        if table in NEUTRAL_TABLES and table not in mapped_tables:
            found.setdefault(table, []).append(file.name)
        else:
            ignored.append(file.name)
    for table, files in found.items():
        if len(files) > 1:
            findings.add(
                shown_name(mapping_path),
                f"{' and '.join(files)} both look like the table {table}; name one in tables",
            )
        entries.append(TableEntry(table=table, file=files[0]))
    if not entries:
        findings.add(
            shown_name(mapping_path),
            "no tables: name files after neutral tables (deals.csv, ...) or list them",
        )
    return Folder(mapping_path, base, mapping, tuple(entries), tuple(ignored))
