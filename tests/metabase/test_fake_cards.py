"""The fake keeps and runs cards as a server does: api.md 4, 5 and 7."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.metabase.fake import FakeMetabase, running
from tests.metabase.fake.substitution import date_range
from tests.metabase.visiting import FILTERED_SQL, SPEND_SQL, Body, Visitor


def run(visitor: Visitor, card: Body, *parameters: Body) -> Body:
    answer = visitor.ask("POST", f"/api/card/{card['id']}/query", {"parameters": list(parameters)})
    assert answer.status_code == 202
    body: Body = answer.json()
    return body


def rows(visitor: Visitor, card: Body, *parameters: Body) -> list[list[Any]]:
    answer = run(visitor, card, *parameters)
    assert answer["status"] == "completed", answer["error"]
    found: list[list[Any]] = answer["data"]["rows"]
    return found


def value(tag: str, kind: str, some: Any) -> Body:
    target = ["dimension", ["template-tag", tag]]
    return {"id": f"tag-{tag}", "type": kind, "target": target, "value": some}


def legacy(visitor: Visitor, reference: list[Any]) -> Body:
    tag = {**visitor.tag("channel", "spend.channel"), "dimension": reference}
    sql = "select * from marts.spend where {{channel}}"
    native = {"query": sql, "template-tags": {"channel": tag}}
    return {"type": "native", "database": visitor.database_id, "native": native}


@pytest.fixture(params=["0.59", "0.61", "0.63"])
def version(request: pytest.FixtureRequest, marts_file: Path) -> Iterator[Visitor]:
    """Yield a visitor of each version."""
    with running(FakeMetabase(version=request.param, sync_seconds=0)) as fake:
        visitor = Visitor(fake)
        visitor.set_up()
        visitor.connect(marts_file)
        yield visitor
        visitor.close()


def test_every_version_returns_mbql_5_and_the_newest_lists_tags(version: Visitor) -> None:
    made = version.filtered_card()
    read = version.get(f"/api/card/{made['id']}")["dataset_query"]
    assert (read["lib/type"], "native" in read) == ("mbql/query", False)
    tags = read["stages"][0]["template-tags"]
    assert isinstance(tags, list) == (version.fake.minor >= 63)
    tag = tags[0] if isinstance(tags, list) else tags["channel"]
    # The server puts a lib/uuid into each reference.
    assert tag["dimension"][0] == "field"
    assert set(tag["dimension"][1]) == {"lib/uuid"}
    assert tag["dimension"][2] == version.fields["spend.channel"]


def test_the_old_form_comes_back_on_request(visitor: Visitor) -> None:
    made = visitor.filtered_card()
    read = visitor.get(f"/api/card/{made['id']}", **{"legacy-mbql": "true"})["dataset_query"]
    assert (read["type"], read["native"]["query"]) == ("native", FILTERED_SQL)
    reference = read["native"]["template-tags"]["channel"]["dimension"]
    assert reference == ["field", visitor.fields["spend.channel"], None]


def test_before_v057_queries_come_in_the_old_form(visitor: Visitor) -> None:
    card = visitor.card()
    visitor.fake.minor = 56
    read = visitor.get(f"/api/card/{card['id']}")["dataset_query"]
    visitor.fake.minor = 63
    assert read["native"] == {"query": f"{SPEND_SQL} group by 1"}


def test_a_legacy_query_is_taken_and_kept_as_mbql_5(visitor: Visitor) -> None:
    reference = ["field", visitor.fields["spend.channel"], None]
    card = visitor.card(dataset_query=legacy(visitor, reference))
    assert card["dataset_query"]["lib/type"] == "mbql/query"
    assert len(rows(visitor, card, value("channel", "string/=", ["Meta"]))) == 834


def test_a_legacy_query_with_a_reference_of_the_new_form_is_500(visitor: Visitor) -> None:
    reference = ["field", {}, visitor.fields["spend.channel"]]
    body = visitor.card_body(dataset_query=legacy(visitor, reference))
    assert visitor.ask("POST", "/api/card", body).status_code == 500


def test_names_are_not_unique(visitor: Visitor) -> None:
    first, second = visitor.card(), visitor.card()
    assert first["id"] != second["id"]
    assert [one["name"] for one in visitor.get("/api/card")] == ["Spend", "Spend"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"description": ""}, "description"),
        ({"name": ""}, "name"),
        ({"visualization_settings": None}, "visualization_settings"),
        ({"display": ""}, "display"),
        ({"type": "dataset"}, "type"),
    ],
)
def test_a_wrong_body_is_400_by_field(visitor: Visitor, changes: Body, key: str) -> None:
    answer = visitor.ask("POST", "/api/card", visitor.card_body(**changes))
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [key])


def test_an_empty_description_is_taken_on_put(visitor: Visitor) -> None:
    card = visitor.card(description="Old")
    assert visitor.put(f"/api/card/{card['id']}", {"description": ""})["description"] == ""


def test_making_a_card_runs_it_for_its_columns(visitor: Visitor) -> None:
    card = visitor.card()
    assert [one["name"] for one in card["result_metadata"]] == ["channel", "spend"]
    assert [one["base_type"] for one in card["result_metadata"]] == ["type/Text", "type/Decimal"]


def test_a_card_that_cannot_run_is_saved_and_fails_with_202(visitor: Visitor) -> None:
    card = visitor.card("select nothing from marts.nowhere")
    assert card["result_metadata"] is None
    answer = run(visitor, card)
    assert (answer["status"], answer["error_type"]) == ("failed", "invalid-query")
    assert "nowhere" in answer["error"]


def test_put_changes_what_is_sent_alone(visitor: Visitor) -> None:
    card = visitor.card(description="Why")
    changed = visitor.put(f"/api/card/{card['id']}", {"name": "Money"})
    assert (changed["name"], changed["description"]) == ("Money", "Why")
    assert changed["dataset_query"] == card["dataset_query"]


def test_unknown_keys_are_dropped_without_a_word(visitor: Visitor) -> None:
    card = visitor.card(colour="red")
    assert "colour" not in card
    assert "colour" not in visitor.get(f"/api/card/{card['id']}")


def test_any_display_and_any_setting_is_taken(visitor: Visitor) -> None:
    card = visitor.card(display="barr", visualization_settings={"graph.dimension": ["x"]})
    assert card["display"] == "barr"
    assert card["visualization_settings"] == {"graph.dimension": ["x"]}


def test_field_filters_really_filter(visitor: Visitor) -> None:
    card = visitor.filtered_card()
    assert [row[0] for row in rows(visitor, card)] == ["Meta", "Organic", "Search"]
    some = rows(visitor, card, value("channel", "string/=", ["Meta", "Search"]))
    assert [row[0] for row in some] == ["Meta", "Search"]
    january = rows(visitor, card, value("day", "date/all-options", "2026-01-01~2026-01-31"))
    assert sum(row[1] for row in january) == 279


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("past30days", "2026-10-23", "2026-11-21"),
        ("past30days~", "2026-10-23", "2026-11-22"),
        ("past3months~", "2026-08-01", "2026-11-30"),
        ("past1months", "2026-10-01", "2026-10-31"),
        ("thismonth", "2026-11-01", "2026-11-30"),
        ("lastquarter", "2026-07-01", "2026-09-30"),
        ("past2weeks", "2026-11-08", "2026-11-21"),
        ("today", "2026-11-22", "2026-11-22"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("Q1-2026", "2026-01-01", "2026-03-31"),
        ("2026-01-01~", "2026-01-01", None),
        ("2026-01-05", "2026-01-05", "2026-01-05"),
    ],
)
def test_relative_dates_count_in_calendar_units(text: str, first: str, last: str | None) -> None:
    found = date_range(text, dt.date(2026, 11, 22))
    assert [day and day.isoformat() for day in found] == [first, last]


def test_a_field_filter_does_not_know_a_tables_other_name(visitor: Visitor) -> None:
    tag = visitor.tag("channel", "spend.channel")
    sql = "select count(*) as n from marts.spend as costs where {{channel}}"
    card = visitor.card(dataset_query=visitor.query(sql, channel=tag))
    wanted = value("channel", "string/=", ["Meta"])
    assert run(visitor, card, wanted)["status"] == "failed"
    named = visitor.card(
        dataset_query=visitor.query(sql, channel={**tag, "alias": "costs.channel"})
    )
    assert rows(visitor, named, wanted) == [[834]]


def test_a_tags_default_filters_until_somebody_chooses(visitor: Visitor) -> None:
    tag = visitor.tag("channel", "spend.channel", default=["Meta"])
    card = visitor.card(
        dataset_query=visitor.query(FILTERED_SQL.replace(" [[and {{day}}]]", ""), channel=tag)
    )
    assert [row[0] for row in rows(visitor, card)] == ["Meta"]
    assert len(rows(visitor, card, value("channel", "string/=", None))) == 3


def test_a_variable_without_a_value_fails_outside_of_a_block(visitor: Visitor) -> None:
    tag = {"id": "t", "name": "least", "display-name": "Least", "type": "number"}
    query = visitor.query("select count(*) from marts.spend where spend > {{least}}", least=tag)
    answer = run(visitor, visitor.card(dataset_query=query))
    assert answer["error_type"] == "missing-required-parameter"


def test_parameters_are_a_list_and_name_a_tag(visitor: Visitor) -> None:
    card = visitor.filtered_card()
    place = f"/api/card/{card['id']}/query"
    assert visitor.ask("POST", place, {"parameters": {}}).status_code == 500
    unknown = visitor.ask("POST", place, {"parameters": [value("fake", "string/=", ["x"])]})
    assert unknown.status_code == 400
    assert 'does not have a template tag named "fake"' in unknown.json()["message"]


def test_no_more_than_2000_rows_come(visitor: Visitor) -> None:
    answer = visitor.post("/api/dataset", visitor.query("select day from marts.spend"))
    assert answer["row_count"] == len(answer["data"]["rows"]) == 2000
    assert answer["data"]["rows_truncated"] == 2000


def test_archived_cards_leave_lists_and_dashboards(visitor: Visitor) -> None:
    card, board = visitor.card(), visitor.dashboard()
    place = {"id": -1, "card_id": card["id"], "row": 0, "col": 0, "size_x": 4, "size_y": 4}
    visitor.put(f"/api/dashboard/{board['id']}", {"dashcards": [place], "tabs": []})
    visitor.put(f"/api/card/{card['id']}", {"archived": True})
    assert visitor.get("/api/card") == []
    assert [one["id"] for one in visitor.get("/api/card", f="archived")] == [card["id"]]
    assert visitor.get(f"/api/dashboard/{board['id']}")["dashcards"] == []
    visitor.put(f"/api/card/{card['id']}", {"archived": False})
    assert visitor.get(f"/api/dashboard/{board['id']}")["dashcards"] == []


def test_entity_ids_are_taken_for_cards_and_found_again(visitor: Visitor) -> None:
    chosen = "abcdefghijklmnopqrstu"
    card = visitor.card(entity_id=chosen)
    assert visitor.get(f"/api/card/{chosen}")["id"] == card["id"]
    body = {"entity_ids": {"card": [chosen, "unknownunknownunknown"]}}
    answer = visitor.post("/api/eid-translation/translate", body)["entity_ids"]
    assert answer[chosen] == {"id": card["id"], "type": "card", "status": "ok"}
    assert answer["unknownunknownunknown"]["status"] == "not-found"


def test_deletes_are_for_good(visitor: Visitor) -> None:
    card = visitor.card()
    assert visitor.ask("DELETE", f"/api/card/{card['id']}").status_code == 204
    answer = visitor.ask("GET", f"/api/card/{card['id']}")
    assert (answer.status_code, answer.text) == (404, "Not found.")


def test_collections_nest_archive_and_restore_with_what_is_in_them(visitor: Visitor) -> None:
    outer = visitor.post("/api/collection", {"name": "Voronka"})
    twin = visitor.post("/api/collection", {"name": "Voronka"})
    inner = visitor.post("/api/collection", {"name": "Parts", "parent_id": outer["id"]})
    assert (twin["id"] != outer["id"], inner["location"]) == (True, f"/{outer['id']}/")
    card = visitor.card(collection_id=inner["id"])
    old = visitor.card(collection_id=inner["id"])
    visitor.put(f"/api/card/{old['id']}", {"archived": True})
    visitor.put(f"/api/collection/{outer['id']}", {"archived": True})
    names = [one["name"] for one in visitor.get("/api/collection", archived="false")]
    assert names.count("Voronka") == 1
    assert visitor.get(f"/api/card/{card['id']}")["archived"] is True
    trash = visitor.get("/api/collection/trash/items")
    assert {one["name"] for one in trash["data"]} == {"Voronka", "Spend"}
    visitor.put(f"/api/collection/{outer['id']}", {"archived": False})
    assert visitor.get(f"/api/card/{card['id']}")["archived"] is False
    assert visitor.get(f"/api/card/{old['id']}")["archived"] is True


def test_items_of_a_collection_come_in_pages(visitor: Visitor) -> None:
    for _ in range(3):
        visitor.card()
    page = visitor.get("/api/collection/root/items", models="card", limit="2", offset="2")
    assert (page["total"], len(page["data"]), page["limit"], page["offset"]) == (3, 1, 2, 2)


def test_an_empty_description_of_a_collection_is_refused(visitor: Visitor) -> None:
    body = {"name": "Voronka", "description": ""}
    assert visitor.ask("POST", "/api/collection", body).status_code == 400
