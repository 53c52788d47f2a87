"""Windows, hashes, tombstones and what counts as stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunks import ChunkBudget
from ingest.config import Home, dlt_configured
from ingest.errors import RateLimitError, StorageError
from ingest.landing import land_pull, read_windows
from ingest.loading import _named, pipeline_for
from ingest.records import (
    RECORD_SCHEMA,
    Pull,
    from_unix,
    new_pull_id,
    payload_hash,
    record_batch,
    utc_now,
)
from ingest.stored_state import StoredState
from ingest.warehouse import RAW_TABLES, ensure_raw_tables, open_warehouse
from ingest.windows import Window, merge_windows, missing_windows, without

START = from_unix(1_767_225_600)
DAYS = st.integers(0, 400)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


@given(st.lists(st.tuples(DAYS, DAYS)), DAYS, DAYS, st.integers(0, 3), st.integers(1, 40))
def test_missing_and_covered_windows_are_the_whole_time(
    covered: list[tuple[int, int]], start: int, end: int, overlap: int, longest: int
) -> None:
    wanted = Window(day(min(start, end)), day(max(start, end)))
    known = merge_windows(Window(day(min(pair)), day(max(pair))) for pair in covered)
    gaps = missing_windows(
        wanted, known, overlap=timedelta(days=overlap), longest=timedelta(days=longest)
    )
    inside = merge_windows([*known, *gaps])
    if wanted.start < wanted.end:
        assert any(w.start <= wanted.start and wanted.end <= w.end for w in inside)
    assert all(timedelta(0) < gap.end - gap.start <= timedelta(days=longest) for gap in gaps)
    assert gaps == sorted(gaps, reverse=True)
    assert all(a.start >= b.end for a, b in pairwise(gaps))


@given(st.lists(st.tuples(DAYS, DAYS)), DAYS, DAYS)
def test_what_is_left_of_windows_and_what_was_taken_out_are_all_their_time(
    given_days: list[tuple[int, int]], start: int, end: int
) -> None:
    windows = [Window(day(min(pair)), day(max(pair) + 1)) for pair in given_days]
    removed = Window(day(min(start, end)), day(max(start, end) + 1))
    left = without(windows, removed)
    assert all(piece.start < piece.end for piece in left)
    assert all(piece.end <= removed.start or removed.end <= piece.start for piece in left)
    assert merge_windows([*left, removed]) == merge_windows([*windows, removed])


def test_only_the_newest_covered_time_is_read_again() -> None:
    known = [Window(day(0), day(10)), Window(day(20), day(30))]
    gaps = missing_windows(Window(day(0), day(31)), known, overlap=timedelta(hours=1))
    assert gaps == [Window(day(30) - timedelta(hours=1), day(31)), Window(day(10), day(20))]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path)
    ensure_raw_tables(place)
    return place


def batch(pull_id: str, *records: dict[str, Any]) -> pa.RecordBatch:
    return record_batch(
        list(records),
        account_id="900",
        pull_id=pull_id,
        id_of=lambda record: str(record["id"]),
        cursor_of=lambda record: record.get("at"),
    )


def land(
    home: Home,
    *records: dict[str, Any],
    snapshot: bool = True,
    fails: bool = False,
    commit: bool = True,
) -> ChunkBudget:
    state = StoredState(home.warehouse, "raw_amocrm")
    budget = ChunkBudget()
    pull = Pull(new_pull_id(), "900", "users", "snapshot", utc_now())

    def batches() -> Iterator[pa.RecordBatch]:
        yield batch(pull.pull_id, *records)
        if fails:
            raise RateLimitError("too fast")

    def read_again() -> list[str]:
        return [str(record["id"]) for record in records]

    resource = dlt.resource(
        land_pull(
            state, budget, "users", pull, batches(), read_again=read_again if snapshot else None
        ),
        name="users",
        write_disposition="append",
    )
    with dlt_configured(home):
        pipeline_for(home, "amocrm").run(resource, loader_file_format="parquet")
    if not commit:
        with open_warehouse(home.warehouse) as connection:
            connection.execute(
                "delete from raw_amocrm._dlt_loads "
                "where load_id = (select max(load_id) from raw_amocrm._dlt_loads)"
            )
    return budget


def rows(home: Home) -> list[tuple[Any, ...]]:
    with open_warehouse(home.warehouse) as connection:
        return connection.execute(
            "select record_id, is_deleted, payload from raw_amocrm.users "
            "order by _dlt_load_id, pull_id, record_id"
        ).fetchall()


def test_every_declared_table_exists_with_its_types(home: Home) -> None:
    with open_warehouse(home.warehouse) as connection:
        found = {
            (schema, table, column): kind
            for schema, table, column, kind in connection.execute(
                "select schema_name, table_name, column_name, data_type from duckdb_columns()"
            ).fetchall()
        }
    for source, tables in RAW_TABLES.items():
        for table, schema in tables.items():
            for name in [*schema.names, "_dlt_load_id"]:
                assert (f"raw_{source}", table, name) in found
        assert found[f"raw_{source}", "_dlt_loads", "inserted_at"] == "TIMESTAMP WITH TIME ZONE"
    assert found["raw_amocrm", "leads", "cursor_at"] == "TIMESTAMP"
    ensure_raw_tables(home)


def test_a_column_that_an_older_home_lacks_is_added(home: Home) -> None:
    land(home, {"id": 1})
    with open_warehouse(home.warehouse) as connection:
        connection.execute("alter table raw_amocrm.users drop column cursor_at")
    ensure_raw_tables(home)
    land(home, {"id": 1}, {"id": 2, "at": 1_700_000_000})
    with open_warehouse(home.warehouse) as connection:
        found = connection.execute(
            "select record_id, cursor_at from raw_amocrm.users order by record_id"
        ).fetchall()
    assert found == [("1", None), ("2", from_unix(1_700_000_000))]


def test_types_stay_after_dlt_has_loaded(home: Home) -> None:
    land(home, {"id": 1, "at": 1_700_000_000})
    with open_warehouse(home.warehouse) as connection:
        kinds = dict(
            connection.execute(
                "select column_name, data_type from duckdb_columns() "
                "where schema_name = 'raw_amocrm' and table_name = 'users'"
            ).fetchall()
        )
        assert connection.execute("select cursor_at from raw_amocrm.users").fetchall() == [
            (from_unix(1_700_000_000),)
        ]
    assert kinds == {
        "source_account_id": "VARCHAR",
        "record_id": "VARCHAR",
        "cursor_at": "TIMESTAMP",
        "is_deleted": "BOOLEAN",
        "payload": "VARCHAR",
        "payload_hash": "VARCHAR",
        "pull_id": "VARCHAR",
        "_dlt_load_id": "VARCHAR",
    }


def stored_as(home: Home) -> set[str]:
    with open_warehouse(home.warehouse) as connection:
        connection.execute("checkpoint")
        found = connection.execute(
            "select distinct compression from pragma_storage_info('raw_amocrm.users') "
            "where column_name = 'payload' and segment_type = 'VARCHAR'"
        ).fetchall()
    return {row[0] for row in found}


def many(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "text": f"a text about {number % 7}" * 9} for number in range(count)]


def test_payloads_stay_compressed_from_load_to_load(home: Home) -> None:
    for count in (3_000, 6_000):
        land(home, *many(count), snapshot=False)
        ensure_raw_tables(home)
    assert len(rows(home)) == 6_000
    assert stored_as(home) == {"ZSTD"}


def test_a_warehouse_of_the_older_format_works_and_stays_compressed(tmp_path: Path) -> None:
    old = Home(tmp_path)
    duckdb.connect(str(old.warehouse)).close()
    ensure_raw_tables(old)
    land(old, *many(6_000), snapshot=False)
    assert len(rows(old)) == 6_000
    assert "Uncompressed" not in stored_as(old)


def test_unchanged_records_are_not_stored_again(home: Home) -> None:
    land(home, {"id": 1, "v": "a"}, {"id": 2, "v": "a"})
    land(home, {"id": 1, "v": "a"}, {"id": 2, "v": "b"})
    assert [row[:2] for row in rows(home)] == [("1", False), ("2", False), ("2", False)]
    land(home, {"id": 1, "v": "a"}, {"id": 2, "v": "a"})
    assert len(rows(home)) == 4


def test_vanished_records_get_one_tombstone(home: Home) -> None:
    land(home, {"id": 1}, {"id": 2})
    land(home, {"id": 1})
    land(home, {"id": 1})
    assert [row[:2] for row in rows(home) if row[1]] == [("2", True)]
    land(home, {"id": 1}, {"id": 2})
    assert rows(home)[-1][:2] == ("2", False)


def test_a_broken_read_makes_no_tombstones_and_counts_for_nothing(home: Home) -> None:
    land(home, {"id": 1}, {"id": 2})
    budget = land(home, {"id": 1, "v": "new"}, fails=True)
    assert isinstance(budget.error, RateLimitError)
    assert not [row for row in rows(home) if row[1]]
    land(home, {"id": 1, "v": "new"}, {"id": 2})
    assert len([row for row in rows(home) if row[2] and "new" in row[2]]) == 2
    with open_warehouse(home.warehouse) as connection:
        found = connection.execute(
            "select is_complete, row_count, stored_count from raw_amocrm._pulls "
            "order by finished_at"
        ).fetchall()
    assert found == [(True, 2, 2), (False, 1, 1), (True, 2, 1)]


def test_rows_of_an_uncommitted_load_do_not_count(home: Home) -> None:
    land(home, {"id": 1}, commit=False)
    land(home, {"id": 1})
    state = StoredState(home.warehouse, "raw_amocrm")
    assert len(rows(home)) == 2
    assert state.live_ids("users", account_id="900") == ["1"]


def test_live_ids_of_a_scope(home: Home) -> None:
    land(home, {"id": "2026-01-01|7"}, {"id": "2026-01-02|7"})
    state = StoredState(home.warehouse, "raw_amocrm")
    assert state.live_ids("users", account_id="900", prefixes=["2026-01-02|"]) == ["2026-01-02|7"]
    assert state.live_ids("users", account_id="other") == []


def test_a_record_that_comes_twice_in_one_chunk_is_stored_once(home: Home) -> None:
    land(home, {"id": 1, "v": "a"}, {"id": 1, "v": "a"}, {"id": 1, "v": "b"})
    assert [row[2] for row in rows(home)] == ['{"id":1,"v":"a"}', '{"id":1,"v":"b"}']


def test_a_failing_window_keeps_the_complete_ones(home: Home) -> None:
    state = StoredState(home.warehouse, "raw_amocrm")
    budget = ChunkBudget()
    windows = [Window(day(n), day(n + 1)) for n in range(8, 0, -1)]

    def read(window: Window, pull_id: str) -> Iterator[pa.RecordBatch]:
        if window.start == day(4):
            raise RateLimitError("too fast")
        yield batch(pull_id, {"id": window.start.day, "at": 1})

    with dlt_configured(home):
        items = list(
            read_windows(
                state,
                budget,
                "leads",
                windows,
                read,
                account_id="900",
                observed_until_at=day(9),
                parallel=3,
            )
        )
    assert isinstance(budget.error, RateLimitError)
    pulls = [item.data.to_pylist()[0] for item in items if item.data.schema.names[0] == "pull_id"]
    complete = [pull["window_start_at"] for pull in pulls if pull["is_complete"]]
    assert day(8) in complete
    assert day(4) not in complete
    assert [pull for pull in pulls if not pull["is_complete"]]


def test_a_spent_budget_leaves_windows_for_the_next_chunk(home: Home) -> None:
    state = StoredState(home.warehouse, "raw_amocrm")
    budget = ChunkBudget(max_rows=2)
    seen: list[tuple[Any, ...]] = []
    budget.run.progress = lambda *what: seen.append(what)  # type: ignore[assignment]
    windows = [Window(day(n), day(n + 1)) for n in range(8, 0, -1)]

    def read(window: Window, pull_id: str) -> Iterator[pa.RecordBatch]:
        yield batch(pull_id, {"id": window.start.day, "at": 1})

    list(
        read_windows(
            state,
            budget,
            "leads",
            windows,
            read,
            account_id="900",
            observed_until_at=day(9),
            parallel=1,
        )
    )
    assert budget.has_more
    assert not budget.is_done("leads")
    assert [(done, total) for _, _, done, total, _, _ in seen] == [(0, 8), (1, 8), (2, 8)]
    assert seen[-1][5] is not None


_HOLDER = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
time.sleep(30)
"""


