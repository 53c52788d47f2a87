"""People who look at Metabase while builds are published."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.metabase.fake import FakeMetabase

READERS = 8
_PAUSE_SECONDS = 0.05


@dataclass
class Sights:
    """What the readers saw.

    Attributes:
        shown: The number of the build that the last finished publish showed.
        reads: Answers with rows.
        failures: Answers without.
        stale: Answers of a build older than the one shown when the question was sent.
    """

    shown: int = 0
    reads: int = 0
    failures: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def marts_of_build(number: int, sql: str) -> str:
    """Return SQL that makes a build in which every row names its number."""
    return f"{sql}\nalter table marts.dim_deals add column build integer default {number};"


@contextlib.contextmanager
def readers(fake: FakeMetabase, key: str, database_id: int, sights: Sights) -> Iterator[None]:
    """Let eight readers ask until the block ends, each having asked once before it begins.

    Args:
        fake: The instance.
        key: An API key.
        database_id: The database.
        sights: Receives what they see.
    """
    stop = threading.Event()
    started = threading.Barrier(READERS + 1)
    query = {
        "database": database_id,
        "type": "native",
        "native": {"query": "select max(build), min(build), count(*) from marts.dim_deals"},
    }

    def read() -> None:
        with httpx.Client(
            base_url=fake.url, headers={"X-API-Key": key}, timeout=30, verify=False
        ) as client:
            is_first = True
            while not stop.is_set():
                # People read between questions; without a pause they take the publisher's time.
                stop.wait(_PAUSE_SECONDS)
                asked_at = sights.shown
                _look(client, query, asked_at, sights)
                if is_first:
                    started.wait(60)
                    is_first = False

    threads = [threading.Thread(target=read, name=f"reader-{n}") for n in range(READERS)]
    for thread in threads:
        thread.start()
    started.wait(60)
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)


def _look(client: httpx.Client, query: dict[str, Any], asked_at: int, sights: Sights) -> None:
    try:
        answer = client.post("/api/dataset", json=query).json()
    except (httpx.HTTPError, ValueError) as error:
        with sights.lock:
            sights.failures.append(repr(error))
        return
    with sights.lock:
        if answer.get("status") != "completed" or not answer["data"]["rows"]:
            sights.failures.append(str(answer.get("error")))
            return
        newest, oldest, _ = answer["data"]["rows"][0]
        sights.reads += 1
        if oldest < asked_at or newest != oldest:
            sights.stale.append(f"{oldest}..{newest} after {asked_at} was shown")
