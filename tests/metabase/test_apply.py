import json
from dataclasses import replace

import pytest

from orchestration.lib.metabase.errors import (
    MetabaseAmbiguousError,
    MetabaseForeignError,
    MetabaseServerError,
    MetabaseUncertainError,
)
from tests.metabase.crashes import direct
from tests.metabase.desired_states import STATE, with_card, with_dashboard, with_dashcard
from tests.metabase.fake import ADMINISTRATORS, ALL_USERS, FakeMetabase
from tests.metabase.homes import EMAIL, PASSWORD, Company, ids_of, settled

# "shuffled" and rewritten answers are the fake's own doing at each version.
VERSIONS = ("0.59", "0.61", "0.63")
WITHOUT_DEALS_CARD = replace(
    with_dashboard(STATE, "deals", dashcards=STATE.dashboards[1].dashcards[1:]),
    cards=tuple(card for card in STATE.cards if card.key != "deals/list"),
)
WITHOUT_DEALS = replace(
    STATE,
    dashboards=(with_dashcard(STATE, "owner", "came", settings={}).dashboards[0],),
    cards=STATE.cards[:2],
)


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("METABASE__EMAIL", EMAIL)
    monkeypatch.setenv("METABASE__PASSWORD", PASSWORD)


@pytest.fixture
def empty(tmp_path):
    with direct(FakeMetabase(sync_seconds=0, is_result_reused=True)) as fake:
        company = Company(tmp_path / "home", fake)
        company.publish_file("one")
        yield company
        assert fake.end_findings() == []


@pytest.fixture(scope="module")
def settled_home(tmp_path_factory):
    with settled(tmp_path_factory.mktemp("settled")) as restored:
        yield restored


@pytest.fixture
def company(settled_home):
    made = settled_home()
    yield made
    assert made.fake.end_findings() == []


def actions(company, desired=STATE):
    return [(one.kind, one.verb, one.key) for one in company.plan(desired).actions]


def changes(company, desired=STATE):
    return {
        (action.key, change.key): change.origin
        for action in company.plan(desired).actions
        for change in action.changes
    }


def row(company, kind, name):
    rows = getattr(company.fake.state, f"{kind}s").values()
    return next(one for one in rows if one["name"] == name)


@pytest.mark.parametrize("version", VERSIONS)
def test_second_plan_is_empty_and_second_apply_writes_nothing(tmp_path, version):
    with direct(FakeMetabase(version=version, sync_seconds=0)) as fake:
        company = Company(tmp_path, fake)
        company.publish_file("one")
        shown = company.showing().publish()
        assert shown.applied.rewritten == []
        assert company.plan().is_empty
        before, ids = fake.dump(), ids_of(fake)
        fake.requests.clear()
        company.showing().publish()
        assert company.mutations() == []
        assert (fake.dump(), ids_of(fake)) == (before, ids)
        assert fake.end_findings() == []


def test_empty_instance_holds_everything_afterwards(company):
    dump = company.fake.dump()
    assert {one["name"]: len(one["tabs"]) for one in dump["dashboards"]} == {
        "Deals": 2,
        "Monday": 2,
    }
    assert sorted(one["name"] for one in dump["cards"]) == ["Came", "Deals", "Total"]
    assert dump["api_keys"] == [["Voronka: Voronka", "Administrators"]]
    assert dump["settings"]["anon-tracking-enabled"] is False
    channel = next(
        one for one in company.fake.state.fields.values() if one["display_name"] == "Channel"
    )
    assert channel["semantic_type"] in {"type/FK", "type/PK"}


def test_key_is_kept_for_its_owner_and_used_from_then_on(company):
    file = company.settings.home.metabase_key
    assert file.stat().st_mode & 0o777 == 0o600
    company.plan()
    assert not [one for one in company.fake.requests if one.path == "/api/session"]


def test_key_made_for_one_address_goes_to_no_other(company):
    file = company.settings.home.metabase_key
    stored = json.loads(file.read_text())
    file.write_text(json.dumps({**stored, "url": "http://another.test"}))
    company.plan()
    assert [one.path for one in company.fake.requests if one.method == "POST"] == ["/api/session"]


def test_lost_key_is_made_anew_under_the_same_name(company):
    company.settings.home.metabase_key.unlink()
    company.showing().publish()
    assert company.fake.dump()["api_keys"] == [["Voronka: Voronka", "Administrators"]]
    assert company.plan().is_empty


