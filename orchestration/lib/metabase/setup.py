"""From an address to an administrator's client: waiting, first user, session, API key.

An instance nobody has set up gets its first user from METABASE__EMAIL and METABASE__PASSWORD. From
then on an API key of ours is used; it is kept in the home folder, readable by its owner only, and
goes to no other address than the one it was made for.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable

from ingest.config import METABASE, Home, Settings, read_service_secret
from ingest.errors import ConfigurationError
from orchestration.lib.metabase.client import Credentials, MetabaseClient
from orchestration.lib.metabase.errors import (
    MetabaseAuthenticationError,
    MetabaseError,
    MetabaseRefusedError,
    MetabaseServerError,
    MetabaseUncertainError,
    MetabaseUnreachableError,
    shown,
)
from orchestration.lib.metabase.instance import ADMINISTRATORS, find_database, read_front
from orchestration.lib.metabase.state import MetabaseState, write_atomically
from orchestration.lib.metabase.target import Target
from orchestration.lib.metabase.versions import METABASE_VERSION

# A container on a small machine needs a minute or two until it listens.
START_SECONDS = 180.0
# Queries got the form we write in v0.57.
OLDEST_VERSION = 57
_SECONDS_BETWEEN_LOOKS = 2.0
_FIRST_NAME = "Voronka"


def metabase_url(settings: Settings) -> str:
    """Return the address of the instance.

    Raises:
        ConfigurationError: None is set.
    """
    if settings.metabase_url is None:
        raise ConfigurationError(
            "no Metabase is named", action="Set VORONKA_METABASE_URL=http://127.0.0.1:3000"
        )
    return settings.metabase_url


def wait_until_healthy(
    client: MetabaseClient,
    seconds: float = START_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    tell_waiting: Callable[[], None] = lambda: None,
) -> None:
    """Wait until an instance that is starting answers.

    Args:
        client: With or without credentials.
        seconds: How long.
        sleep: Waits.
        tell_waiting: Called once, when there is something to wait for.

    Raises:
        MetabaseUnreachableError: It did not in time.
    """
    deadline = time.monotonic() + seconds
    is_told = False
    while True:
        try:
            answer = client.get("/api/health")
        except (MetabaseUnreachableError, MetabaseServerError):
            if time.monotonic() >= deadline:
                raise
        else:
            if isinstance(answer, dict) and answer.get("status") == "ok":
                return
            if time.monotonic() >= deadline:
                raise MetabaseUnreachableError(
                    f"Metabase at {client.url} does not become healthy; look at its log."
                )
        if not is_told:
            tell_waiting()
            is_told = True
        sleep(_SECONDS_BETWEEN_LOOKS)


def refuse_old(client: MetabaseClient) -> None:
    """Refuse a release whose queries have another form.

    Raises:
        MetabaseRefusedError: It is older than the oldest that works.
    """
    version = read_front(client).version
    if version.major is not None and version.major < OLDEST_VERSION:
        raise MetabaseRefusedError(
            f"Metabase {shown(version.tag, 40)} at {client.url} is too old; the oldest that works "
            f"is v0.{OLDEST_VERSION}, tested is {METABASE_VERSION}."
        )


def connect(settings: Settings, client: MetabaseClient) -> MetabaseClient | None:
    """Return a client with an administrator's credentials; nothing is made.

    Args:
        settings: Of the home.
        client: Without credentials.

    Returns:
        The client, or None when nobody has set the instance up.

    Raises:
        MetabaseAuthenticationError: Credentials are refused, missing, or not an administrator's.
    """
    home = settings.home
    given = read_service_secret(home, METABASE, "api_key")
    if given:
        return _administrator(client.with_credentials(Credentials(api_key=given.strip())))
    if not read_front(client).is_set_up:
        return None
    stored = _stored_key(home, client.url)
    if stored is not None:
        keyed = client.with_credentials(Credentials(api_key=stored))
        with contextlib.suppress(MetabaseAuthenticationError):
            return _administrator(keyed)
        # Deleted in Metabase, or the instance was set up anew.
    email, password = _person(home)
    if not email or not password:
        raise MetabaseAuthenticationError(
            f"Metabase at {client.url} is set up and no credentials fit; set METABASE__API_KEY, "
            "or METABASE__EMAIL and METABASE__PASSWORD of an administrator."
        )
    return _administrator(_logged_in(client, email, password))


def _administrator(client: MetabaseClient) -> MetabaseClient:
    user = client.get("/api/user/current")
    if not user.get("is_superuser"):
        raise MetabaseAuthenticationError(
            "The credentials are not an administrator's; use a key of the group Administrators, "
            "or an administrator's e-mail and password."
        )
    return client


def _person(home: Home) -> tuple[str | None, str | None]:
    return (
        read_service_secret(home, METABASE, "email"),
        read_service_secret(home, METABASE, "password"),
    )


def _logged_in(client: MetabaseClient, email: str, password: str) -> MetabaseClient:
    try:
        # A second session does no harm, so the request may be repeated.
        answer = client.post("/api/session", {"username": email, "password": password}, reads=True)
    except MetabaseRefusedError as error:
        raise MetabaseAuthenticationError(f"Metabase lets nobody in now: {error}") from None
    except MetabaseAuthenticationError:
        raise MetabaseAuthenticationError(
            f"Metabase refuses the password of {shown(email, 80)}; check METABASE__EMAIL and "
            "METABASE__PASSWORD."
        ) from None
    return client.with_credentials(Credentials(session=str(answer["id"])))


def ensure_set_up(
    settings: Settings, client: MetabaseClient, state: MetabaseState, target: Target
) -> MetabaseClient:
    """Return a client with a key, after making the first user and the key where they lack.

    Args:
        settings: Of the home.
        client: Without credentials.
        state: What we remember of the instance.
        target: The database that shall be there; an instance where its name belongs to another
            home is refused before that home's key is touched.

    Raises:
        ConfigurationError: The instance is empty and nobody said who its administrator is.
        MetabaseError: A request failed.
    """
    connected = connect(settings, client)
    if connected is None:
        connected = _set_up(settings, client)
    if connected.has_key:
        return connected
    find_database(connected, state, target)
    if _is_our_administrator(connected):
        # Nothing phones home. It comes after the setup and before the key, which ends this road: an
        # apply that dies in between comes by here again. Where the environment fixes the setting,
        # Metabase refuses to change it.
        with contextlib.suppress(MetabaseError):
            connected.put("/api/setting/anon-tracking-enabled", {"value": False})
    key = _mint(connected, target.name)
    _store_key(settings.home, client.url, key)
    return connected.with_credentials(Credentials(api_key=key))


def _set_up(settings: Settings, client: MetabaseClient) -> MetabaseClient:
    email, password = _person(settings.home)
    if not email or not password:
        raise ConfigurationError(
            f"Metabase at {client.url} is empty and needs its first administrator",
            action="Set METABASE__EMAIL and METABASE__PASSWORD (a digit at least; Metabase "
            "refuses common ones)",
        )
    token = client.get("/api/session/properties").get("setup-token")
    body = {
        "token": token,
        "user": {"email": email, "password": password, "first_name": _FIRST_NAME},
        "prefs": {
            "site_name": settings.metabase_database_name,
            "site_locale": settings.locale,
        },
    }
    try:
        answer = client.post("/api/setup", body)
    except MetabaseUncertainError:
        if not read_front(client).is_set_up:
            raise
        return _administrator(_logged_in(client, email, password))
    return client.with_credentials(Credentials(session=str(answer["id"])))


def _is_our_administrator(client: MetabaseClient) -> bool:
    """Return whether the person signed in is the one our setup made, so the instance is ours."""
    return bool(client.get("/api/user/current").get("first_name") == _FIRST_NAME)


def _mint(client: MetabaseClient, database_name: str) -> str:
    """Return a new API key; one of ours whose secret was lost gets a new secret."""
    name = f"Voronka: {database_name}"
    existing = _key_id(client, name)
    if existing is None:
        try:
            answer = client.post("/api/api-key", {"name": name, "group_id": ADMINISTRATORS})
            return str(answer["unmasked_key"])
        except MetabaseUncertainError:
            existing = _key_id(client, name)
            if existing is None:
                raise
    return str(client.put(f"/api/api-key/{existing}/regenerate", {})["unmasked_key"])


def _key_id(client: MetabaseClient, name: str) -> int | None:
    return next((int(one["id"]) for one in client.get("/api/api-key") if one["name"] == name), None)


def _stored_key(home: Home, url: str) -> str | None:
    try:
        stored = json.loads(home.metabase_key.read_text(encoding="utf-8"))
        return str(stored["api_key"]) if stored["url"] == url else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _store_key(home: Home, url: str, key: str) -> None:
    home.secrets_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(home.metabase_key, json.dumps({"url": url, "api_key": key}), 0o600)
