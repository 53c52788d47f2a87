"""Yandex Metrica of a simulated firm: its counter and the Logs API over visits, with its habits."""

from __future__ import annotations

import datetime as dt
import gzip
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa

from ingest.demo.amocrm_records import integers
from ingest.demo.arrow import Column, compute, holds_any
from ingest.demo.http import Call, Clock, RateWindow, Reply, Statistics
from ingest.demo.tables import CompanyTables

_MODELS = {"first": "FIRST", "last": "LAST", "lastsign": "LASTSIGN"}
_ATTRIBUTED = ("TrafficSource", "AdvEngine", "UTMSource", "UTMMedium", "UTMCampaign", "UTMContent",
"UTMTerm", "DirectClickOrder")  # fmt: skip
_DEVICES = {"desktop": "1", "mobile": "2", "tablet": "3"}
_INSIGNIFICANT = ("direct", "internal", "saved")
_LONGEST_DAYS = 366
_LONGEST_FIELDS = 3000
_LONGEST_WATCH_IDS = 500
_ESCAPED = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("'", "\\'"))
_NEEDS_ESCAPE = "".join(plain for plain, _ in _ESCAPED).encode()
_REQUEST = re.compile(r"/logrequest/(\d+)(?:/(clean|cancel)|/part/(\d+)/download)?")


@dataclass(frozen=True)
class MetricaOptions:
    """How the counter and its server behave.

    Attributes:
        token: The OAuth token; made up if it is not given.
        counter_id: The counter's number.
        counter_name: Its name.
        site: Its site.
        time_zone: Its zone: days and `dateTime` are told in it.
        created_at: When it was made, ISO 8601; default: at its first visit.
        utc_column_offset_hours: What `dateTimeUTC` really is; the vendor documents UTC+3.
        requests_per_second: Requests per second and address; None: no limit. The vendor's: 10.
        requests_per_window: Requests per `window_seconds` and user; None: no limit. The vendor's
            pair is 200 in 300 s.
        window_seconds: See requests_per_window.
        retry_after_seconds: The header Retry-After of 429; None: the server does not say.
        polls_until_processed: Looks at a request that show it as created before it is processed.
        processing_failures: How many of the first requests end as processing_failed.
        creation_failures: How many of the first orders are made and then answered 503.
        rows_per_part: Rows of one part of a log.
        storage_bytes: Room for all logs of the counter that were not cleaned.
        storage_error_status: The status of the refusal when there is no room.
        longest_days: More days than this cannot be made at once, evaluate says; None: a year.
        others_bytes: Sizes of processed logs that other programs left on the counter.
        arrays_are_escaped: Whether quotes in arrays come escaped, as the vendor does it.
        seconds_per_request: The simulated clock goes on with every request.
    """

    token: str | None = None
    counter_id: int = 44_147_844
    counter_name: str = "Дубрава"
    site: str = "dubrava.example"
    time_zone: str = "Europe/Moscow"
    created_at: str | None = None
    utc_column_offset_hours: int = 3
    requests_per_second: int | None = 10
    requests_per_window: int | None = 200
    window_seconds: float = 300.0
    retry_after_seconds: int | None = None
    polls_until_processed: int = 2
    processing_failures: int = 0
    creation_failures: int = 0
    rows_per_part: int = 50_000
    storage_bytes: int = 10_000_000_000
    storage_error_status: int = 400
    longest_days: int | None = None
    others_bytes: tuple[int, ...] = ()
    arrays_are_escaped: bool = True
    seconds_per_request: int = 0


class _RefusedError(Exception):
    def __init__(self, status: int, kind: str, text: str, location: str = "") -> None:
        super().__init__(text)
        self.status, self.kind, self.text, self.location = status, kind, text, location