def lose_first_answer(company, monkeypatch, path, *, is_done):
    """Break the connection at the first POST to a path, after it was carried out or before."""
    real, lost = company.fake.handle, []

    def handle(call, raw):
        if (call.method, call.path) == ("POST", path) and not lost:
            lost.append(path)
            if is_done:
                real(call, raw)
            return None
        return real(call, raw)

    monkeypatch.setattr(company.fake, "handle", handle)


@pytest.mark.parametrize(
    "path",
    [
        "/api/setup",
        "/api/api-key",
        "/api/database",
        "/api/collection",
        "/api/permissions/group",
        "/api/card",
        "/api/dashboard",
    ],
)
def test_answer_lost_after_the_deed_is_looked_for_and_the_apply_goes_on(empty, monkeypatch, path):
    lose_first_answer(empty, monkeypatch, path, is_done=True)
    empty.showing().publish()
    sent = [one.path for one in empty.fake.requests if one.method == "POST"]
    once = {"/api/card": 3, "/api/dashboard": 2}.get(path, 1)
    assert sent.count(path) == once
    assert empty.plan().is_empty


def test_request_that_was_not_carried_out_is_left_to_the_next_apply(empty, monkeypatch):
    lose_first_answer(empty, monkeypatch, "/api/card", is_done=False)
    with pytest.raises(MetabaseUncertainError):
        empty.showing().publish()
    empty.showing().publish()
    assert empty.plan().is_empty


def test_renamed_card_is_a_rename_and_keeps_its_id(company):
    desired = with_card(STATE, "owner/came", name="Newcomers")
    ids = ids_of(company.fake)
    assert actions(company, desired) == [("card", "rename", "owner/came")]
    assert changes(company, desired) == {("owner/came", "name"): "files"}
    company.showing(desired).publish()
    assert row(company, "card", "Newcomers")
    assert ids_of(company.fake) == ids
    assert company.plan(desired).is_empty


def test_card_in_another_place_and_tab_keeps_all_ids(company):
    desired = with_dashcard(STATE, "owner", "total", tab_key="now", row=9, column=12)
    desired = with_dashboard(desired, "owner", tabs=(desired.dashboards[0].tabs[0],))
    ids = ids_of(company.fake)
    later = row(company, "tab", "Later")["id"]
    company.showing(desired).publish()
    assert ids_of(company.fake) == {**ids, "tabs": [one for one in ids["tabs"] if one != later]}
    assert company.plan(desired).is_empty


def test_tabs_in_another_order_keep_their_ids_and_cards(company):
    tabs = STATE.dashboards[0].tabs
    desired = with_dashboard(STATE, "owner", tabs=tuple(reversed(tabs)))
    ids = ids_of(company.fake)
    company.showing(desired).publish()
    assert ids_of(company.fake) == ids
    assert row(company, "tab", "Later")["position"] == 0
    assert company.plan(desired).is_empty


def test_new_filter_and_sql_reach_metabase(company):
    sql = "select 1 as deal_amount from marts.dim_deals where {{channel}} [[and {{period}}]]"
    company.showing(with_card(STATE, "owner/total", sql=sql)).publish()
    stage = row(company, "card", "Total")["dataset_query"]["stages"][0]
    assert stage["native"] == sql


def test_removed_card_goes_to_the_trash_and_comes_back_as_itself(company):
    number = row(company, "card", "Deals")["id"]
    assert actions(company, WITHOUT_DEALS_CARD) == [
        ("dashboard", "change", "deals"),
        ("card", "archive", "deals/list"),
    ]
    company.showing(WITHOUT_DEALS_CARD).publish()
    assert company.fake.state.cards[number]["archived"]
    assert company.plan(WITHOUT_DEALS_CARD).is_empty
    assert not [one for one in company.fake.requests if one.method == "DELETE"]
    company.showing().publish()
    assert row(company, "card", "Deals")["id"] == number
    assert not company.fake.state.cards[number]["archived"]
    assert company.plan().is_empty


def test_removed_dashboard_goes_to_the_trash_with_its_cards(company):
    company.showing(WITHOUT_DEALS).publish()
    assert row(company, "dashboard", "Deals")["archived"]
    assert company.plan(WITHOUT_DEALS).is_empty
    company.showing().publish()
    assert not row(company, "dashboard", "Deals")["archived"]
    assert company.plan().is_empty


