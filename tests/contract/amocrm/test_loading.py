"""From amoCRM's answers to committed raw rows."""

from __future__ import annotations

import json

import pytest

from ingest.chunks import ChunkBudget
from ingest.errors import AuthenticationError, SourceContractError
from ingest.records import from_unix, to_unix
from tests.contract.amocrm.conftest import Company
from tests.contract.amocrm.server import NOW, Account, event, lead

DAY = 86_400


def test_first_load_brings_every_row_once_and_second_load_stores_nothing(
    company: Company, account: Account
) -> None:
    account.rows["leads"] = [lead(n, NOW - n * 3_600) for n in range(1, 1201)]
    account.rows["events"] = [event(n, NOW - n * 1_800) for n in range(1, 701)]

    first = company.load()

    assert len(company.live("leads")) == 1200
    assert len(company.live("events")) == 700
    assert first.resources["leads"].rows_stored == 1200
    second = company.load()
    assert second.rows_stored == 0
    assert company.ask("select count(*) from raw_amocrm.leads") == [(1200,)]
    starts = {
        int(query["filter[updated_at][from]"])
        for query in company.account.paths("leads")
        if "filter[updated_at][from]" in query
    }
    assert min(starts) == NOW - 600


def test_filters_that_are_not_paid_for_are_replaced_by_order_and_stop(
    company: Company, account: Account
) -> None:
    account.filters_on = False
    account.rows["leads"] = [lead(n, NOW - n * 3_600) for n in range(1, 1201)]

    company.load()
    assert len(company.live("leads")) == 1200

    account.rows["leads"][700]["updated_at"] = NOW + 50
    account.rows["leads"][700]["price"] = 7
    account.now = NOW + 100
    second = company.load()
    assert second.resources["leads"].rows_stored == 1
    assert json.loads(company.live("leads")["701"])["price"] == 7
    assert len(account.paths("leads")) <= 3


def test_a_limit_that_the_server_clamps_loses_no_rows(company: Company, account: Account) -> None:
    account.greatest_limit = account.greatest_events_limit = 40  # so 250 and 100 fall back to 50
    account.rows["contacts"] = [lead(n, NOW - n * 60) for n in range(1, 321)]
    account.rows["events"] = [event(n, NOW - n * 60) for n in range(1, 321)]
    account.rows["users"] = [
        {"id": n, "name": f"U{n}", "email": f"u{n}@x.ru"} for n in range(1, 131)
    ]

    company.load()

    assert len(company.live("contacts")) == 320
    assert len(company.live("events")) == 320
    assert len(company.live("users")) == 130


@pytest.mark.parametrize("filters_on", [True, False])
def test_rows_that_move_between_pages_are_never_skipped(
    company: Company, account: Account, filters_on: bool
) -> None:
    account.filters_on = filters_on
    rows = account.rows["leads"] = [lead(n, NOW - n * 60) for n in range(1, 1001)]

    def edit(path: str, query: dict[str, str]) -> None:
        # Each request of the list is preceded by an edit and, later, by a deletion of an old row.
        if (
            path == "/api/v4/leads"
            and "only_deleted" not in query.get("with", "")
            and len(account.requests) < 200
        ):
            if (count := len(account.requests)) % 2:
                rows[-count]["updated_at"] = NOW + count
            elif rows[-1]["id"] > 900:
                account.deleted.append(rows.pop())

    account.before_answer = edit
    company.load()
    account.before_answer = None
    account.now = NOW + 1_000
    company.load()

    found = company.live("leads")
    assert {row["id"] for row in rows} <= {int(key) for key in found}
    for row in rows:
        assert json.loads(found[str(row["id"])])["updated_at"] == row["updated_at"]


def test_more_rows_in_one_second_than_a_page_holds(company: Company, account: Account) -> None:
    account.rows["leads"] = [lead(n, NOW - 5_000) for n in range(1, 801)]
    account.rows["leads"] += [lead(n, NOW - 4_000) for n in range(801, 811)]

    company.load()

    assert len(company.live("leads")) == 810


@pytest.mark.parametrize("filters_on", [True, False])
def test_an_empty_answer_where_a_page_must_follow_loses_no_rows(
    company: Company, account: Account, filters_on: bool
) -> None:
    account.filters_on = filters_on
    account.rows["leads"] = [lead(n, NOW - n * 601) for n in range(1, 1001)]
    # No window begins at one of these seconds: only a request that goes on from a page names one.
    moments = {str(row["updated_at"]) for row in account.rows["leads"]}
    emptied: list[dict[str, str]] = []

    def forget_once(_path: str, query: dict[str, str]) -> None:
        goes_on = query.get("page") == "3" or query.get("filter[updated_at][from]") in moments
        if goes_on and not emptied:
            emptied.append(query)
            account.answers.append((204, {}, b""))

    account.before_answer = forget_once
    company.load()
    assert emptied
    assert len(company.live("leads")) == 1000


