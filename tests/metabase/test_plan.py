from dataclasses import replace

import pytest

from orchestration.lib.metabase.desired import DesiredFieldMetadata
from orchestration.lib.metabase.instance import Column, Foreign, Instance, Table, Version
from orchestration.lib.metabase.permissions import permission_changes
from orchestration.lib.metabase.plan import MISSING, Action, Change, Plan, differing, plan
from orchestration.lib.metabase.plan_text import WORDS, plan_text
from orchestration.lib.metabase.state import MetabaseState, Remembered, digests
from orchestration.lib.metabase.target import Target
from orchestration.lib.metabase.wire import Names, canonical
from orchestration.lib.metabase.wire_cards import card_body, card_found, card_wanted
from tests.metabase.desired_states import CAME, STATE, TOTAL

TARGET = Target(
    "Voronka",
    "duckdb",
    {"database_file": "/serve/voronka_two.duckdb", "read_only": True},
    "voronka_two.duckdb",
    "Voronka: owners",
)
NAMES = Names(
    collection_id=5,
    database_id=2,
    fields={("dim_deals", "channel"): 11, ("dim_deals", "created_date"): 12},
    dashboards={"owner": 7},
    tabs={("owner", "now"): 8},
)


def memory(tmp_path, **objects):
    return MetabaseState(tmp_path / "state.json", "http://m", objects=objects)


def live_card(**changes):
    """Return CAME as version 0.63 would give it back."""
    body = card_body(CAME, NAMES)
    stage = body["dataset_query"]["stages"][0]
    tags = [
        {**tag, "dimension": ["field", {"lib/uuid": "x"}, tag["dimension"][2]], "added": 1}
        for tag in reversed(stage["template-tags"].values())
    ]
    query = {**body["dataset_query"], "stages": [{**stage, "template-tags": tags, "lib/uuid": "y"}]}
    return {**body, "id": 3, "dataset_query": query, "archived": False, **changes}


@pytest.mark.parametrize("form", ["list of tags", "map of tags", "form before MBQL 5"])
def test_card_read_back_in_any_form_is_as_wanted(form):
    raw = live_card()
    stage = raw["dataset_query"]["stages"][0]
    by_name = {tag["name"]: tag for tag in stage["template-tags"]}
    if form == "map of tags":
        stage["template-tags"] = by_name
    elif form == "form before MBQL 5":
        old = {
            k: {**v, "dimension": ["field", v["dimension"][2], None]} for k, v in by_name.items()
        }
        native = {"query": stage["native"], "template-tags": old}
        raw["dataset_query"] = {"type": "native", "database": 2, "native": native}
    assert card_found(raw, NAMES) == card_wanted(CAME)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": "Other"}, "name"),
        ({"display": "line"}, "display"),
        ({"collection_id": None}, "place"),
        ({"archived": True}, "archived"),
        ({"type": "model"}, "type"),
        ({"description": "People with a lead."}, "description"),
        ({"visualization_settings": {}}, "settings"),
    ],
)
def test_card_changed_in_one_key_differs_in_that_key(changes, key):
    found = differing(card_wanted(CAME), card_found(live_card(**changes), NAMES), None)
    assert [change.key for change in found] == [key]


def test_filter_on_another_column_is_seen():
    raw = live_card()
    raw["dataset_query"]["stages"][0]["template-tags"][0]["dimension"][2] = 99
    changes = differing(card_wanted(CAME), card_found(raw, NAMES), None)
    assert [change.key for change in changes] == ["tags"]
    assert changes[0].before["period"]["field"] == "field 99"


def test_spelling_of_settings_says_nothing():
    one = {"column_settings": {'["name", "a"]': {"decimals": 1.0, "prefix": None}}}
    other = {"column_settings": {'["name","a"]': {"decimals": 1}}}
    assert canonical(one) == canonical(other)


def test_value_that_metabase_rewrote_is_not_sent_for_ever():
    wanted, kept = {"settings": {"a": 1, "b": 2}}, {"settings": {"a": 1}}
    known = Remembered(3, sent=digests(wanted), seen=digests(kept))
    assert differing(wanted, kept, known) == []
    assert differing(wanted, kept, None) != []


@pytest.mark.parametrize(
    ("sent", "seen", "origin"),
    [("a", "b", "files"), ("c", "a", "hand"), ("x", "y", "both"), (None, None, "unknown")],
)
def test_plan_says_who_made_the_difference(sent, seen, origin):
    known = None
    if sent is not None:
        known = Remembered(3, sent=digests({"name": sent}), seen=digests({"name": seen}))
    (change,) = differing({"name": "c"}, {"name": "b"}, known)
    assert (change.before, change.after, change.origin) == ("b", "c", origin)


def test_empty_instance_needs_everything(tmp_path):
    found = plan(STATE, TARGET, Instance(Version("v0.63.1", 63), False), memory(tmp_path))
    made = [(action.kind, action.verb, action.key) for action in found.actions]
    assert made == [
        ("setup", "create", "instance"),
        ("database", "create", "root"),
        ("collection", "create", "root"),
        ("group", "create", "owners"),
        ("card", "create", "owner/came"),
        ("card", "create", "owner/total"),
        ("card", "create", "deals/list"),
        ("dashboard", "create", "owner"),
        ("dashboard", "create", "deals"),
    ]


def test_new_build_is_a_switch_of_the_file_alone(tmp_path):
    database = {
        "id": 2,
        "name": "Voronka",
        "engine": "duckdb",
        "details": {"database_file": "/serve/voronka_one.duckdb", "read_only": True, "more": 1},
    }
    instance = Instance(Version("v0.63.1", 63), True, database=database)
    action = plan(STATE, TARGET, instance, memory(tmp_path)).actions[0]
    assert (action.kind, action.verb, action.id) == ("database", "switch", 2)
    assert [change.key for change in action.changes] == ["database_file"]


