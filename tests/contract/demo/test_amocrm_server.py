"""The fake amoCRM keeps the vendor's habits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from ingest.demo import CompanyTables, DemoCompany
from ingest.demo.amocrm_server import AmoOptions, AmoServer
from tests.contract.demo.conftest import Amo

DAY = 86_400


def column(table: Any, name: str) -> list[Any]:
    found: list[Any] = table.column(name).to_pylist()
    return found


def test_pages_are_byte_identical_on_two_runs() -> None:
    servers = [
        Amo(
            AmoServer(
                DemoCompany(seed=5, months=3, leads=300).tables(),
                AmoOptions(requests_per_second=None),
            )
        )
        for _ in range(2)
    ]
    for path in (
        "leads",
        "events",
        "contacts",
        "contacts/notes",
        "tasks",
        "users",
        "leads/pipelines",
    ):
        first, second = (
            server.get(path, limit=100, **{"with": "contacts,loss_reason"}).body
            for server in servers
        )
        assert first == second


def test_walking_all_pages_loses_no_row(firm: CompanyTables, amo: Callable[..., Amo]) -> None:
    client = amo()
    waiting = {row["deal_id"] for row in firm.unsorted.to_pylist() if row["resolved_at"] is None}
    expected = {
        row["deal_id"]
        for row in firm.deals.to_pylist()
        if row["deleted_at"] is None and row["merged_at"] is None
    } - waiting
    got = [row["id"] for row in client.all("leads", limit=250)]
    assert len(got) == len(set(got))
    assert set(got) == expected
    assert {row["id"] for row in client.all("contacts", limit=250)} == {
        row["contact_id"]
        for row in firm.contacts.to_pylist()
        if row["deleted_at"] is None and row["merged_at"] is None
    }
    assert len(client.all("tasks", limit=250)) == firm.tasks.num_rows
    assert len(client.all("companies")) == firm.companies.num_rows
    notes = sum(
        len(client.all(f"{entity}/notes", limit=250))
        for entity in ("leads", "contacts", "companies")
    )
    assert notes == firm.notes.num_rows + firm.calls.num_rows + firm.documents.num_rows
    events = client.all("events", limit=100)
    assert len({row["id"] for row in events}) == len(events)
    moves = [row for row in events if row["type"] == "lead_status_changed"]
    assert len(moves) == firm.stage_changes.num_rows


def test_limit_above_the_maximum_falls_back_to_50(amo: Callable[..., Amo]) -> None:
    client = amo()
    for path, limit in (("leads", 500), ("events", 250), ("contacts", 0)):
        page = orjson.loads(client.get(path, limit=limit).body)
        assert len(next(iter(page["_embedded"].values()))) == 50
        assert "limit=50" in page["_links"]["next"]["href"]


def test_events_allow_100(amo: Callable[..., Amo]) -> None:
    assert len(orjson.loads(amo().get("events", limit=100).body)["_embedded"]["events"]) == 100


def test_empty_answer_is_204_without_a_body(amo: Callable[..., Amo]) -> None:
    client = amo()
    for path, params in (
        ("leads", {"page": 10_000}),
        ("leads", {"filter[id][0]": 1}),
        ("events", {"filter[created_at][from]": 4_000_000_000}),
        ("leads/1", {}),
    ):
        reply = client.query(path, params)
        assert (reply.status, reply.body) == (204, b"")


def test_next_is_absent_on_the_last_page(firm: CompanyTables, amo: Callable[..., Amo]) -> None:
    client = amo()
    ids = [row["id"] for row in client.all("leads", limit=250)][:100]
    filters = {f"filter[id][{number}]": one for number, one in enumerate(ids)}
    first = orjson.loads(client.query("leads", {**filters, "limit": 50}).body)
    assert "next" in first["_links"]
    second = orjson.loads(client.query("leads", {**filters, "limit": 50, "page": 2}).body)
    assert "next" not in second["_links"]


@pytest.mark.parametrize("field", ["updated_at", "created_at", "closed_at"])
def test_window_filters_and_orders(
    field: str, firm: CompanyTables, amo: Callable[..., Amo]
) -> None:
    client = amo()
    everything = client.all("leads", limit=250)
    low, high = firm.now - 30 * DAY, firm.now - 10 * DAY
    params = {
        f"filter[{field}][from]": low,
        f"filter[{field}][to]": high,
        f"order[{field}]": "desc",
        "limit": 250,
    }
    got = client.all("leads", **params)
    wanted = {
        row["id"] for row in everything if row[field] is not None and low <= row[field] <= high
    }
    assert {row["id"] for row in got} == wanted
    if field != "closed_at":
        assert [row[field] for row in got] == sorted((row[field] for row in got), reverse=True)


def test_status_filter_takes_pairs_of_pipeline_and_stage(amo: Callable[..., Amo]) -> None:
    params = {
        "filter[statuses][0][pipeline_id]": 7301482,
        "filter[statuses][0][status_id]": 142,
        "limit": 250,
    }
    got = amo().all("leads", **params)
    assert got
    assert {(row["pipeline_id"], row["status_id"]) for row in got} == {(7301482, 142)}


def test_filters_switched_off_are_ignored(firm: CompanyTables, amo: Callable[..., Amo]) -> None:
    client = amo(is_api_filter_enabled=False)
    account = orjson.loads(client.query("account", {"with": "is_api_filter_enabled"}).body)
    assert account["is_api_filter_enabled"] is False
    params = {"filter[updated_at][from]": firm.now - DAY, "order[updated_at]": "desc", "limit": 250}
    got = client.all("leads", **params)
    assert len(got) == len(amo().all("leads", limit=250))
    assert got[0]["updated_at"] == max(row["updated_at"] for row in got)
    # Events and tasks keep theirs: they are not the paid package.
    low = firm.now - DAY
    assert all(
        row["created_at"] >= low
        for row in client.all("events", **{"filter[created_at][from]": low})
    )


def test_too_many_requests_then_ban(firm: CompanyTables) -> None:
    client = Amo(
        AmoServer(firm, AmoOptions(excess_before_ban=4, ban_seconds=0.2, retry_after_seconds=1))
    )
    statuses = [client.get("account").status for _ in range(16)]
    assert statuses == [200] * 7 + [429] * 4 + [403] * 5
    reply = client.get("account")
    assert (reply.content_type, reply.body[:6]) == ("text/html", b"<html>")
    time.sleep(1.1)
    assert client.get("account").status == 200


def test_429_comes_as_json_and_as_html(firm: CompanyTables) -> None:
    client = Amo(AmoServer(firm, AmoOptions(requests_per_second=1)))
    client.get("account")
    kinds = {
        (reply.status, reply.content_type) for reply in (client.get("account") for _ in range(2))
    }
    assert kinds == {(429, "application/problem+json"), (429, "text/html")}
    assert "Retry-After" not in client.get("account").headers


def test_evenly_spaced_requests_are_never_refused(firm: CompanyTables) -> None:
    client = Amo(AmoServer(firm, AmoOptions(requests_per_second=50)))
    for _ in range(60):
        assert client.get("account").status == 200
        time.sleep(0.02)


def test_wrong_token_is_401(amo: Callable[..., Amo]) -> None:
    client = amo()
    client.token = "wrong"
    reply = client.get("leads")
    assert reply.status == 401
    assert orjson.loads(reply.body)["title"] == "Unauthorized"


OAUTH = {
    "client_id": "demo-integration",
    "client_secret": "demo-integration-secret",
    "redirect_uri": "https://voronka.example/oauth",
}


def test_refresh_token_is_good_once(amo: Callable[..., Amo]) -> None:
    client = amo()
    code = {**OAUTH, "grant_type": "authorization_code", "code": "demo-authorization-code"}
    pair = orjson.loads(client.post("/oauth2/access_token", code).body)
    refresh = {**OAUTH, "grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    again = client.post("/oauth2/access_token", refresh)
    assert again.status == 200
    dead = client.post("/oauth2/access_token", refresh)
    assert dead.status == 400
    assert orjson.loads(dead.body)["hint"] == "Token has been revoked"
    client.token = orjson.loads(again.body)["access_token"]
    assert client.get("account").status == 200


def test_authorization_code_is_good_once(amo: Callable[..., Amo]) -> None:
    client = amo()
    code = {**OAUTH, "grant_type": "authorization_code", "code": "demo-authorization-code"}
    assert [client.post("/oauth2/access_token", code).status for _ in range(2)] == [200, 400]


def test_access_token_expires_in_the_middle(amo: Callable[..., Amo]) -> None:
    client = amo(access_token_requests=3)
    code = {**OAUTH, "grant_type": "authorization_code", "code": "demo-authorization-code"}
    client.token = orjson.loads(client.post("/oauth2/access_token", code).body)["access_token"]
    assert [client.get("account").status for _ in range(4)] == [200, 200, 200, 401]


def test_token_of_a_sales_rep_sees_no_users_and_few_deals(amo: Callable[..., Amo]) -> None:
    client = amo(is_admin=False)
    assert client.get("users").status == 403
    mine = client.all("leads", limit=250)
    assert mine
    assert len({row["responsible_user_id"] for row in mine}) == 1


def test_deleted_deals_stand_only_in_the_bin(firm: CompanyTables, amo: Callable[..., Amo]) -> None:
    client = amo()
    gone = client.all("leads", **{"with": "only_deleted", "limit": 250})
    expected = {
        row["deal_id"]
        for row in firm.deals.to_pylist()
        if row["deleted_at"] is not None and not row["is_purged"]
    }
    assert {row["id"] for row in gone} == expected
    assert all(row["is_deleted"] is True and "name" not in row for row in gone)
    assert not expected & {row["id"] for row in client.all("leads", limit=250)}
    events = client.all("events", **{"filter[type]": "lead_deleted", "limit": 100})
    assert expected <= {row["entity_id"] for row in events}


def test_unsorted_requests_are_absent_from_leads(
    firm: CompanyTables, amo: Callable[..., Amo]
) -> None:
    client = amo()
    waiting = {row["_embedded"]["leads"][0]["id"] for row in client.all("leads/unsorted")}
    expected = {row["deal_id"] for row in firm.unsorted.to_pylist() if row["resolved_at"] is None}
    assert waiting == expected
    assert not waiting & {row["id"] for row in client.all("leads", limit=250)}
    both = {row["id"] for row in amo(leads_show_unsorted=True).all("leads", limit=250)}
    assert waiting <= both


def test_record_shapes(amo: Callable[..., Amo]) -> None:
    client = amo()
    leads = client.all(
        "leads", **{"limit": 250, "with": "contacts,loss_reason,catalog_elements,source_id"}
    )
    bare = CompanyTables.build(now=9, deals=[{"deal_id": 1, "created_at": 1}])
    assert [row["custom_fields_values"] for row in amo(bare).all("leads")] == [None]
    fields = [field for row in leads for field in row["custom_fields_values"] or ()]
    lengths = [field["values"][0]["value"] for field in fields if field["field_type"] == "numeric"]
    assert lengths
    assert all(isinstance(value, str) for value in lengths)
    assert {field["field_code"] for field in fields if field["field_type"] == "tracking_data"} >= {
        "UTM_SOURCE",
        "UTM_MEDIUM",
        "UTM_CAMPAIGN",
    }
    lost = [row for row in leads if row["loss_reason_id"] is not None]
    assert all(row["_embedded"]["loss_reason"][0]["id"] == row["loss_reason_id"] for row in lost)
    assert any(row["_embedded"]["catalog_elements"] for row in leads)
    plain = client.all("leads", limit=250)[0]
    assert "contacts" not in plain["_embedded"]


def test_closing_stages_have_other_names_in_each_pipeline(amo: Callable[..., Amo]) -> None:
    pipelines = orjson.loads(amo().get("leads/pipelines").body)["_embedded"]["pipelines"]
    names: dict[int, set[str]] = {142: set(), 143: set()}
    for pipeline in pipelines:
        stages = pipeline["_embedded"]["statuses"]
        assert sum(stage["type"] == 1 for stage in stages) == 1
        for stage in stages:
            if stage["id"] in names:
                names[stage["id"]].add(stage["name"])
    assert [len(found) for found in names.values()] == [3, 3]


def test_events_are_newest_first_and_filtered(firm: CompanyTables, amo: Callable[..., Amo]) -> None:
    client = amo()
    page = orjson.loads(client.get("events", limit=100).body)["_embedded"]["events"]
    moments = [row["created_at"] for row in page]
    assert moments == sorted(moments, reverse=True)
    low, high = firm.now - 20 * DAY, firm.now - 10 * DAY
    window = {"filter[created_at][from]": low, "filter[created_at][to]": high, "limit": 100}
    moves = client.all("events", **{**window, "filter[type][]": "lead_status_changed"})
    expected = [at for at in column(firm.stage_changes, "changed_at") if low <= at <= high]
    assert sorted(row["created_at"] for row in moves) == sorted(expected)
    comma = client.all(
        "events",
        **{
            "filter[created_at]": f"{low},{high}",
            "filter[type]": "lead_status_changed,lead_added",
            "limit": 100,
        },
    )
    assert {row["type"] for row in comma} == {"lead_status_changed", "lead_added"}


def test_event_filters_have_the_vendors_limits(amo: Callable[..., Amo]) -> None:
    client = amo()
    many = {f"filter[entity_id][{number}]": number for number in range(11)}
    assert client.query("events", {**many, "filter[entity][]": "lead"}).status == 400
    assert client.query("events", {"filter[entity_id][]": 1}).status == 400
    mixed = {"filter[type]": "custom_field_7001_value_changed,lead_added"}
    assert client.query("events", mixed).status == 400


def test_chat_events_are_shown_at_the_deal_and_found_by_the_contact(
    amo: Callable[..., Amo],
) -> None:
    client = amo()
    kinds = {"filter[type]": "incoming_chat_message,outgoing_chat_message", "limit": 100}
    by_contact = client.all("events", **kinds, **{"filter[entity][]": "contact"})
    assert by_contact
    assert all(row["entity_type"] == "lead" and row["linked_talk_contact_id"] for row in by_contact)
    assert client.query("events", {**kinds, "filter[entity][]": "lead"}).status == 204


def test_unfiltered_feed_may_lack_calls(amo: Callable[..., Amo]) -> None:
    kinds = {
        row["type"] for row in amo(unfiltered_events_are_complete=False).all("events", limit=100)
    }
    assert not kinds & {"incoming_call", "outgoing_call", "incoming_chat_message"}


def test_late_event_appears_after_its_time(amo: Callable[..., Amo]) -> None:
    tables = CompanyTables.build(
        now=10_000,
        deals=[{"deal_id": 1, "created_at": 1000}],
        stage_changes=[{"deal_id": 1, "changed_at": 5000, "to_stage_id": 2, "published_at": 5400}],
    )
    client = amo(tables, now=5100)
    asked = {"filter[type]": "lead_status_changed"}
    assert client.query("events", asked).status == 204
    # The deal itself already shows the new stage.
    assert client.all("leads")[0]["status_id"] == 2
    client.server.clock.set(5400)
    assert [row["created_at"] for row in client.all("events", **asked)] == [5000]


def test_state_is_that_of_the_simulated_moment(amo: Callable[..., Amo]) -> None:
    tables = CompanyTables.build(
        now=90_000,
        deals=[
            {"deal_id": 1, "created_at": 1000, "amount": 100},
            {"deal_id": 2, "created_at": 50_000},
            {"deal_id": 3, "created_at": 1000, "deleted_at": 60_000},
        ],
        stage_changes=[
            {"deal_id": 1, "changed_at": 2000, "to_stage_id": 143, "loss_reason_id": 7},
            {"deal_id": 1, "changed_at": 3000, "to_stage_id": 3},
            {"deal_id": 1, "changed_at": 70_000, "to_stage_id": 142},
        ],
        amount_changes=[{"deal_id": 1, "changed_at": 70_000, "from_amount": 100, "to_amount": 250}],
        loss_reasons=[{"loss_reason_id": 7, "name": "Дорого", "position": 1, "created_at": 0}],
    )
    client = amo(tables, now=2500)

    def first() -> dict[str, Any]:
        return client.all("leads")[0]

    assert (first()["status_id"], first()["closed_at"], first()["loss_reason_id"]) == (143, 2000, 7)
    assert [row["id"] for row in client.all("leads")] == [1, 3]
    client.server.clock.set(4000)
    assert (first()["status_id"], first()["closed_at"], first()["loss_reason_id"]) == (
        3,
        None,
        None,
    )
    assert first()["updated_at"] == 3000
    client.server.clock.set(90_000)
    assert (first()["status_id"], first()["closed_at"], first()["price"]) == (142, 70_000, 250)
    assert [row["id"] for row in client.all("leads")] == [1, 2]
    assert [row["id"] for row in client.all("leads", **{"with": "only_deleted"})] == [3]


def test_rows_move_between_pages_while_the_clock_runs(
    firm: CompanyTables, amo: Callable[..., Amo]
) -> None:
    def walk(step: int) -> list[int]:
        client = amo(now=firm.now - 20 * DAY, seconds_per_request=step)
        found: list[int] = []
        for page in range(1, 100):
            reply = client.query("leads", {"order[updated_at]": "desc", "limit": 50, "page": page})
            client.server.clock.tick()
            if reply.status == 204:
                break
            found += [row["id"] for row in orjson.loads(reply.body)["_embedded"]["leads"]]
        return found

    still, moving = walk(0), walk(6 * 3600)
    assert len(still) == len(set(still))
    assert len(moving) > len(set(moving))


def test_links_may_repeat_the_query(amo: Callable[..., Amo]) -> None:
    row = amo(links_echo_query=True).all("leads", limit=250)[0]
    assert row["_links"]["self"]["href"].endswith("?page=1&limit=250")
    assert "?" not in amo().all("leads", limit=250)[0]["_links"]["self"]["href"]


def test_invoices_show_their_state(firm: CompanyTables, amo: Callable[..., Amo]) -> None:
    client = amo()
    account = orjson.loads(client.query("account", {"with": "invoices_settings"}).body)
    catalog = account["invoices_settings"]["invoices_catalog_id"]
    kinds = {
        row["id"]: row["type"]
        for row in orjson.loads(client.get("catalogs").body)["_embedded"]["catalogs"]
    }
    assert kinds[catalog] == "invoices"
    elements = client.all(f"catalogs/{catalog}/elements", **{"limit": 250, "with": "invoice_link"})
    assert len(elements) == sum(row["deleted_at"] is None for row in firm.invoices.to_pylist())
    states = set()
    for element in elements:
        fields = {
            field["field_code"]: field["values"][0] for field in element["custom_fields_values"]
        }
        states.add(fields["BILL_STATUS"]["enum_code"])
        assert isinstance(fields["BILL_PRICE"]["value"], str)
        assert ("BILL_PAYMENT_DATE" in fields) == (fields["BILL_STATUS"]["enum_code"] == "paid")
    assert states >= {"created", "paid"}


def test_unsorted_calls_carry_phones_as_numbers(
    firm: CompanyTables, amo: Callable[..., Amo]
) -> None:
    rows = firm.unsorted.to_pylist()
    moment = next(
        row["created_at"] + 1
        for row in rows
        if row["category"] == "sip" and row["resolved_at"] != row["created_at"]
    )
    waiting = amo(now=moment).all("leads/unsorted", **{"filter[category][]": "sip"})
    assert waiting
    assert all(isinstance(row["metadata"]["phone"], int) for row in waiting)


def test_notes_are_filtered_by_type(amo: Callable[..., Amo]) -> None:
    got = amo().all("contacts/notes", **{"filter[note_type][]": "call_in", "limit": 250})
    assert {row["note_type"] for row in got} == {"call_in"}
    assert all(row["params"]["phone"].startswith("+7") for row in got)


def merged_cards() -> CompanyTables:
    return CompanyTables.build(
        now=90_000,
        contacts=[
            {
                "contact_id": 1,
                "phone": "+7 (916) 000-00-01",
                "email": "a@mail.example",
                "created_at": 1000,
            },
            {
                "contact_id": 2,
                "phone": "8 916 000 00 02",
                "email": "a@mail.example",
                "created_at": 2000,
                "merged_into_contact_id": 1,
                "merged_at": 50_000,
            },
            {"contact_id": 3, "phone": "89160000003", "created_at": 2000, "deleted_at": 60_000},
        ],
        deals=[
            {"deal_id": 11, "created_at": 1000, "contact_id": 1, "responsible_user_id": 501},
            {
                "deal_id": 12,
                "created_at": 2000,
                "contact_id": 2,
                "merged_into_deal_id": 11,
                "merged_at": 50_000,
            },
            {"deal_id": 13, "created_at": 2500, "contact_id": 2},
            {"deal_id": 14, "created_at": 2600, "contact_id": 3},
        ],
        calls=[{"call_id": 5, "contact_id": 2, "called_at": 3000, "user_id": 501}],
    )


def phones(record: dict[str, Any]) -> list[str]:
    return [
        value["value"]
        for field in record["custom_fields_values"] or ()
        if field["field_code"] == "PHONE"
        for value in field["values"]
    ]


def linked(record: dict[str, Any], name: str) -> list[int]:
    return [one["id"] for one in record["_embedded"][name]]


def test_a_merged_contact_lives_on_in_the_survivor(amo: Callable[..., Amo]) -> None:
    client = amo(merged_cards(), now=49_999)
    before = {row["id"]: row for row in client.all("contacts", **{"with": "leads"})}
    assert {number: phones(row) for number, row in before.items()} == {
        1: ["+7 (916) 000-00-01"],
        2: ["8 916 000 00 02"],
        3: ["89160000003"],
    }
    assert linked(before[2], "leads") == [12, 13]

    client.server.clock.set(50_000)
    after = {row["id"]: row for row in client.all("contacts", **{"with": "leads"})}
    assert set(after) == {1, 3}
    assert phones(after[1]) == ["+7 (916) 000-00-01", "8 916 000 00 02"]
    boxes = after[1]["custom_fields_values"][1]["values"]
    assert [box["value"] for box in boxes] == ["a@mail.example"]
    assert linked(after[1], "leads") == [11, 13]
    assert after[1]["updated_at"] == 50_000
    deals = {row["id"]: row for row in client.all("leads", **{"with": "contacts"})}
    assert linked(deals[13], "contacts") == [1]
    # What hung on the merged card hangs on the survivor.
    assert [row["entity_id"] for row in client.all("contacts/notes")] == [1]
    assert client.query("contacts/2", {}).status == 204


def test_a_merged_deal_is_in_no_list_and_its_event_names_no_survivor(
    amo: Callable[..., Amo],
) -> None:
    client = amo(merged_cards(), now=50_000)
    assert {row["id"] for row in client.all("leads")} == {11, 13, 14}
    assert client.query("leads", {"with": "only_deleted"}).status == 204
    assert client.query("leads/12", {}).status == 204
    survivor = next(row for row in client.all("leads") if row["id"] == 11)
    assert (survivor["updated_at"], survivor["updated_by"]) == (50_000, 501)
    merges = client.all("events", **{"filter[type]": "entity_merged"})
    assert {(row["entity_type"], row["entity_id"]) for row in merges} == {
        ("lead", 12),
        ("contact", 2),
    }
    assert all(row["value_after"] == row["value_before"] == [] for row in merges)


def test_a_deleted_contact_leaves_its_deals_alone(amo: Callable[..., Amo]) -> None:
    client = amo(merged_cards(), now=60_000)
    assert {row["id"] for row in client.all("contacts")} == {1}
    deals = {row["id"]: row for row in client.all("leads", **{"with": "contacts"})}
    assert linked(deals[14], "contacts") == []
    gone = client.all("events", **{"filter[type]": "contact_deleted"})
    assert [row["entity_id"] for row in gone] == [3]


def test_stages_are_shown_as_they_are_called_at_the_moment(amo: Callable[..., Amo]) -> None:
    tables = CompanyTables.build(
        now=1000,
        pipelines=[
            {
                "pipeline_id": 1,
                "name": "Sales",
                "stages": [
                    {"stage_id": 11, "name": "Old", "position": 10, "valid_to_at": 500},
                    {"stage_id": 11, "name": "New", "position": 10, "valid_from_at": 500},
                    {"stage_id": 12, "name": "Given up", "position": 20, "valid_to_at": 700},
                ],
            }
        ],
    )
    client = amo(tables, now=499)

    def names() -> list[str]:
        pipelines = orjson.loads(client.get("leads/pipelines").body)["_embedded"]["pipelines"]
        return [stage["name"] for stage in pipelines[0]["_embedded"]["statuses"]][:-2]

    assert names() == ["Old", "Given up"]
    client.server.clock.set(500)
    assert names() == ["New", "Given up"]
    client.server.clock.set(700)
    assert names() == ["New"]


def test_documents_are_messages_of_a_service(firm: CompanyTables, amo: Callable[..., Amo]) -> None:
    asked = {"filter[note_type][]": "extended_service_message", "limit": 250}
    notes = amo().all("leads/notes", **asked)
    assert len(notes) == firm.documents.num_rows
    assert {row["params"]["service"] for row in notes} == {
        "Документы: коммерческое предложение",
        "Документы: договор",
        "Документы: акт",
    }
    by_id = {row["document_id"]: row for row in firm.documents.to_pylist()}
    for note in notes:
        document = by_id[note["id"]]
        assert (note["entity_id"], note["created_at"]) == (
            document["deal_id"],
            document["sent_at"],
        )


def test_a_failing_criterion_is_a_field_of_a_lost_deal(
    firm: CompanyTables, amo: Callable[..., Amo]
) -> None:
    failing = dict(
        zip(column(firm.deals, "deal_id"), column(firm.deals, "failing_criterion"), strict=True)
    )
    shown = 0
    for row in amo().all("leads", limit=250):
        fields = {field["field_name"]: field for field in row["custom_fields_values"] or ()}
        criterion = fields.get("Причина нецелевого")
        assert (criterion is not None) == (
            failing[row["id"]] is not None and row["status_id"] == 143
        )
        if criterion is not None:
            shown += 1
            assert criterion["field_type"] == "select"
    assert shown


def test_a_moved_deadline_moves_the_task_and_leaves_an_event(amo: Callable[..., Amo]) -> None:
    tables = CompanyTables.build(
        now=9000,
        deals=[{"deal_id": 1, "created_at": 100}],
        tasks=[{"task_id": 7, "deal_id": 1, "created_at": 1000, "due_at": 5000, "user_id": 501}],
        task_deadline_changes=[
            {
                "task_id": 7,
                "changed_at": 4000,
                "from_due_at": 5000,
                "to_due_at": 8000,
                "changed_by": 502,
            }
        ],
    )
    client = amo(tables, now=3999)
    task = client.all("tasks")[0]
    assert (task["complete_till"], task["updated_at"], task["updated_by"]) == (5000, 1000, 0)
    assert client.all("leads")[0]["closest_task_at"] == 5000
    client.server.clock.set(4000)
    task = client.all("tasks")[0]
    assert (task["complete_till"], task["updated_at"], task["updated_by"]) == (8000, 4000, 502)
    assert client.all("leads")[0]["closest_task_at"] == 8000
    (event,) = client.all("events", **{"filter[type]": "task_deadline_changed"})
    assert (event["entity_type"], event["entity_id"]) == ("task", 7)
    assert event["value_before"] == [{"task_deadline": {"timestamp": 5000}}]
    assert event["value_after"] == [{"task_deadline": {"timestamp": 8000}}]


def test_a_refund_takes_back_what_was_paid(amo: Callable[..., Amo]) -> None:
    tables = CompanyTables.build(
        now=9000,
        deals=[{"deal_id": 1, "created_at": 100}],
        invoices=[{"invoice_id": 5, "deal_id": 1, "amount": 100, "issued_at": 1000}],
        payments=[
            {"payment_id": 1, "invoice_id": 5, "paid_at": 2000, "amount": 40},
            {"payment_id": 2, "invoice_id": 5, "paid_at": 3000, "amount": 60},
            {"payment_id": 3, "invoice_id": 5, "paid_at": 4000, "amount": 10, "is_refund": True},
            {"payment_id": 4, "invoice_id": 5, "paid_at": 5000, "amount": 90, "is_refund": True},
        ],
    )
    client = amo(tables)
    states = []
    for moment in (1500, 2000, 3000, 4000, 5000):
        client.server.clock.set(moment)
        (element,) = client.all("catalogs/1209/elements")
        fields = {
            field["field_code"]: field["values"][0] for field in element["custom_fields_values"]
        }
        states.append((fields["BILL_STATUS"]["enum_code"], element["updated_at"]))
        assert ("BILL_PAYMENT_DATE" in fields) == (fields["BILL_STATUS"]["enum_code"] == "paid")
    assert states == [
        ("created", 1000),
        ("partially_paid", 2000),
        ("paid", 3000),
        ("partially_paid", 4000),
        ("created", 5000),
    ]


def test_a_deal_moved_to_another_pipeline_names_both(
    firm: CompanyTables, amo: Callable[..., Amo]
) -> None:
    moves = [
        row
        for row in amo().all("events", **{"filter[type]": "lead_status_changed", "limit": 100})
        if row["value_before"][0]["lead_status"]["pipeline_id"]
        != row["value_after"][0]["lead_status"]["pipeline_id"]
    ]
    assert moves
    now_in = {row["id"]: row["pipeline_id"] for row in amo().all("leads", limit=250)}
    last = moves[0]["value_after"][0]["lead_status"]["pipeline_id"]
    assert now_in.get(moves[0]["entity_id"], last) == last
