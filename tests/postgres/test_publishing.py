"""A home that serves twice: the file and PostgreSQL show the same build, or yesterday's both."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.config import load_settings
from orchestration.lib.errors import PostgresError, RollbackError
from orchestration.lib.postgres_doctor import examine_postgres
from orchestration.lib.postgres_serving import PostgresServing
from orchestration.lib.publishing import publish_marts, repair_postgres, roll_back
from orchestration.lib.serving import ServeFolder
from orchestration.lib.session import Session
from tests.postgres.cluster import Database
from tests.postgres.kills import kill_and_look, number_shown, publish, schemas
from tests.postgres.readers import write_build


class TwofoldHome:
    """A home with VORONKA_SERVING=postgres, whose dbt is played by `write_build`."""

    def __init__(self, root: Path, database: Database, patch: pytest.MonkeyPatch) -> None:
        self.root, self.database, self._patch = root, database, patch
        self.set(**database.environment(VORONKA_HOME=str(root), VORONKA_TIMEZONE="Europe/Moscow"))
        patch.setattr("orchestration.lib.publishing.read_manifest", lambda home: {"nodes": {}})
        # No dashboard fits two tables; the test of the command itself is in test_cli.
        patch.setattr("orchestration.lib.publishing._check_version", lambda *_: None)
        self.serve = ServeFolder(load_settings().home.serve_dir)

    def set(self, **environment: str) -> None:
        for name, value in environment.items():
            self._patch.setenv(name, value)

    def publish(self, number: int) -> None:
        write_build(self.serve.new_serve_file(), number)
        session = Session(f"run-{number}", load_settings(), self.serve)
        published, second = publish_marts(session, ["deals", "people"])
        assert second is not None and second.rows == sum(published.row_counts.values())

    def shown(self) -> tuple[str | None, int]:
        """Return the run the file serves and the number PostgreSQL shows."""
        return self.serve.state().current_run_id, number_shown(self.database)


@pytest.fixture
def home(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> TwofoldHome:
    return TwofoldHome(tmp_path / "home", database, monkeypatch)


def test_both_show_the_same_build_and_go_back_together(home: TwofoldHome) -> None:
    for number in (1, 2, 3):
        home.publish(number)
    assert home.shown() == ("run-3", 3)
    assert schemas(home.database) == {"marts", "marts_run_2"}
    roll_back(load_settings())
    assert home.shown() == ("run-2", 2)
    # Only the file is kept of the build before that.
    roll_back(load_settings())
    assert home.shown() == ("run-1", 1)
    with pytest.raises(RollbackError):
        roll_back(load_settings())
    assert home.shown() == ("run-1", 1)


def test_a_server_that_fails_leaves_yesterdays_build_served_in_both(home: TwofoldHome) -> None:
    home.publish(1)
    home.set(POSTGRES__PASSWORD="changed yesterday")
    with pytest.raises(PostgresError, match="the password is wrong"):
        home.publish(2)
    assert home.shown() == ("run-1", 1)


def test_a_run_killed_between_the_two_switches_is_put_right_by_the_next(home: TwofoldHome) -> None:
    home.publish(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestration.lib.publishing._switch", lambda *_: pytest.exit)
        home.publish(2)
    assert home.shown() == ("run-2", 1)
    assert [text.partition(" UTC")[0][:35] for text in repair_postgres(load_settings())] == [
        "PostgreSQL shows the build of 2026-"[:35]
    ]
    assert home.shown() == ("run-2", 2)
    assert list(repair_postgres(load_settings())) == []


def test_a_refresh_starts_though_the_server_is_away(home: TwofoldHome) -> None:
    home.publish(1)
    home.set(VORONKA_POSTGRES_URL="postgresql://owner@127.0.0.1:1/company")
    (line,) = repair_postgres(load_settings())
    assert "does not answer" in line and line.endswith("asks again before it publishes")


def test_doctor_sees_a_sound_server(home: TwofoldHome) -> None:
    home.publish(1)
    found = list(examine_postgres(load_settings(), "run-1"))
    assert [status for status, _, _ in found] == ["ok", "ok", "ok"]
    assert found[-1][1] == f"{home.database.reader} reads 2 tables and changes none"


@pytest.mark.parametrize(
    ("variables", "served", "words"),
    [
        ({}, "run-7", "not the one this home serves"),
        ({"POSTGRES__READER_PASSWORD": "forgotten"}, "run-1", "the reader cannot log in"),
        ({"POSTGRES__READER_PASSWORD": ""}, "run-1", "has no password from us"),
    ],
)
def test_doctor_names_what_is_wrong(
    home: TwofoldHome, variables: dict[str, str], served: str, words: str
) -> None:
    home.publish(1)
    home.set(**variables)
    findings = [text for status, text, _ in examine_postgres(load_settings(), served)]
    assert any(words in text for text in findings), findings


def test_doctor_sees_a_reader_that_may_write(home: TwofoldHome) -> None:
    home.publish(1)
    with home.database.connect() as connection:
        connection.execute(f"grant delete on marts.deals to {home.database.reader}")
    findings = list(examine_postgres(load_settings(), "run-1"))
    assert findings[-1][0] == "PROBLEM" and "may change 1 tables of 2" in findings[-1][1]


@pytest.mark.parametrize(("number", "moment"), [(24, "after"), (45, "before")])
def test_a_killed_publish_leaves_nothing_half(
    serving: PostgresServing, database: Database, tmp_path: Path, number: int, moment: str
) -> None:
    publish(serving, tmp_path, 1)
    environment = database.environment(VORONKA_HOME=str(tmp_path / "home"))
    assert kill_and_look(serving, database, environment, tmp_path, number, moment)
