"""All dashboards into an empty Metabase, dead at every request: the next apply ends alike."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ingest.config import Settings, load_settings
from orchestration.lib.metabase.commands import wanted
from orchestration.lib.metabase.desired import DesiredState
from orchestration.lib.metabase.publishing import Showing
from orchestration.lib.serving import ServeFolder
from tests.e2e.runs import SMALL_COMPANY
from tests.metabase.crashes import DIRECT_URL, Crashes, Death, differences, direct
from tests.metabase.fake import FakeMetabase, running
from tests.product import Product

pytestmark = pytest.mark.campaign
SECRETS = {"METABASE__EMAIL": "owner@example.test", "METABASE__PASSWORD": "horse-battery-1"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """Return the demo company, published."""
    product = Product(tmp_path_factory.mktemp("metabase") / "home")
    product.run("demo", *SMALL_COMPANY)
    return product


@pytest.fixture(scope="module")
def desired(published: Product) -> DesiredState:
    """Return what the dashboard files want."""
    return wanted(load_settings({"VORONKA_HOME": str(published.home)}))


@pytest.fixture
def settings(published: Product, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings of a home that knows no Metabase yet."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    found = load_settings(
        {"VORONKA_HOME": str(published.home), "VORONKA_METABASE_URL": DIRECT_URL, **SECRETS}
    )
    found.home.metabase_key.unlink(missing_ok=True)
    found.home.metabase_state.unlink(missing_ok=True)
    return found


@pytest.fixture
def fake() -> Iterator[FakeMetabase]:
    """Yield an empty instance without sockets; requests are held against nothing but itself."""
    with direct(FakeMetabase(sync_seconds=0, is_result_reused=True)) as made:
        yield made


def showing(settings: Settings, desired: DesiredState) -> Showing:
    serve = ServeFolder(settings.home.serve_dir)
    return Showing(settings, desired, serve, sleep=lambda _: None)


def crashes_of(fake: FakeMetabase, settings: Settings, desired: DesiredState) -> Crashes:
    home = settings.home
    crashes = Crashes(
        fake,
        [home.metabase_dir, home.metabase_key],
        lambda: showing(settings, desired).publish(),
        lambda: not showing(settings, desired).look()[0].actions,
    )
    crashes.watch()
    # A card taken away at random may leave a filter that reaches nothing; that is no crash.
    assert [one for one in fake.end_findings() if "is not mapped to anything" not in one] == []
    # The same requests again, hundreds of times: they were held against the documents once.
    fake.is_validated = False
    return crashes


def all_lives(crashes: Crashes, deaths: list[Death], *, is_memory_lost: bool = False) -> None:
    wrong = [
        line
        for death in deaths
        for line in crashes.life_after(death, is_memory_lost=is_memory_lost)
    ]
    print(f"\n{len(deaths)} deaths, {len({line.split(': ')[0] for line in wrong})} not survived")
    assert wrong == []


def changed(desired: DesiredState) -> DesiredState:
    """Return a state after a day's work: on each dashboard a card renamed, one moved, one gone."""
    cards, boards = list(desired.cards), []
    for board in desired.dashboards:
        shown = [one for one in board.dashcards if one.card_key is not None]
        first, last = shown[0], shown[-1]
        cards = [
            replace(card, name=f"{card.name} (new)") if card.key == first.card_key else card
            for card in cards
            if card.key != last.card_key or first is last
        ]
        bottom = max(one.row + one.height for one in board.dashcards)
        boards.append(
            replace(
                board,
                dashcards=tuple(
                    replace(one, row=bottom) if one is first else one
                    for one in board.dashcards
                    if one.card_key != last.card_key or first is last
                ),
            )
        )
    return replace(desired, cards=tuple(cards), dashboards=tuple(boards))


def test_after_any_death_the_next_apply_ends_alike(
    fake: FakeMetabase, settings: Settings, desired: DesiredState
) -> None:
    crashes = crashes_of(fake, settings, desired)
    assert len(crashes.deaths) > 500
    all_lives(crashes, crashes.deaths)


def test_without_memory_the_next_apply_ends_alike(
    fake: FakeMetabase, settings: Settings, desired: DesiredState
) -> None:
    crashes = crashes_of(fake, settings, desired)
    # Labels of columns hold nothing that could be made twice.
    deaths = [one for one in crashes.deaths if not one.asked.path.startswith("/api/field/")]
    all_lives(crashes, deaths, is_memory_lost=True)


def test_after_any_death_of_a_change_the_next_apply_ends_alike(
    fake: FakeMetabase, settings: Settings, desired: DesiredState
) -> None:
    showing(settings, desired).publish()
    _, _, _, client = showing(settings, desired).look()
    assert client is not None
    # A person's own work stands beside; it is part of what must be the same afterwards.
    mine = client.post("/api/collection", {"name": "Mine"})["id"]
    (database_id,) = fake.state.databases
    query = {"type": "native", "database": database_id, "native": {"query": "select 1 as one"}}
    body = {"name": "One", "display": "scalar", "dataset_query": query, "collection_id": mine}
    card = client.post("/api/card", {**body, "visualization_settings": {}})
    board = client.post("/api/dashboard", {"name": "Mine", "collection_id": mine})
    place = {"id": -1, "card_id": card["id"], "row": 0, "col": 0, "size_x": 4, "size_y": 3}
    client.put(f"/api/dashboard/{board['id']}", {"dashcards": [place], "tabs": []})
    crashes = crashes_of(fake, settings, changed(desired))
    assert len(crashes.deaths) > 30
    all_lives(crashes, crashes.deaths)


@pytest.mark.parametrize("number", [1, 3, 7, 20, 60, 85, 200])
def test_a_killed_command_leaves_what_the_next_one_completes(
    published: Product, settings: Settings, desired: DesiredState, number: int
) -> None:
    """The same with a process of its own and kill -9, over sockets."""
    with direct(FakeMetabase(sync_seconds=0)) as alone:
        showing(settings, desired).publish()
        undisturbed = alone.dump()
    settings.home.metabase_key.unlink()
    settings.home.metabase_state.unlink()
    with running(FakeMetabase()) as fake:
        product = Product(published.home, {"VORONKA_METABASE_URL": fake.url, **SECRETS})
        started: list[subprocess.Popen[str]] = []
        is_started = threading.Event()

        def kill(when: str, _: object) -> None:
            if when == "after" and fake.mutation_count == number:
                is_started.wait(30)
                os.killpg(started[0].pid, signal.SIGKILL)

        fake.watch = kill
        started.append(product.start("metabase", "apply"))
        is_started.set()
        output, _ = started[0].communicate(timeout=120)
        assert started[0].returncode == -signal.SIGKILL, output
        fake.watch = None
        product.run("metabase", "apply")
        assert differences(undisturbed, fake.dump()) == []
        assert fake.end_findings() == []