def test_more_rows_in_one_second_than_a_chunk_holds(
    company: Company, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ChunkBudget.__init__.__kwdefaults__, "max_rows", 400)
    account.filters_on = False
    account.rows["leads"] = [lead(n, NOW - 5 * DAY) for n in range(1, 1501)]
    account.rows["leads"] += [lead(n, NOW - n * 3_600) for n in range(2001, 2011)]

    def stop_an_endless_load(_path: str, _query: dict[str, str]) -> None:
        if len(account.requests) > 300:
            account.answers.append((401, {"Content-Type": "application/json"}, b"{}"))

    account.before_answer = stop_an_endless_load
    company.load()
    assert len(company.live("leads")) == 1510
    assert company.load().rows_stored == 0


def test_late_events_inside_the_overlap_are_found(company: Company, account: Account) -> None:
    account.rows["events"] = [event(1, NOW - 10)]
    company.load()
    account.rows["events"].append(event(2, NOW - 590))
    account.now = NOW + 60

    summary = company.load()

    assert summary.resources["events"].rows_stored == 1
    assert len(company.live("events")) == 2


def test_only_declared_event_types_are_asked_for_and_the_end_is_the_servers_clock(
    company: Company, account: Account
) -> None:
    account.rows["events"] = [event(1, NOW - 10), event(2, NOW - 9, "custom_field_7_value_changed")]

    summary = company.load()

    assert list(company.live("events")) == [event(1, 0)["id"]]
    assert summary.observed_until_at is not None
    assert to_unix(summary.observed_until_at) == NOW
    assert company.ask(
        "select max(window_end_at) from raw_amocrm._pulls where resource = 'events'"
    ) == [(from_unix(NOW),)]


def test_snapshot_rows_that_vanish_get_a_tombstone_and_come_back(
    company: Company, account: Account
) -> None:
    account.rows["unsorted"] = [
        {"uid": "a", "created_at": NOW - 5},
        {"uid": "b", "created_at": NOW - 4},
    ]
    company.load()
    account.rows["unsorted"].pop()
    company.load()
    assert list(company.live("unsorted")) == ["a"]
    assert company.ask("select payload from raw_amocrm.unsorted where is_deleted") == [(None,)]
    account.rows["unsorted"].append({"uid": "b", "created_at": NOW - 4})
    company.load()
    assert sorted(company.live("unsorted")) == ["a", "b"]


def test_deleted_leads_come_from_the_bin(company: Company, account: Account) -> None:
    account.deleted = [{"id": 7, "updated_at": NOW - 5, "is_deleted": True}]
    company.load()
    assert list(company.live("deleted_leads")) == ["7"]


def test_invoices_are_read_from_their_catalog_or_recorded_as_not_connected(
    company: Company, account: Account
) -> None:
    company.load()
    pull = (
        "select row_count, is_complete, content_hash from raw_amocrm._pulls "
        "where resource = 'invoices'"
    )
    assert company.ask(pull) == [(0, True, "not_connected")]
    account.catalog = 1209
    account.rows["invoices"] = [
        {"id": 1, "name": "Счёт 1", "updated_at": NOW - 5, "catalog_id": 1209}
    ]
    company.load()
    assert list(company.live("invoices")) == ["1"]
    (query,) = account.paths("invoices")
    assert "invoice_link" in query["with"]


def test_a_rep_token_is_an_error_unless_allowed(company: Company, account: Account) -> None:
    account.is_admin = False
    with pytest.raises(AuthenticationError, match="administrator"):
        company.load()
    summary = company.load(allow_limited_token="true")
    assert "administrator" in summary.warnings[0]


def test_a_token_that_lost_its_rights_keeps_the_users_and_reads_the_rest(
    company: Company, account: Account
) -> None:
    account.rows["users"] = [{"id": 1, "name": "Анна"}, {"id": 2, "name": "Пётр"}]
    company.load()
    account.is_admin = False
    account.rows["leads"] = [lead(7, NOW - 5)]
    for _ in range(2):
        summary = company.load(allow_limited_token="true")
        assert len(summary.warnings) == 1
        assert "administrator" in summary.warnings[0]
    assert list(company.live("leads")) == ["7"]
    assert sorted(company.live("users")) == ["1", "2"]
    pulls = "select row_count, is_complete from raw_amocrm._pulls where resource = 'users'"
    assert company.ask(pulls) == [(2, True)]


