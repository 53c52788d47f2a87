"""The fake Metabase for tests: one listening per module, as good as new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metabase.fake import FakeMetabase, State, running
from tests.metabase.visiting import Visitor, write_marts


@pytest.fixture
def metabase() -> Iterator[FakeMetabase]:
    """Yield an instance nobody has set up; what a server would take and show wrong is an error."""
    with running(FakeMetabase()) as fake:
        yield fake
        assert fake.end_findings() == []


@pytest.fixture(scope="module")
def marts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a published file of two small tables."""
    return write_marts(tmp_path_factory.mktemp("marts") / "marts_run-1.duckdb")


@pytest.fixture(scope="module")
def settled(marts_file: Path) -> Iterator[tuple[FakeMetabase, Visitor, State]]:
    """Yield a listening fake that was set up and knows the file, its visitor, and that state."""
    fake = FakeMetabase(sync_seconds=0.02)
    with running(fake):
        visitor = Visitor(fake)
        visitor.set_up()
        visitor.connect(marts_file)
        yield fake, visitor, fake.state.copy()
        visitor.close()


@pytest.fixture
def visitor(settled: tuple[FakeMetabase, Visitor, State]) -> Iterator[Visitor]:
    """Yield an administrator in front of an instance that knows one database and holds nothing."""
    fake, visitor, state = settled
    fake.restore(state)
    fake.reset()
    yield visitor
    assert [one for one in fake.findings if "the fake failed" in one] == []


@pytest.fixture
def fake(visitor: Visitor) -> FakeMetabase:
    """Return the instance in front of the visitor."""
    return visitor.fake