@pytest.mark.parametrize(
    ("kind", "name", "edit", "key"),
    [
        ("card", "Came", {"name": "My own name"}, ("owner/came", "name")),
        ("card", "Came", {"display": "pie"}, ("owner/came", "display")),
        ("card", "Came", {"collection_id": None}, ("owner/came", "place")),
        ("card", "Came", {"description": "no marker"}, ("owner/came", "description")),
        ("card", "Came", {"visualization_settings": {"x": 1}}, ("owner/came", "settings")),
        ("card", "Came", {"archived": True, "archived_directly": True}, ("owner/came", "archived")),
        ("dashboard", "Monday", {"name": "Tuesday"}, ("owner", "name")),
        ("dashboard", "Monday", {"collection_id": None}, ("owner", "place")),
        ("dashboard", "Monday", {"parameters": []}, ("owner", "parameters")),
        ("dashboard", "Monday", {"archived": True, "archived_directly": True},
         ("owner", "archived")),
        ("tab", "Now", {"name": "Then"}, ("owner", "tabs")),
        ("collection", "Voronka", {"name": "Theirs"}, ("root", "name")),
        ("field", "deal_amount", {"display_name": "Sum"},
         ("dim_deals.deal_amount", "display_name")),
        ("table", "dim_deals", {"visibility_type": "hidden"}, ("dim_deals", "visibility_type")),
    ],
)  # fmt: skip
def test_drift_by_hand_is_reported_as_such_and_put_right(company, kind, name, edit, key):
    ids = ids_of(company.fake)
    company.fake.edit_by_hand(kind, name, **edit)
    assert changes(company)[key] == "hand"
    company.showing().publish()
    assert company.plan().is_empty
    assert ids_of(company.fake) == ids


def test_collection_thrown_away_by_hand_comes_back_with_all_that_was_in_it(company):
    ids = ids_of(company.fake)
    number = row(company, "collection", "Voronka")["id"]
    company.client().put(f"/api/collection/{number}", {"archived": True})
    assert changes(company)[("root", "archived")] == "hand"
    company.showing().publish()
    assert company.plan().is_empty
    assert ids_of(company.fake) == ids


def test_card_deleted_by_hand_is_made_anew_and_nothing_else(company):
    client, ids = company.client(), ids_of(company.fake)
    client.delete(f"/api/card/{row(company, 'card', 'Came')['id']}")
    assert ("card", "create", "owner/came") in actions(company)
    company.showing().publish()
    assert company.plan().is_empty
    assert {kind: len(some) for kind, some in ids_of(company.fake).items()} == {
        kind: len(some) for kind, some in ids.items()
    }
    assert set(ids["dashboards"]) == set(ids_of(company.fake)["dashboards"])


def test_database_deleted_by_hand_is_made_anew_with_its_cards(company):
    client = company.client()
    client.delete(f"/api/database/{row(company, 'database', 'Voronka')['id']}")
    company.showing().publish()
    assert company.plan().is_empty
    names = sorted(one["name"] for one in company.fake.state.cards.values())
    assert names == ["Came", "Deals", "Total"]


def dashcard_of(company, card_name):
    number = row(company, "card", card_name)["id"]
    return next(one for one in company.fake.state.dashcards.values() if one["card_id"] == number)


def test_place_moved_by_hand_is_put_back(company):
    dashcard_of(company, "Came").update(row=20, visualization_settings={})
    assert changes(company) == {("owner", "dashcard came"): "hand"}
    ids = ids_of(company.fake)
    company.showing().publish()
    assert dashcard_of(company, "Came")["row"] == 1
    assert ids_of(company.fake) == ids


def test_place_added_by_hand_is_reported_and_goes_while_its_card_stays(company):
    own = company.client().post("/api/card", a_card(company, "Somebody's"))
    put_on_monday(company, own["id"])
    assert changes(company) == {("owner", "dashcard Somebody's"): "hand"}
    company.showing().publish()
    assert company.plan().is_empty
    assert not row(company, "card", "Somebody's")["archived"]


