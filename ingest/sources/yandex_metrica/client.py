"""Speak the protocol of Yandex Metrica's Logs API: order a log, wait, download, clean."""

from __future__ import annotations

import datetime as dt
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import orjson

from ingest.errors import (
    AuthenticationError,
    IngestError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import (
    ApiClient,
    RateLimiter,
    RetryPolicy,
    Verdict,
    is_html,
    retry_after_seconds,
)
from ingest.sources.yandex_metrica.reader import BrokenLogError, check_whole, read_log

if TYPE_CHECKING:
    import httpx
    import pyarrow as pa

    from ingest.sources.yandex_metrica.settings import YandexMetricaSettings

# Column of the raw table -> field of the Logs API. `last` is the only model that tells a visit's
# own source: lastsign gives a direct visit the campaign of an earlier one, so every return of a
# customer would look like another click. No pages (up to 500 numbers a visit), no addresses.
VISIT_FIELDS: Mapping[str, str] = {
    "visit_id": "ym:s:visitID",
    "date": "ym:s:date",
    "date_time": "ym:s:dateTime",
    "date_time_utc": "ym:s:dateTimeUTC",
    "is_new_user": "ym:s:isNewUser",
    "start_url": "ym:s:startURL",
    "end_url": "ym:s:endURL",
    "page_views": "ym:s:pageViews",
    "visit_duration": "ym:s:visitDuration",
    "bounce": "ym:s:bounce",
    "client_id": "ym:s:clientID",
    "goals_id": "ym:s:goalsID",
    "goals_date_time": "ym:s:goalsDateTime",
    "goals_price": "ym:s:goalsPrice",
    "referer": "ym:s:referer",
    "device_category": "ym:s:deviceCategory",
    "last_traffic_source": "ym:s:lastTrafficSource",
    "last_adv_engine": "ym:s:lastAdvEngine",
    "last_utm_source": "ym:s:lastUTMSource",
    "last_utm_medium": "ym:s:lastUTMMedium",
    "last_utm_campaign": "ym:s:lastUTMCampaign",
    "last_utm_content": "ym:s:lastUTMContent",
    "last_utm_term": "ym:s:lastUTMTerm",
    "last_direct_click_order": "ym:s:lastDirectClickOrder",
}

_DAY = dt.timedelta(days=1)
_ATTRIBUTION = "LAST"
# One second more than the vendor's five minutes: its window slides by its own clock.
_QUOTA_SECONDS = 301.0
_QUOTA_PAUSE_SECONDS = 30.0
_QUOTA_WAIT_SECONDS = 900.0
_ORDER_PAUSE_SECONDS = 60.0
_LONGEST_POLL_SECONDS = 60.0
_LOG_ATTEMPTS = 2
_DAY_ATTEMPTS = 4
_ORDER_ATTEMPTS = 6
_DOWNLOAD_ATTEMPTS = 4
_READY = "processed"
_GONE = frozenset(
    {"processing_failed", "canceled", "cleaned_by_user", "cleaned_automatically_as_too_old"}
)


class QuotaLimiter(RateLimiter):
    """A pace per second, and beside it the number of requests in five minutes.

    Two requests a minute are the average of a run that waits for logs: spaced evenly by the long
    quota, the eight requests of a daily run would take twelve seconds instead of one.
    """

    def __init__(
        self,
        per_second: float,
        per_window: int,
        *,
        window_seconds: float = _QUOTA_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start with nothing used.

        Args:
            per_second: Requests a second.
            per_window: Requests in any `window_seconds`.
            window_seconds: See per_window.
            clock: Replaced in tests.
            sleep: Replaced in tests.
        """
        super().__init__(per_second, clock=clock, sleep=sleep)
        self._used: deque[float] = deque(maxlen=per_window)
        self._window_seconds = window_seconds
        self._window_lock = threading.Lock()
        self._now = clock
        self._pause = sleep

    def wait_for_turn(self) -> None:
        """Return when it is the caller's turn to send."""
        super().wait_for_turn()
        while True:
            with self._window_lock:
                now = self._now()
                is_full = len(self._used) == self._used.maxlen
                free_at = self._used[0] + self._window_seconds if is_full else now
                if now >= free_at:
                    self._used.append(now)
                    return
            self._pause(free_at - now)


class LogStorageFullError(RateLimitError):
    """The counter has no room for another log until older ones are cleaned."""


class _OrderRefusedError(RateLimitError):
    """Metrica takes no order now: too many requests, or no room."""


class _PageError(SourceContractError):
    """A page for people came instead of an answer: of a proxy, or of the server in front."""


class MetricaClient:
    """One counter of Yandex Metrica."""

    def __init__(
        self,
        settings: YandexMetricaSettings,
        counter_id: str,
        *,
        token: str,
        account: str,
        mark: bytes,
        spool_dir: Path | None = None,
        limiter: RateLimiter | None = None,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            settings: The account's options.
            counter_id: The counter.
            token: OAuth token.
            account: Source and label for messages.
            mark: Names the home whose logs these are.
            spool_dir: Where a part waits, unnamed, while it is read; default: the system's folder.
            limiter: The pace that all counters of one token share.
            policy: How long to stay patient.
            sleep: Replaced in tests.
        """
        self._settings = settings
        self._counter_id = counter_id
        self._account = account
        self._sleep = sleep
        self._spool_dir = spool_dir
        self._fields = marked_fields(mark)
        self._seen: set[int] = set()
        policy = policy or RetryPolicy(longest_wait_seconds=_QUOTA_WAIT_SECONDS)
        self._first_pause = policy.first_pause_seconds
        headers = {"Authorization": f"OAuth {token}"}
        limiter = limiter or limiter_of(settings)

        def api(policy: RetryPolicy) -> ApiClient:
            return ApiClient(
                f"{settings.url.rstrip('/')}/management/v1",
                account=account,
                limiter=limiter,
                classify=classifier(account, counter_id),
                credentials=lambda: headers,
                policy=policy,
                read_timeout_seconds=300.0,
                sleep=sleep,
            )

        self._api = api(policy)
        # An order that was not answered may have been taken: it is looked for before the next one.
        self._orders = api(
            RetryPolicy(
                attempts=1,
                first_pause_seconds=policy.first_pause_seconds,
                longest_wait_seconds=policy.longest_wait_seconds,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._orders.close()

    def server_now(self) -> dt.datetime | None:
        """Return the server's time, naive UTC: a log may end with its yesterday at the latest."""
        return self._api.agree_on_clock(self.counter)

    def counter(self) -> dict[str, Any]:
        """Return the record of the counter, its zone among it."""
        return self._answer("", "counter")

    def free_own_logs(self) -> int:
        """Clean or cancel what a killed run of this home left on the counter; return how many.

        Every log counts against the counter's 10 GB until it is cleaned. Logs of other programs,
        and of other homes, are never touched.
        """
        own = [
            log
            for log in self._logs()
            if _is_own(log, self._fields) and log.get("status") not in _GONE
        ]
        for log in own:
            self._free(_number(log, self._account), is_ready=log.get("status") == _READY)
        return len(own)

    def visits(self, first: dt.date, last: dt.date) -> Iterator[pa.RecordBatch]:
        """Yield the visits of days, both included, as columns named like the raw table's.

        Days that do not fit into one log, or whose log fails, are asked for in parts. A log is
        cleaned when it is read, when reading it fails, and when the reader stops listening.

        Args:
            first: First day in the counter's zone.
            last: Last day; before the counter's today.

        Raises:
            IngestError: The days could not be read to the end.
        """
        days = [(first, last)]
        attempts = 0
        while days:
            start, end = days.pop()
            count = (end - start).days + 1
            most = self._most_days(start, end)
            if most < count:
                days.extend(reversed(_cut(start, end, most)))
                continue
            attempts += 1
            with self._log(start, end) as log:
                if log is not None:
                    yield from self._read(log, start, end)
            if log is not None:
                attempts = 0
            elif attempts < (_DAY_ATTEMPTS if count == 1 else _LOG_ATTEMPTS):
                self._sleep(self._first_pause * 2**attempts)
                days.append((start, end))
            elif count > 1:
                attempts = 0
                days.extend(reversed(_cut(start, end, (count + 1) // 2)))
            else:
                raise UnreachableError(
                    f"counter {self._counter_id}: no log of {start} could be made",
                    account=self._account,
                    action="Metrica's side fails; run again later",
                )

    def _most_days(self, first: dt.date, last: dt.date) -> int:
        """Return how many of these days fit into one log now."""
        count = (last - first).days + 1
        for is_cleaned in (False, True):
            fits, most = self._evaluated(first, last)
            if fits:
                return count
            # "Not possible" with room for all of it would go on for ever.
            most = min(most, count - 1)
            if most > 0:
                return most
            if not is_cleaned:
                self.free_own_logs()
        raise self._storage_full()

    def _evaluated(self, first: dt.date, last: dt.date) -> tuple[bool, int]:
        found = self._answer(
            "/logrequests/evaluate", "log_request_evaluation", self._question(first, last)
        )
        try:
            return bool(found["possible"]), int(found.get("max_possible_day_quantity") or 0)
        except (KeyError, TypeError, ValueError):
            raise self._contract("evaluate answered without its verdict") from None

    @contextmanager
    def _log(self, first: dt.date, last: dt.date) -> Iterator[dict[str, Any] | None]:
        """Order a log, give it when it is ready (None where it cannot be made), and clean it."""
        number = self._ordered(first, last)
        is_gone = is_ready = False
        try:
            log = self._made(number)
            is_ready, is_gone = log is not None, log is None
            yield log
        finally:
            if not is_gone:
                self._free(number, is_ready=is_ready)

    def _ordered(self, first: dt.date, last: dt.date) -> int:
        pause = self._first_pause
        problem: IngestError | None = None
        for _ in range(_ORDER_ATTEMPTS):
            try:
                answer = self._orders.request(
                    "POST", self._path("/logrequests"), params=self._question(first, last)
                )
                number = _number(
                    self._object(self._orders.json_of(answer), "log_request"), self._account
                )
            except (UnreachableError, SourceContractError, _OrderRefusedError) as error:
                problem = error
            else:
                self._seen.add(number)
                return number
            taken = self._taken(first, last)
            if taken is not None:
                return taken
            if not isinstance(problem, UnreachableError):
                fits, most = self._evaluated(first, last)
                if not fits and most <= 0:
                    raise self._storage_full()
            if isinstance(problem, SourceContractError) and not isinstance(problem, _PageError):
                raise problem
            is_refused = isinstance(problem, _OrderRefusedError)
            self._sleep(max(pause, _ORDER_PAUSE_SECONDS) if is_refused else pause)
            pause = min(pause * 2, _LONGEST_POLL_SECONDS)
        raise problem or self._contract("no log could be ordered")

    def _taken(self, first: dt.date, last: dt.date) -> int | None:
        """Return the order of these days that Metrica took without saying so, if there is one."""
        for log in self._logs():
            number = _number(log, self._account)
            is_new = number not in self._seen and log.get("status") not in _GONE
            days = (log.get("date1"), log.get("date2"))
            if is_new and _is_own(log, self._fields) and days == (str(first), str(last)):
                self._seen.add(number)
                return number
        return None

    def _made(self, number: int) -> dict[str, Any] | None:
        pause, waited = self._settings.poll_seconds, 0.0
        while True:
            log = self._answer(f"/logrequest/{number}", "log_request")
            status = log.get("status")
            if status == _READY:
                return log
            if status in _GONE:
                return None
            if waited + pause > self._settings.log_wait_seconds:
                raise RateLimitError(
                    f"counter {self._counter_id}: a log is still {status} after {waited:.0f} s",
                    account=self._account,
                    action="Metrica makes logs one after another; run again later",
                )
            self._sleep(pause)
            waited += pause
            pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)

    def _read(
        self, log: Mapping[str, Any], first: dt.date, last: dt.date
    ) -> Iterator[pa.RecordBatch]:
        number = _number(log, self._account)
        try:
            parts = sorted(
                (int(p["part_number"]), int(p.get("size") or 0)) for p in log.get("parts") or []
            )
        except (KeyError, TypeError, ValueError):
            raise self._contract(f"log {number} has parts without a number") from None
        bounds = first.isoformat(), last.isoformat()
        for part, size in parts:
            with tempfile.TemporaryFile(dir=self._spool_dir) as file:
                self._download(number, part, size, file)
                try:
                    for batch in read_log(file, list(VISIT_FIELDS.values())):
                        named = batch.rename_columns(list(VISIT_FIELDS))
                        self._check_days(named, *bounds)
                        yield named
                except BrokenLogError as error:
                    raise self._contract(f"part {part} of log {number} {error}") from None

    def _download(self, number: int, part: int, size: int, file: BinaryIO) -> None:
        def check(_: httpx.Response) -> None:
            try:
                check_whole(file, size)
            except BrokenLogError as error:
                raise self._contract(f"part {part} of log {number} {error}") from None

        self._api.request(
            "GET", self._path(f"/logrequest/{number}/part/{part}/download"), sink=file, check=check
        )
        file.seek(0)

    def _check_days(self, batch: pa.RecordBatch, first: str, last: str) -> None:
        days = set(batch.column("date").unique().to_pylist())
        outside = sorted(str(day) for day in days if not first <= str(day) <= last)
        if outside:
            raise self._contract(f"a log of {first} to {last} has a visit of {outside[0][:20]!r}")

    def _free(self, number: int, *, is_ready: bool) -> None:
        """Clean a log, or cancel one that is not ready.

        It never fails the load: what was read is read, an error on the way here is the one to tell,
        and a log that stays is cleaned by the next run.
        """
        self._seen.add(number)
        for verb in ("clean", "cancel") if is_ready else ("cancel", "clean"):
            with suppress(IngestError):
                self._api.request("POST", self._path(f"/logrequest/{number}/{verb}"))
                return
            with suppress(IngestError):
                if self._answer(f"/logrequest/{number}", "log_request").get("status") in _GONE:
                    return

    def _logs(self) -> list[dict[str, Any]]:
        def check(body: object) -> None:
            if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
                raise self._contract("the list of logs came without its logs")

        body = self._api.get_json(self._path("/logrequests"), check=check)
        return [log for log in body["requests"] if isinstance(log, dict)]

    def _storage_full(self) -> LogStorageFullError:
        held = [log for log in self._logs() if log.get("status") == _READY]
        size = sum(int(log.get("size") or 0) for log in held)
        numbers = ", ".join(str(log.get("request_id")) for log in held[:5])
        return LogStorageFullError(
            f"counter {self._counter_id} has no room for a log: {len(held)} logs of other programs "
            f"hold {size / 1e9:.1f} of the 10 GB" + (f" ({numbers})" if numbers else ""),
            account=self._account,
            action="Let the programs that ordered them clean them, or clean them with "
            "POST /logrequest/<number>/clean, then run again",
        )

    def _question(self, first: dt.date, last: dt.date) -> dict[str, str]:
        return {
            "date1": first.isoformat(),
            "date2": last.isoformat(),
            "fields": ",".join(self._fields),
            "source": "visits",
            "attribution": _ATTRIBUTION,
        }

    def _answer(
        self, path: str, name: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the object that an answer is about; another answer is asked for again."""

        def check(body: object) -> None:
            self._object(body, name)

        return self._object(self._api.get_json(self._path(path), params, check=check), name)

    def _path(self, rest: str) -> str:
        return f"counter/{self._counter_id}{rest}"

    def _object(self, body: object, name: str) -> dict[str, Any]:
        found = body.get(name) if isinstance(body, dict) else None
        if not isinstance(found, dict):
            raise self._contract(f"an answer came without its {name}")
        return found

    def _contract(self, what: str) -> SourceContractError:
        return SourceContractError(
            f"counter {self._counter_id}: {what}", account=self._account, action="Run again"
        )


def limiter_of(settings: YandexMetricaSettings) -> QuotaLimiter:
    """Return the pace that all counters of one token share.

    Args:
        settings: The account's options.
    """
    return QuotaLimiter(settings.requests_per_second, settings.requests_per_five_minutes)


def marked_fields(mark: bytes) -> tuple[str, ...]:
    """Return the fields in the order that is this home's alone.

    The Logs API has no place for a name, but it keeps the order in which the fields were asked for:
    24 fields have more orders than there are homes. So a run that was killed at any moment, even
    between an order and its answer, finds its own logs again, and nobody else's.

    Args:
        mark: Names the home.
    """
    return tuple(
        sorted(
            VISIT_FIELDS.values(),
            key=lambda name: blake2b(name.encode(), digest_size=16, key=mark).digest(),
        )
    )


def classifier(account: str, counter_id: str) -> Callable[[httpx.Response], Verdict]:
    """Return what each answer of Metrica means.

    Args:
        account: Source and label for messages.
        counter_id: The counter that is asked about.
    """

    def classify(response: httpx.Response) -> Verdict:
        status = response.status_code
        is_order = response.request.method == "POST" and response.request.url.path.endswith(
            "/logrequests"
        )
        if is_html(response) and status < 500 and status != 429:
            # Of a proxy or of works on the site: for a moment, or for good.
            return Verdict("retry", error=_html(response, account))
        if response.is_success:
            return Verdict("ok")
        said, asked = _said(response), retry_after_seconds(response)
        # 420 is what older pages of the documentation name.
        if status in (420, 429):
            if is_order:
                return Verdict(
                    "fatal",
                    error=_OrderRefusedError(
                        f"no log can be ordered now ({said})",
                        account=account,
                        action="Run again later",
                    ),
                )
            return Verdict(
                "wait",
                _QUOTA_PAUSE_SECONDS if asked is None else asked,
                RateLimitError(
                    f"the quota of requests is used up ({said})",
                    account=account,
                    action="200 requests in five minutes and 5,000 a day are allowed; run again "
                    "later, the day begins at 00:00 GMT",
                ),
            )
        if status >= 500 or status == 408:
            return Verdict("retry")
        if status in (401, 403):
            return Verdict(
                "fatal",
                error=AuthenticationError(
                    f"counter {counter_id} may not be read ({said})",
                    account=account,
                    action="Give the owner of the token the right to view this counter, or make a "
                    "new OAuth token with the right metrika:read",
                ),
            )
        if status == 404 and "/logrequest/" not in response.request.url.path:
            return Verdict(
                "fatal",
                error=SourceContractError(
                    f"counter {counter_id} does not exist ({said})",
                    account=account,
                    action="Check counter_id",
                ),
            )
        return Verdict(
            "fatal",
            error=SourceContractError(
                f"{response.request.url.path} answered {status} ({said})", account=account
            ),
        )

    return classify


def _said(response: httpx.Response) -> str:
    """Return the error of a JSON answer in the vendor's words."""
    if "json" in response.headers.get("content-type", ""):
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            body = None
        errors = body.get("errors") if isinstance(body, dict) else None
        first = errors[0] if isinstance(errors, list) and errors else body
        if isinstance(first, dict) and first.get("message"):
            kind = first.get("error_type")
            return f"{kind}: {first['message']}"[:300] if kind else str(first["message"])[:300]
    return f"HTTP {response.status_code}"


def _html(response: httpx.Response, account: str) -> _PageError:
    return _PageError(
        f"{response.request.url.path} answered {response.status_code} with an HTML page",
        account=account,
        action="Check the address in url and the proxy: this is not the API",
    )


def _is_own(log: Mapping[str, Any], fields: Sequence[str]) -> bool:
    return log.get("source") == "visits" and list(log.get("fields") or []) == list(fields)


def _number(log: Mapping[str, Any], account: str) -> int:
    try:
        return int(log["request_id"])
    except (KeyError, TypeError, ValueError):
        raise SourceContractError("a log has no number", account=account) from None


def _cut(first: dt.date, last: dt.date, most: int) -> list[tuple[dt.date, dt.date]]:
    pieces = []
    while first <= last:
        end = min(first + _DAY * (most - 1), last)
        pieces.append((first, end))
        first = end + _DAY
    return pieces
