"""A server for the whole session, a database of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ingest.config import load_settings
from orchestration.lib.postgres_connection import target_of
from orchestration.lib.postgres_serving import PostgresServing
from tests.postgres.cluster import Cluster, Database, required_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return a running server."""
    with required_cluster() as server:
        yield server


_numbers = count(1)


@pytest.fixture
def database(cluster: Cluster) -> Database:
    """Return an empty database."""
    return cluster.new_database(f"company_{next(_numbers)}")


@pytest.fixture
def serving(database: Database, tmp_path: Path) -> PostgresServing:
    """Return the second target of a home that publishes into the test's database."""
    return serving_of(tmp_path / "home", database)


def serving_of(home: Path, database: Database, **more: str) -> PostgresServing:
    """Return the target as the settings and secrets of a home name it."""
    environment = database.environment(VORONKA_HOME=str(home), **more)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return PostgresServing(target_of(load_settings()))


@pytest.fixture
def make_serving(tmp_path: Path) -> Callable[..., PostgresServing]:
    """Return a maker of targets for other homes and settings."""

    def make(database: Database, home: str = "home", **more: str) -> PostgresServing:
        return serving_of(tmp_path / home, database, **more)

    return make
