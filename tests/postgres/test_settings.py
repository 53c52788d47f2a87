"""Settings and secrets of the second target: named when wrong, never shown when secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.config import load_settings
from ingest.errors import ConfigurationError
from orchestration.lib.postgres_connection import metabase_details, target_of

URL = "postgresql://voronka@db.example.com:6432/company"


def environment(home: Path, **more: str) -> dict[str, str]:
    return {
        "VORONKA_HOME": str(home),
        "VORONKA_SERVING": "postgres",
        "VORONKA_POSTGRES_URL": URL,
        **more,
    }


@pytest.mark.parametrize("secret", ["hunter-2", "p@ss:word", "a/b?c#d"])
def test_a_password_in_the_address_is_refused_and_not_repeated(tmp_path: Path, secret: str) -> None:
    url = f"postgresql://voronka:{secret}@db.example.com/company"
    with pytest.raises(ConfigurationError, match="holds a password") as caught:
        load_settings(environment(tmp_path, VORONKA_POSTGRES_URL=url))
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"VORONKA_POSTGRES_URL": ""}, "needs the setting postgres_url"),
        ({"VORONKA_POSTGRES_URL": "mysql://a@b/c"}, "must be postgresql://user@host:5432/database"),
        ({"VORONKA_POSTGRES_URL": "postgresql://b/c"}, "must be postgresql://user@host"),
        ({"VORONKA_POSTGRES_URL": f"{URL}?sslmode=disable"}, "TLS is the setting postgres_tls"),
        ({"VORONKA_POSTGRES_TLS": "sometimes"}, "postgres_tls"),
        ({"VORONKA_POSTGRES_READER": "pg_read_all_data"}, "must be a role's name"),
        ({"VORONKA_POSTGRES_READER": 'x"; drop'}, "must be a role's name"),
        ({"VORONKA_METABASE_POSTGRES_ADDRESS": "postgresql://x"}, "must be host or host:port"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_settings(environment(tmp_path, **variables))


def test_the_reader_is_not_the_user_that_publishes(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path, VORONKA_POSTGRES_READER="voronka"))
    with pytest.raises(ConfigurationError, match="Readers need a role of their own"):
        target_of(settings)


def test_secrets_are_masked_wherever_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES__PASSWORD", "hunter-2")
    settings = load_settings(environment(tmp_path))
    listed = {value.name: value for value in settings.explain()}
    assert listed["postgres.password"].value == "***"
    assert listed["postgres.reader_password"].value == ""
    target = target_of(settings)
    assert target.password == "hunter-2" and "hunter-2" not in f"{target!r} {target}"


def test_metabase_needs_the_readers_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="POSTGRES__READER_PASSWORD"):
        metabase_details(load_settings(environment(tmp_path)))


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ("disable", {"ssl": False}),
        ("prefer", {"ssl": False}),
        ("require", {"ssl": True, "ssl-mode": "require"}),
        ("verify-full", {"ssl": True, "ssl-mode": "verify-full"}),
    ],
)
def test_metabase_uses_tls_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str, expected: dict[str, object]
) -> None:
    monkeypatch.setenv("POSTGRES__READER_PASSWORD", "reads")
    details = metabase_details(load_settings(environment(tmp_path, VORONKA_POSTGRES_TLS=tls)))
    assert {name: value for name, value in details.items() if name.startswith("ssl")} == expected
    assert (details["host"], details["port"]) == ("db.example.com", 6432)
