"""A company at any size: its blocks, and its raw rows made a column at a time."""

from __future__ import annotations

import pytest

from ingest.config import Settings, load_settings
from ingest.demo.amocrm_raw import AmocrmRaw
from ingest.demo.scale import ScaledCompany
from ingest.sources.amocrm import ENDPOINTS

COLUMNAR = ("leads", "contacts", "tasks", "events", "lead_notes", "contact_notes", "invoices")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings({"VORONKA_HOME": str(tmp_path_factory.mktemp("scale"))})


@pytest.fixture(scope="module")
def raw(settings: Settings) -> AmocrmRaw:
    return AmocrmRaw(ScaledCompany(deals=1500, months=6).tables(), settings)


@pytest.mark.parametrize("table", COLUMNAR)
def test_columns_and_records_say_the_same(raw: AmocrmRaw, table: str) -> None:
    endpoint = next(one for one in ENDPOINTS if one.table == table)
    by_column = {row["record_id"]: row for row in raw.table(endpoint, "pull").to_pylist()}
    by_record = {row["record_id"]: row for row in raw.rendered(endpoint, "pull").to_pylist()}
    assert by_column.keys() == by_record.keys()
    for record_id, row in by_column.items():
        assert row == by_record[record_id]
