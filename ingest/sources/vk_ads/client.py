"""Speak the protocol of VK Ads: tokens, lists by count and offset, daily statistics."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

import httpx

from ingest.config import require_secret
from ingest.errors import (
    AuthenticationError,
    IngestError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import ApiClient, RateLimiter, RetryPolicy, Verdict, is_html
from ingest.sources.vk_ads.settings import LIST_FIELDS, LIST_STATUSES
from ingest.tokens import StoredToken, TokenPair, json_object

if TYPE_CHECKING:
    from ingest.config import Home, SourceRef
    from ingest.records import Record
    from ingest.sources.vk_ads.settings import VkAdsSettings

MOSCOW = ZoneInfo("Europe/Moscow")
IDS_PER_REQUEST = 200

_PACE_UNTIL_TOLD = 2.0
_READS_OF_A_MOVING_LIST = 6
_TOKEN_ATTEMPTS = 3
_LOW_SHARE = 0.05
_CHANGED_SINCE = {"ad_groups": "_last_updated__gte", "banners": "_updated__gte"}
_DEAD_TOKENS = frozenset({"expired_token", "invalid_token", "revoked_token"})
_WRONG_IDS = frozenset(
    {
        "ERR_WRONG_ADPLANS",
        "ERR_WRONG_ADGROUPS",
        "ERR_WRONG_BANNERS",
        "ERR_WRONG_USERS",
        "ERR_WRONG_IDS",
    }
)

StatisticsRow = tuple[str, str, Mapping[str, Any]]
"""A day, an ad plan's id, and its base metrics."""


class WrongIdsError(SourceContractError):
    """One of the ids asked for is unknown to VK, which then tells nothing of the others."""


class TooMuchAskedError(SourceContractError):
    """So many days or objects are not answered at once."""


