"""The fake keeps dashboards as a server does: api.md 6."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metabase.visiting import (
    CHANNEL_FILTER,
    DAY_FILTER,
    Body,
    Visitor,
    mapping,
    note,
    place,
)


def put(visitor: Visitor, board: Body, **body: Any) -> Body:
    changed: Body = visitor.put(f"/api/dashboard/{board['id']}", body)
    return changed


def by_row(board: Body) -> list[Body]:
    return sorted(board["dashcards"], key=lambda one: (one["dashboard_tab_id"] or 0, one["row"]))


def test_post_ignores_dashcards_and_tabs(visitor: Visitor) -> None:
    card = visitor.card()
    board = visitor.dashboard(dashcards=[place(-1, card["id"])], tabs=[{"id": -1, "name": "A"}])
    assert (board["dashcards"], board["tabs"]) == ([], [])
    read = visitor.get(f"/api/dashboard/{board['id']}")
    assert (read["dashcards"], read["tabs"]) == ([], [])


def test_negative_ids_create_and_missing_ones_are_deleted(visitor: Visitor) -> None:
    card, board = visitor.card(), visitor.dashboard()
    first = put(visitor, board, tabs=[], dashcards=[place(-1, card["id"]), note(-2, 6)])
    kept, gone = by_row(first)
    assert kept["id"] > 0
    second = put(visitor, board, tabs=[], dashcards=[place(kept["id"], card["id"], 3)])
    assert [(one["id"], one["row"]) for one in second["dashcards"]] == [(kept["id"], 3)]
    # A positive id the dashboard does not have any more is taken as new.
    third = put(visitor, board, tabs=[], dashcards=[place(gone["id"], card["id"])])
    assert third["dashcards"][0]["id"] not in {kept["id"], gone["id"]}


def test_put_is_partial_above_the_dashcards(visitor: Visitor) -> None:
    card, board = visitor.card(), visitor.dashboard(description="Why")
    put(visitor, board, tabs=[], dashcards=[place(-1, card["id"])])
    changed = put(visitor, board, name="Monday", width=None)
    assert (changed["name"], changed["description"], changed["width"]) == ("Monday", "Why", None)
    assert len(changed["dashcards"]) == 1
    assert put(visitor, board, name=None, description=None)["name"] == "Monday"


def test_dashcards_without_tabs_lose_the_tabs(visitor: Visitor) -> None:
    board = visitor.dashboard()
    first = put(
        visitor,
        board,
        tabs=[{"id": -1, "name": "A"}, {"id": -2, "name": "B"}],
        dashcards=[note(-1, dashboard_tab_id=-1)],
    )
    dashcard = first["dashcards"][0]
    again = put(visitor, board, dashcards=[note(dashcard["id"])])
    assert again["tabs"] == []
    assert again["dashcards"][0]["dashboard_tab_id"] is None


def test_tabs_are_placed_as_listed_and_keep_their_ids(visitor: Visitor) -> None:
    board = visitor.dashboard()
    tabs = put(
        visitor, board, tabs=[{"id": -1, "name": "A"}, {"id": -2, "name": "B"}], dashcards=[]
    )["tabs"]
    assert [(tab["name"], tab["position"]) for tab in tabs] == [("A", 0), ("B", 1)]
    turned = put(
        visitor,
        board,
        tabs=[{"id": tabs[1]["id"], "name": "B"}, {"id": tabs[0]["id"], "name": "A"}],
        dashcards=[],
    )["tabs"]
    assert [(tab["id"], tab["position"]) for tab in turned] == [
        (tabs[1]["id"], 0),
        (tabs[0]["id"], 1),
    ]


def test_tabs_without_dashcards_are_passed_over(visitor: Visitor) -> None:
    board = put(visitor, visitor.dashboard(), tabs=[{"id": -1, "name": "A"}])
    assert board["tabs"] == []


def test_with_two_tabs_every_dashcard_needs_one(visitor: Visitor) -> None:
    board = visitor.dashboard()
    body = {"tabs": [{"id": -1, "name": "A"}, {"id": -2, "name": "B"}], "dashcards": [note(-1)]}
    answer = visitor.ask("PUT", f"/api/dashboard/{board['id']}", body)
    assert (answer.status_code, answer.text) == (
        400,
        "This dashboard has tab, makes sure every card has a tab",
    )
    assert visitor.get(f"/api/dashboard/{board['id']}")["tabs"] == []


def test_with_one_tab_it_is_filled_in(visitor: Visitor) -> None:
    board = put(visitor, visitor.dashboard(), tabs=[{"id": -1, "name": "A"}], dashcards=[note(-1)])
    assert board["dashcards"][0]["dashboard_tab_id"] == board["tabs"][0]["id"]


def test_deleting_a_tab_deletes_its_dashcards(visitor: Visitor) -> None:
    board = visitor.dashboard()
    first = put(
        visitor,
        board,
        tabs=[{"id": -1, "name": "A"}, {"id": -2, "name": "B"}],
        dashcards=[note(-1, dashboard_tab_id=-1), note(-2, dashboard_tab_id=-2)],
    )
    kept, lost = first["tabs"]
    sent = [note(one["id"], dashboard_tab_id=one["dashboard_tab_id"]) for one in first["dashcards"]]
    body = {"tabs": [{"id": kept["id"], "name": "A"}], "dashcards": sent}
    assert visitor.ask("PUT", f"/api/dashboard/{board['id']}", body).status_code == 500
    sent = [one for one in sent if one["dashboard_tab_id"] == kept["id"]]
    second = put(visitor, board, tabs=body["tabs"], dashcards=sent)
    assert [one["dashboard_tab_id"] for one in second["dashcards"]] == [kept["id"]]
    assert lost["id"] not in visitor.fake.state.tabs


def test_an_omitted_card_id_makes_a_cardless_one(visitor: Visitor) -> None:
    card, board = visitor.card(), visitor.dashboard()
    made = put(visitor, board, tabs=[], dashcards=[place(-1, card["id"])])["dashcards"][0]
    size = {name: made[name] for name in ("id", "row", "col", "size_x", "size_y")}
    again = put(visitor, board, tabs=[], dashcards=[size])
    assert again["dashcards"][0]["card_id"] is None
    assert any("loses its card" in one for one in visitor.fake.findings)


def test_an_archived_card_has_no_new_place(visitor: Visitor) -> None:
    card, board = visitor.card(), visitor.dashboard()
    visitor.put(f"/api/card/{card['id']}", {"archived": True})
    body = {"tabs": [], "dashcards": [place(-1, card["id"])]}
    assert visitor.ask("PUT", f"/api/dashboard/{board['id']}", body).status_code == 404


def test_two_dashcards_of_one_id_are_refused(visitor: Visitor) -> None:
    body = {"tabs": [], "dashcards": [note(-1), note(-1, 6)]}
    answer = visitor.ask("PUT", f"/api/dashboard/{visitor.dashboard()['id']}", body)
    assert "dashcards" in answer.json()["errors"]


def test_overlaps_and_places_over_the_edge_are_stored_as_sent(visitor: Visitor) -> None:
    sent = [note(-1), note(-2), {**note(-3, 20), "col": 20}]
    board = put(visitor, visitor.dashboard(), tabs=[], dashcards=sent)
    assert sorted((one["row"], one["col"]) for one in board["dashcards"]) == [
        (0, 0),
        (0, 0),
        (20, 20),
    ]
    found = " ".join(visitor.fake.findings)
    assert "lies over another one" in found
    assert "over the edge" in found


def test_dashcards_come_in_no_order(visitor: Visitor) -> None:
    board = visitor.dashboard()
    put(visitor, board, tabs=[], dashcards=[note(-n, 6 * n) for n in range(1, 9)])
    orders = {
        tuple(one["id"] for one in visitor.get(f"/api/dashboard/{board['id']}")["dashcards"])
        for _ in range(5)
    }
    assert len(orders) > 1


def test_a_dashboard_question_belongs_to_its_dashboard(visitor: Visitor) -> None:
    board, other = visitor.dashboard(), visitor.dashboard()
    card = visitor.card(dashboard_id=board["id"])
    body = {"tabs": [], "dashcards": [place(-1, card["id"])]}
    answer = visitor.ask("PUT", f"/api/dashboard/{other['id']}", body)
    assert (answer.status_code, answer.text) == (400, "Card is internal to another dashboard")
    put(visitor, board, **body)
    # Dropping its place archives it.
    put(visitor, board, tabs=[], dashcards=[])
    assert visitor.get(f"/api/card/{card['id']}")["archived"] is True


def _filtered(visitor: Visitor) -> tuple[str, Body]:
    """Return the address of a card on a dashboard with its filters, and the dashboard."""
    card = visitor.filtered_card()
    board = visitor.dashboard(parameters=[CHANNEL_FILTER, DAY_FILTER])
    mappings = [mapping("channel", card["id"], "channel")]
    board = put(
        visitor, board, tabs=[], dashcards=[place(-1, card["id"], parameter_mappings=mappings)]
    )
    dashcard = board["dashcards"][0]["id"]
    return f"/api/dashboard/{board['id']}/dashcard/{dashcard}/card/{card['id']}/query", board


def test_the_dashboards_filter_reaches_the_sql(visitor: Visitor) -> None:
    address, _ = _filtered(visitor)
    answer = visitor.post(address, {"parameters": [{"id": "channel", "value": ["Meta"]}]})
    assert [row[0] for row in answer["data"]["rows"]] == ["Meta"]
    # One value alone is taken for a list of one here.
    answer = visitor.post(address, {"parameters": [{"id": "channel", "value": "Meta"}]})
    assert [row[0] for row in answer["data"]["rows"]] == ["Meta"]


def test_a_filter_that_is_not_mapped_has_no_effect_and_nobody_says_so(visitor: Visitor) -> None:
    address, _ = _filtered(visitor)
    answer = visitor.post(address, {"parameters": [{"id": "day", "value": "2026-01-01"}]})
    assert answer["status"] == "completed"
    assert sum(row[1] for row in answer["data"]["rows"]) == 2500
    assert any("'day' is not mapped" in one for one in visitor.fake.findings)


def test_a_filter_the_dashboard_does_not_have_is_refused(visitor: Visitor) -> None:
    address, _ = _filtered(visitor)
    answer = visitor.ask("POST", address, {"parameters": [{"id": "city", "value": ["x"]}]})
    assert answer.status_code == 400
    assert 'Dashboard does not have a parameter with ID "city"' in answer.json()["message"]


def test_a_dashboards_default_is_the_browsers_business(visitor: Visitor) -> None:
    address, board = _filtered(visitor)
    put(visitor, board, parameters=[{**CHANNEL_FILTER, "default": ["Meta"]}])
    assert len(visitor.post(address, {"parameters": []})["data"]["rows"]) == 3


def test_a_card_elsewhere_is_not_run_through_a_place(visitor: Visitor) -> None:
    address, _ = _filtered(visitor)
    other = visitor.card()
    wrong = address.replace(address.split("/")[-2], str(other["id"]))
    assert visitor.ask("POST", wrong, {}).status_code == 404


def test_archived_dashboards_leave_the_list_and_come_back_with_their_cards(
    visitor: Visitor,
) -> None:
    board = put(visitor, visitor.dashboard(), tabs=[], dashcards=[note(-1)])
    put(visitor, board, archived=True)
    assert visitor.get("/api/dashboard") == []
    assert len(visitor.get("/api/dashboard", f="archived")) == 1
    back = put(visitor, board, archived=False)
    assert back["dashcards"][0]["id"] == board["dashcards"][0]["id"]


def test_an_archived_dashboard_takes_no_dashcards_even_while_it_is_restored(
    visitor: Visitor,
) -> None:
    board = put(visitor, visitor.dashboard(), archived=True)
    body = {"archived": False, "tabs": [], "dashcards": [note(-1)]}
    answer = visitor.ask("PUT", f"/api/dashboard/{board['id']}", body)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "archived")
    put(visitor, board, archived=False)
    del body["archived"]
    assert len(put(visitor, board, **body)["dashcards"]) == 1


def test_a_public_link_is_made_once(visitor: Visitor) -> None:
    address = f"/api/dashboard/{visitor.dashboard()['id']}/public_link"
    assert visitor.post(address) == visitor.post(address)


@pytest.mark.parametrize("name", ["", "   "])
def test_a_dashboard_needs_a_name(visitor: Visitor, name: str) -> None:
    assert visitor.ask("POST", "/api/dashboard", {"name": name}).status_code == 400
