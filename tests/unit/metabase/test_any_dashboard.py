"""Whatever the schema takes, Metabase gets whole: settings of real columns, places apart, SQL."""

from __future__ import annotations

import itertools
import json
from typing import Any

import duckdb
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.lib.cards import DashboardFile
from orchestration.lib.cards.parts import (
    NUMERIC_FORMATS,
    TIME_FORMATS,
    Format,
    Localised,
)
from orchestration.lib.metabase.formats import Company
from orchestration.lib.metabase.rendering import columns_in_settings, desired_state
from tests.unit.metabase.files import file_of
from tests.unit.metabase.running import sent


def is_taken(text: str) -> bool:
    try:
        Localised(en=text, ru=text)
    except ValidationError:
        return False
    return True


NAMES = ("value", "row", "order", "deal_name", "change_ratio", "done_ratio", "channel", "at_")
WORDS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        ["O'Hara", "'); drop table x; --", "[[and 1]]", "<script>", '"', "a\\", "[x](y)", "{x}"]
    ),
).filter(is_taken)
FORMATS: tuple[Format, ...] = (
    "text", "integer", "decimal", "money", "ratio", "days", "duration", "date", "datetime", "week",
    "month", "period",
)  # fmt: skip


def localised() -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({"en": WORDS, "ru": WORDS})


@st.composite
def column(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(FORMATS))
    found: dict[str, Any] = {
        "label": draw(localised()),
        "format": kind,
        "tier": draw(st.sampled_from(["body", "tap"])),
        "bar": draw(st.booleans()),
    }
    if kind == "text":
        codes = st.sampled_from(["vk", "null", "it's", "other"])
        found["values"] = draw(st.dictionaries(codes, localised(), max_size=2))
        found["tones"] = draw(st.dictionaries(codes, st.sampled_from(["good", "bad"]), max_size=2))
    way = draw(st.sampled_from(["", "link", "opens"]))
    if way == "link":
        found["link"] = draw(st.sampled_from(NAMES))
    if way == "opens":
        found |= {"opens": "small/card_0", "passes": {"channel": draw(st.sampled_from(NAMES))}}
    return found


def value(kind: str) -> str:
    if kind in NUMERIC_FORMATS:
        return "1234.5"
    if kind in TIME_FORMATS:
        return "timestamp '2026-11-16 10:00:00'"
    return "'vk'"


@st.composite
def card(draw: st.DrawFn, number: int) -> dict[str, Any]:
    names = draw(st.permutations(NAMES))
    columns = {name: draw(column()) for name in names[: draw(st.integers(4, len(names)))]}
    one, two, three, four, *_ = names
    display, roles = draw(
        st.sampled_from(
            [
                ("table", {}),
                ("number", {"period": one, "value": two, "previous": three, "better": "down"}),
                ("number", {"period": one, "value": two}),
                ("bar", {"dimension": one, "metrics": [two, three]}),
                ("row", {"dimension": one, "metrics": [two]}),
                ("line", {"dimension": one, "metrics": [two], "series": four}),
                ("funnel", {"step": one, "value": two}),
                ("matrix", {"row": one, "column": two, "value": three}),
                ("text", {"texts": [{"text": {"en": f"{{{one}}}", "ru": f"{{{two}}}"}}]}),
            ]
        )
    )
    numeric = [roles.get("value"), *roles.get("metrics", []), roles.get("previous")]
    for name in filter(None, numeric):
        columns[name] |= {"format": "money", "values": {}, "tones": {}}
    reading = ", ".join(
        f'{value(columns[name]["format"]) if name in columns else value("text")} as "{name}"'
        for name in NAMES
    )
    return {
        "key": f"card_{number}",
        "title": draw(localised()),
        "description": draw(localised()),
        "display": display,
        "layout": {"column": 0, "row": 0, "width": draw(st.integers(1, 24)), "height": 6},
        "filters": {"channel": "dim_deals.channel"},
        "sql": f"select {reading}\nfrom marts.dim_deals\nwhere true [[and {{{{channel}}}}]] -- end",
        "columns": columns,
        "empty": draw(localised()),
        **roles,
    }


@st.composite
def dashboard(draw: st.DrawFn) -> DashboardFile:
    cards = [draw(card(number)) for number in range(draw(st.integers(1, 3)))]
    return file_of(cards, filters={"channel": {"label": draw(localised())}})


MARTS = duckdb.connect()
MARTS.execute("create schema marts")
MARTS.execute("create table marts.dim_deals as select 'vk' as channel")


@settings(
    max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(
    file=dashboard(),
    locale=st.sampled_from(["ru", "en"]),
    zone=st.sampled_from(["UTC", "Asia/Omsk"]),
)
def test_whatever_the_schema_takes_is_rendered_whole(
    file: DashboardFile, locale: str, zone: str
) -> None:
    state = desired_state([file], {"nodes": {}}, locale, company=Company("ru", "USD", zone))
    cards = {one.key: one for one in state.cards}
    json.dumps([dict(one.settings) for one in state.cards])
    for one in state.cards:
        assert len(set(one.columns)) == len(one.columns)
        assert columns_in_settings(one.settings) <= set(one.columns)
        cursor = MARTS.execute(sent(one))
        assert tuple(name for name, *_ in cursor.description or []) == one.columns
        assert len(cursor.fetchall()) == 1
    (board,) = state.dashboards
    for place in board.dashcards:
        assert place.column + place.width <= 24
        if place.card_key:
            assert columns_in_settings(place.settings) <= set(cards[place.card_key].columns)
        else:
            assert "{{" not in place.settings["text"]
    for one, two in itertools.pairwise(board.dashcards[1:]):
        assert one.row + one.height <= two.row or one.column + one.width <= two.column