class VkToken(StoredToken):
    """The token of one API client for one advertiser.

    VK keeps five per client and advertiser and refuses the sixth, so one is stored and refreshed;
    a refresh kills the access token before it.
    """

    def __init__(
        self,
        options: VkAdsSettings,
        store: Path,
        *,
        client_id: str,
        client_secret: str,
        account: str,
        on_request: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Look at the store; nothing is sent yet.

        Args:
            options: The account's options.
            store: The file that keeps the newest token.
            client_id: Of the API client.
            client_secret: Of the API client.
            account: Source and label for messages.
            on_request: Called before each request for a token.
            clock: Replaced in tests.
            sleep: Replaced in tests.
        """
        advertiser = options.agency_client_name or options.agency_client_id or ""
        super().__init__(
            store,
            consent="\n".join((options.url, client_id, client_secret, advertiser)),
            account=account,
            if_lost="run again",
            on_request=on_request,
            clock=clock,
        )
        self._options = options
        self._url = f"{options.url}/api/v2/oauth2/token"
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._sleep = sleep

    def _obtained(self, stored: TokenPair | None) -> TokenPair:
        response = None
        if stored is not None:
            refresh = {"grant_type": "refresh_token", "refresh_token": stored.refresh_token}
            response = self._answer(f"{self._url}.json", refresh)
            self._check_client(response)
        if response is None or not response.is_success:
            # Unknown or removed after a month without use: a new one is due.
            response = self._answer(f"{self._url}.json", self._grant())
            self._check_client(response)
        if self._is_limit(response):
            response = self._after_deletion()
        if not response.is_success:
            raise self._refused(response)
        try:
            return self._pair_of(json_object(response))
        except (KeyError, TypeError, ValueError):
            raise SourceContractError(
                "the token request answered no token", account=self._account
            ) from None

    def _grant(self) -> dict[str, str]:
        if self._options.agency_client_name:
            advertiser = {"agency_client_name": self._options.agency_client_name}
        elif self._options.agency_client_id:
            advertiser = {"agency_client_id": self._options.agency_client_id}
        else:
            return {"grant_type": "client_credentials"}
        return {"grant_type": "agency_client_credentials", **advertiser}

    def _after_deletion(self) -> httpx.Response:
        if self._options.when_tokens_run_out == "stop":
            raise AuthenticationError(
                "five tokens of this API client exist already, and VK gives no sixth",
                account=self._account,
                action='Delete the unused ones, or set when_tokens_run_out = "delete" if no other '
                "program uses this API client",
            )
        named = {}
        if self._options.agency_client_name:
            named = {"username": self._options.agency_client_name}
        elif self._options.agency_client_id:
            named = {"user_id": self._options.agency_client_id}
        self._answer(f"{self._url}/delete.json", named)
        return self._answer(f"{self._url}.json", self._grant())

    def _answer(self, url: str, form: Mapping[str, str]) -> httpx.Response:
        """Return the answer to a request that may be repeated: a refresh token lives on."""
        for attempt in range(1, _TOKEN_ATTEMPTS + 1):
            try:
                response = self._ask(url, form={**form, **self._client})
            except (UnreachableError, RateLimitError):
                if attempt == _TOKEN_ATTEMPTS:
                    raise
            else:
                if not response.content or json_object(response) or attempt == _TOKEN_ATTEMPTS:
                    break
            self._sleep(RetryPolicy().first_pause_seconds * attempt)
        return response

    @staticmethod
    def _is_limit(response: httpx.Response) -> bool:
        return (
            response.status_code == httpx.codes.FORBIDDEN and _code(response) != "ERR_ACCESS_DENIED"
        )

    def _check_client(self, response: httpx.Response) -> None:
        if _code(response) in {"invalid_client", "invalid_user"}:
            raise self._refused(response)

    def _refused(self, response: httpx.Response) -> AuthenticationError:
        said = _code(response) or f"answer {response.status_code}"
        return AuthenticationError(
            f"VK gives no token ({said})",
            account=self._account,
            action="Check client_id, client_secret and the advertiser's name in VK Ads' settings",
        )


class VkAdsClient:
    """One advertiser of VK Ads."""

    def __init__(
        self,
        ref: SourceRef,
        home: Home,
        options: VkAdsSettings,
        *,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the secrets; nothing is sent yet.

        Args:
            ref: Source and account label.
            home: The home folder.
            options: The account's options.
            policy: How long to stay patient.
            sleep: Replaced in tests.

        Raises:
            ConfigurationError: A secret is missing.
        """
        self._account = str(ref)
        self._options = options
        self._sleep = sleep
        self._pace = options.requests_per_second or _PACE_UNTIL_TOLD
        self._limiter = RateLimiter(self._pace, sleep=sleep)
        self.daily_left: tuple[int, int] | None = None
        token = VkToken(
            options,
            home.secrets_dir / f"{ref.name}_{ref.label}.json",
            client_id=require_secret(home, ref, "client_id"),
            client_secret=require_secret(home, ref, "client_secret"),
            account=self._account,
            on_request=self._limiter.count_in,
            sleep=sleep,
        )
        self._api = ApiClient(
            f"{options.url}/api/v2",
            account=self._account,
            limiter=self._limiter,
            classify=classifier(self._account),
            credentials=token.headers,
            renew_credentials=token.renew,
            policy=policy,
            read_timeout_seconds=120.0,
            sleep=sleep,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    @property
    def server_now(self) -> dt.datetime | None:
        """Return the server's time at the first answer, naive UTC; None before it."""
        return self._api.server_now

    def agree_on_clock(self) -> dt.datetime | None:
        """Return the server's time once two answers agree on it."""
        return self._api.agree_on_clock(self.count_plans)

    def count_plans(self) -> int:
        """Return how many ad plans there are, deleted ones included."""
        return _count(self._page("ad_plans", {"_status__in": LIST_STATUSES}, 0, limit=1))

    def pages(
        self, resource: str, *, changed_since: dt.datetime | None = None
    ) -> Iterator[list[Record]]:
        """Yield all rows of a list, deleted ones included, each id once.

        The end is the count, never a short page: the server cuts a greater limit in silence. A list
        that moved while it was read is read again, until a whole read is one piece.

        Args:
            resource: `ad_plans`, `ad_groups` or `banners`.
            changed_since: Only rows changed since, naive UTC; ad plans know no such filter.

        Raises:
            SourceContractError: The list never stands still.
        """
        query = {
            "fields": LIST_FIELDS[resource],
            "_status__in": LIST_STATUSES,
            # In order of making a new row stands at the end and shifts none.
            "sorting": "id",
        }
        if changed_since is not None:
            query[_CHANGED_SINCE[resource]] = moscow_text(changed_since)
        seen: set[str] = set()
        for _ in range(_READS_OF_A_MOVING_LIST):
            ids: list[str] = []
            counts: set[int] = set()
            while True:
                body = self._page(resource, query, len(ids))
                rows = body["items"]
                counts.add(_count(body))
                found = [str(row["id"]) for row in rows]
                ids += found
                fresh = {key: row for key, row in zip(found, rows, strict=True) if key not in seen}
                seen.update(fresh)
                if fresh:
                    yield list(fresh.values())
                if not rows or len(ids) >= _count(body):
                    break
            if len(counts) == 1 and len(ids) == len(set(ids)) == counts.pop():
                return
        raise SourceContractError(
            f"the list {resource} changes while it is read",
            account=self._account,
            action="Run again when nobody edits the advertisements",
        )

    def _page(
        self, resource: str, query: Mapping[str, str], offset: int, limit: int | None = None
    ) -> dict[str, Any]:
        def check(body: Any) -> None:
            rows = body.get("items") if isinstance(body, dict) else None
            if not isinstance(rows, list) or not str(body.get("count", "")).isdigit():
                raise self._broken(f"{resource} answered no list with its count")
            if not all(isinstance(row, dict) and row.get("id") is not None for row in rows):
                raise self._broken(f"a row of {resource} has no id")
            if str(body.get("offset", offset)) != str(offset):
                raise self._broken(f"{resource} answered another page than asked for")

        params = {**query, "limit": limit or self._options.page_size, "offset": offset}
        body: dict[str, Any] = self._get(f"{resource}.json", params, check)
        return body

    def daily_statistics(
        self, ad_plan_ids: Sequence[str], first: dt.date, last: dt.date
    ) -> tuple[list[StatisticsRow], set[str]]:
        """Return the days of ad plans, and the ids of which VK tells nothing.

        One unknown id makes VK refuse all: the list is halved until it stands alone. Too many days
        at once are halved alike.

        Args:
            ad_plan_ids: What to ask for.
            first: First Moscow day.
            last: Last Moscow day.
        """
        rows: list[StatisticsRow] = []
        refused: set[str] = set()
        for start in range(0, len(ad_plan_ids), IDS_PER_REQUEST):
            part, wrong = self._halved(ad_plan_ids[start : start + IDS_PER_REQUEST], first, last)
            rows += part
            refused |= wrong
        return rows, refused

    def _halved(
        self, ids: Sequence[str], first: dt.date, last: dt.date
    ) -> tuple[list[StatisticsRow], set[str]]:
        try:
            return self._statistics(ids, first, last), set()
        except WrongIdsError:
            if len(ids) == 1:
                return [], set(ids)
        except TooMuchAskedError:
            if len(ids) == 1 and first == last:
                raise
            if len(ids) == 1:
                middle = first + (last - first) // 2
                early, wrong = self._halved(ids, first, middle)
                late, still = self._halved(ids, middle + dt.timedelta(days=1), last)
                return [*early, *late], wrong | still
        half = len(ids) // 2
        left, wrong = self._halved(ids[:half], first, last)
        right, still = self._halved(ids[half:], first, last)
        return [*left, *right], wrong | still

    def _statistics(self, ids: Sequence[str], first: dt.date, last: dt.date) -> list[StatisticsRow]:
        found = self._items(ids, first, last)
        absent = [number for number in ids if number not in found]
        if absent:
            # A plan without shows may be left out; one that got lost on the way must not look so.
            found |= self._items(absent, first, last)
        return [
            (str(row["date"]), number, row["base"])
            for number, days in found.items()
            for row in days
        ]

    def _items(
        self, ids: Sequence[str], first: dt.date, last: dt.date
    ) -> dict[str, list[Mapping[str, Any]]]:
        asked = set(ids)
        low, high = first.isoformat(), last.isoformat()

        def check(body: Any) -> None:
            items = body.get("items") if isinstance(body, dict) else None
            if not isinstance(items, list):
                raise self._broken("the statistics have no items")
            numbers = [str(item.get("id")) for item in items if isinstance(item, dict)]
            if len(numbers) != len(items) or not set(numbers) <= asked:
                raise self._broken("the statistics tell of other ad plans than asked for")
            if len(set(numbers)) != len(numbers):
                raise self._broken("the statistics tell of an ad plan twice")
            for item in items:
                self._check_days(item, low, high)

        params = {
            "id": ",".join(ids),
            "date_from": low,
            "date_to": high,
            "metrics": "base",
            "attribution": "conversion",
        }
        body = self._get("statistics/ad_plans/day.json", params, check)
        return {str(item["id"]): item["rows"] for item in body["items"]}

    def _check_days(self, item: Mapping[str, Any], low: str, high: str) -> None:
        rows = item.get("rows")
        if not isinstance(rows, list):
            raise self._broken(f"ad plan {item['id']} has no rows")
        days: set[str] = set()
        for row in rows:
            if not isinstance(row, dict) or not isinstance(row.get("base"), dict):
                raise self._broken(f"a day of ad plan {item['id']} has no base metrics")
            day = str(row.get("date"))
            if not low <= day <= high or len(day) != len(low):
                raise self._broken(f"ad plan {item['id']} tells of {day}, outside {low} to {high}")
            if day in days:
                raise self._broken(f"ad plan {item['id']} has the day {day} twice")
            days.add(day)

    def accepted(self, ad_plan_ids: Sequence[str], day: dt.date) -> list[str]:
        """Return those of the ids that statistics know now.

        Args:
            ad_plan_ids: What was refused before.
            day: Any day with statistics.
        """
        _, refused = self.daily_statistics(ad_plan_ids, day, day)
        return [number for number in ad_plan_ids if number not in refused]

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def _get(
        self, path: str, params: Mapping[str, Any], check: Callable[[Any], None]
    ) -> dict[str, Any]:
        body: list[dict[str, Any]] = []

        def parse(response: httpx.Response) -> None:
            parsed = self._api.json_of(response)
            check(parsed)
            body.append(parsed)

        response = self._api.request("GET", path, params=params, check=parse)
        self._note_limits(response)
        return body[-1]

    def _note_limits(self, response: httpx.Response) -> None:
        """Take over the pace that VK names: it differs by user and may change any day."""
        allowed = _header_number(response, "RPS", "Limit")
        if allowed:
            pace = min(float(allowed), self._options.requests_per_second or float(allowed))
            if pace != self._pace:
                self._pace = pace
                self._limiter.adopt(pace)
        limit = _header_number(response, "Daily", "Limit")
        left = _header_number(response, "Daily", "Remaining")
        if limit and left is not None:
            self.daily_left = (left, limit)

    @property
    def is_day_nearly_spent(self) -> bool:
        """Return whether few of the day's requests are left."""
        return self.daily_left is not None and self.daily_left[0] < self.daily_left[1] * _LOW_SHARE

    def _broken(self, reason: str) -> SourceContractError:
        return SourceContractError(reason, account=self._account, action="Run again")


def classifier(account: str) -> Callable[[httpx.Response], Verdict]:
    """Return what each answer of VK Ads means.

    Args:
        account: Source and label for messages.
    """

    def classify(response: httpx.Response) -> Verdict:
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return _over_the_limit(response, account)
        if status == httpx.codes.REQUEST_TIMEOUT or response.is_server_error:
            return Verdict("retry")
        if is_html(response):
            # A proxy or the server in front, for a moment or for good.
            return Verdict("retry", error=_html(response, account))
        if response.is_success:
            return Verdict("ok")
        code = _code(response)
        if status == httpx.codes.UNAUTHORIZED:
            error = AuthenticationError(
                f"VK does not accept the token ({code or 'no reason given'})",
                account=account,
                action="Check client_id and client_secret, and that the advertiser is not blocked",
            )
            is_dead = not code or code in _DEAD_TOKENS
            return Verdict("unauthorized" if is_dead else "fatal", error=error)
        if response.is_redirect:
            return Verdict("fatal", error=_moved(response, account))
        return Verdict("fatal", error=_fatal(response, code, account))

    return classify


def _over_the_limit(response: httpx.Response, account: str) -> Verdict:
    """Return what 429 asks for: the limits are of a second, a minute, an hour and a day."""
    now = _server_time(response)
    if _header_number(response, "Daily", "Remaining") == 0:
        return Verdict(
            "fatal",
            error=RateLimitError(
                "the requests that VK allows in a day are spent",
                account=account,
                action="Run again after midnight, Moscow time",
            ),
        )
    if _header_number(response, "Hourly", "Remaining") == 0:
        return Verdict(
            "wait",
            3600.0 - now.minute * 60 - now.second + 1,
            RateLimitError(
                "the requests that VK allows in an hour are spent",
                account=account,
                action="Run again in the next hour",
            ),
        )
    if _header_number(response, "Minutely", "Remaining") == 0:
        return Verdict("slow_down", 60.0 - now.second + 1)
    return Verdict("slow_down")


def _server_time(response: httpx.Response) -> dt.datetime:
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(dt.UTC)
    except (KeyError, ValueError):
        return dt.datetime.now(dt.UTC)


def _fatal(response: httpx.Response, code: str, account: str) -> IngestError:
    status, path = response.status_code, response.request.url.path
    said = f"GET {path} answered {status}{_detail(response)}"
    if code in _WRONG_IDS:
        return WrongIdsError(said, account=account)
    if code == "ERR_LIMIT_EXCEEDED" or status in {
        httpx.codes.REQUEST_ENTITY_TOO_LARGE,
        httpx.codes.REQUEST_URI_TOO_LONG,
    }:
        return TooMuchAskedError(said, account=account)
    if status == httpx.codes.FORBIDDEN:
        return AuthenticationError(
            f"the API client may not read {path}{_detail(response)}",
            account=account,
            action="Ask VK's support for the right read_ads for this API client",
        )
    return SourceContractError(said, account=account)


def _moved(response: httpx.Response, account: str) -> SourceContractError:
    place = httpx.URL(response.headers.get("location", "")).host
    return SourceContractError(
        f"the address redirects to {place or 'elsewhere'}",
        account=account,
        action="Put VK's present address into the setting url",
    )


def _html(response: httpx.Response, account: str) -> SourceContractError:
    return SourceContractError(
        f"{response.request.url.path} answered {response.status_code} with an HTML page",
        account=account,
        action="Check the address in url and the proxy: this is not the API",
    )


def _code(response: httpx.Response) -> str:
    body = json_object(response)
    error = body.get("error")
    return str((error if isinstance(error, dict) else body).get("code") or "")


def _detail(response: httpx.Response) -> str:
    error = json_object(response).get("error")
    if not isinstance(error, dict):
        return ""
    fields = error.get("fields")
    named = list(fields) if isinstance(fields, dict) else []
    parts = [str(error[key]) for key in ("code", "message") if error.get(key)] + named
    return f" ({'; '.join(parts)[:300]})" if parts else ""


def _header_number(response: httpx.Response, period: str, what: str) -> int | None:
    text = response.headers.get(f"x-ratelimit-{period}-{what}", "").strip()
    return int(text) if text.isdigit() else None


def _count(body: Mapping[str, Any]) -> int:
    return int(body["count"])


def moscow_text(moment: dt.datetime) -> str:
    """Return a moment as VK writes it, in Moscow time without an offset.

    Args:
        moment: Naive UTC.
    """
    return moment.replace(tzinfo=dt.UTC).astimezone(MOSCOW).strftime("%Y-%m-%d %H:%M:%S")


def from_moscow_text(text: object) -> float | None:
    """Return the Unix time of a moment as VK writes it, or None where it is none.

    Args:
        text: Such as 2026-11-20 10:00:00.
    """
    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=MOSCOW)).timestamp()
