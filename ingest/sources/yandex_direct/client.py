"""Speak the protocol of Yandex Direct API v5: get services, Changes, and the report queue."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

import orjson

from ingest.errors import (
    AuthenticationError,
    IngestError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import ApiClient, RateLimiter, RetryPolicy, Verdict, is_html

if TYPE_CHECKING:
    import httpx

    from ingest.sources.yandex_direct.settings import YandexDirectSettings

REPORT_FIELDS = ("Date", "CampaignId", "CampaignName", "Impressions", "Clicks", "Cost")
CAMPAIGN_FIELDS = (
    "Id",
    "Name",
    "Type",
    "Status",
    "State",
    "StartDate",
    "EndDate",
    "Currency",
    "DailyBudget",
    "TimeZone",
)

_PAGE_LIMIT = 10_000
_CHECKED_CAMPAIGNS = 3_000
_REPORT_ROW_LIMIT = 1_000_000
_QUEUED_REPORTS = 5
_NULL = "--"
_SUMMARY = "Total rows: "
_REPORTS_PATH = "json/v5/reports"
_REPORT_HEADERS = {
    "processingMode": "auto",
    "returnMoneyInMicros": "false",
    "skipReportHeader": "true",
    # The line of column names stays: it proves that the columns came in the order asked for.
    "skipColumnHeader": "false",
    # The last line tells how many rows there are: nothing else shows that some were torn off.
    "skipReportSummary": "false",
}

_TEMPORARY = frozenset({52, 1000, 1001, 1002})
_QUEUE_IS_FULL = 9000
_UNITS_ARE_SPENT = 152
_TOO_FAST = frozenset({56, 506})
_QUEUE_WAIT_SECONDS = 10.0
_UNITS_WAIT_SECONDS = 300.0
_DAY_ATTEMPTS = 4
_READS_OF_A_MOVING_LIST = 4
# Direct counts requests of an advertiser over ten seconds.
_COUNTED_SECONDS = 10

ReportRow = tuple[str | None, ...]


class ReportTooLongError(UnreachableError):
    """Direct could not make the report in its time; a shorter period may work."""


class ReportNameClashError(SourceContractError):
    """A report of this name and another definition exists."""


class DirectClient:
    """One advertiser of Yandex Direct."""

    def __init__(
        self,
        settings: YandexDirectSettings,
        *,
        token: str,
        account: str,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            settings: The account's options.
            token: OAuth token.
            account: Source and label for messages.
            policy: How long to stay patient.
            sleep: Replaced in tests.
        """
        self._settings = settings
        self._account = account
        self._token = token
        self._sleep = sleep
        self._queue = threading.BoundedSemaphore(_QUEUED_REPORTS)
        self.units_left: tuple[int, int] | None = None
        headers = {"Authorization": f"Bearer {token}", "Accept-Language": "en"}
        if settings.client_login:
            headers["Client-Login"] = settings.client_login
        self._api = ApiClient(
            settings.url,
            account=account,
            limiter=RateLimiter(
                settings.requests_per_second,
                limit=int(settings.requests_per_second * _COUNTED_SECONDS),
            ),
            classify=classifier(account),
            credentials=lambda: headers,
            policy=policy or RetryPolicy(longest_wait_seconds=settings.report_wait_seconds),
            read_timeout_seconds=300.0,
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
        """Return the Date of the first answer, naive UTC; None before it."""
        return self._api.server_now

    def agreed_now(self) -> dt.datetime | None:
        """Return the server's time once two of its answers agree on it."""
        return self._api.agree_on_clock(lambda: self._call("changes", "checkDictionaries", {}))

    def campaigns(self) -> list[dict[str, Any]]:
        """Return all campaigns, each once.

        A campaign that is deleted while the list is read shifts the rest, and the first one of the
        next page is skipped; so a list of several pages is read until a whole read brings nothing
        new.
        """
        found: dict[str, dict[str, Any]] = {}
        for _ in range(_READS_OF_A_MOVING_LIST):
            page_count, before = 0, len(found)
            for page in self.campaign_pages():
                page_count += 1
                found.update((str(item["Id"]), item) for item in page)
            if page_count < 2 or len(found) == before:
                break
        return list(found.values())

    def campaign_pages(self) -> Iterator[list[dict[str, Any]]]:
        """Yield pages of campaigns until the answer names no further offset."""
        offset = 0
        before: list[str] = []

        def is_another_page(result: dict[str, Any]) -> None:
            page = result.get("Campaigns") or []
            if not isinstance(page, list) or not all("Id" in item for item in page):
                raise SourceContractError(
                    "campaigns.get answered no list of campaigns", account=self._account
                )
            if page and [str(item["Id"]) for item in page] == before:
                raise SourceContractError(
                    "two pages of campaigns hold the same rows", account=self._account
                )

        while True:
            result = self._call(
                "campaigns",
                "get",
                {
                    "SelectionCriteria": {},
                    "FieldNames": list(CAMPAIGN_FIELDS),
                    "Page": {"Limit": _PAGE_LIMIT, "Offset": offset},
                },
                check=is_another_page,
            )
            page = result.get("Campaigns") or []
            yield page
            before[:] = [str(item["Id"]) for item in page]
            following = result.get("LimitedBy")
            if following is None:
                return
            if int(following) <= offset:
                raise SourceContractError(
                    f"campaigns: LimitedBy {following} does not move on from offset {offset}",
                    account=self._account,
                )
            offset = int(following)

    def changed_since(
        self, campaign_ids: Sequence[int], timestamp: dt.datetime
    ) -> tuple[dt.date | None, dt.datetime]:
        """Return the first day whose statistics changed, or None, and the next timestamp.

        Args:
            campaign_ids: Campaigns to ask about.
            timestamp: What the last check returned, naive UTC.
        """
        border: dt.date | None = None
        following: dt.datetime | None = None
        for start in range(0, len(campaign_ids), _CHECKED_CAMPAIGNS):
            result = self._call(
                "changes",
                "check",
                {
                    "CampaignIds": list(campaign_ids[start : start + _CHECKED_CAMPAIGNS]),
                    "Timestamp": timestamp.replace(microsecond=0).isoformat() + "Z",
                    "FieldNames": ["CampaignsStat"],
                },
            )
            for changed in (result.get("Modified") or {}).get("CampaignsStat") or []:
                day = dt.date.fromisoformat(changed["BorderDate"])
                border = day if border is None else min(border, day)
            # Several answers: the earliest timestamp loses no change.
            answered = self._timestamp(result.get("Timestamp"))
            following = answered if following is None else min(following, answered)
        return border, following or timestamp

    def daily_report(self, first: dt.date, last: dt.date, salt: str = "") -> list[ReportRow]:
        """Return the rows of all campaigns from one day to another, both included.

        A period that Direct cannot make in time, or that fills the row limit, is cut in halves.

        Args:
            first: First Moscow day.
            last: Last Moscow day.
            salt: Makes the report another one than a stored one of the same definition: a ready
                report is kept for hours, and days that still change would come back as they were.
        """
        attempts = 0
        while True:
            try:
                rows = self._report(first, last, salt)
            except ReportTooLongError:
                if first < last:
                    break
                attempts += 1
                if attempts >= _DAY_ATTEMPTS:
                    raise
                self._sleep(2.0**attempts)
            else:
                if len(rows) < _REPORT_ROW_LIMIT or first == last:
                    return rows
                break
        middle = first + (last - first) // 2
        return [
            *self.daily_report(first, middle, salt),
            *self.daily_report(middle + dt.timedelta(days=1), last, salt),
        ]

    def _report(self, first: dt.date, last: dt.date, salt: str) -> list[ReportRow]:
        definition = self._definition(first, last)
        name = report_name(definition, self._token, self._settings.client_login, salt)
        # One place in the vendor's queue per report, from the order to the last line.
        with self._queue:
            try:
                response = self._ask_report(definition, name)
            except ReportNameClashError:
                name = report_name(
                    definition,
                    self._token,
                    self._settings.client_login,
                    f"{salt} {time.time_ns()}",
                )
                response = self._ask_report(definition, name)
        return self._parsed(response.content, first, last)

    def _definition(self, first: dt.date, last: dt.date) -> dict[str, Any]:
        return {
            "SelectionCriteria": {"DateFrom": first.isoformat(), "DateTo": last.isoformat()},
            "FieldNames": list(REPORT_FIELDS),
            "Page": {"Limit": _REPORT_ROW_LIMIT},
            "OrderBy": [{"Field": "Date", "SortOrder": "ASCENDING"}],
            "ReportType": "CUSTOM_REPORT",
            "DateRangeType": "CUSTOM_DATE",
            "Format": "TSV",
            "IncludeVAT": self._settings.include_vat,
            "IncludeDiscount": "NO",
        }

    def _ask_report(self, definition: Mapping[str, Any], name: str) -> httpx.Response:
        body = {"params": {**definition, "ReportName": name}}
        days = definition["SelectionCriteria"]
        first = dt.date.fromisoformat(days["DateFrom"])
        last = dt.date.fromisoformat(days["DateTo"])

        def check(response: httpx.Response) -> None:
            if response.status_code == 200:
                self._parsed(response.content, first, last)

        return self._api.request(
            "POST", _REPORTS_PATH, json=body, headers=_REPORT_HEADERS, check=check
        )

    def _parsed(self, content: bytes, first: dt.date, last: dt.date) -> list[ReportRow]:
        try:
            lines = content.decode("utf-8-sig").split("\n")
        except UnicodeDecodeError:
            raise self._broken("is not UTF-8") from None
        names = lines[0].rstrip("\r").split("\t")
        if sorted(names) != sorted(REPORT_FIELDS):
            raise self._broken(f"starts with other columns than asked for ({lines[0][:80]!r})")
        places = [names.index(name) for name in REPORT_FIELDS]
        rows: list[ReportRow] = []
        seen: set[tuple[str, str]] = set()
        total: int | None = None
        for number, line in enumerate(lines[1:], start=2):
            text = line.rstrip("\r")
            if not text:
                continue
            if text.startswith(_SUMMARY) and text.removeprefix(_SUMMARY).strip().isdecimal():
                total = int(text.removeprefix(_SUMMARY))
                continue
            cells = text.split("\t")
            if len(cells) != len(names):
                raise self._broken(f"line {number} has {len(cells)} fields")
            fields = [cells[place] for place in places]
            if not first.isoformat() <= fields[0] <= last.isoformat():
                raise self._broken(f"line {number} is of {fields[0]}, outside {first} to {last}")
            if (fields[0], fields[1]) in seen:
                raise self._broken(f"has two rows for campaign {fields[1]} on {fields[0]}")
            seen.add((fields[0], fields[1]))
            rows.append(tuple(None if cell == _NULL else cell for cell in fields))
        if total is None:
            raise self._broken("ends before its last line")
        if total != len(rows):
            raise self._broken(f"has {len(rows)} rows and says {total}")
        return rows

    def _broken(self, reason: str) -> SourceContractError:
        return SourceContractError(
            f"the daily report {reason}", account=self._account, action="Run again"
        )

    def _call(
        self,
        service: str,
        method: str,
        params: Mapping[str, Any],
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        results: list[dict[str, Any]] = []

        def parse(response: httpx.Response) -> None:
            answer = self._api.json_of(response)
            result = answer.get("result") if isinstance(answer, dict) else None
            if not isinstance(result, dict):
                raise SourceContractError(
                    f"{service}.{method} answered without a result", account=self._account
                )
            if check is not None:
                check(result)
            results.append(result)

        response = self._api.request(
            "POST",
            f"json/v5/{service}",
            json={"method": method, "params": params},
            check=parse,
        )
        units = response.headers.get("units", "").split("/")
        if len(units) == 3 and all(part.isdigit() for part in units):
            self.units_left = int(units[1]), int(units[2])
        return results[-1]

    def _timestamp(self, text: object) -> dt.datetime:
        try:
            return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC).replace(tzinfo=None)
        except ValueError:
            raise SourceContractError(
                f"changes.check answered the timestamp {text!r}", account=self._account
            ) from None


def report_name(
    definition: Mapping[str, Any], token: str, client_login: str | None, salt: str
) -> str:
    """Return the name that makes equal reports of one owner the same job, and others different.

    Args:
        definition: All of the report but its name.
        token: The token, only as part of a keyed hash.
        client_login: The advertiser.
        salt: Tells apart reports of one definition made at different times.
    """
    text = json.dumps([definition, _REPORT_HEADERS, client_login, salt], sort_keys=True)
    key = blake2b(token.encode(), digest_size=32).digest()
    return f"voronka-{blake2b(text.encode(), digest_size=16, key=key).hexdigest()}"


def classifier(account: str) -> Callable[[httpx.Response], Verdict]:
    """Return what each answer of Direct means.

    Get services report errors with HTTP 200, reports with 400; the code comes as a number or text.

    Args:
        account: Source and label for messages.
    """

    def classify(response: httpx.Response) -> Verdict:
        status = response.status_code
        is_report = response.request.url.path.endswith("/reports")
        error = _error_of(response)
        if error is not None:
            return _verdict_on(error, response, account)
        if status in (201, 202) and is_report:
            return Verdict(
                "wait",
                _seconds(response, "retryIn", 5.0),
                RateLimitError(
                    "a report is still not ready", account=account, action="Run again later"
                ),
            )
        if status == 200:
            if is_html(response):
                return Verdict("retry", error=_html(response, account))
            return Verdict("ok")
        if status in (500, 502, 504) and is_report and not is_html(response):
            return Verdict("fatal", error=_too_long(status, account))
        if status == 502 and is_report:
            return Verdict("fatal", error=_too_long(status, account))
        if status == 429:
            return Verdict("slow_down")
        if status >= 500 or status == 408:
            return Verdict("retry")
        if status in (401, 403):
            return Verdict("fatal", error=_refused(f"HTTP {status}", account))
        if is_html(response):
            return Verdict("fatal", error=_html(response, account))
        return Verdict(
            "fatal",
            error=SourceContractError(
                f"{response.request.url.path} answered {status}", account=account
            ),
        )

    return classify


def _error_of(response: httpx.Response) -> dict[str, Any] | None:
    """Return the error object of a JSON answer; a report's text is never parsed."""
    if "json" not in response.headers.get("content-type", ""):
        return None
    if response.request.url.path.endswith("/reports") and response.status_code in (201, 202):
        return None
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else None


def _verdict_on(error: Mapping[str, Any], response: httpx.Response, account: str) -> Verdict:
    status = response.status_code
    is_report = response.request.url.path.endswith("/reports")
    code = _code(error)
    said = f"error {code}: {error.get('error_string') or ''}".rstrip(": ")
    detail = str(error.get("error_detail") or "")
    if detail:
        said = f"{said} ({detail})"
    if code == _QUEUE_IS_FULL:
        return Verdict(
            "wait",
            _seconds(response, "retryIn", _QUEUE_WAIT_SECONDS),
            RateLimitError(
                "the report queue of this advertiser stays full",
                account=account,
                action="Stop other programs that order reports, or run again later",
            ),
        )
    if code == _UNITS_ARE_SPENT:
        return Verdict(
            "wait",
            _UNITS_WAIT_SECONDS,
            RateLimitError(
                "the API units of this advertiser are spent",
                account=account,
                action="They come back hour by hour; run again later",
            ),
        )
    if code in _TOO_FAST:
        return Verdict("slow_down")
    if status in (500, 502, 504) and is_report:
        return Verdict("fatal", error=_too_long(status, account))
    if code in _TEMPORARY or status >= 500:
        return Verdict("retry")
    return Verdict("fatal", error=_fatal(code, said, account, is_report=is_report))


def _fatal(code: int | None, said: str, account: str, *, is_report: bool) -> IngestError:
    if code == 53:
        return _refused(said, account)
    if code == 54:
        return AuthenticationError(
            said,
            account=account,
            action="Give the token's owner access to this advertiser, or set client_login",
        )
    if code == 58:
        return AuthenticationError(
            said,
            account=account,
            action="Finish the application's access request in Direct's API settings",
        )
    if code == 8800:
        return AuthenticationError(
            said, account=account, action="Check client_login: Direct does not know it"
        )
    if is_report and "name" in said.lower() and "report" in said.lower():
        return ReportNameClashError(said, account=account)
    return SourceContractError(said, account=account)


def _refused(said: str, account: str) -> AuthenticationError:
    return AuthenticationError(
        f"the token is not accepted ({said})",
        account=account,
        action="Make a new OAuth token with access to Direct and set it as the secret token",
    )


def _too_long(status: int, account: str) -> ReportTooLongError:
    return ReportTooLongError(
        f"the report service answered {status} even for a single day",
        account=account,
        action="Direct's side fails; run again later",
    )


def _html(response: httpx.Response, account: str) -> SourceContractError:
    return SourceContractError(
        f"{response.request.url.path} answered {response.status_code} with an HTML page",
        account=account,
        action="Check the address in url and the proxy: this is not the API",
    )


def _code(error: Mapping[str, Any]) -> int | None:
    try:
        return int(error.get("error_code", ""))
    except (TypeError, ValueError):
        return None


def _seconds(response: httpx.Response, header: str, default: float) -> float:
    try:
        return max(float(response.headers.get(header, "")), 0.05)
    except ValueError:
        return default
