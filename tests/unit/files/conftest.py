"""A folder to fill, and its import."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.config import load_settings
from ingest.privacy import Privacy
from ingest.sources.files.importing import ImportedFolder, ImportOptions, import_folder
from ingest.sources.files.mapping import load_folder
from ingest.tabular import MAX_UNPACKED_BYTES, Findings

HEAD = "source_account_id: shop\ntimezone: Europe/Moscow\n"


class FilesFolder:
    """A folder of tables with a mapping."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self.home = home
        self.limit = MAX_UNPACKED_BYTES
        self.imported_at = dt.datetime.fromisoformat("2027-06-01T12:00:00")
        self.environment: dict[str, str] = {}
        self.mapping(HEAD)

    def mapping(self, text: str) -> None:
        (self.path / "mapping.yaml").write_text(text, encoding="utf-8")

    def write(self, name: str, content: str | bytes) -> None:
        body = content if isinstance(content, bytes) else content.encode()
        (self.path / name).write_bytes(body)

    def read(self) -> tuple[ImportedFolder | None, list[str]]:
        settings = load_settings({"VORONKA_HOME": str(self.home), **self.environment})
        findings = Findings()
        folder = load_folder(self.path, findings)
        imported = None
        if folder is not None:
            options = ImportOptions(
                self.limit,
                Privacy(settings),
                keeps_names=settings.sales_rep_names == "keep",
                imported_at=self.imported_at,
            )
            imported = import_folder(folder, options, findings)
        return imported, [str(finding) for finding in findings.listed()]

    def imported(self) -> ImportedFolder:
        imported, errors = self.read()
        assert errors == []
        assert imported is not None
        return imported

    def rows(self, table: str, *names: str) -> list[Any]:
        rows = self.imported().tables[table]
        return [tuple(row[name] for name in names) for row in rows.to_pylist()]

    def errors(self) -> list[str]:
        return self.read()[1]


@pytest.fixture
def folder(tmp_path: Path) -> FilesFolder:
    path = tmp_path / "tables"
    path.mkdir()
    return FilesFolder(path, tmp_path / "home")


Entry = Callable[[str], None]


@pytest.fixture
def deals_entry(folder: FilesFolder) -> Entry:
    """Return a writer of a mapping whose one entry reads deals.csv."""

    def write(keys: str) -> None:
        folder.mapping(f"{HEAD}tables:\n  - table: deals\n    file: deals.csv\n{keys}")

    return write