def put_on_monday(company, card_id):
    """Add a card to our dashboard as a person does."""
    client = company.client()
    path = f"/api/dashboard/{row(company, 'dashboard', 'Monday')['id']}"
    dashboard = client.get(path)
    names = ("id", "card_id", "row", "col", "size_x", "size_y", "dashboard_tab_id",
             "parameter_mappings", "visualization_settings")  # fmt: skip
    dashcards = [{name: one[name] for name in names} for one in dashboard["dashcards"]]
    tabs = [{"id": tab["id"], "name": tab["name"]} for tab in dashboard["tabs"]]
    place = {"row": 30, "col": 0, "size_x": 4, "size_y": 4, "dashboard_tab_id": tabs[0]["id"]}
    client.put(
        path, {"dashcards": [*dashcards, {"id": -1, "card_id": card_id, **place}], "tabs": tabs}
    )


def a_card(company, name, **more):
    database = row(company, "database", "Voronka")["id"]
    query = {"type": "native", "database": database, "native": {"query": "select 1 as a"}}
    return {
        "name": name,
        "display": "table",
        "visualization_settings": {},
        "dataset_query": query,
        "collection_id": None,
        **more,
    }


def test_question_that_lives_inside_our_dashboard_is_neither_dropped_nor_archived(company):
    client = company.client()
    dashboard = client.get(f"/api/dashboard/{row(company, 'dashboard', 'Monday')['id']}")
    inner = client.post("/api/card", a_card(company, "Inner", dashboard_id=dashboard["id"]))
    if not [one for one in company.fake.state.dashcards.values() if one["card_id"] == inner["id"]]:
        put_on_monday(company, inner["id"])
    company.showing(with_dashboard(STATE, "owner", name="Tuesday")).publish()
    assert not row(company, "card", "Inner")["archived"]
    assert dashcard_of(company, "Inner")["dashboard_id"] == dashboard["id"]


def test_what_is_foreign_is_told_and_never_touched(company):
    client = company.client()
    ours = row(company, "collection", "Voronka")["id"]
    other = client.post("/api/collection", {"name": "Finance"})["id"]
    client.post("/api/card", a_card(company, "In ours", collection_id=ours))
    client.post("/api/card", a_card(company, "In theirs", collection_id=other))
    client.post("/api/dashboard", {"name": "Theirs", "collection_id": other})
    client.post("/api/dashboard", {"name": "Theirs in ours", "collection_id": ours})
    names = ("In ours", "In theirs", "Theirs", "Theirs in ours")
    before = [dict(row(company, kind, name)) for kind, name in zip(
        ("card", "card", "dashboard", "dashboard"), names, strict=True)]  # fmt: skip
    found = company.plan()
    assert found.is_empty
    assert [(one.kind, one.name) for one in found.foreign] == [
        ("card", "In ours"),
        ("dashboard", "Theirs in ours"),
    ]
    company.showing(with_card(STATE, "owner/came", name="Newcomers")).publish()
    after = [dict(row(company, kind, name)) for kind, name in zip(
        ("card", "card", "dashboard", "dashboard"), names, strict=True)]  # fmt: skip
    assert after == before


def test_copy_of_our_card_with_its_marker_stays_somebody_elses(company):
    ours = row(company, "card", "Came")
    copy = company.client().post(
        "/api/card", a_card(company, "Came, copy", description=ours["description"])
    )
    assert company.plan().is_empty
    company.settings.home.metabase_state.unlink()
    assert company.plan().is_empty
    company.showing().publish()
    assert company.state().remembered("card", "owner/came").id == ours["id"] != copy["id"]


def copy_of_deals(company):
    """Return our card, and its copy with its marker in a collection of a person's own."""
    ours = row(company, "card", "Deals")
    place = company.client().post("/api/collection", {"name": "Anna"})["id"]
    body = a_card(company, "Anna's copy", description=ours["description"], collection_id=place)
    return ours, company.client().post("/api/card", body)["id"], place


def is_annas(company, number, place):
    kept = company.fake.state.cards[number]
    return (kept["name"], kept["collection_id"], kept["archived"]) == ("Anna's copy", place, False)


def test_copy_stays_when_our_card_leaves_the_files(company):
    _, copy, place = copy_of_deals(company)
    for _ in range(2):
        company.showing(WITHOUT_DEALS_CARD).publish()
        assert is_annas(company, copy, place)
    assert company.plan(WITHOUT_DEALS_CARD).is_empty


