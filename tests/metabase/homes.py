"""A home folder with published builds, and the way from it to a fake Metabase."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from ingest.config import Settings, load_settings
from orchestration.lib.metabase.client import Credentials, MetabaseClient
from orchestration.lib.metabase.desired import DesiredState
from orchestration.lib.metabase.plan import Plan
from orchestration.lib.metabase.publishing import Showing
from orchestration.lib.metabase.state import MetabaseState
from orchestration.lib.serving import PublishedFile, ServeFolder
from tests.metabase.crashes import direct
from tests.metabase.desired_states import MARTS_SQL, STATE
from tests.metabase.fake import FakeMetabase

EMAIL, PASSWORD = "owner@example.test", "horse-battery-1"


@dataclass
class Company:
    """One home and the instance that shows it."""

    root: Path
    fake: FakeMetabase

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings and secrets of the home."""
        return {
            "VORONKA_HOME": str(self.root),
            "VORONKA_LOCALE": "en",
            "VORONKA_METABASE_URL": self.fake.url,
            "METABASE__EMAIL": EMAIL,
            "METABASE__PASSWORD": PASSWORD,
        }

    @property
    def settings(self) -> Settings:
        """Return the settings of the home."""
        return load_settings(self.environment)

    @property
    def serve(self) -> ServeFolder:
        """Return the folder of published files."""
        return ServeFolder(self.settings.home.serve_dir)

    def publish_file(self, run_id: str, sql: str = MARTS_SQL) -> PublishedFile:
        """Publish a build made by `sql`."""
        serve = self.serve
        with duckdb.connect(str(serve.new_serve_file())) as connection:
            connection.execute(sql)
        return serve.publish(run_id, [])

    def showing(self, desired: DesiredState = STATE) -> Showing:
        """Return the home beside its instance, without pauses."""
        return Showing(self.settings, desired, self.serve, sleep=lambda _: None)

    def plan(self, desired: DesiredState = STATE) -> Plan:
        """Return the plan."""
        return self.showing(desired).look()[0]

    def state(self) -> MetabaseState:
        """Return what is remembered."""
        return self.showing().state()

    def client(self) -> MetabaseClient:
        """Return a client of an administrator of the browser."""
        session = MetabaseClient(self.fake.url).post(
            "/api/session", {"username": EMAIL, "password": PASSWORD}
        )
        return MetabaseClient(self.fake.url, Credentials(session=session["id"]))

    def mutations(self) -> list[tuple[str, str]]:
        """Return the requests that could change something, in order."""
        return [(one.method, one.path) for one in self.fake.requests if one.is_mutating]


def ids_of(fake: FakeMetabase) -> Mapping[str, list[int]]:
    """Return the ids that subscriptions and bookmarks hang on."""
    return {
        kind: sorted(getattr(fake.state, kind))
        for kind in ("cards", "dashboards", "dashcards", "tabs")
    }


@contextmanager
def settled(root: Path) -> Iterator[Callable[[], Company]]:
    """Yield what returns a company whose instance shows its build: made once, put back each time.

    Args:
        root: An empty folder.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        direct(FakeMetabase(sync_seconds=0)) as fake,
    ):
        patch.setenv("METABASE__EMAIL", EMAIL)
        patch.setenv("METABASE__PASSWORD", PASSWORD)
        company = Company(root / "home", fake)
        company.publish_file("one")
        company.showing().publish()
        shutil.copytree(company.root, root / "kept", copy_function=os.link)
        state = pickle.dumps(fake.state)

        def restored() -> Company:
            fake.reset()
            # A path is used again here, which a server with open connections would never notice.
            fake.databases.close()
            fake.state = pickle.loads(state)
            shutil.rmtree(company.root)
            shutil.copytree(root / "kept", company.root)
            fake.requests.clear()
            return company

        yield restored