def test_a_backfill_goes_on_after_its_last_committed_window(
    company: Company, account: Account
) -> None:
    account.rows["contacts"] = [lead(n, NOW - n * 7_000) for n in range(1, 1001)]
    options = {"parallel_windows": 1, "window_days": 10}

    def fail_later(path: str, query: dict[str, str]) -> None:
        since = int(query.get("filter[updated_at][from]", NOW))
        if (
            path == "/api/v4/contacts"
            and since < NOW - 40 * DAY
            and len(account.paths("contacts")) > 3
        ):
            account.answers.append((401, {"Content-Type": "application/json"}, b"{}"))

    account.before_answer = fail_later
    with pytest.raises(AuthenticationError):
        company.load(**options)
    done = company.ask(
        "select count(*) from raw_amocrm._pulls where resource = 'contacts' and is_complete"
    )
    assert done[0][0] >= 3
    account.before_answer = None
    account.answers.clear()
    company.load(**options)

    asked = [int(q["filter[updated_at][from]"]) for q in account.paths("contacts")]
    assert (
        sorted(asked)[-2] <= NOW - 600
    )  # beside the overlap, nothing newer than the gap is read again
    assert not [start for start in asked if NOW - 29 * DAY < start < NOW - 600]
    assert len(company.live("contacts")) == 1000
    assert company.ask(
        "select count(*), count(distinct record_id) from raw_amocrm.contacts "
        "where pull_id in (select pull_id from raw_amocrm._pulls where is_complete)"
    ) == [(1000, 1000)]


def test_an_endless_chain_of_pages_is_an_error(company: Company, account: Account) -> None:
    body = {
        "_links": {"next": {"href": "https://other.example/api/v4/users?page=2"}},
    }

    def loop(path: str, query: dict[str, str]) -> None:
        if path == "/api/v4/users":
            body["_embedded"] = {"users": [{"id": len(account.requests)}]}
            account.answers.append(
                (200, {"Content-Type": "application/hal+json"}, json.dumps(body).encode())
            )

    account.before_answer = loop
    with pytest.raises(SourceContractError, match="circle"):
        company.load()


def test_filters_ignored_in_spite_of_the_flag_are_noticed(
    company: Company, account: Account
) -> None:
    account.obeys_filters = False
    account.rows["leads"] = [lead(n, NOW - n * 86_400) for n in range(1, 301)]
    with pytest.raises(SourceContractError, match="filters"):
        company.load()


def test_odd_shapes_pass(company: Company, account: Account) -> None:
    account.rows["leads"] = [
        lead(
            1,
            NOW - 5,
            custom_fields_values=None,
            _embedded={"loss_reason": {"id": 1, "name": "Дорого"}},
        ),
        lead(
            2,
            NOW - 4,
            custom_fields_values=[],
            _embedded={"loss_reason": [{"id": 1, "name": "Дорого"}]},
        ),
        lead(
            3,
            NOW - 3,
            custom_fields_values=[
                {"field_id": 1, "field_type": "numeric", "values": [{"value": "14012"}]}
            ],
        ),
    ]
    company.load()
    assert json.loads(company.live("leads")["1"])["_embedded"]["loss_reason"]["name"] == "Дорого"
    assert (
        json.loads(company.live("leads")["3"])["custom_fields_values"][0]["values"][0]["value"]
        == "14012"
    )


def test_links_that_repeat_the_query_are_no_change(company: Company, account: Account) -> None:
    account.rows["leads"] = [lead(1, NOW - 5)]
    company.load()
    account.rows["leads"][0]["_links"]["self"]["href"] += "&limit=250"
    assert company.load().rows_stored == 0


def test_a_new_event_type_is_read_from_the_beginning(company: Company, account: Account) -> None:
    account.rows["events"] = [event(1, NOW - 40 * DAY), event(2, NOW - 40 * DAY, "nps_rate_added")]
    company.load()
    summary = company.load(event_types="lead_status_changed,nps_rate_added")
    assert summary.resources["events"].rows_stored == 1
    assert len(company.live("events")) == 2


@pytest.mark.parametrize("filters_on", [True, False])
def test_many_chunks_make_the_same_rows_as_one(
    company: Company, account: Account, monkeypatch: pytest.MonkeyPatch, filters_on: bool
) -> None:
    monkeypatch.setitem(ChunkBudget.__init__.__kwdefaults__, "max_rows", 400)
    account.filters_on = filters_on
    account.rows["leads"] = [lead(n, NOW - n * 3_600) for n in range(1, 1801)]
    account.rows["leads"] += [lead(n, NOW - 900 * 3_600) for n in range(2001, 2401)]

    summary = company.load()

    assert len(summary.load_ids) > 1
    assert len(company.live("leads")) == 2200
    counts = "select count(*), count(distinct record_id) from raw_amocrm.leads"
    assert company.ask(counts) == [(2200, 2200)]
    assert len(account.paths("leads")) < 120
    assert company.load().rows_stored == 0