def test_copy_stays_when_our_card_leaves_the_files_and_memory_is_lost(company):
    ours, copy, place = copy_of_deals(company)
    company.client().delete(f"/api/card/{ours['id']}")
    company.settings.home.metabase_state.unlink()
    company.showing(WITHOUT_DEALS_CARD).publish()
    assert is_annas(company, copy, place)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_copy_stays_when_our_card_is_thrown_away_by_hand(company, is_deleted):
    ours, copy, place = copy_of_deals(company)
    if is_deleted:
        company.client().delete(f"/api/card/{ours['id']}")
    else:
        company.client().put(f"/api/card/{ours['id']}", {"archived": True})
    company.showing().publish()
    assert is_annas(company, copy, place)
    assert row(company, "card", "Deals")["collection_id"] == ours["collection_id"]
    assert company.plan().is_empty


def test_copy_of_a_dashboard_stays_when_ours_leaves_the_files(company):
    ours = row(company, "dashboard", "Deals")
    place = row(company, "collection", "Voronka")["id"]
    copy = company.client().post(
        "/api/dashboard",
        {"name": "Anna's", "description": ours["description"], "collection_id": place},
    )
    for _ in range(2):
        company.showing(WITHOUT_DEALS).publish()
        assert not company.fake.state.dashboards[copy["id"]]["archived"]


def test_without_memory_two_of_one_marker_are_an_error_that_names_both(company):
    ours = row(company, "card", "Came")
    copy = company.client().post(
        "/api/card",
        a_card(
            company,
            "Came, copy",
            description=ours["description"],
            collection_id=ours["collection_id"],
        ),
    )
    assert company.plan().is_empty
    company.settings.home.metabase_state.unlink()
    with pytest.raises(MetabaseAmbiguousError) as caught:
        company.plan()
    assert f"id {ours['id']} Came" in str(caught.value)
    assert f"id {copy['id']} Came, copy" in str(caught.value)


def test_memory_lost_changes_nothing_and_keeps_ids(company):
    company.settings.home.metabase_state.unlink()
    ids = ids_of(company.fake)
    assert company.plan().is_empty
    company.showing(with_dashcard(STATE, "owner", "came", row=2)).publish()
    assert ids_of(company.fake) == ids


def test_instance_set_up_anew_is_filled_and_other_peoples_small_ids_are_safe(company):
    fresh = FakeMetabase(sync_seconds=0)
    url = company.fake.url
    with direct(fresh):
        assert fresh.url == url
        other = Company(company.root, fresh)
        settings = company.settings
        state_before = company.state()
        assert state_before.keys("card")
        client = other.showing().client
        token = client.get("/api/session/properties")["setup-token"]
        session = client.post(
            "/api/setup",
            {
                "token": token,
                "user": {"email": EMAIL, "password": PASSWORD, "first_name": "Own"},
                "prefs": {"site_name": "x"},
            },
        )
        assert session["id"]
        person = other.client()
        database = person.post(
            "/api/database",
            {"name": "Own", "engine": "duckdb",
             "details": {"database_file": str(settings.home.serve_current), "read_only": True}},
        )  # fmt: skip
        for number in range(4):
            query = {"type": "native", "database": database["id"], "native": {"query": "select 1"}}
            person.post(
                "/api/card",
                {"name": f"Own {number}", "display": "table", "visualization_settings": {},
                 "dataset_query": query},
            )  # fmt: skip
        person.post("/api/dashboard", {"name": "Own board"})
        other.showing().publish()
        names = [card["name"] for card in fresh.state.cards.values() if not card["archived"]]
        assert sorted(names) == ["Came", "Deals", *(f"Own {n}" for n in range(4)), "Total"]
        assert other.plan().is_empty


def test_value_that_metabase_drops_is_told_once_and_not_planned_again(empty, monkeypatch):
    cards = empty.fake.cards
    real = cards.shown

    def shown(one, call):
        answer = dict(real(one, call))
        settings = answer["visualization_settings"]
        answer["visualization_settings"] = {k: v for k, v in settings.items() if k[:6] != "column"}
        return answer

    monkeypatch.setattr(cards, "shown", shown)
    assert empty.showing().publish().applied.rewritten == ["card owner/came: settings"]
    assert empty.plan().is_empty
    assert not empty.plan(with_card(STATE, "owner/came", settings={})).is_empty


