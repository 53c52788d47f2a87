"""A company at any size: its blocks, and its raw rows made a column at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from multiprocessing import Pipe
from pathlib import Path

import pyarrow as pa
import pytest

from ingest.config import Settings, load_settings
from ingest.demo import CompanyTables, DemoCompany, scale
from ingest.demo.__main__ import main
from ingest.demo.amocrm_raw import AmocrmRaw
from ingest.demo.json_columns import json_texts, numbers, strings
from ingest.demo.raw_file import hashes
from ingest.demo.scale import ScaledCompany, blocks_made_ahead, write_raw
from ingest.errors import ConfigurationError, StorageError
from ingest.records import payload_hash
from ingest.sources.amocrm import ENDPOINTS

COLUMNAR = ("leads", "contacts", "tasks", "events", "lead_notes", "contact_notes", "invoices")
TWO_BLOCKS = ScaledCompany(deals=600, months=4, block_deals=300)
# Whose ids a block must not share with another.
OWN_IDS = {
    "deals": "deal_id",
    "contacts": "contact_id",
    "companies": "company_id",
    "calls": "call_id",
    "messages": "message_id",
    "notes": "note_id",
    "documents": "document_id",
    "tasks": "task_id",
    "unsorted": "uid",
    "invoices": "invoice_id",
    "payments": "payment_id",
    "visits": "visit_id",
}


def column(table: pa.Table, name: str) -> list[object]:
    return table.column(name).to_pylist()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings({"VORONKA_HOME": str(tmp_path_factory.mktemp("scale"))})


@pytest.fixture(scope="module")
def raw(settings: Settings) -> AmocrmRaw:
    return AmocrmRaw(ScaledCompany(deals=1500, months=6).tables(), settings)


@pytest.fixture(scope="module")
def blocks() -> list[CompanyTables]:
    return list(TWO_BLOCKS.blocks())


def test_another_process_makes_the_same_blocks(blocks: list[CompanyTables]) -> None:
    made = list(blocks_made_ahead(TWO_BLOCKS))
    assert len(made) == len(blocks) == 2
    for theirs, ours in zip(made, blocks, strict=True):
        assert theirs.now == ours.now
        assert all(table.equals(getattr(ours, name)) for name, table in theirs.items())


def test_what_another_process_cannot_make_is_told_here() -> None:
    reader, writer = Pipe(duplex=False)
    scale._make_blocks(replace(TWO_BLOCKS, months=-1), writer)
    assert isinstance(reader.recv(), IndexError)


def test_the_end_of_the_other_process_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # It cannot even begin: what it should run is nowhere to be found.
    monkeypatch.setattr(scale, "_make_blocks", exit)
    with pytest.raises(StorageError, match="was ended"):
        list(blocks_made_ahead(TWO_BLOCKS))


@pytest.mark.parametrize("table", COLUMNAR)
def test_columns_and_records_say_the_same(raw: AmocrmRaw, table: str) -> None:
    endpoint = next(one for one in ENDPOINTS if one.table == table)
    by_column = {row["record_id"]: row for row in raw.table(endpoint, "pull").to_pylist()}
    by_record = {row["record_id"]: row for row in raw.rendered(endpoint, "pull").to_pylist()}
    assert by_column.keys() == by_record.keys()
    assert len(by_column) > 5
    for record_id, row in by_column.items():
        assert row == by_record[record_id]


def test_a_company_of_one_block_is_the_demo_company() -> None:
    one = ScaledCompany(deals=400, months=4)
    assert one.is_demo_company
    theirs = DemoCompany(months=4, leads=400).tables()
    for name, table in one.tables().items():
        assert table.equals(getattr(theirs, name)), name


def test_blocks_share_no_id(blocks: list[CompanyTables]) -> None:
    assert TWO_BLOCKS.block_count == len(blocks) == 2
    first, second = blocks
    for name, key in OWN_IDS.items():
        ours, theirs = (set(column(getattr(block, name), key)) for block in (first, second))
        assert not ours & theirs, name
    browsers = [set(column(block.visits, "client_id")) for block in blocks]
    assert not browsers[0] & browsers[1]


def test_a_later_block_names_only_what_it_has(blocks: list[CompanyTables]) -> None:
    second = blocks[1]
    deals = set(column(second.deals, "deal_id"))
    contacts = set(column(second.contacts, "contact_id"))
    for table in (second.stage_changes, second.tasks, second.calls, second.invoices):
        assert {deal for deal in column(table, "deal_id") if deal is not None} <= deals
    for table in (second.deals, second.calls, second.messages):
        assert {one for one in column(table, "contact_id") if one is not None} <= contacts
    users = set(column(blocks[0].users, "user_id"))
    assert set(column(second.deals, "responsible_user_id")) <= users
    stages = set(column(blocks[0].stages, "stage_id"))
    assert set(column(second.stage_changes, "to_stage_id")) <= stages


def test_blocks_written_one_by_one_are_the_whole_company(
    blocks: list[CompanyTables], settings: Settings
) -> None:
    whole = AmocrmRaw(TWO_BLOCKS.tables(), settings)
    parts = [AmocrmRaw(tables, settings, number) for number, tables in enumerate(blocks)]
    pieces: dict[str, list[pa.Table]] = {}
    for part in parts:
        for table, rows in part.rows(lambda _: "pull"):
            pieces.setdefault(table, []).append(rows)
    for endpoint in ENDPOINTS:
        table = endpoint.table
        if table in {"events", "unsorted"}:
            # Parts of these follow the place in the whole list, which no block sees.
            continue
        ours = pa.concat_tables(pieces[table]).sort_by("record_id")
        theirs = whole.table(endpoint, "pull").sort_by("record_id")
        assert ours.combine_chunks().equals(theirs.combine_chunks()), table
    events = pa.concat_tables(pieces["events"])
    assert len(set(column(events, "record_id"))) == events.num_rows
    endpoint = next(one for one in ENDPOINTS if one.table == "events")
    assert events.num_rows == whole.table(endpoint, "pull").num_rows


def test_more_changes_move_cards_on_and_back() -> None:
    plain = ScaledCompany(deals=500, months=4)
    dense = replace(plain, changes_per_deal=10.0)
    assert not dense.is_demo_company
    before, after = plain.tables(), dense.tables()
    assert after.stage_changes.num_rows == pytest.approx(10 * after.deals.num_rows, rel=0.1)
    assert before.deals.equals(after.deals)
    stage = dict(
        zip(column(before.deals, "deal_id"), column(before.deals, "stage_id"), strict=True)
    )
    rows = after.stage_changes.to_pylist()
    for one, following in pairwise(rows):
        if one["deal_id"] == following["deal_id"]:
            assert one["changed_at"] <= following["changed_at"]
            assert one["to_stage_id"] == following["from_stage_id"]
    last = {row["deal_id"]: row["to_stage_id"] for row in rows}
    assert last == {row["deal_id"]: row["to_stage_id"] for row in before.stage_changes.to_pylist()}
    assert set(last) <= set(stage)


def test_more_visits_are_returns_of_known_browsers() -> None:
    plain = ScaledCompany(deals=500, months=4)
    before = plain.tables().visits
    after = replace(plain, visits_per_deal=12.0).tables().visits
    assert after.num_rows == 12 * plain.tables().deals.num_rows
    assert after.slice(0, before.num_rows).equals(before)
    assert len(set(column(after, "visit_id"))) == after.num_rows
    assert set(column(after, "client_id")) == set(column(before, "client_id"))


def test_clicks_of_a_later_block_are_named_alike_everywhere(blocks: list[CompanyTables]) -> None:
    clicks = {
        (visit["click_id"], visit["start_url"])
        for visit in blocks[1].visits.to_pylist()
        if visit["click_id"]
    }
    assert len(clicks) > 20
    for click, url in clicks:
        assert url.endswith(f"yclid={click}")
    known = {click for click, _ in clicks}
    of_deals = {click for click in column(blocks[1].deals, "click_id") if click}
    assert of_deals & known


def test_texts_are_those_of_a_json_writer() -> None:
    record = {
        "id": numbers(pa.array([1, None])),
        "name": strings(pa.array(['a "b" \\ \n', None])),
        "tags": [],
        "more": {"flag": False, "one": [numbers(pa.array([2, 3])), "ж"]},
    }
    assert json_texts(record).to_pylist() == [
        '{"id":1,"name":"a \\"b\\" \\\\ \\n","tags":[],"more":{"flag":false,"one":[2,"ж"]}}',
        '{"id":null,"name":null,"tags":[],"more":{"flag":false,"one":[3,"ж"]}}',
    ]


def test_hashes_are_those_of_the_sources() -> None:
    texts = ['{"id":1}', '{"href":"https://a.example/api?page=1"}', '{"q":"a?b"}', ""]
    column = pa.array(texts)
    assert hashes(column).to_pylist() == [payload_hash(text.encode()) for text in texts]
    assert hashes(column.slice(1, 2)).to_pylist() == [
        payload_hash(text.encode()) for text in texts[1:3]
    ]


def test_a_broken_attempt_leaves_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise OSError("the servers did not start")

    monkeypatch.setattr(scale, "_land_advertising", breaks)
    company = ScaledCompany(deals=60, months=3)
    for _ in range(2):
        with pytest.raises(OSError, match="did not start"):
            write_raw(company, tmp_path / "home")


@pytest.mark.parametrize("options", [["--scale", "10"], ["--scale", "5000"], ["--home", "x"]])
def test_the_command_says_what_it_needs(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["ingest.demo", *options])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--scale takes 1000 to 10000000 and needs --home" in capsys.readouterr().err


def test_a_home_with_a_company_is_refused(tmp_path: Path) -> None:
    (tmp_path / "voronka.toml").write_text('sources = ["files"]\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has a company already"):
        write_raw(ScaledCompany(deals=300), tmp_path)
