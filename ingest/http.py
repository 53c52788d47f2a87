"""Craft shared by every HTTP source: an even pace, patient retries, and one verdict per answer.

A body is never parsed before status and content type were looked at: vendors answer HTML on 403,
429 and 502, and a parser's error would hide the cause (and once made a client drop a live token).
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import httpx
import orjson
import tenacity

from ingest.errors import (
    AuthenticationError,
    ConfigurationError,
    IngestError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)

# httpx logs each URL at INFO; one line per page of a backfill would bury the run's own log.
logging.getLogger("httpx").setLevel(logging.WARNING)

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LONGEST_RETRY_AFTER_SECONDS = 900.0
_FIRST_PAUSE_SECONDS = 1.0
# A little under the limit, because the vendor counts what arrives: at the limit itself, a request
# that is 5 ms longer on its way and the eighth after it that is not stand within one second of the
# vendor's clock. By the second this leaves a request 36 ms, and 30 ms after one that left late.
_SHARE_OF_THE_LIMIT = 0.965
_LONGER_SPAN = 1.03
_SLOWEST_SHARE = 1 / 16
# 35 good answers undo one halving: soon enough to finish, too slow to be refused again and again.
_SPEEDING_UP = 0.98
_CLOCKS_AGREE_SECONDS = 60.0
_CLOCK_QUESTIONS = 5


@dataclass(frozen=True)
class Verdict:
    """What an answer means for the client.

    `retry`: a passing failure, try again with a growing pause. `slow_down`: the pace is too fast;
    halve it for every request of the account and try again. `wait`: not ready, ask again after
    `wait_seconds`; this is no failure and is bounded by time, not by attempts. `fatal`: raise
    `error` now. `unauthorized`: renew the credentials once, if there is a way, then `error`.
    """

    action: Literal["ok", "retry", "slow_down", "wait", "fatal", "unauthorized"]
    wait_seconds: float | None = None
    error: IngestError | None = None


Classifier = Callable[[httpx.Response], Verdict]


class RateLimiter:
    """Give out evenly spaced turns to all threads that speak for one account.

    Even spacing and not a bucket: a burst of seven in the first 10 ms of a second counts as eight
    when the vendor's second begins 20 ms later. Requests that leave late are counted too: the one
    that is `limit` after them leaves a little more than the vendor's span later.
    """

    def __init__(
        self,
        per_second: float,
        *,
        limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start at the full pace, 96.5 % of what the vendor allows.

        Args:
            per_second: What the vendor allows, on average.
            limit: How many requests the vendor counts together; default: those of one second.
            clock: Replaced in tests.
            sleep: Replaced in tests.
        """
        count = max(limit or math.floor(per_second), 1)
        self._span = _LONGER_SPAN * count / per_second
        # Each turn is a list of one moment: when it was given, and later when it was used.
        self._given: deque[list[float]] = deque(maxlen=count)
        self._own = threading.local()
        self._fastest = 1.0 / (per_second * _SHARE_OF_THE_LIMIT)
        self._interval = self._fastest
        self._next_turn = 0.0
        self._silent_until = 0.0
        self._lock = threading.Lock()
        self._clock = clock
        self._sleep = sleep

    @property
    def interval_seconds(self) -> float:
        """Return the present distance between two turns."""
        return self._interval

    def wait_for_turn(self) -> None:
        """Return when it is the caller's turn to send."""
        turn = self._next()
        while True:
            now = self._clock()
            if turn > now:
                self._sleep(turn - now)
            with self._lock:
                now = self._clock()
                # A pause that began while this thread slept cancels its turn; it queues anew.
                is_cancelled = now < self._silent_until
                if not is_cancelled:
                    is_full = len(self._given) == self._given.maxlen
                    earliest = self._given[0][0] + self._span if is_full else now
                    if now >= earliest:
                        self._own.turn = [now]
                        self._given.append(self._own.turn)
                        return
                    turn = earliest
            if is_cancelled:
                turn = self._next()

    def note_sent(self) -> None:
        """Say that the request of this thread's turn left only now.

        Between the turn and the wire a busy machine may put 50 ms, and the vendor counts what
        arrives: the request after a late one must not come sooner than the limit allows.
        """
        turn: list[float] | None = getattr(self._own, "turn", None)
        if turn is not None:
            with self._lock:
                turn[0] = self._clock()

    def count_in(self) -> None:
        """Say that a request leaves now that took no turn: one for a token.

        It belongs to another request's turn and cannot wait for one; the vendor counts it too.
        """
        with self._lock:
            now = self._clock()
            self._given.append([now])
            self._next_turn = max(self._next_turn, now) + self._interval

    def _next(self) -> float:
        with self._lock:
            turn = max(self._clock(), self._next_turn)
            self._next_turn = turn + self._interval
            return turn

    def adopt(self, per_second: float) -> None:
        """Change the full pace to what the vendor's answers name.

        Args:
            per_second: What the vendor allows, on average.
        """
        with self._lock:
            slowness = self._interval / self._fastest
            count = max(math.floor(per_second), 1)
            self._span = _LONGER_SPAN * count / per_second
            self._given = deque(self._given, maxlen=count)
            self._fastest = 1.0 / (per_second * _SHARE_OF_THE_LIMIT)
            self._interval = self._fastest * slowness
            self._next_turn = min(self._next_turn, self._clock() + self._interval)

    def slow_down(self, pause_seconds: float) -> None:
        """Double the distance between turns and let nobody send for a while.

        Threads that are refused together slow down once: the refusals have one cause.

        Args:
            pause_seconds: How long all threads of the account stay silent.
        """
        with self._lock:
            now = self._clock()
            if now >= self._silent_until:
                self._interval = min(self._interval * 2, self._fastest / _SLOWEST_SHARE)
            self._silent_until = max(self._silent_until, now + pause_seconds)
            self._next_turn = max(self._next_turn, self._silent_until)

    def note_success(self) -> None:
        """Return step by step to the full pace."""
        with self._lock:
            if self._interval > self._fastest:
                self._interval = max(self._fastest, self._interval * _SPEEDING_UP)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a client stays patient: with failures, with answers that cannot be, with waiting."""

    attempts: int = 6
    # A host that never answered in this run is a wrong address more often than a passing failure.
    attempts_at_first: int = 4
    doubtful_answers: int = 4
    first_pause_seconds: float = field(default_factory=lambda: _FIRST_PAUSE_SECONDS)
    longest_pause_seconds: float = 60.0
    longest_wait_seconds: float = 3600.0


class _TryAgainError(Exception):
    """Carry a verdict through tenacity."""

    def __init__(self, verdict: Verdict, error: IngestError) -> None:
        super().__init__(str(error))
        self.verdict = verdict
        self.error = error


@dataclass
class _Asked:
    """A request, and how often its answer could not be."""

    method: str
    url: str
    params: Mapping[str, Any] | None
    json: Any
    headers: Mapping[str, str] | None
    sink: BinaryIO | None
    check: Callable[[httpx.Response], None] | None
    doubts: int = 0


class ApiClient:
    """One account of one HTTP API: pace, retries, credentials, and the server's clock."""

    def __init__(
        self,
        base_url: str,
        *,
        account: str,
        limiter: RateLimiter,
        classify: Classifier,
        credentials: Callable[[], Mapping[str, str]] = dict,
        renew_credentials: Callable[[], None] | None = None,
        policy: RetryPolicy | None = None,
        read_timeout_seconds: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            base_url: Scheme and host, and the path that all requests share.
            account: Source and label for messages, such as `amocrm:main`.
            limiter: The pace that all clients of this account share.
            classify: What each answer of this API means.
            credentials: Headers to add to every request, asked for anew each time.
            renew_credentials: Called once per request after an `unauthorized` verdict.
            policy: How long to stay patient.
            read_timeout_seconds: How long an answer may take.
            sleep: Replaced in tests.
            transport: Replaced in tests.
        """
        self.account = account
        self.base_url = base_url.rstrip("/")
        self._limiter = limiter
        self._classify = classify
        self._credentials = credentials
        self._renew = renew_credentials
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._clocks: list[tuple[float, float]] = []
        self._first_sent: float | None = None
        self._has_answered = False
        self._server_now: datetime | None = None
        host = httpx.URL(self.base_url).host
        self._client = httpx.Client(
            timeout=httpx.Timeout(read_timeout_seconds, connect=10.0),
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
            headers={"User-Agent": "voronka", "Accept-Encoding": "gzip"},
            # A proxy of the environment is right for the vendor and wrong for this machine.
            trust_env=host not in _LOOPBACK,
            follow_redirects=False,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def server_now(self) -> datetime | None:
        """Return the server's time at the first answer, naive UTC; None before it.

        It ends the newest window of a run: a window must end by the clock that stamps the rows.
        """
        return self._server_now

    def agree_on_clock(self, ask: Callable[[], object]) -> datetime | None:
        """Return the server's time once two of its answers agree on it.

        One of many front ends may be a day ahead; a window that ended by its clock would leave out
        what happens until then. Without agreement the earliest clock counts: what is left out at
        the end of a window is read by the next run.

        Args:
            ask: Sends a cheap request.
        """
        for _ in range(_CLOCK_QUESTIONS):
            if self._agreed_clock() is not None:
                break
            ask()
        agreed = self._agreed_clock()
        if agreed is None and self._clocks:
            agreed = min(stamp for stamp, _ in self._clocks)
        if agreed is not None:
            self._server_now = datetime.fromtimestamp(agreed, UTC).replace(tzinfo=None)
        return self._server_now

    def get_json(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        check: Callable[[Any], None] | None = None,
    ) -> Any:
        """Return the parsed body of a GET, or None where the answer is 204.

        Args:
            path: Path below the base URL without a leading slash, or a link from an answer.
            params: Query parameters.
            check: Raises SourceContractError on a body that cannot be; the request is then
                repeated some times before the error counts.

        Raises:
            IngestError: No usable answer came.
        """
        parsed: list[Any] = []

        def parse(response: httpx.Response) -> None:
            body = self.json_of(response)
            if check is not None:
                check(body)
            parsed.append(body)

        self.request("GET", path, params=params, check=parse)
        return parsed[-1]

    def json_of(self, response: httpx.Response) -> Any:
        """Return the parsed body of an answer that was accepted, or None for an empty 204.

        Args:
            response: An answer with verdict `ok`.

        Raises:
            SourceContractError: The body is not JSON.
        """
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        kind = response.headers.get("content-type", "")
        if "json" not in kind:
            raise SourceContractError(
                f"{_shown(response)} answered {kind or 'no content type'} where JSON was due",
                account=self.account,
                action="Check that the address is the API's and not a login or proxy page",
            )
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise SourceContractError(
                f"{_shown(response)} answered broken JSON ({len(response.content)} bytes)",
                account=self.account,
                action="Run again; if it stays, tell the vendor",
            ) from None

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        sink: BinaryIO | None = None,
        check: Callable[[httpx.Response], None] | None = None,
    ) -> httpx.Response:
        """Return the first accepted answer to a request.

        Args:
            method: HTTP verb; only reads are ever repeated here, so every call must be safe to
                repeat.
            path: Path below the base URL without a leading slash, or a link from an answer.
            params: Query parameters.
            json: Body.
            headers: Headers beside the credentials.
            sink: A seekable file that a successful answer's body is streamed into from its
                beginning; the answer's own content is then empty. For bodies larger than memory.
            check: Looks at an accepted answer and raises SourceContractError if it cannot be: torn
                on the way, of a proxy, of another page. A few repetitions bring the right one, or
                the error counts.

        Raises:
            IngestError: No usable answer came within the policy.
        """
        asked = _Asked(method, self._url(path), params, json, headers, sink, check)
        renewed = False
        waited = 0.0
        while True:
            try:
                response, verdict = self._send_patiently(asked)
            except tenacity.RetryError as failure:
                reason = failure.last_attempt.exception()
                raise reason.error if isinstance(reason, _TryAgainError) else failure from None
            if verdict.action == "ok":
                self._limiter.note_success()
                return response
            if verdict.action == "unauthorized" and self._renew is not None and not renewed:
                renewed = True
                self._renew()
                continue
            if verdict.action == "wait":
                pause = max(verdict.wait_seconds or 1.0, 0.0)
                if waited + pause > self._policy.longest_wait_seconds:
                    raise verdict.error or RateLimitError(
                        f"{_shown(response)} was not ready after {waited:.0f} s",
                        account=self.account,
                        action="Run again later",
                    )
                waited += pause
                self._sleep(pause)
                continue
            raise verdict.error or SourceContractError(
                f"{_shown(response)} answered {response.status_code}", account=self.account
            )

    def _url(self, path: str) -> str:
        if not path.startswith(("http://", "https://", "/")):
            return f"{self.base_url}/{path}"
        given, own = httpx.URL(path), httpx.URL(self.base_url)
        # Links in answers vary in scheme and host; credentials go to the account's own host only.
        return str(given.copy_with(scheme=own.scheme, host=own.host, port=own.port))

    def _send_patiently(self, asked: "_Asked") -> tuple[httpx.Response, Verdict]:
        retrying = tenacity.Retrying(
            stop=self._is_enough,
            wait=self._pause,
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            sleep=self._sleep,
        )
        return retrying(self._send_once, asked)

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        most = self._policy.attempts
        if not self._has_answered:
            most = min(most, self._policy.attempts_at_first)
        return state.attempt_number >= most

    def _pause(self, state: tenacity.RetryCallState) -> float:
        outcome = state.outcome
        reason = outcome.exception() if outcome else None
        asked = reason.verdict.wait_seconds if isinstance(reason, _TryAgainError) else None
        pause = (
            asked
            if asked is not None
            else min(
                self._policy.first_pause_seconds * 2 ** (state.attempt_number - 1),
                self._policy.longest_pause_seconds,
            )
        )
        if isinstance(reason, _TryAgainError) and reason.verdict.action == "slow_down":
            self._limiter.slow_down(pause)
        return pause

    def _send_once(self, asked: "_Asked") -> tuple[httpx.Response, Verdict]:
        self._limiter.wait_for_turn()
        sent = time.monotonic()
        request = self._client.build_request(
            asked.method,
            asked.url,
            params=asked.params,
            json=asked.json,
            headers={**(asked.headers or {}), **self._credentials()},
            extensions={"trace": self._trace},
        )
        try:
            response = self._client.send(request, stream=asked.sink is not None)
            if asked.sink is not None:
                response = _drained(response, asked.sink)
        except httpx.LocalProtocolError:
            # Its text quotes the header, and that may be the token.
            raise ConfigurationError(
                f"the request to {httpx.URL(asked.url).host} cannot be written: a header of it "
                "holds a sign that may not stand there",
                account=self.account,
                action="Paste the token again (voronka doctor shows where it is read from)",
            ) from None
        except (httpx.TransportError, httpx.DecodingError) as failure:
            error = self._unreachable(asked.url, failure)
            if isinstance(failure, httpx.UnsupportedProtocol):
                raise error from None
            raise _TryAgainError(Verdict("retry"), error) from None
        self._has_answered = True
        self._note_clock(response, sent)
        verdict = self._classify(response)
        if verdict.action in {"retry", "slow_down"}:
            reason = verdict.error or self._gave_up(response, verdict)
            named = retry_after_seconds(response)
            if named is not None and named > _LONGEST_RETRY_AFTER_SECONDS:
                raise RateLimitError(
                    f"{_shown(response)} asks to wait {named:.0f} s",
                    account=self.account,
                    action="Run again after that time",
                )
            wait = verdict.wait_seconds if verdict.wait_seconds is not None else named
            raise _TryAgainError(Verdict(verdict.action, wait), reason)
        if verdict.action == "ok" and asked.check is not None:
            try:
                asked.check(response)
            except SourceContractError as doubt:
                asked.doubts += 1
                if asked.doubts >= self._policy.doubtful_answers:
                    raise
                raise _TryAgainError(Verdict("retry"), doubt) from None
        return response, verdict

    def _agreed_clock(self) -> float | None:
        """Return the first answer's time that another answer confirms."""
        for place, (stamp, elapsed) in enumerate(self._clocks):
            for other, later in self._clocks[place + 1 :]:
                if abs((other - later) - (stamp - elapsed)) <= _CLOCKS_AGREE_SECONDS:
                    return stamp
        return None

    def _trace(self, event: str, _details: Mapping[str, Any]) -> None:
        if event == "http11.send_request_headers.complete":
            self._limiter.note_sent()

    def _note_clock(self, response: httpx.Response, sent: float) -> None:
        if len(self._clocks) > _CLOCK_QUESTIONS or not response.headers.get("date"):
            return
        try:
            stamp = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        except ValueError:
            return
        if self._first_sent is None:
            self._first_sent = sent
        self._clocks.append((stamp.timestamp(), sent - self._first_sent))
        if self._server_now is None:
            self._server_now = stamp.replace(tzinfo=None)

    def _unreachable(self, url: str, failure: httpx.RequestError) -> UnreachableError:
        place = httpx.URL(url)
        what = "no connection"
        if isinstance(failure, httpx.TimeoutException):
            what = "time-out"
        elif isinstance(failure, httpx.RemoteProtocolError | httpx.DecodingError | httpx.ReadError):
            what = "no whole answer"
        return UnreachableError(
            f"{what} at {place.host}{place.path} ({type(failure).__name__})",
            account=self.account,
            action="Check the address, the network and the proxy, then run again",
        )

    def _gave_up(self, response: httpx.Response, verdict: Verdict) -> IngestError:
        if verdict.action == "slow_down":
            return RateLimitError(
                f"{_shown(response)} still answers {response.status_code} after slowing down",
                account=self.account,
                action="Wait some minutes, lower requests_per_second, then run again",
            )
        return UnreachableError(
            f"{_shown(response)} keeps answering {response.status_code}",
            account=self.account,
            action="The vendor's side fails; run again later",
        )


def classify_by_status(account: str) -> Classifier:
    """Return the verdicts that most JSON APIs need; a source starts from these.

    Args:
        account: Source and label for messages.
    """

    def classify(response: httpx.Response) -> Verdict:
        status = response.status_code
        if response.is_success:
            return Verdict("ok")
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return Verdict("slow_down")
        if status == httpx.codes.UNAUTHORIZED:
            return Verdict(
                "unauthorized",
                error=AuthenticationError(
                    "the token is not accepted",
                    account=account,
                    action="Give a new one (voronka doctor shows where it is read from)",
                ),
            )
        if status == httpx.codes.REQUEST_TIMEOUT or response.is_server_error:
            return Verdict("retry")
        return Verdict(
            "fatal",
            error=SourceContractError(f"{_shown(response)} answered {status}", account=account),
        )

    return classify


def is_html(response: httpx.Response) -> bool:
    """Return whether an answer comes from a web server in front of the API.

    Args:
        response: Any answer.
    """
    kind = response.headers.get("content-type", "")
    return "html" in kind or response.content[:64].lstrip()[:1] == b"<"


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Return how long the server asks to wait, by seconds or by date, or None.

    Args:
        response: Any answer.
    """
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    try:
        now = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        now = datetime.now(UTC)
    seconds: float = (until - now).total_seconds()
    return max(seconds, 0.0)


def _drained(response: httpx.Response, sink: BinaryIO) -> httpx.Response:
    """Return an answer whose good body stands in the file; what any other one says is kept."""
    try:
        if not response.is_success or "html" in response.headers.get("content-type", ""):
            response.read()
            return response
        sink.seek(0)
        sink.truncate()
        for piece in response.iter_bytes():
            sink.write(piece)
        kept = {
            name: response.headers[name]
            for name in ("content-type", "date")
            if name in response.headers
        }
        return httpx.Response(response.status_code, headers=kept, request=response.request)
    finally:
        response.close()


def _shown(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url.path}"