def test_a_warehouse_that_is_open_elsewhere_is_named(home: Home) -> None:
    import subprocess
    import sys

    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _HOLDER,
            str(home.warehouse),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StorageError, match="another program"), open_warehouse(home.warehouse):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "warehouse.duckdb").write_text("not a database " * 1000)
    with (
        pytest.raises(StorageError, match="cannot be used"),
        open_warehouse(tmp_path / "warehouse.duckdb"),
    ):
        pass


def test_payload_is_the_record_and_the_hash_ignores_link_queries() -> None:
    one = batch("p", {"id": 1, "v": 25.0, "n": None, "t": "ё\u2028", "deep": {"a": [1, {}]}})
    assert one.schema == RECORD_SCHEMA
    assert one.column("payload").to_pylist() == [
        '{"id":1,"v":25.0,"n":null,"t":"ё\u2028","deep":{"a":[1,{}]}}'
    ]
    plain = payload_hash(b'{"_links":{"self":{"href":"https://x/1"}},"v":1}')
    assert plain == payload_hash(b'{"_links":{"self":{"href":"https://x/1?page=2"}},"v":1}')
    assert plain != payload_hash(b'{"_links":{"self":{"href":"https://x/1?page=2"}},"v":2}')


def test_duckdb_is_the_pinned_one() -> None:
    assert duckdb.__version__ == "1.5.5"


def test_a_full_disk_is_named_wherever_it_shows(tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    wrapped = RuntimeError("step extract failed")
    wrapped.__cause__ = full
    for failure in (wrapped, RuntimeError("IO Error: Could not write file: No space left")):
        named = _named(failure, Home(tmp_path))
        assert isinstance(named, StorageError)
        assert "no space left" in str(named)
    assert _named(defect := RuntimeError("a defect"), Home(tmp_path)) is defect


def test_the_warehouse_is_to_dlt_the_destination_that_dlt_knows(tmp_path):
    ours = pipeline_for(Home(tmp_path), "files").destination
    own = dlt.destinations.duckdb(str(tmp_path / "warehouse.duckdb"))
    assert ours.destination_type == own.destination_type
    assert ours.destination_name == own.destination_name
    snake_case = dlt.Schema("any").naming
    for naming in (None, snake_case):
        assert dict(ours.capabilities(naming=naming)) == dict(own.capabilities(naming=naming))