def test_value_that_must_be_kept_and_is_not_is_an_error(empty, monkeypatch):
    real = empty.fake.cards.shown
    monkeypatch.setattr(
        empty.fake.cards, "shown", lambda one, call: {**real(one, call), "display": "table"}
    )
    with pytest.raises(MetabaseServerError, match="did not keep its display"):
        empty.showing().publish()


def test_owner_reads_everything_and_changes_nothing(company):
    fake = company.fake
    owners = row(company, "group", "Voronka: owners")["id"]
    fake.add_user("boss@example.test", "horse-battery-2", owners)
    fake.add_user("guest@example.test", "horse-battery-3")
    boss, guest = (login(company, name) for name in ("boss", "guest"))
    card, board = row(company, "card", "Came"), row(company, "dashboard", "Monday")
    assert boss("GET", f"/api/dashboard/{board['id']}") == 200
    assert boss("POST", f"/api/card/{card['id']}/query", {"parameters": []}) == 202
    assert boss("PUT", f"/api/card/{card['id']}", {"name": "x"}) == 403
    assert boss("PUT", f"/api/dashboard/{board['id']}", {"name": "x"}) == 403
    assert guest("GET", f"/api/dashboard/{board['id']}") == 403
    database = row(company, "database", "Voronka")["id"]
    assert not fake.accounts.may_query(boss.visitor, database)


def login(company, name):
    from tests.metabase.fake.web import Call

    password = {"boss": "horse-battery-2", "guest": "horse-battery-3"}[name]
    session = (
        company.showing().client.post(
            "/api/session", {"username": f"{name}@example.test", "password": password}
        )
    )["id"]

    def send(method, path, body=None):
        call = Call(method=method, path=path, query={}, headers={"x-metabase-session": session})
        answer = company.fake.handle(call, json.dumps(body).encode() if body else b"")
        return answer.status

    headers = {"x-metabase-session": session}
    probe = Call(method="GET", path="/api/user/current", query={}, headers=headers)
    send.visitor = company.fake.accounts.visitor(probe)
    return send


def test_rights_given_by_hand_to_edit_are_taken_and_to_read_are_left(company):
    fake = company.fake
    ours = row(company, "collection", "Voronka")["id"]
    analysts = company.client().post("/api/permissions/group", {"name": "Analysts"})["id"]
    fake.state.collection_graph.setdefault(ALL_USERS, {})[ours] = "read"
    assert company.plan().is_empty
    fake.state.collection_graph.setdefault(analysts, {})[ours] = "write"
    company.showing().publish()
    assert fake.state.collection_graph[analysts][ours] == "read"
    assert fake.state.collection_graph[ALL_USERS][ours] == "read"
    assert ADMINISTRATORS in fake.state.groups


def test_rights_are_sent_again_when_somebody_saved_between(company, monkeypatch):
    fake = company.fake
    ours = row(company, "collection", "Voronka")["id"]
    fake.state.collection_graph[ALL_USERS][ours] = "write"
    real, late = fake.handle, []

    def handle(call, raw):
        if (call.method, call.path) == ("PUT", "/api/collection/graph"):
            late.append(call.path)
            fake.state.collection_revision += len(late) == 1
        return real(call, raw)

    monkeypatch.setattr(fake, "handle", handle)
    company.showing().publish()
    assert fake.state.collection_graph[ALL_USERS].get(ours, "none") == "none"
    assert len(late) == 2


def test_database_of_another_home_under_our_name_is_refused_and_its_key_kept(company, tmp_path):
    other = Company(tmp_path / "second", company.fake)
    other.publish_file("one")
    keys = [dict(key) for key in company.fake.state.api_keys.values()]
    with pytest.raises(MetabaseForeignError, match="VORONKA_METABASE_DATABASE_NAME"):
        other.showing().publish()
    assert [dict(key) for key in company.fake.state.api_keys.values()] == keys
    assert company.plan().is_empty


def test_collection_of_another_home_is_refused(company, tmp_path, monkeypatch):
    other = Company(tmp_path / "second", company.fake)
    other.publish_file("one")
    settings = other.settings.model_copy(update={"metabase_database_name": "Second"})
    showing = other.showing()
    showing.settings = settings
    with pytest.raises(MetabaseForeignError, match="belongs to another home"):
        showing.publish()
    assert company.plan().is_empty
