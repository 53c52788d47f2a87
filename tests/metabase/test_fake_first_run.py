"""The fake lets people in as a server does: api.md 1 and 8."""

from __future__ import annotations

import httpx
import pytest

from tests.metabase.fake import FakeMetabase, running
from tests.metabase.visiting import EMAIL, PASSWORD, Visitor, client

OWNER, OWNERS_PASSWORD = "owner@example.com", "also-long-2"


def test_a_starting_server_answers_503_with_a_page(metabase: FakeMetabase) -> None:
    metabase.start_slowly(2)
    answers = [client(metabase).get("/api/health") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].text.startswith("<html>")
    assert answers[2].json() == {"status": "ok"}


def test_everybody_may_read_version_and_setup_state(metabase: FakeMetabase) -> None:
    properties = client(metabase).get("/api/session/properties").json()
    assert properties["version"]["tag"].startswith("v0.63")
    assert properties["has-user-setup"] is False
    assert properties["setup-token"]


def test_setup_happens_once(metabase: FakeMetabase) -> None:
    visitor = Visitor(metabase)
    token = visitor.get("/api/session/properties")["setup-token"]
    visitor.set_up()
    properties = visitor.get("/api/session/properties")
    assert (properties["has-user-setup"], properties["setup-token"]) == (True, None)
    user = {"email": "second@example.com", "password": PASSWORD}
    body = {"token": token, "user": user, "prefs": {"site_name": "Mine"}}
    answer = visitor.ask("POST", "/api/setup", body)
    assert answer.status_code == 403
    assert "can only be used to create the first user" in answer.text


@pytest.mark.parametrize("password", ["short1", "nodigitshere", "Password1"])
def test_a_weak_password_is_refused(metabase: FakeMetabase, password: str) -> None:
    visitor = Visitor(metabase)
    token = visitor.get("/api/session/properties")["setup-token"]
    body = {
        "token": token,
        "user": {"email": EMAIL, "password": password[:5] if password == "short1" else password},
        "prefs": {"site_name": "Voronka"},
    }
    answer = visitor.ask("POST", "/api/setup", body)
    assert (answer.status_code, answer.json()["errors"]) == (
        400,
        {"password": "password is too common."},
    )


def test_a_preset_setup_token_is_taken() -> None:
    with running(FakeMetabase(setup_token="chosen-before")) as fake:
        assert Visitor(fake).get("/api/session/properties")["setup-token"] == "chosen-before"


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "mb_wrong"}, {"X-Metabase-Session": "ended"}]
)
def test_strangers_get_401_as_text(fake: FakeMetabase, headers: dict[str, str]) -> None:
    answer = client(fake, **headers).get("/api/user/current")
    assert (answer.status_code, answer.text) == (401, "Unauthenticated")
    assert "json" not in answer.headers["content-type"]


