"""What reaches the warehouse: snapshots of changed tables, all of a run or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.chunks import LoadSummary
from ingest.config import SourceRef, load_settings
from ingest.errors import ConfigurationError, InputDataError
from ingest.loading import load_source
from ingest.sources.files import NEUTRAL_TABLES, RAW_TABLES, check_folders
from tests.unit.files.conftest import FilesFolder

SOURCE_README = Path(__file__).resolve().parents[3] / "ingest/sources/files/README.md"
DEALS = "deal_id,created_at\n1,2026-01-02\n2,2026-01-03\n"


def load(folder: FilesFolder) -> LoadSummary:
    settings = load_settings(
        {
            "VORONKA_HOME": str(folder.home),
            "VORONKA_SOURCES": "files",
            "VORONKA_FILES": str(folder.path),
        }
    )
    return load_source(SourceRef("files"), settings)


def query(folder: FilesFolder, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder.home / "warehouse.duckdb")) as connection:
        return connection.execute(sql).fetchall()


PULLS = "select resource, row_count from raw_files._pulls where is_complete order by all"


def test_unchanged_folder_is_not_loaded_again(folder: FilesFolder) -> None:
    folder.write("deals.csv", DEALS)
    load(folder)
    assert query(folder, PULLS) == [("deals", 2), ("quarantined_rows", 0), ("source_accounts", 1)]
    assert load(folder).rows_stored == 0
    assert len(query(folder, PULLS)) == 3


def test_only_the_changed_table_is_a_new_snapshot(folder: FilesFolder) -> None:
    folder.write("deals.csv", DEALS)
    folder.write("companies.csv", "company_id\na\n")
    load(folder)
    folder.write("deals.csv", DEALS + "3,2026-01-04\n")
    load(folder)
    assert query(folder, "select count(*) from raw_files.companies") == [(1,)]
    assert query(folder, "select count(*) from raw_files.deals") == [(5,)]
    assert query(
        folder, "select observed_until from raw_files.source_accounts order by pull_id"
    ) == [("2026-01-02 21:00:00",), ("2026-01-03 21:00:00",)]


def test_mapping_change_makes_a_new_snapshot(folder: FilesFolder) -> None:
    folder.write("deals.csv", DEALS)
    load(folder)
    folder.mapping("source_account_id: shop\ntimezone: UTC\n")
    load(folder)
    assert query(folder, "select distinct created_at from raw_files.deals order by 1") == [
        ("2026-01-01 21:00:00",),
        ("2026-01-02 00:00:00",),
        ("2026-01-02 21:00:00",),
        ("2026-01-03 00:00:00",),
    ]


def test_table_that_is_gone_gets_an_empty_snapshot_once(folder: FilesFolder) -> None:
    folder.write("deals.csv", DEALS)
    folder.write("companies.csv", "company_id\na\n")
    load(folder)
    (folder.path / "companies.csv").unlink()
    load(folder)
    load(folder)
    found = [row for row in query(folder, PULLS) if row[0] == "companies"]
    assert found == [("companies", 0), ("companies", 1)]


def test_account_that_is_no_longer_named_counts_no_more(folder: FilesFolder) -> None:
    folder.write("deals.csv", DEALS)
    load(folder)
    folder.mapping("source_account_id: renamed\n")
    summary = load(folder)
    load(folder)
    assert query(
        folder,
        "select source_account_id, row_count from raw_files._pulls where resource = 'deals'"
        " order by finished_at, pull_id",
    ) == [("shop", 2), ("renamed", 2), ("shop", 0)]
    assert any("shop" in warning for warning in summary.warnings)


def test_one_error_loads_nothing_and_keeps_the_old(folder: FilesFolder) -> None:
    folder.write("deals.csv", DEALS)
    load(folder)
    folder.write("deals.csv", DEALS + "3,never\n")
    folder.write("companies.csv", "company_id\na\n")
    with pytest.raises(InputDataError) as caught:
        load(folder)
    assert "deals.csv:4 [created_at]" in str(caught.value)
    assert query(folder, PULLS)[0] == ("deals", 2)
    assert query(folder, "select count(*) from raw_files.companies") == [(0,)]


def test_check_finds_what_a_load_would_find(folder: FilesFolder) -> None:
    folder.write("deals.csv", "deal_id,created_at\n1,never\n")
    settings = load_settings({"VORONKA_HOME": str(folder.home), "VORONKA_FILES": str(folder.path)})
    with pytest.raises(InputDataError):
        check_folders(SourceRef("files"), settings)


def test_no_folder_and_no_mapping_say_what_to_do(folder: FilesFolder) -> None:
    settings = load_settings({"VORONKA_HOME": str(folder.home), "VORONKA_SOURCES": "files"})
    with pytest.raises(ConfigurationError, match="VORONKA_FILES"):
        load_source(SourceRef("files"), settings)
    (folder.path / "mapping.yaml").unlink()
    with pytest.raises(InputDataError, match=r"has no mapping\.yaml"):
        load(folder)


def test_quarantined_rows_are_a_snapshot_of_their_own(folder: FilesFolder) -> None:
    folder.mapping(
        "source_account_id: shop\ntables: [{table: deals, file: deals.csv, on_error: quarantine}]\n"
    )
    folder.write("deals.csv", DEALS + "3,never\n")
    load(folder)
    assert query(folder, "select table_name, line_number from raw_files.quarantined_rows") == [
        ("deals", 4)
    ]
    folder.write("deals.csv", DEALS)
    load(folder)
    assert [row for row in query(folder, PULLS) if row[0] == "quarantined_rows"] == [
        ("quarantined_rows", 0),
        ("quarantined_rows", 1),
    ]


def test_raw_tables_carry_every_neutral_column() -> None:
    for name, table in NEUTRAL_TABLES.items():
        assert set(table.columns) <= set(RAW_TABLES[name].names)


def test_readme_lists_the_declared_columns() -> None:
    text = SOURCE_README.read_text(encoding="utf-8")
    for table in NEUTRAL_TABLES.values():
        marked = ", ".join(
            f"{column.name}{'*' if column.required else ''}"
            + (f" ({', '.join(column.allowed)})" if column.allowed else "")
            for column in table.columns.values()
            if not column.name.startswith("deal_source_")
        )
        assert f"| {table.name} | {marked} |" in text
