"""Yandex Direct v5 of a simulated firm: campaigns, reports and changes, with its habits."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from ingest.demo.amocrm_records import NEVER, integers
from ingest.demo.http import Call, Clock, RateWindow, Reply, Statistics
from ingest.demo.story import MOSCOW_OFFSET_SECONDS
from ingest.demo.tables import CompanyTables

PLATFORM = "yandex_direct"
_READY_REPORT_SECONDS = 5 * 3600
_HISTORY_MONTHS = 36
_METRICS = ("Impressions", "Clicks", "Cost", "Ctr", "AvgCpc")
_DIMENSIONS = ("Date", "CampaignId", "CampaignName", "CampaignType")
# Known columns of reports that this firm has no figures for: they come as "--".
_EMPTY = ("Conversions", "ConversionRate", "CostPerConversion", "Revenue", "AdGroupId",
"AdGroupName", "AdId", "BounceRate", "AvgPageviews")  # fmt: skip
_REPORT_TYPES = ("ACCOUNT", "CAMPAIGN", "ADGROUP", "AD", "CRITERIA", "CUSTOM")
_ATTRIBUTION = ("FCCD", "LC", "LSCCD", "AUTO", "FC", "LSC", "LYDC", "LYDCCD")


@dataclass(frozen=True)
class DirectOptions:
    """How the advertiser's account and its server behave.

    Attributes:
        token: The OAuth token; made up if it is not given.
        is_agency_token: The token is an agency's: Client-Login must name the advertiser.
        requests_per_window: Report requests per `window_seconds` and advertiser; None: no limit.
        window_seconds: See requests_per_window. The vendor's pair is 20 in 10 s.
        rate_error_code: 506 or 56, what the excess is called.
        queue_length: Reports that may be in the making at once.
        offline_above_days: In mode auto, longer periods are made offline; None: never.
        polls_until_ready: Requests of the same offline report that get 201 or 202 before the report
            itself.
        retry_in_seconds: The header retryIn of 201 and 202.
        too_long_above_days: Longer periods are answered 502; None: never.
        failures: How many of the first report requests are answered 500.
        error_code_as_text: Whether error_code and request_id come as text or as numbers.
        units_per_day: Units of the advertiser; when they are spent, error 152.
        campaigns_page_limit: The greatest page of campaigns.get.
        seconds_per_request: The simulated clock goes on with every request.
    """

    token: str | None = None
    is_agency_token: bool = False
    requests_per_window: int | None = 20
    window_seconds: float = 10.0
    rate_error_code: int = 506
    queue_length: int = 5
    offline_above_days: int | None = None
    polls_until_ready: int = 2
    retry_in_seconds: int = 1
    too_long_above_days: int | None = None
    failures: int = 0
    error_code_as_text: bool = True
    units_per_day: int = 160_000
    campaigns_page_limit: int = 10_000
    seconds_per_request: int = 0


class _RefusedError(Exception):
    def __init__(self, code: int, text: str, detail: str = "", status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.detail, self.status = code, text, detail, status


@dataclass
class _Job:
    """A report somebody asked for by name."""

    definition: str
    made_at: int
    polls_left: int
    body: bytes | None = None


class DirectServer:
    """Direct for one firm; `answer` is the whole of it."""

    def __init__(
        self, tables: CompanyTables, options: DirectOptions | None = None, now: int | None = None
    ) -> None:
        self.options = options or DirectOptions()
        self.token = self.options.token or secrets.token_hex(32)
        self.clock = Clock(tables.now if now is None else now, self.options.seconds_per_request)
        self.statistics = Statistics()
        self._campaigns = [c for c in tables.ad_campaigns.to_pylist() if c["platform"] == PLATFORM]
        self.login = self._campaigns[0]["account_login"] if self._campaigns else "demo"
        self._by_id = {campaign["campaign_id"]: campaign for campaign in self._campaigns}
        spend = tables.ad_spend
        served = np.isin(integers(spend, "campaign_id"), list(self._by_id)) & np.array(
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
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._rate = RateWindow(self.options.requests_per_window, self.options.window_seconds)
        self._failures_left = self.options.failures
        self._units_left = self.options.units_per_day
        self._request_number = 8_695_244_274_068_608_000

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request."""
        self._request_number += 1
        path = call.path.rstrip("/").removeprefix("/json/v501").removeprefix("/json/v5")
        is_report = path == "/reports"
        try:
            login = self._login(call.headers)
            body = self._body(call)
            if is_report:
                return self._report(login, call, body)
            if path == "/campaigns":
                return self._get_campaigns(body)
            if path == "/changes":
                return self._changes(body)
            raise _RefusedError(55, "Operation not found", path)
        except _RefusedError as refused:
            # Get services tell their errors with 200, the report service with 4xx and 5xx.
            return self._error(refused, refused.status if is_report else 200)

    def _error(self, refused: _RefusedError, status: int) -> Reply:
        as_text = self.options.error_code_as_text
        error = {
            "request_id": str(self._request_number) if as_text else self._request_number,
            "error_code": str(refused.code) if as_text else refused.code,
            "error_string": refused.text,
            "error_detail": refused.detail,
        }
        return Reply(status, orjson.dumps({"error": error}), headers=self._headers())

    def _headers(self, spent: int = 0) -> dict[str, str]:
        self._units_left -= spent
        return {
            "RequestId": str(self._request_number),
            "Units": f"{spent}/{self._units_left}/{self.options.units_per_day}",
        }

    def _login(self, headers: Mapping[str, str]) -> str:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not secrets.compare_digest(token, self.token):
            raise _RefusedError(53, "Authorization error", "Invalid OAuth token")
        login = headers.get("client-login")
        if login is None:
            if self.options.is_agency_token:
                raise _RefusedError(
                    8000, "Invalid request", "The Client-Login header is required for an agency"
                )
            return self.login
        if login != self.login:
            raise _RefusedError(54, "No rights", "No rights to the indicated client")
        return login

    @staticmethod
    def _body(call: Call) -> dict[str, Any]:
        if call.method != "POST":
            raise _RefusedError(8000, "Invalid request", "POST is required")
        try:
            body = orjson.loads(call.body)
        except orjson.JSONDecodeError:
            raise _RefusedError(8000, "Invalid request", "The body is not JSON") from None
        if not isinstance(body, dict) or not isinstance(body.get("params"), dict):
            raise _RefusedError(8000, "Invalid request", "params is required")
        return body

    def _spend_units(self, units: int) -> None:
        if self._units_left < units:
            raise _RefusedError(152, "Not enough units")

    def _get_campaigns(self, body: dict[str, Any]) -> Reply:
        if body.get("method") != "get":
            raise _RefusedError(55, "Operation not supported", str(body.get("method")))
        self._spend_units(10)
        params = body["params"]
        names = params.get("FieldNames")
        if not names:
            raise _RefusedError(8000, "Invalid request", "FieldNames is required")
        wanted = (params.get("SelectionCriteria") or {}).get("Ids")
        page = params.get("Page") or {}
        limit = min(
            int(page.get("Limit", self.options.campaigns_page_limit)),
            self.options.campaigns_page_limit,
        )
        offset = int(page.get("Offset", 0))
        chosen = [c for c in self._campaigns if wanted is None or c["campaign_id"] in wanted]
        part = chosen[offset : offset + limit]
        result: dict[str, Any] = {"Campaigns": [self._campaign_record(c, names) for c in part]}
        if offset + limit < len(chosen):
            result["LimitedBy"] = offset + limit
        if not part:
            result = {}
        return Reply(200, orjson.dumps({"result": result}), headers=self._headers(10 + len(part)))

    @staticmethod
    def _campaign_record(campaign: dict[str, Any], names: list[str]) -> dict[str, Any]:
        started = campaign["started_on"]
        known = {
            "Id": campaign["campaign_id"],
            "Name": campaign["name"],
            "Type": campaign["campaign_type"],
            "Status": "ACCEPTED",
            "State": "ON",
            "StatusPayment": "ALLOWED",
            "StatusClarification": "Идут показы",
            "Currency": campaign["currency_code"],
            "StartDate": started.isoformat() if started else None,
            "EndDate": None,
            "TimeZone": "Europe/Moscow",
            "ClientInfo": "Дубрава",
            "DailyBudget": None,
        }
        unknown = [name for name in names if name not in known]
        if unknown:
            raise _RefusedError(8000, "Invalid request", f"FieldNames contains {unknown[0]}")
        return {name: known[name] for name in names}

    def _changes(self, body: dict[str, Any]) -> Reply:
        method, params = body.get("method"), body["params"]
        self._spend_units(10)
        now = self.clock.now
        timestamp = dt.datetime.fromtimestamp(now, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if method == "checkDictionaries":
            return Reply(
                200, orjson.dumps({"result": {"Timestamp": timestamp}}), headers=self._headers(10)
            )
        if method != "check":
            raise _RefusedError(55, "Operation not supported", str(method))
        ids, since, names = (
            params.get("CampaignIds"),
            params.get("Timestamp"),
            params.get("FieldNames"),
        )
        if not ids or not since or not names:
            raise _RefusedError(
                8000, "Invalid request", "CampaignIds, Timestamp and FieldNames are required"
            )
        try:
            moment = int(dt.datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp())
        except ValueError:
            raise _RefusedError(8000, "Invalid request", f"Timestamp {since}") from None
        unknown = [number for number in ids if number not in self._by_id]
        result: dict[str, Any] = {"Modified": {}, "Timestamp": timestamp}
        if unknown:
            result["NotFound"] = {"CampaignIds": unknown}
        if "CampaignsStat" in names:
            # Told anew, or told for the last time: both are a change of that day.
            begun = (self._from > moment) & (self._from <= now)
            ended = (self._to > moment) & (self._to <= now)
            borders = []
            for number in ids:
                days = self._day[(begun | ended) & (self._campaign == number)]
                if len(days):
                    border = dt.date(1970, 1, 1) + dt.timedelta(days=int(days.min()))
                    borders.append({"CampaignId": number, "BorderDate": border.isoformat()})
            if borders:
                result["Modified"]["CampaignsStat"] = borders
        if "CampaignIds" in names:
            result["Modified"]["CampaignIds"] = []
        return Reply(200, orjson.dumps({"result": result}), headers=self._headers(10))

    def _report(self, login: str, call: Call, body: dict[str, Any]) -> Reply:
        if self._rate.is_exceeded(call.received_at):
            raise _RefusedError(
                self.options.rate_error_code, "Exceeded the number of requests", "20 per 10 seconds"
            )
        headers = call.headers
        params = body["params"]
        plan = self._checked(params)
        mode = headers.get("processingmode", "auto").lower()
        if mode not in {"online", "offline", "auto"}:
            raise _RefusedError(8000, "Invalid request", "processingMode")
        days = (plan["to"] - plan["from"]).days + 1
        if self._failures_left > 0:
            self._failures_left -= 1
            raise _RefusedError(
                1002, "Operation error", "The report could not be built", status=500
            )
        if self.options.too_long_above_days is not None and days > self.options.too_long_above_days:
            raise _RefusedError(
                1001, "Service unavailable", "The report takes too long", status=502
            )
        now = self.clock.now
        self._jobs = {
            k: j for k, j in self._jobs.items() if now - j.made_at < _READY_REPORT_SECONDS
        }
        # What the answer looks like is part of the definition as much as what it holds.
        looks = [
            headers.get(name, "")
            for name in (
                "returnmoneyinmicros",
                "skipreportheader",
                "skipcolumnheader",
                "skipreportsummary",
            )
        ]
        definition = hashlib.sha256(
            orjson.dumps([params, looks], option=orjson.OPT_SORT_KEYS)
        ).hexdigest()
        key = (login, str(params["ReportName"]))
        job = self._jobs.get(key)
        if job is not None and job.definition != definition:
            raise _RefusedError(
                4000, "Invalid parameter", "A report with this name and other parameters exists"
            )
        offline = mode == "offline" or (
            mode == "auto"
            and self.options.offline_above_days is not None
            and days > self.options.offline_above_days
        )
        if not offline:
            return self._ready(self._rendered(plan, headers), headers)
        if job is None:
            waiting = sum(1 for other in self._jobs.values() if other.polls_left > 0)
            if waiting >= self.options.queue_length:
                raise _RefusedError(
                    9000, "Report queue is full", f"at most {self.options.queue_length} reports"
                )
            job = self._jobs[key] = _Job(definition, now, self.options.polls_until_ready)
            if job.polls_left > 0:
                job.polls_left -= 1
                return self._wait(201)
        elif job.polls_left > 0:
            job.polls_left -= 1
            return self._wait(202)
        if job.body is None:
            # Built once; asked again by the same name within hours, it is the same report, old
            # figures and all.
            job.body = self._rendered(plan, headers)
        return self._ready(job.body, headers)

    def _wait(self, status: int) -> Reply:
        waiting = sum(1 for job in self._jobs.values() if job.polls_left > 0)
        return Reply(
            status,
            headers={
                **self._headers(),
                "retryIn": str(self.options.retry_in_seconds),
                "reportsInQueue": str(waiting),
            },
        )

    def _ready(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        extra = self._headers()
        if "gzip" in headers.get("accept-encoding", ""):
            # A fixed time stamp in the gzip header keeps equal reports equal bytes.
            body = gzip.compress(body, compresslevel=3, mtime=0)
            extra["Content-Encoding"] = "gzip"
        return Reply(200, body, "text/tab-separated-values; charset=utf-8", extra)

    def _checked(self, params: dict[str, Any]) -> dict[str, Any]:
        for name in (
            "SelectionCriteria",
            "FieldNames",
            "ReportName",
            "ReportType",
            "DateRangeType",
            "Format",
            "IncludeVAT",
        ):
            if name not in params:
                raise _RefusedError(8000, "Invalid request", f"{name} is required")
        if params["Format"] != "TSV":
            raise _RefusedError(4000, "Invalid parameter", "Format must be TSV")
        if params["IncludeVAT"] not in {"YES", "NO"}:
            raise _RefusedError(4000, "Invalid parameter", "IncludeVAT must be YES or NO")
        kind = str(params["ReportType"])
        if kind not in {f"{name}_PERFORMANCE_REPORT" for name in _REPORT_TYPES} | {"CUSTOM_REPORT"}:
            raise _RefusedError(4000, "Invalid parameter", f"ReportType {kind}")
        goals, models = params.get("Goals") or [], params.get("AttributionModels") or ["AUTO"]
        if len(goals) > 10 or any(model not in _ATTRIBUTION for model in models):
            raise _RefusedError(4000, "Invalid parameter", "Goals or AttributionModels")
        known = {*_METRICS, *_DIMENSIONS, *_EMPTY}
        for name in params["FieldNames"]:
            if name not in known:
                raise _RefusedError(4000, "Invalid parameter", f"FieldNames contains {name}")
        columns: list[str] = []
        for name in params["FieldNames"]:
            if goals and name in {"Conversions", "Revenue", "CostPerConversion"}:
                columns += [f"{name}_{goal}_{model}" for goal in goals for model in models]
            else:
                columns.append(name)
        first, last = self._period(params)
        return {
            "from": first,
            "to": last,
            "fields": list(params["FieldNames"]),
            "columns": columns,
            "filters": (params["SelectionCriteria"] or {}).get("Filter") or [],
            "name": str(params["ReportName"]),
            "vat": params["IncludeVAT"] == "YES",
            "limit": int((params.get("Page") or {}).get("Limit", 1_000_000)),
            "order": params.get("OrderBy") or [],
        }

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self.clock.now + MOSCOW_OFFSET_SECONDS, tz=dt.UTC).date()

    def _period(self, params: dict[str, Any]) -> tuple[dt.date, dt.date]:
        today, kind = self._today(), str(params["DateRangeType"])
        criteria = params["SelectionCriteria"] or {}
        oldest = _months_before(today.replace(day=1), _HISTORY_MONTHS)
        if kind != "CUSTOM_DATE" and ("DateFrom" in criteria or "DateTo" in criteria):
            raise _RefusedError(4000, "Invalid parameter", "DateFrom and DateTo need CUSTOM_DATE")
        if kind == "CUSTOM_DATE":
            try:
                first = dt.date.fromisoformat(criteria["DateFrom"])
                last = dt.date.fromisoformat(criteria["DateTo"])
            except (KeyError, ValueError):
                raise _RefusedError(
                    4000, "Invalid parameter", "DateFrom and DateTo are required"
                ) from None
            if first > last:
                raise _RefusedError(4000, "Invalid parameter", "DateFrom is after DateTo")
            if first < oldest:
                raise _RefusedError(4001, "Invalid parameter", f"No statistics before {oldest}")
            return first, last
        day = dt.timedelta(days=1)
        monday = today - dt.timedelta(days=today.weekday())
        month = today.replace(day=1)
        fixed = {
            "TODAY": (today, today),
            "YESTERDAY": (today - day, today - day),
            "THIS_WEEK_MON_TODAY": (monday, today),
            "LAST_WEEK": (monday - 7 * day, monday - day),
            "THIS_MONTH": (month, today),
            "LAST_MONTH": ((month - day).replace(day=1), month - day),
            "ALL_TIME": (oldest, today),
            # The period in which figures can still have changed.
            "AUTO": (today - 3 * day, today),
        }
        if kind in fixed:
            return fixed[kind]
        if kind.startswith("LAST_") and kind.endswith("_DAYS") and kind[5:-5].isdigit():
            return today - int(kind[5:-5]) * day, today - day
        raise _RefusedError(4000, "Invalid parameter", f"DateRangeType {kind}")

    def _rendered(self, plan: dict[str, Any], headers: Mapping[str, str]) -> bytes:
        now = self.clock.now
        epoch = dt.date(1970, 1, 1)
        low, high = (plan["from"] - epoch).days, (plan["to"] - epoch).days
        kept = (self._from <= now) & (self._to > now) & (self._day >= low) & (self._day <= high)
        rows = np.flatnonzero(kept)
        dimensions = [name for name in plan["fields"] if name in _DIMENSIONS]
        groups: dict[tuple[Any, ...], list[int]] = {}
        for row in rows.tolist():
            campaign = self._by_id[int(self._campaign[row])]
            value = {
                "Date": (epoch + dt.timedelta(days=int(self._day[row]))).isoformat(),
                "CampaignId": campaign["campaign_id"],
                "CampaignName": campaign["name"].replace("\t", " ").replace("\n", " "),
                "CampaignType": campaign["campaign_type"],
            }
            cost = int(self._cost[row])
            if plan["vat"]:
                # To the kopeck, as the account is charged.
                cost = round(cost * (100 + int(self._vat[row])) / 100 / 10_000) * 10_000
            total = groups.setdefault(tuple(value[name] for name in dimensions), [0, 0, 0])
            for place, part in enumerate(
                (int(self._impressions[row]), int(self._clicks[row]), cost)
            ):
                total[place] += part
        micros = headers.get("returnmoneyinmicros", "true").lower() != "false"
        lines: list[dict[str, Any]] = []
        for keys, (impressions, clicks, cost) in groups.items():
            line: dict[str, Any] = dict(zip(dimensions, keys, strict=True))
            line |= {"Impressions": impressions, "Clicks": clicks, "Cost": cost}
            line["Ctr"] = f"{100 * clicks / impressions:.2f}" if impressions else None
            line["AvgCpc"] = cost // clicks if clicks else None
            if all(_passes(line, one) for one in plan["filters"]):
                lines.append(line)
        lines.sort(key=lambda line: tuple(str(line[name]) for name in dimensions))
        for order in reversed(plan["order"]):
            name = order.get("Field")
            if (
                name in {*_DIMENSIONS, "Impressions", "Clicks", "Cost"}
                and lines
                and name in lines[0]
            ):
                by: str = name
                lines.sort(key=itemgetter(by), reverse=order.get("SortOrder") == "DESCENDING")
        lines = lines[: plan["limit"]]

        def cell(line: dict[str, Any], name: str) -> str:
            value = line.get(name)
            if value is None:
                return "--"
            if name in {"Cost", "AvgCpc"}:
                return (
                    str(value)
                    if micros
                    else f"{value // 1_000_000}.{value % 1_000_000 // 10_000:02d}"
                )
            return str(value)

        text: list[str] = []
        if headers.get("skipreportheader", "false").lower() != "true":
            text.append(f'"{plan["name"]} ({plan["from"]} - {plan["to"]})"')
        if headers.get("skipcolumnheader", "false").lower() != "true":
            text.append("\t".join(plan["columns"]))
        text += ["\t".join(cell(line, name) for name in plan["columns"]) for line in lines]
        if headers.get("skipreportsummary", "false").lower() != "true":
            text.append(f"Total rows: {len(lines)}")
        return ("\n".join(text) + "\n").encode() if text else b""


def _months_before(day: dt.date, months: int) -> dt.date:
    count = day.year * 12 + day.month - 1 - months
    return dt.date(count // 12, count % 12 + 1, 1)


def _passes(line: dict[str, Any], condition: dict[str, Any]) -> bool:
    name, operator, values = (
        condition.get("Field"),
        condition.get("Operator"),
        condition.get("Values") or [],
    )
    if name not in line:
        raise _RefusedError(4000, "Invalid parameter", f"Filter by {name}")
    value = line[name]
    if isinstance(value, int):
        wanted = [int(one) for one in values]
        tests = {
            "EQUALS": value in wanted,
            "IN": value in wanted,
            "NOT_EQUALS": value not in wanted,
            "NOT_IN": value not in wanted,
            "GREATER_THAN": bool(wanted) and value > wanted[0],
            "LESS_THAN": bool(wanted) and value < wanted[0],
        }
    else:
        text = str(value)
        tests = {
            "EQUALS": text in values,
            "IN": text in values,
            "NOT_EQUALS": text not in values,
            "NOT_IN": text not in values,
            "STARTS_WITH_IGNORE_CASE": any(text.lower().startswith(str(v).lower()) for v in values),
            "STARTS_WITH_ANY_IGNORE_CASE": any(
                text.lower().startswith(str(v).lower()) for v in values
            ),
        }
    if operator not in tests:
        raise _RefusedError(4000, "Invalid parameter", f"Filter operator {operator}")
    return tests[operator]
