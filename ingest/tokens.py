"""OAuth tokens that expire: kept in the home folder, renewed by one thread and process at a time.

A vendor's refresh token may work once (amoCRM), a refresh may kill the token that another worker
still uses (VK Ads), and new tokens may be few. So a new pair is written before its first use, and
whoever finds a token refused looks first whether somebody else has renewed it already.
"""

import fcntl
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import httpx
import orjson

from ingest.errors import RateLimitError, StorageError, UnreachableError
from ingest.http import is_html

_REFRESH_EARLY_SECONDS = 300


@dataclass(frozen=True)
class TokenPair:
    """What the OAuth server gave last, and which consent it descends from."""

    access_token: str
    refresh_token: str
    expires_at: float
    consent: str

    def __repr__(self) -> str:
        return f"TokenPair(expires_at={self.expires_at})"


class StoredToken(ABC):
    """An access token with its refresh token, stored on disk and renewed when it is due."""

    def __init__(
        self,
        store: Path,
        *,
        consent: str,
        account: str,
        if_lost: str,
        on_request: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Look at the store; nothing is sent yet.

        Args:
            store: The file that keeps the newest pair.
            consent: The secrets that the pair descends from; other secrets begin a new chain.
            account: Source and label for messages.
            if_lost: What a person has to do when the pair cannot be read or written.
            on_request: Called before each request for a token, for the limit that counts them too.
            clock: Replaced in tests.
        """
        self._store = store
        self._account = account
        self._if_lost = if_lost
        self._on_request = on_request
        self._clock = clock
        self._consent = blake2b(consent.encode(), digest_size=8).hexdigest()
        self._lock = threading.Lock()
        self._given = threading.local()
        self._pair = self._stored()

    def headers(self) -> Mapping[str, str]:
        """Return the header with a token that lives for some minutes more."""
        with self._lock:
            pair = self._pair
            if pair is None or not self._lives(pair):
                pair = self._renewed(pair)
            self._given.token = pair.access_token
            return {"Authorization": f"Bearer {pair.access_token}"}

    def renew(self) -> None:
        """Renew the pair after the API refused the token that this thread was given last."""
        with self._lock:
            refused = getattr(self._given, "token", None)
            if self._pair is not None and self._pair.access_token != refused:
                # Another thread was faster, and a second renewal would kill its token.
                return
            self._renewed(self._pair)

    def _ask(
        self,
        url: str,
        *,
        json: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        if self._on_request is not None:
            self._on_request()
        return ask_for_token(url, account=self._account, json=json, form=form)

    @abstractmethod
    def _obtained(self, stored: TokenPair | None) -> TokenPair:
        """Return a new pair from the OAuth server.

        Args:
            stored: The newest pair that is known, or None before the first.
        """

    def _renewed(self, refused: TokenPair | None) -> TokenPair:
        with self._only_process():
            stored = self._stored()
            is_newer = stored is not None and (
                refused is None or stored.access_token != refused.access_token
            )
            if stored is not None and is_newer and self._lives(stored):
                # Another process was faster.
                self._pair = stored
                return stored
            pair = self._obtained(stored)
            self._write(pair)
            self._pair = pair
            return pair

    def _lives(self, pair: TokenPair) -> bool:
        return pair.expires_at - self._clock() >= _REFRESH_EARLY_SECONDS

    def _pair_of(self, body: Mapping[str, Any]) -> TokenPair:
        """Return the pair of an answer; KeyError, TypeError or ValueError where it has none."""
        return TokenPair(
            access_token=str(body["access_token"]),
            refresh_token=str(body["refresh_token"]),
            expires_at=self._clock() + float(body["expires_in"]),
            consent=self._consent,
        )

    def _stored(self) -> TokenPair | None:
        try:
            body = orjson.loads(self._store.read_bytes())
            pair = TokenPair(**body)
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, TypeError):
            raise StorageError(
                f"the token store {self._store} is damaged",
                account=self._account,
                action=f"Delete it, then {self._if_lost}",
            ) from None
        except OSError as error:
            raise StorageError(
                f"the token store {self._store} cannot be read ({error.strerror})",
                account=self._account,
            ) from None
        # New secrets replace the whole chain.
        return pair if pair.consent == self._consent else None

    def _write(self, pair: TokenPair) -> None:
        draft = self._store.with_suffix(f".{os.getpid()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(pair))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._store)
        except OSError as error:
            raise StorageError(
                f"the new token pair could not be written to {self._store} ({error.strerror})",
                account=self._account,
                action=f"Free space or rights, then {self._if_lost}",
            ) from None

    @contextmanager
    def _only_process(self) -> Iterator[None]:
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._store.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(
                f"{self._store.parent} cannot be written ({error.strerror})", account=self._account
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def ask_for_token(
    url: str,
    *,
    account: str,
    json: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Return an OAuth server's answer, once, whatever it says of the request.

    Args:
        url: The token address.
        account: Source and label for messages.
        json: The request as JSON.
        form: The request as a form.

    Raises:
        UnreachableError: No answer came, or the server's own failure.
        RateLimitError: The server, or the one in front of it, is asked too much.
    """
    try:
        response = httpx.post(
            url,
            json=json,
            data=form,
            timeout=httpx.Timeout(60.0, connect=10.0),
            trust_env=not url.startswith("http://"),
        )
    except (httpx.TransportError, httpx.DecodingError) as failure:
        raise UnreachableError(
            f"no answer to the token refresh ({type(failure).__name__})",
            account=account,
            action="Run again",
        ) from None
    status = response.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS or (
        status == httpx.codes.FORBIDDEN and is_html(response)
    ):
        raise RateLimitError(
            f"the token refresh answered {status}",
            account=account,
            action="The refresh token is still good; wait some minutes, then run again",
        )
    if response.is_server_error:
        raise UnreachableError(
            f"the token refresh answered {status}", account=account, action="Run again"
        )
    return response


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return an answer's JSON object, or an empty one where the body is something else.

    Args:
        response: Any answer.
    """
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
