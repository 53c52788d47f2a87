"""Eight thousand real leads, and the same after two spreadsheets had rewritten them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.files.conftest import FilesFolder

MAPPINGS = Path(__file__).resolve().parents[2] / "payloads" / "olist"
LEADS = "olist_marketing_qualified_leads_dataset.csv"
WON = "olist_closed_deals_dataset.csv"


@pytest.fixture
def olist(folder: FilesFolder, shared_data: Path) -> FilesFolder:
    for name in (LEADS, WON):
        shutil.copyfile(shared_data / "olist_funnel" / name, folder.path / name)
    shutil.copyfile(MAPPINGS / "merged.yaml", folder.path / "mapping.yaml")
    return folder


def normal(rows: Any, names: list[str], minutes: bool = False) -> list[tuple[str | None, ...]]:
    """Return the named columns; spreadsheets that kept no seconds are compared by the minute."""
    return [
        tuple(
            row[name][:16] if minutes and name.endswith("_at") and row[name] else row[name]
            for name in names
        )
        for row in rows.to_pylist()
    ]


def test_all_leads_and_won_deals_are_read(olist: FilesFolder) -> None:
    tables = olist.imported().tables
    assert tables["deals"].num_rows == 8000
    assert tables["stage_changes"].num_rows == 842
    channels = tables["deals"]["channel"].to_pylist()
    assert channels.count("unknown") == 1159
    assert None not in channels
    assert set(tables["stage_changes"]["to_stage_id"].to_pylist()) == {"won"}


def test_without_the_value_mapping_null_and_unknown_stay_apart(olist: FilesFolder) -> None:
    shutil.copyfile(MAPPINGS / "apart.yaml", olist.path / "mapping.yaml")
    channels = olist.imported().tables["deals"]["channel"].to_pylist()
    assert (channels.count(None), channels.count("unknown")) == (60, 1099)


@pytest.mark.parametrize(
    ("variant", "formats"),
    [
        ("excel_resaved", {"deals": "%d-%m-%Y", "stage_changes": "%d-%m-%Y %H:%M"}),
        ("edited_copy", {"stage_changes": "%m/%d/%Y %H:%M"}),
    ],
)
def test_rewritten_copies_give_the_same_rows(
    olist: FilesFolder, shared_data: Path, variant: str, formats: dict[str, str]
) -> None:
    original = olist.imported().tables
    mapping = yaml.safe_load((MAPPINGS / "merged.yaml").read_text())
    mapping["observed_until"] = str(mapping["observed_until"])
    for entry in mapping["tables"]:
        if entry["table"] in formats:
            column = "created_at" if entry["table"] == "deals" else "changed_at"
            entry["formats"] = {column: formats[entry["table"]]}
    olist.mapping(yaml.safe_dump(mapping))
    for file in (shared_data / "olist_funnel" / variant).iterdir():
        shutil.copyfile(file, olist.path / file.name)
    copy = olist.imported().tables
    for table, names in (
        ("deals", ["record_id", "row_number", "deal_id", "created_at", "channel"]),
        ("stage_changes", ["deal_id", "changed_at", "to_stage_id", "changed_by_sales_rep_id"]),
    ):
        assert normal(copy[table], names, minutes=True) == normal(
            original[table], names, minutes=True
        )