def test_sessions_are_throttled_after_ten_failures(visitor: Visitor) -> None:
    wrong = {"username": EMAIL, "password": "nope"}
    statuses = [visitor.ask("POST", "/api/session", wrong).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [400]
    right = {"username": EMAIL, "password": PASSWORD}
    answer = visitor.ask("POST", "/api/session", right)
    assert "Too many attempts" in answer.json()["errors"]["username"]


def test_a_key_is_shown_once_and_carries_its_groups_rights(visitor: Visitor) -> None:
    minted = visitor.post("/api/api-key", {"name": "voronka", "group_id": 2})
    assert minted["unmasked_key"].startswith("mb_")
    listed = visitor.get("/api/api-key")
    assert [key["name"] for key in listed] == ["voronka"]
    assert minted["unmasked_key"] not in str(listed)
    headers = {"X-API-Key": minted["unmasked_key"]}
    who = client(visitor.fake, **headers).get("/api/user/current").json()
    assert who["is_superuser"] is True


def test_a_second_key_of_one_name_is_a_second_key(visitor: Visitor) -> None:
    for _ in range(2):
        visitor.post("/api/api-key", {"name": "voronka", "group_id": 2})
    assert len(visitor.get("/api/api-key")) == 2


def test_an_unknown_route_is_404_as_text(visitor: Visitor) -> None:
    for path in ("/api/alert", "/api/dashboard/11/cards", "/api/ee/serialization/export"):
        answer = visitor.ask("POST", path, {})
        assert (answer.status_code, answer.text) == (404, "API endpoint does not exist.")


def _owner(visitor: Visitor, *, right: str) -> tuple[httpx.Client, int]:
    """Make a person in a group with a right on one collection, who sees nothing else."""
    group = visitor.post("/api/permissions/group", {"name": "Owners"})["id"]
    visitor.fake.add_user(OWNER, OWNERS_PASSWORD, group)
    collection = visitor.post("/api/collection", {"name": "Voronka"})["id"]
    graph = visitor.get("/api/collection/graph")
    graph["groups"] = {
        "1": {"root": "none", str(collection): "none"},
        str(group): {str(collection): right},
    }
    visitor.put("/api/collection/graph", graph)
    rights = visitor.get("/api/permissions/graph")
    rights["groups"] = {"1": {str(visitor.database_id): {"create-queries": "no"}}}
    visitor.put("/api/permissions/graph", rights)
    owner = client(visitor.fake)
    login = owner.post("/api/session", json={"username": OWNER, "password": OWNERS_PASSWORD})
    owner.headers["X-Metabase-Session"] = login.json()["id"]
    return owner, collection


def test_owners_read_and_cannot_edit(visitor: Visitor) -> None:
    owner, collection = _owner(visitor, right="read")
    card = visitor.card(collection_id=collection)
    board = visitor.dashboard(collection_id=collection)
    assert owner.get(f"/api/card/{card['id']}").json()["can_write"] is False
    ran = owner.post(f"/api/card/{card['id']}/query", json={})
    assert (ran.status_code, ran.json()["status"]) == (202, "completed")
    refused = [
        owner.put(f"/api/card/{card['id']}", json={"name": "Mine"}),
        owner.put(f"/api/dashboard/{board['id']}", json={"name": "Mine"}),
        owner.put(f"/api/collection/{collection}", json={"name": "Mine"}),
        owner.post("/api/dashboard", json={"name": "New", "collection_id": collection}),
        owner.post("/api/card", json=visitor.card_body(collection_id=collection)),
        owner.get("/api/permissions/graph"),
        owner.put(f"/api/database/{visitor.database_id}", json={"name": "Mine"}),
        owner.post("/api/api-key", json={"name": "k", "group_id": 2}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert refused[0].text == "You don't have permissions to do that."


def test_without_a_right_a_collection_is_closed(visitor: Visitor) -> None:
    owner, _ = _owner(visitor, right="read")
    card = visitor.card()
    assert owner.get(f"/api/card/{card['id']}").status_code == 403
    assert card["id"] not in [one["id"] for one in owner.get("/api/card").json()]


def test_owners_send_no_sql_of_their_own(visitor: Visitor) -> None:
    owner, _ = _owner(visitor, right="read")
    answer = owner.post("/api/dataset", json=visitor.query("select 1 as one"))
    assert answer.json()["error"] == "You do not have permissions to run this query."
    assert "details" not in owner.get(f"/api/database/{visitor.database_id}").json()


@pytest.mark.parametrize("path", ["/api/permissions/graph", "/api/collection/graph"])
def test_a_stale_graph_is_409(visitor: Visitor, path: str) -> None:
    graph = {**visitor.get(path), "groups": {}}
    visitor.put(path, graph)
    answer = visitor.ask("PUT", path, graph)
    assert answer.status_code == 409
    assert "out of date" in answer.text
    assert visitor.ask("PUT", path, graph, force="true").status_code == 200


def test_the_collection_graph_omits_none_and_put_changes_what_is_sent(visitor: Visitor) -> None:
    collection = visitor.post("/api/collection", {"name": "Voronka"})["id"]
    graph = visitor.get("/api/collection/graph")
    assert graph["groups"]["1"][str(collection)] == "write"
    graph["groups"] = {"1": {str(collection): "none"}}
    changed = visitor.put("/api/collection/graph", graph)
    assert str(collection) not in changed["groups"]["1"]
    assert changed["groups"]["1"]["root"] == "write"
    assert changed["groups"]["2"][str(collection)] == "write"


def test_the_data_graph_does_not_mention_the_least_right(visitor: Visitor) -> None:
    graph = visitor.get("/api/permissions/graph")
    database = str(visitor.database_id)
    assert graph["groups"]["1"][database]["create-queries"] == "query-builder-and-native"
    graph["groups"] = {"1": {database: {"create-queries": "no"}}}
    changed = visitor.put("/api/permissions/graph", graph)
    assert "create-queries" not in changed["groups"]["1"][database]


def test_view_data_cannot_be_restricted_without_paying(visitor: Visitor) -> None:
    graph = visitor.get("/api/permissions/graph")
    graph["groups"] = {"1": {str(visitor.database_id): {"view-data": "blocked"}}}
    assert visitor.ask("PUT", "/api/permissions/graph", graph).status_code == 402
