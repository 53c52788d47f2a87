"""VK Ads of a simulated firm: tokens, lists of ad plans, groups and banners, daily statistics."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import orjson

from ingest.demo.amocrm_records import NEVER, integers
from ingest.demo.http import Call, Clock, Reply, Statistics
from ingest.demo.story import MOSCOW_OFFSET_SECONDS
from ingest.demo.tables import CompanyTables

PLATFORM = "vk_ads"
_EPOCH = dt.date(1970, 1, 1)
_DAY_SECONDS = 86_400
_STATUSES = frozenset({"active", "blocked", "deleted"})
_METRICS = frozenset(
    {
        *("all", "base", "events", "video", "carousel", "ad_offers", "uniques", "uniques_video"),
        *("tps", "romi", "playable", "custom_event", "social_network"),
    }
)
_DEFAULT_FIELDS = {
    "ad_plans": ("id", "name"),
    "ad_groups": ("id", "name", "package_id", "last_updated"),
    "banners": ("id", "ad_group_id", "moderation_status", "ord_marker"),
}
# The time filter of each list; ad plans have none.
_TIME_FIELD = {"ad_groups": "last_updated", "banners": "updated"}
_PARENT_FIELD = {"ad_groups": "ad_plan_id", "banners": "ad_group_id"}
_WRONG_IDS = {"ad_plans": "ERR_WRONG_ADPLANS", "ad_groups": "ERR_WRONG_ADGROUPS",
"banners": "ERR_WRONG_BANNERS"}  # fmt: skip


@dataclass(frozen=True)
class VkOptions:
    """How the advertiser's account and its server behave.

    Attributes:
        client_id: Of the API client; made up if it is not given.
        client_secret: Alike.
        is_agency_client: Tokens are given for `agency_client_credentials` only.
        token_limit: Tokens that may exist at once; one more is refused with 403.
        token_seconds: Life of an access token on the simulated clock.
        rotates_refresh_token: A refresh replaces the refresh token too.
        numbers_as_text: Whether expires_in comes as text or as a number.
        requests_per_second: Per user and method in a calendar second; None: no limit.
        requests_per_hour: Alike, in an hour of the simulated clock.
        requests_per_day: Alike, in a Moscow day of the simulated clock.
        page_limit: The greatest page of a list; a greater limit is cut to it.
        ids_per_request: The greatest number of ids in one request of statistics.
        history_days: Depth of statistics and the longest period of one request.
        zero_filled_days: Days without shows come as rows of zeros, not as missing rows.
        includes_vat: Whether `spent` holds the tax.
        poisoned_ids: Listed ids that statistics refuse as unknown.
        wrong_ids_status: 400 or 404, how unknown ids are refused.
        deleted_after_days: A plan without shows for so long counts as deleted.
        seconds_per_request: The simulated clock goes on with every request.
    """

    client_id: str | None = None
    client_secret: str | None = None
    is_agency_client: bool = False
    token_limit: int = 5
    token_seconds: int = 86_400
    rotates_refresh_token: bool = False
    numbers_as_text: bool = True
    requests_per_second: int | None = 20
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    page_limit: int = 50
    ids_per_request: int = 200
    history_days: int = 366
    zero_filled_days: bool = False
    includes_vat: bool = False
    poisoned_ids: tuple[int, ...] = ()
    wrong_ids_status: int = 400
    deleted_after_days: int = 60
    seconds_per_request: int = 0


class _RefusedError(Exception):
    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        *,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.fields = status, code, text, fields


@dataclass
class _Token:
    """A token object; a refresh changes its access token and makes no new object."""

    access_token: str
    refresh_token: str
    expires_at: int


class _CalendarLimits:
    """Requests per user and method, counted in calendar periods, as the vendor counts."""

    def __init__(self, options: VkOptions, now: Callable[[], float], clock: Clock) -> None:
        self._now, self._clock = now, clock
        self._limits = {
            "RPS": options.requests_per_second,
            "Hourly": options.requests_per_hour,
            "Daily": options.requests_per_day,
        }
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def _period(self, name: str) -> int:
        if name == "RPS":
            return int(self._now())
        local = self._clock.now + MOSCOW_OFFSET_SECONDS
        return local // (3600 if name == "Hourly" else _DAY_SECONDS)

    def take(self, method: str) -> tuple[bool, dict[str, str]]:
        """Count a request unless a limit is reached; return whether it is, and the headers."""
        keys = {name: (method, name, self._period(name)) for name in self._limits}
        given = {name: limit for name, limit in self._limits.items() if limit is not None}
        is_exceeded = any(self._counts[keys[name]] >= limit for name, limit in given.items())
        headers: dict[str, str] = {}
        for name, limit in given.items():
            if not is_exceeded:
                self._counts[keys[name]] += 1
            left = max(limit - self._counts[keys[name]], 0)
            headers[f"X-RateLimit-{name}-Limit"] = str(limit)
            headers[f"X-RateLimit-{name}-Remaining"] = str(left)
        return is_exceeded, headers


class VkServer:
    """VK Ads for one firm; `answer` is the whole of it."""

    def __init__(
        self,
        tables: CompanyTables,
        options: VkOptions | None = None,
        now: int | None = None,
        *,
        real_time: Callable[[], float] = time.time,
    ) -> None:
        self.options = options or VkOptions()
        self.client_id = self.options.client_id or secrets.token_hex(8)
        self.client_secret = self.options.client_secret or secrets.token_hex(24)
        self.clock = Clock(tables.now if now is None else now, self.options.seconds_per_request)
        self.statistics = Statistics()
        self._plans = [c for c in tables.ad_campaigns.to_pylist() if c["platform"] == PLATFORM]
        self.login = self._plans[0]["account_login"] if self._plans else "demo"
        self._plan_ids = {plan["campaign_id"] for plan in self._plans}
        spend = tables.ad_spend
        served = np.isin(integers(spend, "campaign_id"), list(self._plan_ids)) & np.array(
            [platform == PLATFORM for platform in spend.column("platform").to_pylist()],
            dtype=np.bool_,
        )
        self._day = (
            spend.column("spend_date").to_numpy().astype("datetime64[D]").astype(np.int64)[served]
        )
        self._campaign = integers(spend, "campaign_id")[served]
        self._impressions = integers(spend, "impressions")[served]
        self._clicks = integers(spend, "clicks")[served]
        self._cost = integers(spend, "cost_micros")[served]
        self._vat = integers(spend, "vat_rate_percent", 0)[served]
        self._from = integers(spend, "known_from_at", -NEVER)[served]
        self._to = integers(spend, "known_to_at")[served]
        self._rows_of = {
            number: np.flatnonzero(self._campaign == number) for number in self._plan_ids
        }
        self._tokens: list[_Token] = []
        self._limits = _CalendarLimits(self.options, real_time, self.clock)

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request."""
        path = call.path.rstrip("/")
        headers: dict[str, str] = {}
        try:
            if path.startswith("/api/v2/oauth2/"):
                return self._oauth(path.removeprefix("/api/v2/oauth2/"), call)
            self._check_token(call.headers)
            known = path.removeprefix("/api/v2/").removesuffix(".json")
            is_exceeded, headers = self._limits.take(known.split("/")[0])
            if is_exceeded:
                return Reply(429, b"", "text/plain", headers)
            body = self._routed(known, call)
            return Reply(200, orjson.dumps(body), headers=headers)
        except _RefusedError as refused:
            return self._error(refused, headers)

    @staticmethod
    def _error(refused: _RefusedError, headers: Mapping[str, str]) -> Reply:
        said: dict[str, Any] = {"code": refused.code, "message": refused.text}
        if refused.status == 401:
            challenge = (
                f'Bearer realm="api", error="{refused.code}", error_description="{refused.text}"'
            )
            return Reply(
                401, orjson.dumps(said), headers={**headers, "WWW-Authenticate": challenge}
            )
        if refused.fields is not None:
            said["fields"] = refused.fields
        return Reply(refused.status, orjson.dumps({"error": said}), headers=dict(headers))

    def _oauth(self, what: str, call: Call) -> Reply:
        if call.method != "POST":
            return Reply(405)
        form = {name: values[-1] for name, values in parse_qs(call.body.decode()).items()}
        is_client = secrets.compare_digest(
            form.get("client_id", ""), self.client_id
        ) and secrets.compare_digest(form.get("client_secret", ""), self.client_secret)
        if not is_client:
            raise _RefusedError(401, "invalid_client", "Invalid client id or secret provided")
        if what == "token/delete.json":
            self._tokens.clear()
            return Reply(204)
        if what != "token.json":
            raise _RefusedError(404, "ERR_WRONG_RESOURCE", "Unknown resource")
        token = self._granted(form)
        seconds = self.options.token_seconds
        body = {
            "access_token": token.access_token,
            "token_type": "bearer",
            "scope": ["read_ads", "read_payments"],
            "expires_in": str(seconds) if self.options.numbers_as_text else seconds,
            "refresh_token": token.refresh_token,
            "tokens_left": self.options.token_limit - len(self._tokens),
        }
        return Reply(200, orjson.dumps(body))

    def _granted(self, form: Mapping[str, str]) -> _Token:
        grant = form.get("grant_type")
        expires_at = self.clock.now + self.options.token_seconds
        if grant == "refresh_token":
            for token in self._tokens:
                if secrets.compare_digest(token.refresh_token, form.get("refresh_token", "")):
                    # The same object lives on: its old access token is dead from now on.
                    token.access_token, token.expires_at = secrets.token_hex(32), expires_at
                    if self.options.rotates_refresh_token:
                        token.refresh_token = secrets.token_hex(32)
                    return token
            raise _RefusedError(401, "invalid_token", "Unknown refresh token")
        is_agency = grant == "agency_client_credentials"
        if grant not in {"client_credentials", "agency_client_credentials"}:
            raise _RefusedError(400, "unsupported_grant_type", f"Unknown grant {grant}")
        if is_agency != self.options.is_agency_client:
            raise _RefusedError(403, "ERR_ACCESS_DENIED", f"The grant {grant} is not allowed")
        if is_agency and form.get("agency_client_name", form.get("agency_client_id")) != self.login:
            raise _RefusedError(401, "invalid_user", "Unknown client of the agency")
        # Tokens count whatever their state: an expired one still takes its place.
        if len(self._tokens) >= self.options.token_limit:
            raise _RefusedError(403, "token_limit_exceeded", "Active access token limit reached")
        token = _Token(secrets.token_hex(32), secrets.token_hex(32), expires_at)
        self._tokens.append(token)
        return token

    def _check_token(self, headers: Mapping[str, str]) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        for token in self._tokens:
            if scheme == "Bearer" and secrets.compare_digest(given, token.access_token):
                if token.expires_at <= self.clock.now:
                    raise _RefusedError(401, "expired_token", "Access token is expired")
                return
        raise _RefusedError(401, "invalid_token", "Unknown access token")

    def _routed(self, path: str, call: Call) -> Any:
        if call.method != "GET":
            raise _RefusedError(405, "ERR_WRONG_METHOD", "GET only")
        parsed = parse_qs(call.query, keep_blank_values=True)
        if path in _DEFAULT_FIELDS:
            return self._list(path, {name: values[-1] for name, values in parsed.items()})
        match path.split("/"):
            case ["statistics", kind, period] if kind in _WRONG_IDS and period in {
                "day",
                "summary",
            }:
                return self._statistics_of(kind, period, parsed)
            case ["throttling"]:
                return {}
        raise _RefusedError(404, "ERR_WRONG_RESOURCE", "Unknown resource")

    def _list(self, resource: str, query: dict[str, str]) -> dict[str, Any]:
        records = list(self._records(resource))
        known = set(records[0]) if records else None
        fields = query.pop("fields", None)
        names = tuple(fields.split(",")) if fields else _DEFAULT_FIELDS[resource]
        unknown = [name for name in names if known is not None and name not in known]
        if unknown:
            raise _RefusedError(
                400,
                "validation_failed",
                "Validation failed",
                fields={unknown[0]: {"code": "unallowed_field", "message": "Unknown field"}},
            )
        limit = min(_number(query.pop("limit", "20")), self.options.page_limit)
        offset = _number(query.pop("offset", "0"))
        order = query.pop("sorting", None)
        # Deleted ones come only to those who ask for them.
        wanted = _STATUSES - {"deleted"}
        for name, value in query.items():
            field, _, lookup = name.removeprefix("_").partition("__")
            if not name.startswith("_"):
                continue
            if field == "status":
                wanted = _statuses(lookup, value)
            elif field == "id" or field == _PARENT_FIELD.get(resource):
                ids = {_number(part) for part in value.split(",")}
                records = [record for record in records if record[field] in ids]
            elif field == _TIME_FIELD.get(resource):
                records = [record for record in records if _compares(record[field], lookup, value)]
            else:
                raise _RefusedError(400, "ERR_WRONG_PARAMETER", f"Unknown filter {name}")
        records = [record for record in records if record["status"] in wanted]
        for part in reversed((order or "id").split(",")):
            key = part.removeprefix("-")
            if key not in {"id", "name", "status"}:
                raise _RefusedError(400, "ERR_WRONG_PARAMETER", f"Unknown sorting {part}")
            records.sort(key=itemgetter(key), reverse=part.startswith("-"))
        return {
            "count": len(records),
            "offset": offset,
            "items": [
                {name: record[name] for name in names}
                for record in records[offset : offset + limit]
            ],
        }

    def _records(self, resource: str) -> Iterator[dict[str, Any]]:
        """Yield the plans that exist now, or what hangs on them, as VK tells them."""
        local_now = self.clock.now + MOSCOW_OFFSET_SECONDS
        today = _EPOCH + dt.timedelta(days=local_now // _DAY_SECONDS)
        for plan in self._plans:
            number = plan["campaign_id"]
            started = plan["started_on"] or today
            if started > today:
                continue
            rows = self._rows_of[number]
            days = self._day[rows[self._from[rows] <= self.clock.now]]
            last = _EPOCH + dt.timedelta(days=int(days.max())) if len(days) else started
            gone_on = last + dt.timedelta(days=self.options.deleted_after_days)
            is_deleted = gone_on <= today
            # Somebody looks an active plan over on the first of every month.
            touched = max(started, today.replace(day=1))
            updated = f"{gone_on} 03:00:00" if is_deleted else f"{touched} 10:00:00"
            shared = {
                "status": "deleted" if is_deleted else "active",
                "created": f"{started} 10:00:00",
                "updated": min(updated, _local_text(local_now)),
            }
            if resource == "ad_plans":
                yield {
                    "id": number,
                    "name": plan["name"],
                    **shared,
                    "objective": "site_conversions",
                    "autobidding_mode": "max_goals",
                    "budget_limit": None,
                    "budget_limit_day": "5000.00",
                    "date_start": started.isoformat(),
                    "date_end": None,
                }
                continue
            for group in range(1, 3):
                group_id = number * 10 + group
                if resource == "ad_groups":
                    yield {
                        "id": group_id,
                        "name": f"{plan['name']} · {group}",
                        **shared,
                        "last_updated": shared["updated"],
                        "ad_plan_id": number,
                        "package_id": 3122,
                        "objective": "site_conversions",
                        "autobidding_mode": "max_goals",
                        "budget_limit": None,
                        "budget_limit_day": None,
                        "date_start": started.isoformat(),
                        "date_end": None,
                        "delivery": "not_delivering" if is_deleted else "delivering",
                        "price": "0.00",
                        "max_price": "0.00",
                        "enable_utm": True,
                        "utm": f"utm_source=vk&utm_medium=cpc&utm_campaign={number}"
                        f"&utm_content={group_id}",
                    }
                    continue
                for banner in range(1, 3):
                    yield {
                        "id": group_id * 10 + banner,
                        "name": f"Объявление {banner}",
                        **shared,
                        "ad_group_id": group_id,
                        "delivery": "not_delivering" if is_deleted else "delivering",
                        "moderation_status": "allowed",
                        "ord_marker": f"2VtzqvK{group_id}{banner}",
                        "urls": {"primary": {"id": 98_574_325, "url": "https://demo.example/"}},
                    }

    def _statistics_of(
        self, kind: str, period: str, query: Mapping[str, list[str]]
    ) -> dict[str, Any]:
        texts = [text for given in query.get("id", []) for text in given.split(",")]
        if not texts or "" in texts:
            raise _RefusedError(400, "ERR_WRONG_PARAMETER", "id is required")
        ids = list(dict.fromkeys(_number(text) for text in texts))
        if len(ids) > self.options.ids_per_request:
            raise _RefusedError(400, "ERR_LIMIT_EXCEEDED", "Too many objects")
        metrics = set(query.get("metrics", ["base"])[-1].split(","))
        attribution = query.get("attribution", ["conversion"])[-1]
        if not metrics <= _METRICS or attribution not in {"conversion", "impression"}:
            raise _RefusedError(400, "ERR_WRONG_PARAMETER", "metrics or attribution")
        first, last = self._period(query) if period == "day" else (_EPOCH, self._today())
        # All shows of a plan are its first group's first banner's.
        share, shown = {"ad_plans": (1, 0), "ad_groups": (10, 1), "banners": (100, 11)}[kind]
        refused = set(self.options.poisoned_ids)
        known = {record["id"] for record in self._records(kind)}
        if any(number not in known or number in refused for number in ids):
            if self.options.wrong_ids_status == 404:
                raise _RefusedError(404, "ERR_WRONG_IDS", "Unknown ids")
            raise _RefusedError(400, _WRONG_IDS[kind], "Objects do not exist or are not available")
        items = []
        for number in ids:
            has_shows = number % share == shown
            days = dict(self._days_of(number // share, first, last)) if has_shows else {}
            rows = [{"date": day, "base": _base(*figures)} for day, figures in days.items()]
            if self.options.zero_filled_days:
                count = (last - first).days + 1
                dates = [(first + dt.timedelta(days=n)).isoformat() for n in range(count)]
                rows = [{"date": day, "base": _base(*days.get(day, (0, 0, 0)))} for day in dates]
            item: dict[str, Any] = {"id": number, "total": {"base": _total(days)}}
            items.append({**item, "rows": rows} if period == "day" else item)
        return {"items": items, "total": {"base": {}}}

    def _today(self) -> dt.date:
        local = self.clock.now + MOSCOW_OFFSET_SECONDS
        return _EPOCH + dt.timedelta(days=local // _DAY_SECONDS)

    def _period(self, query: Mapping[str, list[str]]) -> tuple[dt.date, dt.date]:
        try:
            first = dt.date.fromisoformat(query["date_from"][-1])
            last = dt.date.fromisoformat(query["date_to"][-1])
        except (KeyError, ValueError):
            raise _RefusedError(400, "ERR_WRONG_DATE", "date_from and date_to") from None
        if first > last:
            raise _RefusedError(400, "ERR_WRONG_DATE", "date_from is after date_to")
        depth = self.options.history_days
        if (last - first).days + 1 > depth:
            raise _RefusedError(400, "ERR_LIMIT_EXCEEDED", "Too many dates")
        if (self._today() - first).days + 1 > depth:
            raise _RefusedError(
                400, "ERR_WRONG_DATE", f"No statistics before the last {depth} days"
            )
        return first, last

    def _days_of(
        self, plan_id: int, first: dt.date, last: dt.date
    ) -> Iterator[tuple[str, tuple[int, int, int]]]:
        """Yield each day with figures: shows, clicks, kopecks spent, as told at this moment."""
        rows, now = self._rows_of[plan_id], self.clock.now
        low, high = (first - _EPOCH).days, (last - _EPOCH).days
        kept = rows[
            (self._from[rows] <= now)
            & (self._to[rows] > now)
            & (self._day[rows] >= low)
            & (self._day[rows] <= high)
        ]
        for row in kept[np.argsort(self._day[kept], kind="stable")].tolist():
            cost = int(self._cost[row])
            if self.options.includes_vat:
                cost = cost * (100 + int(self._vat[row])) // 100
            day = _EPOCH + dt.timedelta(days=int(self._day[row]))
            yield (
                day.isoformat(),
                (int(self._impressions[row]), int(self._clicks[row]), round(cost / 10_000)),
            )


def _base(shows: int, clicks: int, kopecks: int) -> dict[str, Any]:
    """Return the figures of a day; money is text, `0` without decimals where there is none."""
    goals = clicks // 50
    return {
        "shows": shows,
        "clicks": clicks,
        "goals": goals,
        "spent": _money(kopecks),
        "cpm": _money(kopecks * 1000 // shows if shows else 0),
        "cpc": _money(kopecks // clicks if clicks else 0),
        "cpa": _money(kopecks // goals if goals else 0),
        "ctr": round(100 * clicks / shows, 3) if shows else 0,
        "cr": round(100 * goals / clicks, 3) if clicks else 0,
        "vk": {"goals": goals, "cpa": _money(kopecks // goals if goals else 0), "cr": 0},
    }


def _total(days: Mapping[str, tuple[int, int, int]]) -> dict[str, Any]:
    shows, clicks, kopecks = (
        sum(figures[place] for figures in days.values()) for place in range(3)
    )
    return _base(shows, clicks, kopecks)


def _money(kopecks: int) -> str:
    return f"{kopecks // 100}.{kopecks % 100:02d}" if kopecks else "0"


def _local_text(local_seconds: int) -> str:
    moment = dt.datetime.fromtimestamp(local_seconds, tz=dt.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _number(text: str) -> int:
    if not text.isdigit():
        raise _RefusedError(400, "ERR_WRONG_PARAMETER", f"{text!r} is no number")
    return int(text)


def _statuses(lookup: str, value: str) -> frozenset[str]:
    given = frozenset(value.split(","))
    if not given <= _STATUSES:
        raise _RefusedError(400, "ERR_WRONG_PARAMETER", "Unknown status")
    return _STATUSES - given if lookup == "ne" else given


def _compares(moment: str, lookup: str, value: str) -> bool:
    try:
        dt.datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - compared as text
    except ValueError:
        raise _RefusedError(400, "ERR_WRONG_PARAMETER", f"{value!r} is no time") from None
    answers = {
        "gt": moment > value,
        "gte": moment >= value,
        "lt": moment < value,
        "lte": moment <= value,
    }
    if lookup not in answers:
        raise _RefusedError(400, "ERR_WRONG_PARAMETER", f"Unknown comparison {lookup}")
    return answers[lookup]
