"""The only way to Metabase: metabase-api's raw verbs with time-outs, and errors instead of `False`.

metabase-api sends an un-timed request in its constructor, returns `False` for a failed GET or POST
and a bare status code for a PUT, so its class is used for `get`, `post`, `put` and `delete` alone.

What is repeated, and what never: a GET, a PUT and a POST that only reads (a query, a sync) are sent
again after a broken connection. Any other POST is not, because Metabase has no unique names and
the second one makes a second object; `MetabaseUncertainError` tells the caller to look first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from metabase_api import Metabase_API  # noqa: TID251 - the one place

from orchestration.lib.metabase.errors import (
    MetabaseAuthenticationError,
    MetabaseConflictError,
    MetabaseError,
    MetabaseNotFoundError,
    MetabaseQueryError,
    MetabaseRefusedError,
    MetabaseServerError,
    MetabaseUncertainError,
    MetabaseUnreachableError,
    redacted,
    shown,
)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CONNECT_SECONDS = 5.0
# Creating a card runs its query, and a changed database is tested before it is saved.
READ_SECONDS = 90.0
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
# A proxy or a starting server answers these; the request may still have been carried out.
_PASSING = frozenset({502, 503, 504})
_TOO_MANY = 429


@dataclass(frozen=True)
class Credentials:
    """An API key or a session, never both; not shown by `repr`."""

    api_key: str | None = None
    session: str | None = None

    def __repr__(self) -> str:
        kind = "api key" if self.api_key else "session" if self.session else "none"
        return f"Credentials({kind})"

    def header(self) -> dict[str, str]:
        """Return the header that carries the credentials."""
        if self.api_key:
            return {"X-API-Key": self.api_key}
        return {"X-Metabase-Session": self.session} if self.session else {}


class _RawVerbs(Metabase_API):  # type: ignore[misc]
    """metabase-api without its constructor, which asks the server and waits without end."""

    def __init__(self, url: str, header: Mapping[str, str]) -> None:
        self.domain = url
        self.header = dict(header)
        # Without an e-mail `validate_session` returns at once: no second, un-timed request.
        self.email = None
        # Some authentication must be named, or requests would take one from ~/.netrc.
        self.auth = _as_it_is


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class MetabaseClient:
    """Sends one request at a time and returns parsed JSON.

    Attributes:
        url: Address of the instance, without credentials.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        # Shared with clients of the same instance that show other credentials.
        self._counts = [0]
        self._credentials = credentials or Credentials()
        self._verbs = _RawVerbs(self.url, self._credentials.header())
        self._timeout = timeout
        # The way to this machine leads through no proxy, whatever the environment says: it would
        # be shown the key.
        is_here = urlsplit(self.url).hostname in LOOPBACK
        self._proxies = dict.fromkeys(("http", "https", "all")) if is_here else None
        self._sleep = sleep

    @property
    def request_count(self) -> int:
        """Return how many requests were sent, repeats included."""
        return self._counts[0]

    @property
    def has_key(self) -> bool:
        """Return whether an API key is shown."""
        return self._credentials.api_key is not None

    def with_credentials(self, credentials: Credentials) -> MetabaseClient:
        """Return a client of the same instance that shows other credentials."""
        other = MetabaseClient(self.url, credentials, timeout=self._timeout, sleep=self._sleep)
        other._counts = self._counts
        return other

    def get(self, path: str, **parameters: Any) -> Any:
        """Return what stands at `path`.

        Args:
            path: Such as `/api/card/7`.
            parameters: Of the query string.

        Raises:
            MetabaseError: Anything but success.
        """
        kept = {name: _as_query(value) for name, value in parameters.items() if value is not None}
        return self._send("get", path, repeatable=True, params=kept)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, reads: bool = False) -> Any:
        """Send `body` and return the answer.

        Args:
            path: Such as `/api/card`.
            body: Sent as JSON.
            reads: The request changes nothing, so it may be sent again.

        Raises:
            MetabaseUncertainError: No answer to a request that may have been carried out; look
                before sending it again.
            MetabaseQueryError: A query failed.
            MetabaseError: Anything else but success.
        """
        return self._send("post", path, repeatable=reads, json=dict(body or {}))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send `body` and return the answer; sent again after a broken connection.

        Raises:
            MetabaseError: Anything but success.
        """
        return self._send("put", path, repeatable=True, json=dict(body))

    def delete(self, path: str) -> Any:
        """Delete what stands at `path`.

        Raises:
            MetabaseError: Anything but success.
        """
        return self._send("delete", path, repeatable=False)

    def _send(self, verb: str, path: str, *, repeatable: bool, **content: Any) -> Any:
        attempts = _ATTEMPTS if repeatable else 1
        pause = _FIRST_PAUSE_SECONDS
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._once(verb, path, repeatable=repeatable, **content)
            except _PassingError as passing:
                # Too many requests: this one was not carried out, whatever it was.
                allowed = _ATTEMPTS if passing.was_refused else attempts
                if attempt >= allowed:
                    raise passing.final from None
                wait = passing.wait_seconds if passing.wait_seconds is not None else pause
            self._sleep(min(wait, _LONGEST_PAUSE_SECONDS))
            pause *= 2

    def _once(self, verb: str, path: str, *, repeatable: bool, **content: Any) -> Any:
        self._counts[0] += 1
        where = f"{verb.upper()} {path}"
        try:
            response: requests.Response = getattr(self._verbs, verb)(
                path,
                "raw",
                timeout=self._timeout,
                allow_redirects=False,
                proxies=self._proxies,
                **content,
            )
        except requests.exceptions.InvalidHeader:
            # The library's message quotes the header, and the header is the key.
            raise MetabaseAuthenticationError(
                "The key of Metabase holds characters that no header can carry; "
                "check METABASE__API_KEY."
            ) from None
        except requests.exceptions.ConnectTimeout:
            raise _PassingError(self._unreachable("does not accept connections")) from None
        except requests.exceptions.SSLError as error:
            raise self._unreachable(f"its certificate is refused ({self._told(error)})") from None
        except requests.exceptions.Timeout:
            raise _PassingError(self._lost(where, "no answer in time", repeatable)) from None
        except requests.exceptions.ConnectionError as error:
            if _never_left(error):
                raise _PassingError(self._unreachable("nothing listens there")) from None
            raise _PassingError(self._lost(where, "the connection broke", repeatable)) from None
        except requests.exceptions.RequestException as error:
            raise _PassingError(self._lost(where, self._told(error), repeatable)) from None
        return self._answer(where, response, repeatable)

    def _answer(self, where: str, response: requests.Response, repeatable: bool) -> Any:
        status = response.status_code
        if 200 <= status < 300:
            return self._parsed(where, response)
        words = self._told(_words_of(response))
        if status == _TOO_MANY:
            final = MetabaseRefusedError(f"Metabase asks to slow down ({where}): {words}")
            raise _PassingError(final, wait_seconds=_seconds_to_wait(response), was_refused=True)
        if status in _PASSING:
            raise _PassingError(self._lost(where, f"HTTP {status}", repeatable))
        if 300 <= status < 400:
            target = self._told(response.headers.get("Location", "elsewhere"))
            raise MetabaseServerError(
                f"{self.url} sends on to {target}; set VORONKA_METABASE_URL to the final address."
            )
        if status in {401, 403}:
            raise MetabaseAuthenticationError(
                f"Metabase refuses {where} (HTTP {status}: {words}); check METABASE__API_KEY, "
                "or METABASE__EMAIL and METABASE__PASSWORD; they must be an administrator's."
            )
        kinds: dict[int, type[MetabaseError]] = {
            404: MetabaseNotFoundError,
            409: MetabaseConflictError,
        }
        default = MetabaseServerError if status >= 500 else MetabaseRefusedError
        raise kinds.get(status, default)(f"Metabase answered HTTP {status} to {where}: {words}")

    def _parsed(self, where: str, response: requests.Response) -> Any:
        if not response.content:
            return None
        try:
            body = response.json()
        except ValueError:
            raise MetabaseServerError(
                f"{self.url} answered {where} with something else than JSON; "
                "is it Metabase, or a sign-in page before it?"
            ) from None
        if isinstance(body, dict) and body.get("status") == "failed":
            words = body.get("error") or body.get("message") or "no reason given"
            raise MetabaseQueryError(self._told(words))
        return body

    def _unreachable(self, why: str) -> MetabaseUnreachableError:
        return MetabaseUnreachableError(
            f"Metabase at {self.url} cannot be reached: {why}; start it or check "
            "VORONKA_METABASE_URL."
        )

    def _lost(self, where: str, why: str, repeatable: bool) -> MetabaseError:
        if repeatable:
            return MetabaseUnreachableError(
                f"Metabase at {self.url} did not answer {where}: {why}; look at its log, "
                "then run the command again."
            )
        return MetabaseUncertainError(
            f"{where} was sent and not answered ({why}); it may have been carried out. "
            "Run the command again: it looks before it makes anything."
        )

    def _told(self, words: object) -> str:
        """Return words of the server or of the library, fit to be shown."""
        secrets = (self._credentials.api_key or "", self._credentials.session or "")
        return shown(redacted(str(words), secrets))


class _PassingError(Exception):
    """A failure that may pass; carries the error to raise when it does not."""

    def __init__(
        self,
        final: MetabaseError,
        *,
        wait_seconds: float | None = None,
        was_refused: bool = False,
    ) -> None:
        super().__init__()
        self.final = final
        self.wait_seconds = wait_seconds
        self.was_refused = was_refused or isinstance(final, MetabaseUnreachableError)


def _never_left(error: requests.exceptions.ConnectionError) -> bool:
    """Return whether no connection was made, so that nothing was sent."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError"}


def _as_query(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _seconds_to_wait(response: requests.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _words_of(response: requests.Response) -> str:
    """Return the reason in an error body: JSON with errors, JSON with a message, or bare text."""
    try:
        body = response.json()
    except ValueError:
        return " ".join(response.text.split())[:300] or "no reason given"
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return "no reason given"
    parts = [str(body["message"])] if body.get("message") else []
    errors = body.get("errors")
    if isinstance(errors, Mapping):
        parts += [f"{name}: {text}" for name, text in errors.items() if name != "_error"]
        parts += [str(errors["_error"])] if errors.get("_error") else []
    elif errors:
        parts.append(str(errors))
    return "; ".join(parts) or str(body.get("error") or "no reason given")