def test_what_the_files_no_longer_hold_is_archived_dashboards_first(tmp_path):
    instance = Instance(
        Version("v0.63.1", 63),
        True,
        collection={"id": 5, "name": "Voronka"},
        cards={
            "gone/card": {"id": 9, "name": "Gone", "collection_id": 5},
            "old/x": {"id": 4, "collection_id": 5, "archived": True},
        },
        dashboards={"gone": {"id": 6, "name": "Gone too", "collection_id": 5}},
    )
    archived = [
        (action.kind, action.id)
        for action in plan(STATE, TARGET, instance, memory(tmp_path)).actions
        if action.verb == "archive"
    ]
    assert archived == [("dashboard", 6), ("card", 9)]


def test_elsewhere_only_what_is_remembered_is_archived(tmp_path):
    instance = Instance(
        Version("v0.63.1", 63),
        True,
        collection={"id": 5, "name": "Voronka"},
        cards={
            "gone/moved": {"id": 9, "name": "Ours, moved", "collection_id": 8},
            "gone/copied": {"id": 10, "name": "Anna's copy", "collection_id": 8},
        },
    )
    known = memory(tmp_path, **{"card:gone/moved": Remembered(9)})
    archived = [
        action.id
        for action in plan(STATE, TARGET, instance, known).actions
        if action.verb == "archive"
    ]
    assert archived == [9]


def test_labels_are_sent_only_where_they_differ_and_silence_leaves_alone(tmp_path):
    fields = (
        DesiredFieldMetadata("dim_deals", "deal_key", "Deal", None, None),
        DesiredFieldMetadata("dim_deals", "channel", "Channel", "Where from.", "type/Category"),
    )
    live = {
        "deal_key": Column(1, {"display_name": "Deal", "description": "own", "semantic_type": "X"}),
        "channel": Column(2, {"display_name": "Channel", "description": None}),
    }
    instance = Instance(
        Version("v0.63.1", 63), True, tables={"dim_deals": Table(3, {"display_name": "D"}, live)}
    )
    desired = replace(STATE, fields=fields, tables=(), cards=(), dashboards=())
    actions = plan(desired, TARGET, instance, memory(tmp_path)).actions
    (action,) = [one for one in actions if one.kind == "field"]
    assert (action.id, {change.key for change in action.changes}) == (
        2,
        {"description", "semantic_type"},
    )


def rights(collection, queries=None):
    return Instance(
        Version("v0.63.1", 63),
        True,
        database={"id": 2},
        collection={"id": 5},
        group={"id": 4, "name": "Voronka: owners"},
        groups={1: "All Users", 2: "Administrators", 4: "Voronka: owners", 6: "Analysts"},
        data_graph={"groups": queries or {}},
        collection_graph={"groups": collection},
    )


def test_rights_that_are_as_they_shall_be_need_nothing():
    # What is not mentioned is none, since v0.56.13.
    assert permission_changes(rights({"2": {"5": "write"}, "4": {"5": "read"}})) == ()


def test_rights_to_edit_go_and_analysts_keep_their_queries():
    full = {"2": {"create-queries": "query-builder-and-native"}}
    found = permission_changes(
        rights({"1": {"5": "write"}, "6": {"5": "write"}}, {"1": full, "6": full})
    )
    assert [(one.group_id, one.right, one.after) for one in found] == [
        (1, "create-queries", "no"),
        (1, "collection", "none"),
        (4, "collection", "read"),
        (6, "collection", "read"),
    ]


def text_of(*actions, foreign=(), locale="en"):
    return plan_text(Plan(tuple(actions), foreign, (), {}, Names()), locale)


def test_text_names_the_key_both_values_and_who():
    change = Change("settings", {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}, "hand")
    text = text_of(Action("card", "change", "owner/came", "Came", 3, (change,)))
    assert "~ card owner/came 'Came': change" in text
    assert "settings.b.c: 2 -> 3  (changed by hand in Metabase)" in text
    assert "Changed by hand, will be overwritten: 1." in text


def test_text_shows_the_lines_of_sql_that_change():
    change = Change("sql", "select 1\nfrom a", "select 2\nfrom a", "files")
    lines = text_of(Action("card", "change", "a/b", "B", 3, (change,))).splitlines()
    assert lines[1:4] == [
        "    sql:  (changed in the files)",
        "      - select 1",
        "      + select 2",
    ]


def test_text_of_hostile_names_stays_on_its_line():
    hostile = "x\x1b[31m\nIn all: nothing"
    change = Change(f"dashcard {hostile}", "on the dashboard", MISSING, "hand")
    action = Action("dashboard", "change", "owner", hostile, 3, (change,))
    text = text_of(action, foreign=(Foreign("card", 9, hostile),))
    assert "\x1b" not in text
    assert len(text.splitlines()) == 5


def test_text_counts_labels_beyond_a_dozen():
    many = [Action("field", "change", f"t.c{n}", "C", n) for n in range(200)]
    text = text_of(*many)
    assert len(text.splitlines()) < 20
    assert "188 more" in text


def test_every_word_of_a_plan_is_in_both_languages_with_the_same_values():
    for word in WORDS.values():
        assert set(word) == {"ru", "en"}
        assert ("{" in word["ru"]) == ("{" in word["en"])
    everything = text_of(Action("card", "create", TOTAL.key, TOTAL.name), locale="ru")
    assert everything.splitlines() == [
        "+ карточка owner/total 'Total': создать",
        "Итого: создать 1.",
    ]
