"""The fake breaks where it is told to, and tells what it holds."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.metabase.fake import FakeMetabase
from tests.metabase.visiting import CHANNEL_FILTER, Visitor, mapping, note, place


def test_a_crash_before_does_nothing(visitor: Visitor) -> None:
    visitor.fake.crash_after(1, "before")
    with pytest.raises(httpx.TransportError):
        visitor.card()
    assert visitor.get("/api/card") == []
    assert visitor.card()["id"]


def test_a_crash_after_is_done_and_nobody_is_told(visitor: Visitor) -> None:
    visitor.fake.crash_after(1, "after")
    with pytest.raises(httpx.TransportError):
        visitor.card()
    assert len(visitor.get("/api/card")) == 1


def test_crashes_count_what_changes_something(visitor: Visitor) -> None:
    card = visitor.card()
    visitor.fake.crash_after(2, "before")
    visitor.get("/api/card")
    visitor.post("/api/dataset", visitor.query("select 1"))
    visitor.post(f"/api/card/{card['id']}/query")
    visitor.dashboard()
    with pytest.raises(httpx.TransportError):
        visitor.dashboard()
    assert len(visitor.get("/api/dashboard")) == 1


def test_a_time_out_can_come_after_the_commit(visitor: Visitor) -> None:
    visitor.fake.stall(1, 0.3)
    with pytest.raises(httpx.ReadTimeout):
        visitor.http.post("/api/card", json=visitor.card_body(), timeout=0.1)
    time.sleep(0.25)
    assert len(visitor.get("/api/card")) == 1


def test_a_proxys_page_comes_instead_of_an_answer(visitor: Visitor) -> None:
    visitor.fake.answer_html(2)
    assert visitor.get("/api/card") == []
    answer = visitor.ask("POST", "/api/card", visitor.card_body())
    assert (answer.status_code, answer.text[:6]) == (502, "<html>")
    assert visitor.get("/api/card") == []


def test_answers_wait_as_long_as_told(visitor: Visitor) -> None:
    visitor.fake.latencies["/api/card"] = 0.1
    began = time.monotonic()
    visitor.get("/api/card")
    assert time.monotonic() - began >= 0.1


def test_requests_are_kept_as_they_came(visitor: Visitor) -> None:
    visitor.get("/api/card", f="all")
    made = visitor.dashboard()
    asked = visitor.fake.requests
    assert [(one.method, one.path, one.is_mutating) for one in asked] == [
        ("GET", "/api/card", False),
        ("POST", "/api/dashboard", True),
    ]
    assert asked[1].body == {"name": made["name"]}


def _company(visitor: Visitor, order: tuple[int, ...]) -> None:
    """Make two cards and a dashboard of them; the order of work changes the ids alone."""
    cards = {}
    for number in order:
        cards[number] = visitor.card(name=f"Card {number}")["id"]
    board = visitor.dashboard(parameters=[])
    places = [place(-1 - n, cards[n], 6 * n) for n in order]
    visitor.put(f"/api/dashboard/{board['id']}", {"tabs": [], "dashcards": places})


def test_a_dump_knows_no_ids(visitor: Visitor, settled: Any) -> None:
    fake, state = visitor.fake, settled[2]
    _company(visitor, (0, 1))
    first = fake.dump()
    fake.restore(state)
    visitor.card(name="Gone")
    visitor.ask("DELETE", f"/api/card/{visitor.get('/api/card')[0]['id']}")
    _company(visitor, (1, 0))
    assert fake.dump() == first


def test_a_dump_shows_doubles_and_hand_edits(visitor: Visitor) -> None:
    fake = visitor.fake
    _company(visitor, (0, 1))
    first = fake.dump()
    fake.edit_by_hand("card", "Card 0", name="Mine")
    assert fake.dump() != first
    fake.edit_by_hand("card", "Mine", name="Card 0")
    assert fake.dump() == first
    visitor.card(name="Card 0")
    assert fake.dump() != first


def test_changes_can_be_watched_before_and_after(visitor: Visitor) -> None:
    fake: FakeMetabase = visitor.fake
    seen: list[tuple[str, str, int]] = []
    fake.watch = lambda when, asked: seen.append((when, asked.path, len(fake.state.cards)))
    visitor.card()
    visitor.get("/api/card")
    assert seen == [("before", "/api/card", 0), ("after", "/api/card", 1)]


def test_nothing_is_found_in_a_dashboard_as_it_should_be(visitor: Visitor) -> None:
    tag = visitor.tag("channel", "spend.channel")
    sql = "select channel, sum(spend) as spend from marts.spend where {{channel}} group by 1"
    card = visitor.card(
        dataset_query=visitor.query(sql, channel=tag),
        visualization_settings={"graph.dimensions": ["channel"], "graph.metrics": ["spend"]},
    )
    board = visitor.dashboard()
    mappings = [mapping("channel", card["id"], "channel")]
    visitor.put(
        f"/api/dashboard/{board['id']}",
        {
            "parameters": [CHANNEL_FILTER],
            "tabs": [],
            "dashcards": [place(-1, card["id"], parameter_mappings=mappings), note(-2, 6)],
        },
    )
    assert visitor.fake.end_findings() == []
