"""200 publishes under eight readers, and a publish killed at every word it says to the server."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.lib.postgres_serving import PostgresServing
from tests.postgres.cluster import Cluster, Database, required_cluster
from tests.postgres.conftest import serving_of
from tests.postgres.kills import kill_and_look, publish, schemas
from tests.postgres.readers import NOTHING_SAID, Watch, reading, write_build

pytestmark = pytest.mark.campaign

PUBLISHES = 200


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with required_cluster() as server:
        yield server


@pytest.fixture
def database(cluster: Cluster, request: pytest.FixtureRequest) -> Database:
    return cluster.new_database(request.node.name[:60])


@pytest.fixture
def serving(database: Database, tmp_path: Path) -> PostgresServing:
    return serving_of(tmp_path / "home", database)


def test_postgres_200_publishes_under_eight_readers(
    serving: PostgresServing, database: Database, tmp_path: Path
) -> None:
    watch, seconds = Watch(), []
    publish(serving, tmp_path, 0)
    with reading(database.as_reader(), watch):
        for number in range(1, PUBLISHES + 1):
            file = write_build(tmp_path / f"{number}.duckdb", number)
            serving.load(file, f"run-{number}", NOTHING_SAID)
            seconds.append(serving.switch(f"run-{number}"))
            watch.shown = number
            serving.tidy([f"run-{number - 1}"])
            file.unlink()
    print(
        f"\nPostgreSQL: {PUBLISHES} publishes, {watch.reads:,} reads, {len(watch.failures)} failed,"
        f" {len(watch.stale)} stale, {len(watch.torn)} of two builds; a switch takes"
        f" {statistics.median(seconds):.3f} s (median), {max(seconds):.3f} s at most"
    )
    assert (watch.failures, watch.stale, watch.torn) == ([], [], [])
    assert watch.reads > 10 * PUBLISHES
    serving.tidy([f"run-{PUBLISHES - 1}"])
    assert schemas(database) == {"marts", f"marts_run_{PUBLISHES - 1}"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_postgres_a_publish_killed_at_every_word(
    serving: PostgresServing, database: Database, tmp_path: Path, moment: str
) -> None:
    publish(serving, tmp_path, 1)
    environment = database.environment(VORONKA_HOME=str(tmp_path / "home"))
    number = 1
    while kill_and_look(serving, database, environment, tmp_path, number, moment):
        number += 1
    print(f"\nkilled {moment} each of {number - 1} words to the server: nothing half was left")
    assert number > 30
