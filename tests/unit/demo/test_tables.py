"""Firms written by hand."""

import datetime as dt

import pytest

from ingest.demo import CompanyTables
from ingest.demo.tables import SCHEMAS


def small() -> CompanyTables:
    return CompanyTables.build(
        now="2026-01-21T00:00:00+03:00",
        deals=[{"deal_id": 1001, "created_at": "2026-01-01T10:00:00+03:00", "amount": 100}],
        stage_changes=[
            {"deal_id": 1001, "changed_at": "2026-01-02T10:00:00+03:00", "to_stage_id": 3},
            {"deal_id": 1001, "changed_at": "2026-01-05T10:00:00+03:00", "to_stage_id": 142},
        ],
    )


def test_left_out_tables_are_empty_and_typed() -> None:
    tables = small()
    assert tables.calls.num_rows == 0
    assert {name: table.schema for name, table in tables.items()} == SCHEMAS


def test_from_side_is_chained() -> None:
    changes = small().stage_changes
    assert changes.column("from_stage_id").to_pylist() == [1, 3]
    assert changes.column("from_pipeline_id").to_pylist() == [3001, 3001]


def test_won_and_lost_are_added_to_every_pipeline() -> None:
    tables = CompanyTables.build(
        now=0,
        pipelines=[
            {"pipeline_id": 1, "name": "A", "stages": [{"stage_id": 11, "name": "First"}]},
            {
                "pipeline_id": 2,
                "name": "B",
                "stages": [{"stage_id": 21, "name": "First"}, {"stage_id": 142, "name": "Sold"}],
            },
        ],
    )
    names = {
        (row["pipeline_id"], row["stage_id"]): (row["name"], row["stage_kind"])
        for row in tables.stages.to_pylist()
    }
    assert names[1, 142] == ("Успешно реализовано", "won")
    assert names[2, 142] == ("Sold", "won")
    assert names[2, 143][1] == "lost"


def test_times_may_be_numbers_datetimes_or_text() -> None:
    moments = [0, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), "1970-01-01T03:00:00+03:00"]
    tables = CompanyTables.build(
        now=1, deals=[{"deal_id": n, "created_at": at} for n, at in enumerate(moments)]
    )
    assert tables.deals.column("created_at").to_pylist() == [0, 0, 0]


def test_time_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        CompanyTables.build(now="2026-01-01T00:00:00")


def test_unknown_column_is_refused() -> None:
    with pytest.raises(ValueError, match="no column prise"):
        CompanyTables.build(now=0, deals=[{"deal_id": 1, "created_at": 0, "prise": 1}])


def test_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no table is called flights"):
        CompanyTables.build(now=0, flights=[{"flight_id": 1}])


def test_saved_tables_come_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    tables = small()
    tables.save(tmp_path)
    assert CompanyTables.load(tmp_path) == tables
