"""What the fake finds in requests that a server takes: the documents (api.md 0) and the checker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.metabase.fake.check_dashboards import hidden_filters
from tests.metabase.fake.checker import DECLARED, UNDOCUMENTED_KEYS
from tests.metabase.fake.specification import ABSENT, documents, is_present
from tests.metabase.visiting import (
    CHANNEL_FILTER,
    DAY_FILTER,
    FILTERED_SQL,
    Body,
    Visitor,
    mapping,
    note,
    place,
)

beside = pytest.mark.skipif(not is_present(), reason=ABSENT)


@beside
def test_both_documents_are_used() -> None:
    assert [one.name for one in documents()] == ["openapi.json", "openapi-2026-03.json"]


@beside
@pytest.mark.parametrize(
    ("method", "template", "body", "said"),
    [
        ("POST", "/api/card", {"name": "x", "display": "bar", "dataset_query": {}}, "required"),
        (
            "POST",
            "/api/card",
            {
                "name": "x",
                "display": "bar",
                "dataset_query": {},
                "visualization_settings": {},
                "description": "",
            },
            "description",
        ),
        (
            "PUT",
            "/api/dashboard/{id}",
            {"dashcards": [{"id": -1, "row": 0, "col": 0, "size_x": 0, "size_y": 1}]},
            "size_x",
        ),
        (
            "PUT",
            "/api/dashboard/{id}",
            {"parameters": [{"id": "a", "name": "A", "slug": "a", "type": "string/equals"}]},
            "parameters",
        ),
        ("POST", "/api/dashboard/{id}/cards", {}, "no operation"),
    ],
)
def test_each_document_catches(method: str, template: str, body: Any, said: str) -> None:
    for document in documents():
        found = document.findings(method, template, body)
        assert found, document.name
        assert said in " ".join(found)


@beside
@pytest.mark.parametrize(
    ("method", "template", "body"),
    [
        # What has a default need not be sent.
        ("POST", "/api/database", {"name": "V", "engine": "duckdb", "details": {}}),
        ("PUT", "/api/collection/{id}", {"name": "V"}),
        ("POST", "/api/card/{id}/query", {}),
        # A correct mapping fits several of the alternatives.
        (
            "PUT",
            "/api/dashboard/{id}",
            {
                "tabs": [],
                "dashcards": [
                    {
                        **place(-1, 7),
                        "parameter_mappings": [mapping("channel", 7, "channel")],
                    }
                ],
            },
        ),
    ],
)
def test_the_two_fixes_let_correct_requests_through(method: str, template: str, body: Body) -> None:
    for document in documents():
        assert document.findings(method, template, body) == []


@beside
def test_the_declared_keys_are_those_of_the_documents() -> None:
    for (method, template), keys in DECLARED.items():
        for document in documents():
            known = document.properties(method, template)
            assert known is not None, template
            assert keys - known <= UNDOCUMENTED_KEYS | {"dashboard_tab_id"}, (
                document.name,
                template,
            )


@beside
def test_a_running_fake_holds_requests_against_both(visitor: Visitor) -> None:
    visitor.ask("POST", "/api/card", {"name": "x"})
    found = " ".join(visitor.fake.findings)
    assert "openapi.json: POST /api/card" in found
    assert "openapi-2026-03.json: POST /api/card" in found


def found(visitor: Visitor) -> str:
    return "\n".join(visitor.fake.end_findings())


def column(name: str) -> str:
    return json.dumps(["name", name], separators=(",", ":"))


def filtered(visitor: Visitor, sql: str = FILTERED_SQL, **tags: Body) -> None:
    query = visitor.query(sql, **tags)
    visitor.ask("POST", "/api/card", visitor.card_body(dataset_query=query))


def both_tags(visitor: Visitor) -> dict[str, Body]:
    return {
        "channel": visitor.tag("channel", "spend.channel"),
        "day": visitor.tag("day", "spend.day", "date/all-options"),
    }


CARDS: dict[str, tuple[Callable[[Visitor], object], str]] = {
    "display": (lambda v: v.card(display="barr"), "no display is called 'barr'"),
    "old display": (lambda v: v.card(display="number"), "no display is called 'number'"),
    "pivot of SQL": (lambda v: v.card(display="pivot"), "query builder"),
    "settings key": (
        lambda v: v.card(visualization_settings={"graph.metric": ["spend"]}),
        "know no 'graph.metric'",
    ),
    "key of another display": (
        lambda v: v.card(display="table", visualization_settings={"pie.metric": "spend"}),
        "know no 'pie.metric'",
    ),
    "column": (
        lambda v: v.card(visualization_settings={"graph.metrics": ["Spend"]}),
        "graph.metrics names 'Spend'",
    ),
    "column of a list": (
        lambda v: v.card(
            display="table",
            visualization_settings={"table.columns": [{"name": "sum", "enabled": True}]},
        ),
        "table.columns names 'sum'",
    ),
    "formatted column": (
        lambda v: v.card(
            visualization_settings={"column_settings": {column("x"): {"decimals": 0}}}
        ),
        "column_settings names 'x'",
    ),
    "format": (
        lambda v: v.card(
            visualization_settings={"column_settings": {column("spend"): {"digits": 0}}}
        ),
        "know no 'digits'",
    ),
    "date style": (
        lambda v: v.card(
            visualization_settings={
                "column_settings": {column("spend"): {"date_style": "MMMM, YYYY"}}
            }
        ),
        "no date is written as 'MMMM, YYYY'",
    ),
    "column key": (
        lambda v: v.card(visualization_settings={"column_settings": {"spend": {}}}),
        "is not JSON",
    ),
    "column key with spaces": (
        lambda v: v.card(
            visualization_settings={"column_settings": {'["name", "spend"]': {"decimals": 0}}}
        ),
        "not written as the browser writes it",
    ),
    "link": (
        lambda v: v.card(
            display="table",
            visualization_settings={
                "column_settings": {column("spend"): {"view_as": "link", "link_url": "x/{{id}}"}}
            },
        ),
        "the link of spend names 'id'",
    ),
    "placeholder": (
        lambda v: v.card(
            visualization_settings={"click_behavior": {"targetId": {"$dashboard": 1}}}
        ),
        "was not resolved",
    ),
    "undeclared variable": (
        lambda v: filtered(v, channel=v.tag("channel", "spend.channel")),
        "variables ['channel', 'day'] in the SQL, ['channel'] declared",
    ),
    "unused tag": (
        lambda v: filtered(v, "select 1 as one", channel=v.tag("channel", "spend.channel")),
        "variables [] in the SQL, ['channel'] declared",
    ),
    "other name": (
        lambda v: filtered(v, **{**both_tags(v), "day": {**both_tags(v)["day"], "name": "date"}}),
        "calls itself 'date'",
    ),
    "same ids": (
        lambda v: filtered(v, **{name: {**tag, "id": "t"} for name, tag in both_tags(v).items()}),
        "ids of their own",
    ),
    "no column": (
        lambda v: filtered(
            v, **{**both_tags(v), "day": {**both_tags(v)["day"], "dimension": ["field", {}, 9]}}
        ),
        "no column has the id 9",
    ),
    "column of another table": (
        lambda v: filtered(v, **{**both_tags(v), "channel": v.tag("channel", "channels.channel")}),
        "bound to marts.channels, which the SQL does not read",
    ),
    "widget": (
        lambda v: filtered(
            v, **{**both_tags(v), "channel": v.tag("channel", "spend.channel", "string/is")}
        ),
        "no widget type is called 'string/is'",
    ),
    "widget of another type": (
        lambda v: filtered(v, **{**both_tags(v), "day": v.tag("day", "spend.day", "string/=")}),
        "string/= on marts.spend.day of type/Date",
    ),
    "unknown key": (lambda v: v.card(colour="red"), "knows no key 'colour'"),
    "semantic type": (
        lambda v: v.put(f"/api/field/{v.fields['spend.spend']}", {"semantic_type": "type/Money"}),
        "no semantic type is called 'type/Money'",
    ),
    "foreign key": (
        lambda v: v.put(f"/api/field/{v.fields['spend.spend']}", {"semantic_type": "type/FK"}),
        "a foreign key to nowhere",
    ),
}


@pytest.mark.parametrize("case", CARDS)
def test_the_checker_finds_in_cards_and_columns(visitor: Visitor, case: str) -> None:
    act, said = CARDS[case]
    act(visitor)
    assert said in found(visitor)


def on_board(visitor: Visitor, **changes: Any) -> None:
    """Put a filtered card on a dashboard as it should be, but for some changes."""
    card = visitor.filtered_card()
    board = visitor.dashboard()
    mappings = [mapping(one, card["id"], one) for one in ("channel", "day")]
    dashcard = place(-1, card["id"], parameter_mappings=mappings)
    dashcard.update(changes.pop("dashcard", {}))
    body = {"parameters": [CHANNEL_FILTER, DAY_FILTER], "tabs": [], "dashcards": [dashcard]}
    body.update(changes)
    visitor.put(f"/api/dashboard/{board['id']}", body)


def link(**changes: Any) -> Body:
    behaviour = {"type": "link", "linkType": "dashboard", "targetId": 12345, **changes}
    return {"dashcard": {"visualization_settings": {"click_behavior": behaviour}}}


TWO_TABS = [{"id": -1, "name": "A"}, {"id": -2, "name": "B"}]
BOARDS: dict[str, tuple[Body, str]] = {
    "nothing": ({}, ""),
    "overlap": (
        {"dashcards": [note(-5), note(-6)], "parameters": []},
        "lies over another one",
    ),
    "edge": ({"dashcards": [{**note(-5), "col": 13}], "parameters": []}, "over the edge"),
    "filter type": (
        {"parameters": [{**CHANNEL_FILTER, "type": "number/="}, DAY_FILTER]},
        "filter 'channel' of number/= on channel of type/Text",
    ),
    "twins": ({"parameters": [CHANNEL_FILTER, {**DAY_FILTER, "slug": "channel"}]}, "a slug of"),
    "default day": (
        {"parameters": [CHANNEL_FILTER, {**DAY_FILTER, "default": "last 30 days"}]},
        "nobody can read the default",
    ),
    "default list": (
        {"parameters": [{**CHANNEL_FILTER, "default": "Meta"}, DAY_FILTER]},
        "the default of string/= is a list",
    ),
    "unmapped": (
        {"dashcard": {"parameter_mappings": []}},
        "filter 'day' is not mapped to anything",
    ),
    "lost filter": ({"parameters": [CHANNEL_FILTER]}, "a filter that is not there: 'day'"),
    "other card": (
        {"dashcard": {"parameter_mappings": [mapping("channel", 5, "channel")]}},
        "is mapped with card 5",
    ),
    "no tag": (
        {"dashcard": {"parameter_mappings": [mapping("channel", 101, "city")]}},
        "has no variable 'city'",
    ),
    "variable": (
        {
            "dashcard": {
                "parameter_mappings": [
                    {
                        "parameter_id": "channel",
                        "card_id": 101,
                        "target": ["variable", ["template-tag", "channel"]],
                    }
                ]
            }
        },
        "'channel' is no variable",
    ),
    "column of SQL": (
        {
            "dashcard": {
                "parameter_mappings": [
                    {
                        "parameter_id": "channel",
                        "card_id": 101,
                        "target": ["dimension", ["field", 601, None]],
                    }
                ]
            }
        },
        "is no target of SQL",
    ),
    "no card": ({"dashcard": {"card_id": None}}, "it has no card and no text"),
    "click": (link(linkType="dashbord"), "no link is called 'dashbord'"),
    "click nowhere": (link(), "leads to no dashboard (12345)"),
    "click by a lost column": (
        link(
            parameterMapping={
                "channel": {
                    "id": "channel",
                    "source": {"type": "column", "id": "city", "name": "City"},
                    "target": {"type": "parameter", "id": "channel"},
                }
            }
        ),
        "names 'city'",
    ),
    "undeclared key": ({"dashcard": {"sizeX": 4}}, "knows no key 'sizeX'"),
}


@pytest.mark.parametrize("case", BOARDS)
def test_the_checker_finds_in_dashboards(visitor: Visitor, case: str) -> None:
    changes, said = BOARDS[case]
    on_board(visitor, **json.loads(json.dumps(changes)))
    findings = found(visitor)
    assert said in findings
    assert bool(findings) == bool(said)


def test_a_filter_is_mapped_on_every_tab(visitor: Visitor) -> None:
    card, deaf = visitor.filtered_card(), visitor.card(name="Deaf")
    mappings = [mapping(one, card["id"], one) for one in ("channel", "day")]
    first = place(-1, card["id"], parameter_mappings=mappings, dashboard_tab_id=-1)
    second = place(-2, card["id"], parameter_mappings=mappings[:1], dashboard_tab_id=-2)
    third = place(-3, deaf["id"], dashboard_tab_id=-3)
    body = {
        "parameters": [CHANNEL_FILTER, DAY_FILTER],
        "tabs": [*TWO_TABS, {"id": -3, "name": "C"}],
        "dashcards": [first, second, third],
    }
    visitor.put(f"/api/dashboard/{visitor.dashboard()['id']}", body)
    assert visitor.fake.findings == [
        "dashboard 'Owner': filter 'day' is not mapped to 'day' of 'Spend'"
    ]
    # Where no card could listen the server does not show the filter.
    assert hidden_filters(visitor.fake.state) == [
        ("Owner", "B", "day"),
        ("Owner", "C", "channel"),
        ("Owner", "C", "day"),
    ]


def test_dashcards_without_tabs_are_found(visitor: Visitor) -> None:
    visitor.put(f"/api/dashboard/{visitor.dashboard()['id']}", {"dashcards": []})
    assert "delete the tabs" in found(visitor)
