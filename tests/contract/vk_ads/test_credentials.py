"""Tokens of VK Ads: five at most, refreshed in place, one refresh kills the other's token."""

from __future__ import annotations

import json
import logging
import stat
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.config import Settings
from ingest.demo.http import Call, Reply
from ingest.errors import AuthenticationError, ConfigurationError, IngestError, UnreachableError
from ingest.sources.vk_ads.client import VkToken
from ingest.sources.vk_ads.settings import VkAdsSettings
from tests.contract.vk_ads.conftest import MakeClient, Refresh
from tests.contract.vk_ads.server import HTML, Desk

TOKEN_PATH = "/oauth2/token.json"
MakeToken = Callable[..., VkToken]


@pytest.fixture
def make_token(desk: Desk, tmp_path: Path) -> MakeToken:
    def make(clock: Callable[[], float] | None = None, **options: Any) -> VkToken:
        return VkToken(
            VkAdsSettings.model_validate({"url": desk.url, **options}),
            tmp_path / "secrets" / "vk_ads_main.json",
            client_id="client",
            client_secret="client-secret-value",
            account="vk_ads",
            sleep=lambda _: None,
            **({"clock": clock} if clock else {}),
        )

    return make


def grants(desk: Desk) -> list[str]:
    return [asked["grant_type"] for asked in desk.asked(TOKEN_PATH)]


def test_many_runs_ask_for_one_token(desk: Desk, make_client: MakeClient) -> None:
    for _ in range(7):
        with make_client() as client:
            client.count_plans()
    assert grants(desk) == ["client_credentials"]
    assert len(desk.vk._tokens) == 1


def test_the_token_is_stored_private_and_shown_nowhere(
    desk: Desk,
    refresh: Refresh,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    refresh()
    store = settings.home.secrets_dir / "vk_ads_main.json"
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    token = json.loads(store.read_bytes())["access_token"]
    said = caplog.text + "".join(capfd.readouterr())
    assert token not in said
    assert "client-secret-value" not in said
    for path in settings.home.root.rglob("*"):
        if path.is_file() and path != store:
            content = path.read_bytes()
            assert token.encode() not in content, path
            assert b"client-secret-value" not in content, path


@pytest.mark.parametrize("as_text", [True, False])
def test_a_token_is_refreshed_before_it_expires_in_the_same_place(
    desk: Desk, make_token: MakeToken, as_text: bool
) -> None:
    desk.change(numbers_as_text=as_text)
    now = [1_000_000.0]
    token = make_token(lambda: now[0])
    first = dict(token.headers())
    now[0] += 86_000
    assert token.headers() == first
    now[0] += 200
    assert token.headers() != first
    assert grants(desk) == ["client_credentials", "refresh_token"]
    assert len(desk.vk._tokens) == 1


def test_an_expired_token_is_renewed_in_the_middle(desk: Desk, make_client: MakeClient) -> None:
    desk.show(plans=120)
    with make_client() as client:
        pages = client.pages("ad_plans")
        next(pages)
        desk.vk._tokens[0].expires_at = 0
        assert sum(len(page) for page in pages) == 70
    assert grants(desk) == ["client_credentials", "refresh_token"]


def test_a_rotating_refresh_token_is_kept_up_with(desk: Desk, make_token: MakeToken) -> None:
    desk.change(rotates_refresh_token=True)
    for _ in range(3):
        make_token().headers()
        make_token().renew()
    assert grants(desk).count("client_credentials") == 1


def test_a_token_that_was_removed_is_replaced(desk: Desk, make_token: MakeToken) -> None:
    make_token().headers()
    desk.vk._tokens.clear()
    token = make_token()
    token.headers()
    token.renew()
    assert grants(desk) == ["client_credentials", "refresh_token", "client_credentials"]


def test_a_refresh_whose_answer_was_lost_costs_no_second_token(
    desk: Desk, make_token: MakeToken
) -> None:
    token = make_token()
    token.headers()

    def torn(call: Call, real: Reply) -> Reply:
        return Reply(200, real.body[:20])

    desk.disturb(TOKEN_PATH, torn)
    token.renew()
    assert grants(desk) == ["client_credentials", "refresh_token", "refresh_token"]
    assert len(desk.vk._tokens) == 1
    assert token.headers()["Authorization"] == f"Bearer {desk.vk._tokens[0].access_token}"


def test_threads_refused_together_refresh_once(desk: Desk, make_token: MakeToken) -> None:
    token = make_token()
    gate = threading.Barrier(4)
    given: list[str] = []

    def work() -> None:
        token.headers()
        gate.wait()
        token.renew()
        given.append(token.headers()["Authorization"])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(given) == {f"Bearer {desk.vk._tokens[0].access_token}"}
    assert grants(desk) == ["client_credentials", "refresh_token"]


def test_two_programs_share_the_refreshed_token(desk: Desk, make_token: MakeToken) -> None:
    one, other = make_token(), make_token()
    one.headers()
    other.headers()
    one.renew()
    # Its token is dead now; the store has the living one.
    other.renew()
    assert one.headers() == other.headers()
    assert grants(desk) == ["client_credentials", "refresh_token"]


def fill(desk: Desk) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": "client-secret-value",
    }
    for _ in range(5):
        desk.vk._granted(form)