@dataclass
class _Job:
    """A log somebody ordered."""

    number: int
    date1: str
    date2: str
    source: str
    fields: list[str]
    attribution: str
    status: str = "created"
    polls_left: int = 0
    fails: bool = False
    rows: Any = None
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def is_waiting(self) -> bool:
        return self.status == "created"

    @property
    def stored_bytes(self) -> int:
        return self.size if self.status == "processed" else 0


class MetricaServer:
    """Metrica for one firm; `answer` is the whole of it."""

    def __init__(
        self, tables: CompanyTables, options: MetricaOptions | None = None, now: int | None = None
    ) -> None:
        self.options = options or MetricaOptions()
        self.token = self.options.token or secrets.token_hex(32)
        self.counter_id = str(self.options.counter_id)
        self.clock = Clock(tables.now if now is None else now, self.options.seconds_per_request)
        self.statistics = Statistics()
        self.most_waiting_requests = 0
        self._visits = _Visits(tables, self.options)
        self._second = RateWindow(self.options.requests_per_second, 1.0)
        self._window = RateWindow(self.options.requests_per_window, self.options.window_seconds)
        self._processing_failures_left = self.options.processing_failures
        self._creation_failures_left = self.options.creation_failures
        self._jobs: dict[int, _Job] = {}
        for size in self.options.others_bytes:
            job = self._add("2026-01-01", "2026-01-31", ["ym:s:date", "ym:s:visitID"], "LASTSIGN")
            job.status, job.size = "processed", size

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Return all logs ever ordered, as the API shows them."""
        return [self._shown(job) for job in self._jobs.values()]

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request."""
        try:
            return self._routed(call)
        except _RefusedError as refused:
            error = {"error_type": refused.kind, "message": refused.text}
            if refused.location:
                error["location"] = refused.location
            headers = {}
            if refused.status == 429 and self.options.retry_after_seconds is not None:
                headers["Retry-After"] = str(self.options.retry_after_seconds)
            body = {"errors": [error], "code": refused.status, "message": refused.text}
            return Reply(refused.status, orjson.dumps(body), headers=headers)

    def _routed(self, call: Call) -> Reply:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme not in {"OAuth", "Bearer"} or not secrets.compare_digest(token, self.token):
            raise _RefusedError(403, "invalid_token", "Invalid oauth_token")
        # Both are counted: a refused request is no use of the other.
        if self._second.is_exceeded(call.received_at):
            raise _RefusedError(
                429, "quota_requests_by_ip", "Quota exceeded for requests by ip per second"
            )
        if self._window.is_exceeded(call.received_at):
            raise _RefusedError(
                429, "quota_requests_by_uid", "Quota exceeded for requests per 5 minutes"
            )
        path = call.path.rstrip("/")
        parameters = {name: values[-1] for name, values in parse_qs(call.query).items()}
        if call.method == "GET" and path == "/management/v1/counters":
            return _json({"rows": 1, "counters": [self._counter()]})
        head = f"/management/v1/counter/{self.counter_id}"
        if not path.startswith(head) or path[len(head) : len(head) + 1] not in {"", "/"}:
            raise _RefusedError(403, "access_denied", "Access is denied")
        rest = path.removeprefix(head)
        if call.method == "GET" and rest == "":
            return _json({"counter": self._counter()})
        if rest == "/logrequests/evaluate" and call.method == "GET":
            return self._evaluate(parameters)
        if rest == "/logrequests":
            if call.method == "POST":
                return self._create(parameters)
            self._work()
            return _json({"requests": self.requests})
        found = _REQUEST.fullmatch(rest)
        if found is None:
            raise _RefusedError(404, "not_found", f"No such method: {call.method} {path}")
        return self._one(call, int(found[1]), found[2], found[3])

    def _one(self, call: Call, number: int, verb: str | None, part: str | None) -> Reply:
        job = self._jobs.get(number)
        if job is None:
            raise _RefusedError(404, "not_found", f"Log request {number} is not found")
        if verb is not None:
            if call.method != "POST":
                raise _RefusedError(405, "method_not_allowed", "POST is required")
            due = {"clean": "processed", "cancel": "created"}[verb]
            if job.status != due:
                raise _RefusedError(
                    400, "invalid_parameter", f"Log request in status {job.status}: no {verb}"
                )
            job.status = {"clean": "cleaned_by_user", "cancel": "canceled"}[verb]
            job.parts, job.rows = [], None
            return _json({"log_request": self._shown(job)})
        if call.method != "GET":
            raise _RefusedError(405, "method_not_allowed", "GET is required")
        if part is None:
            self._work()
            return _json({"log_request": self._shown(job)})
        if job.status != "processed":
            raise _RefusedError(400, "invalid_parameter", "Log request is not processed")
        if int(part) >= len(job.parts):
            raise _RefusedError(404, "not_found", f"No part {part}")
        body = job.parts[int(part)]
        headers = {}
        if "gzip" in call.headers.get("accept-encoding", ""):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Reply(200, body, "text/tab-separated-values; charset=utf-8", headers)

    def _counter(self) -> dict[str, Any]:
        zone = ZoneInfo(self.options.time_zone)
        offset = dt.datetime.fromtimestamp(self.clock.now, tz=zone).utcoffset() or dt.timedelta()
        made = dt.datetime.fromtimestamp(self._visits.first_at, tz=zone)
        return {
            "id": self.options.counter_id,
            "status": "Active",
            "owner_login": "dubrava-owner",
            "code_status": "CS_OK",
            "name": self.options.counter_name,
            "site": self.options.site,
            "site2": {"site": self.options.site, "domain": self.options.site},
            "type": "simple",
            "permission": "view",
            "create_time": self.options.created_at or made.isoformat(),
            "time_zone_name": self.options.time_zone,
            "time_zone_offset": int(offset.total_seconds() // 60),
        }

    def _period(self, parameters: Mapping[str, str]) -> tuple[str, str, list[str], int]:
        for name in ("date1", "date2", "fields", "source"):
            if not parameters.get(name):
                raise _RefusedError(400, "invalid_parameter", f"{name} is required", name)
        if parameters["source"] != "visits":
            raise _RefusedError(400, "invalid_parameter", "Only visits are kept here", "source")
        try:
            first, last = (dt.date.fromisoformat(parameters[n]) for n in ("date1", "date2"))
        except ValueError:
            raise _RefusedError(400, "invalid_parameter", "Wrong date", "date1") from None
        today = dt.datetime.fromtimestamp(
            self.clock.now, tz=ZoneInfo(self.options.time_zone)
        ).date()
        if last >= today:
            raise _RefusedError(400, "invalid_parameter", "Last date must be before today", "date2")
        if first > last:
            raise _RefusedError(400, "invalid_parameter", "date1 is after date2", "date1")
        days = (last - first).days + 1
        if days > _LONGEST_DAYS:
            raise _RefusedError(400, "invalid_parameter", "The period exceeds one year", "date1")
        if len(parameters["fields"]) > _LONGEST_FIELDS:
            raise _RefusedError(400, "invalid_parameter", "fields are too long", "fields")
        names = parameters["fields"].split(",")
        for name in names:
            if not self._visits.knows(name):
                raise _RefusedError(400, "invalid_parameter", f"Unknown field {name}", "fields")
        return parameters["date1"], parameters["date2"], names, days

    def _room(self, days: int) -> tuple[bool, int]:
        """Return whether a log of so many days fits, and the most days that do."""
        used = sum(job.stored_bytes for job in self._jobs.values())
        free = max(self.options.storage_bytes - used, 0)
        possible = min(
            int(free // self._visits.bytes_per_day), self.options.longest_days or _LONGEST_DAYS
        )
        return days <= possible, possible

    def _evaluate(self, parameters: Mapping[str, str]) -> Reply:
        days = self._period(parameters)[3]
        fits, most = self._room(days)
        return _json(
            {"log_request_evaluation": {"possible": fits, "max_possible_day_quantity": most}}
        )

    def _create(self, parameters: Mapping[str, str]) -> Reply:
        date1, date2, names, days = self._period(parameters)
        if not self._room(days)[0]:
            raise _RefusedError(
                self.options.storage_error_status,
                "quota_log_storage",
                "Quota exceeded: logs of this counter may take 10 GB, clean those not needed",
            )
        job = self._add(date1, date2, names, parameters.get("attribution", "LASTSIGN"))
        job.rows = self._visits.rows(date1, date2, self.clock.now)
        if self._processing_failures_left > 0:
            self._processing_failures_left -= 1
            job.fails = True
        waiting = sum(1 for other in self._jobs.values() if other.is_waiting)
        self.most_waiting_requests = max(self.most_waiting_requests, waiting)
        if self._creation_failures_left > 0:
            self._creation_failures_left -= 1
            raise _RefusedError(503, "backend_error", "Backend error")
        return _json({"log_request": self._shown(job)})

    def _add(self, date1: str, date2: str, names: list[str], attribution: str) -> _Job:
        number = max(self._jobs, default=7_350_000) + 1
        job = _Job(number, date1, date2, "visits", names, attribution.upper())
        job.polls_left = self.options.polls_until_processed
        self._jobs[number] = job
        return job

    def _work(self) -> None:
        """Go on with the oldest waiting log: the counter's logs are made one after another."""
        job = next((job for job in self._jobs.values() if job.is_waiting), None)
        if job is None:
            return
        if job.polls_left > 0:
            job.polls_left -= 1
            return
        if job.fails:
            job.status, job.rows = "processing_failed", None
            return
        job.parts = self._visits.parts(job.rows, job.fields, self.options.rows_per_part)
        job.size = sum(len(part) for part in job.parts)
        job.status, job.rows = "processed", None

    def _shown(self, job: _Job) -> dict[str, Any]:
        shown = {
            "request_id": job.number,
            "counter_id": self.options.counter_id,
            "source": job.source,
            "date1": job.date1,
            "date2": job.date2,
            "fields": job.fields,
            "status": job.status,
            "size": job.size,
            "attribution": job.attribution,
        }
        if job.status == "processed":
            shown["parts"] = [
                {"part_number": number, "size": len(part)} for number, part in enumerate(job.parts)
            ]
        return shown


class _Visits:
    """The visits as columns of text in the vendor's writing, each made when first asked for."""

    def __init__(self, tables: CompanyTables, options: MetricaOptions) -> None:
        self._table = tables.visits
        self._options = options
        self._at = integers(self._table, "visited_at")
        known = integers(self._table, "known_from_at", 0)
        self._known = np.maximum(known, self._at)
        self._order = np.argsort(self._at, kind="stable")
        self._columns: dict[str, Column] = {}

    @property
    def first_at(self) -> int:
        """Return when the counter began to count."""
        return int(self._at.min()) if len(self._at) else 0

    @cached_property
    def bytes_per_day(self) -> float:
        """Return what a day of all columns takes, roughly."""
        if not len(self._at):
            return 1.0
        days = max((int(self._at.max()) - int(self._at.min())) / 86_400, 1.0)
        return max(self._table.nbytes / days, 1.0)

    def knows(self, name: str) -> bool:
        """Return whether the Logs API has this field."""
        return name in self._makers or _attributed(name) is not None

    def rows(self, date1: str, date2: str, now: int) -> Any:
        """Return the positions of the visits of these days that are known by now."""
        day = self._day[self._order]
        first, last = (np.datetime64(text, "D") for text in (date1, date2))
        seen = self._known[self._order] <= now
        return self._order[(day >= first) & (day <= last) & seen]

    def parts(self, rows: Any, names: list[str], rows_per_part: int) -> list[bytes]:
        """Return the parts of a log; an empty one still has its line of names."""
        head = "\t".join(names)
        bodies = []
        for start in range(0, max(len(rows), 1), rows_per_part):
            chosen = pa.array(rows[start : start + rows_per_part])
            columns = [self._column(name).take(chosen) for name in names]
            lines = compute.binary_join_element_wise(*columns, "\t").to_pylist()
            bodies.append(("\n".join([head, *lines]) + "\n").encode())
        return bodies

    @cached_property
    def _day(self) -> Any:
        local = compute.cast(self._date_text(self._options.time_zone), pa.date32())
        return local.to_numpy(zero_copy_only=False)

    def _clock_text(self, zone: str, shift: int = 0) -> Column:
        """Return each visit's moment on a zone's clock, to the second."""
        moments = pa.array(self._at + shift, pa.int64()).cast(pa.timestamp("s", tz=zone))
        # As plain text of a local time: the same signs as strftime makes, ten times sooner.
        return compute.cast(compute.local_timestamp(moments), pa.string())

    def _date_text(self, zone: str) -> Column:
        return compute.utf8_slice_codeunits(self._clock_text(zone), 0, 10)

    def _column(self, name: str) -> Column:
        if name not in self._columns:
            attributed = _attributed(name)
            if attributed is None:
                made = self._makers[name]()
            else:
                model, what = attributed
                made = self._source_column(what).take(self._source_rows(model))
            self._columns[name] = made
        return self._columns[name]

    @cached_property
    def _makers(self) -> dict[str, Callable[[], Column]]:
        shift = self._options.utc_column_offset_hours * 3600
        return {
            "ym:s:visitID": lambda: self._text("visit_id"),
            "ym:s:counterID": lambda: self._same(str(self._options.counter_id)),
            "ym:s:watchIDs": self._watch_ids,
            "ym:s:date": lambda: self._date_text(self._options.time_zone),
            "ym:s:dateTime": lambda: self._clock_text(self._options.time_zone),
            "ym:s:dateTimeUTC": lambda: self._clock_text("UTC", shift=shift),
            "ym:s:isNewUser": lambda: self._flag("is_new_user"),
            "ym:s:startURL": lambda: self._text("start_url"),
            "ym:s:endURL": lambda: self._text("end_url"),
            "ym:s:pageViews": lambda: self._text("page_views"),
            "ym:s:visitDuration": lambda: self._text("duration_seconds"),
            "ym:s:bounce": lambda: self._flag("is_bounce"),
            "ym:s:clientID": lambda: self._text("client_id"),
            "ym:s:goalsID": lambda: compute.fill_null(self._table.column("goals"), "[]"),
            "ym:s:goalsDateTime": self._goal_times,
            "ym:s:goalsPrice": self._goal_prices,
            "ym:s:referer": lambda: self._text("referer"),
            "ym:s:from": lambda: self._same(""),
            "ym:s:deviceCategory": self._devices,
        }

    def _text(self, name: str) -> Column:
        values: Column = self._table.column(name).combine_chunks().cast(pa.string())
        values = compute.fill_null(values, "")
        if holds_any(values, _NEEDS_ESCAPE):
            for plain, escaped in _ESCAPED:
                values = compute.replace_substring(values, plain, escaped)
        return values

    def _flag(self, name: str) -> Column:
        return self._table.column(name).combine_chunks().cast(pa.int8()).cast(pa.string())

    def _same(self, value: str) -> Column:
        return pa.array([value] * self._table.num_rows, pa.string())

    def _devices(self) -> Column:
        return _mapped(self._table.column("device"), lambda one: _DEVICES.get(str(one), "1"))

    def _goals(self) -> Column:
        return compute.fill_null(self._table.column("goals").combine_chunks(), "[]")

    def _goal_times(self) -> Column:
        quote = "\\'" if self._options.arrays_are_escaped else "'"
        times, goals = self._clock_text(self._options.time_zone), self._goals()
        counts = [_length(text) for text in compute.unique(goals).to_pylist()]
        told = _mapped(goals, lambda _: "[]")
        for count in sorted(set(counts) - {0}):
            one = compute.binary_join_element_wise(pa.scalar(quote), times, pa.scalar(quote), "")
            inside = compute.binary_join_element_wise(*[one] * count, ",") if count > 1 else one
            listed = compute.binary_join_element_wise(pa.scalar("["), inside, pa.scalar("]"), "")
            is_so = compute.equal(_mapped(goals, lambda text: str(_length(text))), str(count))
            told = compute.if_else(is_so, listed, told)
        return told

    def _goal_prices(self) -> Column:
        return _mapped(self._goals(), lambda text: f"[{','.join(['0'] * _length(text))}]")

    def _watch_ids(self) -> Column:
        visits = self._table.column("visit_id").to_pylist()
        views = integers(self._table, "page_views", 1).tolist()
        return pa.array(
            [
                f"[{','.join(str(int(str(v)) + n) for n in range(min(count, _LONGEST_WATCH_IDS)))}]"
                for v, count in zip(visits, views, strict=True)
            ],
            pa.string(),
        )

    def _source_column(self, what: str) -> Column:
        plain = {
            "TrafficSource": "traffic_source",
            "AdvEngine": "adv_engine",
            "UTMSource": "utm_source",
            "UTMMedium": "utm_medium",
            "UTMCampaign": "utm_campaign",
            "UTMContent": "utm_content",
            "UTMTerm": "utm_term",
        }
        if what in plain:
            return self._text(plain[what])
        by_direct = compute.fill_null(
            compute.equal(self._table.column("adv_engine").combine_chunks(), "ya_direct"), False
        )
        campaign = self._table.column("campaign_id").combine_chunks().cast(pa.string())
        return compute.if_else(by_direct, compute.fill_null(campaign, "0"), "0")

    def _source_rows(self, model: str) -> Any:
        """Return, for each visit, the visit whose source a model gives it."""
        count = self._table.num_rows
        if model == "last":
            return pa.array(np.arange(count))
        client = compute.dictionary_encode(self._table.column("client_id").combine_chunks())
        browser = client.indices.to_numpy(zero_copy_only=False)
        order = np.lexsort((self._at, browser))
        is_first = np.ones(count, dtype=np.bool_)
        is_first[1:] = browser[order][1:] != browser[order][:-1]
        place = np.arange(count)
        starts = np.maximum.accumulate(np.where(is_first, place, 0))
        if model == "first":
            chosen = starts
        else:
            sources = self._table.column("traffic_source").to_pylist()
            matters = np.array([source not in _INSIGNIFICANT for source in sources], np.bool_)
            last = np.maximum.accumulate(np.where(matters[order], place, -1))
            # What came before the browser's first visit belongs to somebody else.
            chosen = np.where(last >= starts, last, place)
        rows = np.empty(count, np.int64)
        rows[order] = order[chosen]
        return pa.array(rows)


def _mapped(texts: Column, make: Callable[[Any], str]) -> Column:
    """Return what a function makes of each text, called once for equal ones."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded = compute.dictionary_encode(whole, null_encoding="encode")
    made = pa.array([make(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return made.take(encoded.indices)


def _length(goals: str) -> int:
    """Return how many goals a list such as [1,2] has."""
    return len([one for one in goals.strip("[]").split(",") if one])


def _attributed(name: str) -> tuple[str, str] | None:
    """Return the model and the plain name of a field that depends on attribution."""
    body = name.removeprefix("ym:s:")
    for what in _ATTRIBUTED:
        model = body.removesuffix(what)
        if body not in {name, model}:
            # A UTM field without a model is that of the visit itself.
            model = "last" if model == "" and what.startswith("UTM") else model
            return (model, what) if model in _MODELS else None
    return None


def _json(body: dict[str, Any]) -> Reply:
    return Reply(200, orjson.dumps(body), "application/json; charset=utf-8")
