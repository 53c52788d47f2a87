"""An empty company whose amoCRM a test fills and then loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.chunks import LoadSummary
from ingest.config import Settings, SourceRef, load_settings
from ingest.loading import load_source
from tests.contract.amocrm.server import TOKEN, Account, serve


class Company:
    """A home folder, an account and the two verbs of every test: load, ask."""

    def __init__(
        self, home: Path, url: str, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.home = home
        self.account = account
        self.environment = {
            "VORONKA_HOME": str(home),
            "VORONKA_SOURCES": "amocrm",
            "VORONKA_AMOCRM_URL": url,
            "VORONKA_AMOCRM_REQUESTS_PER_SECOND": "2000",
            "VORONKA_AMOCRM_HISTORY_DAYS": "90",
        }
        self.patch = monkeypatch
        monkeypatch.setenv("SOURCES__AMOCRM__TOKEN", TOKEN)

    def settings(self, **options: Any) -> Settings:
        """Return the settings with more options of the account."""
        more = {f"VORONKA_AMOCRM_{name.upper()}": str(value) for name, value in options.items()}
        return load_settings({**self.environment, **more})

    def load(self, **options: Any) -> LoadSummary:
        """Read the account to its present."""
        self.account.requests.clear()
        return load_source(SourceRef("amocrm"), self.settings(**options))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows of the warehouse."""
        with duckdb.connect(str(self.home / "warehouse.duckdb")) as connection:
            return connection.execute(sql).fetchall()

    def live(self, table: str) -> dict[str, str]:
        """Return the newest payload of each record that is not gone."""
        found = self.ask(
            f"""
            select record_id, payload from (
                select r.*, row_number() over (
                    partition by record_id order by
                        l.inserted_at desc, p.finished_at desc, cursor_at desc nulls last
                ) as place
                from raw_amocrm.{table} as r
                join raw_amocrm._pulls as p on p.pull_id = r.pull_id and p.is_complete
                join raw_amocrm._dlt_loads as l on l.load_id = r._dlt_load_id and l.status = 0
            ) where place = 1 and not is_deleted
            """
        )
        return dict(found)


@pytest.fixture
def account() -> Account:
    """Return an account that is still empty."""
    return Account()


@pytest.fixture
def company(tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """Return a company whose amoCRM runs on loopback and that never sleeps for long."""
    monkeypatch.setattr("ingest.http._FIRST_PAUSE_SECONDS", 0.01)
    with serve(account) as url:
        yield Company(tmp_path / "home", url, account, monkeypatch)


Load = Callable[..., LoadSummary]
