"""Tokens: what is refused, what is renewed, what is never lost and never shown."""

from __future__ import annotations

import json
import logging
import multiprocessing
import stat
import traceback
from pathlib import Path

import pytest

from ingest.errors import (
    AuthenticationError,
    ConfigurationError,
    IngestError,
    RateLimitError,
    StorageError,
    UnreachableError,
)
from ingest.sources.amocrm.client import RotatingToken
from tests.contract.amocrm.conftest import Company
from tests.contract.amocrm.server import HTML_403, HTML_429, NOW, Account, lead, serve

SECRETS = ("client-secret-value", "refresh-0", "access-", "very-secret-token")


@pytest.fixture
def oauth(company: Company, account: Account, monkeypatch: pytest.MonkeyPatch) -> Company:
    monkeypatch.delenv("SOURCES__AMOCRM__TOKEN")
    monkeypatch.setenv("SOURCES__AMOCRM__CLIENT_ID", "client")
    monkeypatch.setenv("SOURCES__AMOCRM__CLIENT_SECRET", "client-secret-value")
    monkeypatch.setenv("SOURCES__AMOCRM__REFRESH_TOKEN", "refresh-0")
    account.tokens = set()
    account.refresh_tokens = {"refresh-0"}
    return company


def refreshes(account: Account) -> int:
    return sum(path == "/oauth2/access_token" for path, _ in account.requests)


def test_a_refused_long_lived_token_says_so_and_shows_nothing(
    company: Company,
    account: Account,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    account.tokens = set()
    caplog.set_level(logging.DEBUG)
    with pytest.raises(AuthenticationError, match="does not accept the token") as caught:
        company.load()
    shown = (
        "".join(traceback.format_exception(caught.value))
        + caplog.text
        + "".join(capfd.readouterr())
    )
    assert not [secret for secret in SECRETS if secret in shown]
    assert len(account.requests) == 1


def test_no_secret_reaches_the_home_folder_or_the_log(
    company: Company,
    account: Account,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    account.rows["leads"] = [lead(1, NOW - 5)]
    company.load()
    for path in company.home.rglob("*"):
        if path.is_file():
            assert b"very-secret-token" not in path.read_bytes(), path
    assert "very-secret-token" not in caplog.text + "".join(capfd.readouterr())


def test_html_403_slows_down_and_is_never_a_dead_token(oauth: Company, account: Account) -> None:
    account.answers = [
        (
            200,
            {"Content-Type": "application/json"},
            b'{"access_token":"a","refresh_token":"b","expires_in":9000}',
        )
    ]
    account.answers += [HTML_403] * 6
    with pytest.raises(RateLimitError, match="403"):
        oauth.load()
    assert refreshes(account) == 1
    assert (
        json.loads((oauth.home / "secrets" / "amocrm_main.json").read_bytes())["refresh_token"]
        == "b"
    )


def test_html_429_is_waited_out(company: Company, account: Account) -> None:
    account.answers = [HTML_429, HTML_403, HTML_429]
    account.rows["leads"] = [lead(1, NOW - 5)]
    company.load()
    assert list(company.live("leads")) == ["1"]


def test_missing_token_and_missing_url_say_what_to_set(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCES__AMOCRM__TOKEN")
    with pytest.raises(ConfigurationError, match="SOURCES__AMOCRM__TOKEN"):
        company.load()
    del company.environment["VORONKA_AMOCRM_URL"]
    with pytest.raises(ConfigurationError, match="VORONKA_AMOCRM_URL"):
        company.load()


def test_the_new_pair_is_stored_private_and_used_next_time(
    oauth: Company, account: Account
) -> None:
    oauth.load()
    assert refreshes(account) == 1
    store = oauth.home / "secrets" / "amocrm_main.json"
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert json.loads(store.read_bytes())["refresh_token"] == "refresh-1"
    oauth.load()
    assert refreshes(account) == 0


def test_an_access_token_that_died_early_is_renewed_once(oauth: Company, account: Account) -> None:
    oauth.load()
    account.tokens = set()
    oauth.load()
    assert refreshes(account) == 1


def test_a_used_refresh_token_asks_for_consent(oauth: Company, account: Account) -> None:
    account.refresh_tokens = set()
    with pytest.raises(AuthenticationError, match="consent") as caught:
        oauth.load()
    shown = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in SECRETS if secret in shown]


def test_a_new_consent_replaces_the_stored_chain(
    oauth: Company, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    oauth.load()
    account.tokens, account.refresh_tokens = set(), {"fresh-consent"}
    monkeypatch.setenv("SOURCES__AMOCRM__REFRESH_TOKEN", "fresh-consent")
    oauth.load()
    assert "fresh-consent" not in account.refresh_tokens


def test_a_pair_that_cannot_be_stored_is_not_used(
    oauth: Company, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ingest.tokens.os.fsync", full)
    with pytest.raises(StorageError, match="could not be written"):
        oauth.load()
    assert [path for path, _ in account.requests] == ["/oauth2/access_token"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (HTML_403, RateLimitError),
        ((502, {"Content-Type": "text/html"}, b"<html>"), UnreachableError),
    ],
)
def test_a_failing_token_server_does_not_condemn_the_token(
    oauth: Company,
    account: Account,
    answer: tuple[int, dict[str, str], bytes],
    kind: type[IngestError],
) -> None:
    account.answers = [answer] * 3
    with pytest.raises(kind):
        oauth.load()
    account.answers = [answer]
    oauth.load()
    assert refreshes(account) == 2


def _trade_in(url: str, store: str, found: multiprocessing.Queue[str]) -> None:
    token = RotatingToken(
        url,
        Path(store),
        client_id="c",
        client_secret="s",
        refresh_token="refresh-0",
        redirect_uri="",
        account="amocrm",
    )
    try:
        found.put(token.headers()["Authorization"])
    except AuthenticationError as error:
        found.put(str(error))


def test_processes_share_one_refresh(tmp_path: Path) -> None:
    account = Account(tokens=set(), refresh_tokens={"refresh-0"})
    context = multiprocessing.get_context("spawn")
    found: multiprocessing.Queue[str] = context.Queue()
    with serve(account) as url:
        workers = [
            context.Process(
                target=_trade_in, args=(url, str(tmp_path / "secrets" / "amocrm_main.json"), found)
            )
            for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        answers = {found.get(timeout=60) for _ in workers}
        for worker in workers:
            worker.join()
    assert answers == {"Bearer access-1"}
    assert refreshes(account) == 1