def test_a_sixth_token_is_refused_with_what_to_do(desk: Desk, make_token: MakeToken) -> None:
    fill(desk)
    with pytest.raises(AuthenticationError, match="five tokens") as caught:
        make_token().headers()
    assert "when_tokens_run_out" in str(caught.value)
    assert len(desk.vk._tokens) == 5


def test_tokens_are_deleted_only_where_the_setting_says_so(
    desk: Desk, make_token: MakeToken
) -> None:
    fill(desk)
    make_token(when_tokens_run_out="delete").headers()
    assert len(desk.vk._tokens) == 1


def test_an_agency_names_the_advertiser(desk: Desk, make_token: MakeToken) -> None:
    desk.change(is_agency_client=True)
    make_token(agency_client_name="dubrava").headers()
    assert desk.asked(TOKEN_PATH)[0]["agency_client_name"] == "dubrava"
    assert grants(desk) == ["agency_client_credentials"]
    with pytest.raises(AuthenticationError, match="invalid_user"):
        make_token(agency_client_id=17).headers()


def test_wrong_secrets_say_what_to_check_and_show_nothing(
    desk: Desk, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__VK_ADS__CLIENT_SECRET", "stolen-secret")
    with (
        make_client() as client,
        pytest.raises(AuthenticationError, match="client_secret") as found,
    ):
        client.count_plans()
    assert "stolen-secret" not in "".join(traceback.format_exception(found.value))
    monkeypatch.delenv("SOURCES__VK_ADS__CLIENT_SECRET")
    with pytest.raises(ConfigurationError, match="SOURCES__VK_ADS__CLIENT_SECRET"):
        make_client()


def test_a_blocked_advertiser_is_not_asked_again(desk: Desk, make_client: MakeClient) -> None:
    body = orjson.dumps({"code": "invalid_user", "message": "User is blocked"})
    desk.put("/ad_plans.json", Reply(401, body))
    with make_client() as client, pytest.raises(AuthenticationError, match="invalid_user"):
        client.count_plans()
    assert grants(desk) == ["client_credentials"]


@pytest.mark.parametrize("reply", [Reply(503), Reply(403, HTML.body, "text/html"), Reply(429)])
def test_a_failing_token_server_does_not_condemn_the_token(
    desk: Desk, make_token: MakeToken, reply: Reply
) -> None:
    desk.put(TOKEN_PATH, reply, reply, reply)
    with pytest.raises(IngestError) as caught:
        make_token().headers()
    assert not isinstance(caught.value, AuthenticationError)
    make_token().headers()


def test_no_server_is_one_clear_error(make_token: MakeToken) -> None:
    with pytest.raises(UnreachableError):
        make_token(url="http://127.0.0.1:9").headers()
