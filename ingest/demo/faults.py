"""Faults on demand: what the vendors' servers and the way to them do on a bad day, by a seed.

A layer stands in front of a fake server and decides, request by request, whether it is asked at
all, whether its answer arrives, and what happens to the answer on the way. The draw depends on the
seed, on what is asked and on how often it was asked before, not on the order of threads.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from email.utils import formatdate
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from ingest.demo.http import Call, Outcome, Reply, Server

# Each kind and the share of the requests it can meet that it does meet.
USUAL_RATES: Mapping[str, float] = {
    "rate_limit": 0.03,
    "unavailable": 0.03,
    "html_body": 0.02,
    "timeout_before": 0.02,
    "timeout_after": 0.02,
    "truncated_body": 0.03,
    "restart": 0.004,
    "token_expiry": 0.01,
    "lost_refresh_answer": 0.2,
    "poisoned_id": 0.005,
    "duplicated_page": 0.05,
    "moved_rows": 0.05,
    "vanished_rows": 0.05,
    "late_events": 0.5,
    "clock_skew": 0.05,
    "reordered_fields": 0.1,
    "unknown_fields": 0.1,
    "type_flip": 0.1,
    "empty_map_as_list": 0.1,
}
KINDS = tuple(USUAL_RATES)
# The answer does not come, or is another one.
_REPLACING = ("rate_limit", "unavailable", "html_body", "timeout_before", "restart")
_BREAKING = ("timeout_after", "truncated_body")
_REWRITING = ("reordered_fields", "unknown_fields", "type_flip", "empty_map_as_list")
_DAY_SECONDS = 86_400
_LATE_SECONDS = 2_700
_UNSETTLED_DAYS = 2
_WHOLE_NUMBER = re.compile(r"0|[1-9]\d{0,8}")


@dataclass(frozen=True)
class FaultPlan:
    """Which faults come, how often, and to whom.

    Attributes:
        seed: The same seed disturbs the same requests in the same way.
        rates: Share of the requests that a kind meets, by kind; a kind left out never comes.
        apis: Names of the APIs that are disturbed; empty: all.
        hang_seconds: How long a request without an answer is held before the connection ends. A
            client with less patience gives up first.
        restart_seconds: How long a restarting server answers nobody.
        retry_after_seconds: What Retry-After names where it is sent.
        poisoned_answers: After so many refusals a poisoned id is healthy again.
        token_deaths: How many tokens that cannot be renewed are refused, once each.
    """

    seed: int = 0
    rates: Mapping[str, float] = field(default_factory=lambda: dict(USUAL_RATES))
    apis: tuple[str, ...] = ()
    hang_seconds: float = 0.2
    restart_seconds: float = 0.3
    retry_after_seconds: int = 1
    poisoned_answers: int = 8
    token_deaths: int = 1

    def __post_init__(self) -> None:
        unknown = sorted(set(self.rates) - set(KINDS))
        if unknown:
            raise ValueError(f"unknown fault {unknown[0]}; known: {', '.join(KINDS)}")

    @classmethod
    def parse(cls, text: str, seed: int) -> FaultPlan:
        """Return the plan of a command line: `all`, or kinds separated by commas.

        Args:
            text: What the user asked for.
            seed: Of the plan.

        Raises:
            ValueError: A kind is unknown.
        """
        wanted = [part.strip() for part in text.split(",") if part.strip()]
        if wanted == ["all"]:
            return cls(seed)
        unknown = [kind for kind in wanted if kind not in USUAL_RATES]
        if unknown or not wanted:
            raise ValueError(f"{text!r} is none of: all, {', '.join(KINDS)}")
        return cls(seed, {kind: USUAL_RATES[kind] for kind in wanted})

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> FaultPlan | None:
        """Return a plan that `dict` has written down, or None."""
        if settings is None:
            return None
        return cls(**{**settings, "apis": tuple(settings["apis"])})

    def dict(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it."""
        return {**asdict(self), "rates": {**self.rates}, "apis": [*self.apis]}


class FaultLayer:
    """What stands between one fake server and its callers."""

    def __init__(self, api: str, server: Server, plan: FaultPlan | None) -> None:
        self.api = api
        self._server = server
        self._ways: _Ways = _WAYS[api](server)
        self._plan: FaultPlan | None = None
        self._lock = threading.RLock()
        self._injected: Counter[str] = Counter()
        self._retried: Counter[str] = Counter()
        self._withheld: set[str] = set()
        self.follow(plan)

    def follow(self, plan: FaultPlan | None) -> None:
        """Take up another plan, or None for a good day; what was counted stays counted."""
        with self._lock:
            is_meant = plan is not None and (not plan.apis or self.api in plan.apis)
            self._plan = plan if is_meant else None
            self._asked: Counter[str] = Counter()
            self._pending: dict[str, list[str]] = {}
            self._pages: dict[str, Reply] = {}
            self._shifts: dict[str, int] = {}
            self._poisoned: Counter[str] = Counter()
            self._dead_tokens: set[str] = set()
            self._deaths_left = plan.token_deaths if plan else 0
            self._away_until = 0.0
            self._withheld.clear()

    def summary(self) -> dict[str, Any]:
        """Return, by kind, faults and those whose request came again; ids not shown at present."""
        with self._lock:
            return {
                "faults": dict(sorted(self._injected.items())),
                "faults_retried": dict(sorted(self._retried.items())),
                "withheld": sorted(self._withheld),
            }

    def outcome(self, call: Call, answer: Callable[[Call], Reply]) -> Outcome:
        """Return what becomes of a request."""
        with self._lock:
            if self._plan is None:
                return Outcome(answer(call))
            key = self._ways.key(call)
            self._asked[key] += 1
            for kind in self._pending.pop(key, ()):
                self._retried[kind] += 1
            chance = Random(f"{self._plan.seed}|{self.api}|{key}|{self._asked[key]}")
            return self._disturbed(self._plan, call, key, chance, answer)

    def _disturbed(
        self,
        plan: FaultPlan,
        call: Call,
        key: str,
        chance: Random,
        answer: Callable[[Call], Reply],
    ) -> Outcome:
        silence = Outcome(None, plan.hang_seconds)
        if time.monotonic() < self._away_until:
            return Outcome(None)
        # One draw for all faults that stand for an answer: their shares add up.
        draw = chance.random()
        for kind in (*_REPLACING, *_BREAKING, "token_expiry"):
            draw -= self._rate(plan, kind)
            if draw < 0:
                found = self._instead(plan, kind, call, key, chance, answer)
                if found is not None:
                    self._count(kind, key)
                    return found
                break
        token = self._ways.token(call)
        if token and token in self._dead_tokens:
            return Outcome(self._ways.unauthorized(call, chance))
        reply = answer(call)
        if self._ways.is_login(call):
            if self._comes(plan, "lost_refresh_answer", chance) and reply.status == 200:
                self._count("lost_refresh_answer", key)
                return silence
            return Outcome(reply)
        if reply.status == 200:
            reply = self._rewritten(plan, call, key, chance, reply, answer)
        if self._comes(plan, "clock_skew", chance):
            self._count("clock_skew", key)
            reply = self._skewed(reply, chance)
        return Outcome(reply)

    def _rate(self, plan: FaultPlan, kind: str) -> float:
        return plan.rates.get(kind, 0.0) if kind in self._ways.kinds else 0.0

    def _comes(self, plan: FaultPlan, kind: str, chance: Random) -> bool:
        return chance.random() < self._rate(plan, kind)

    def _count(self, kind: str, key: str) -> None:
        self._injected[kind] += 1
        self._pending.setdefault(key, []).append(kind)

    def _instead(
        self,
        plan: FaultPlan,
        kind: str,
        call: Call,
        key: str,
        chance: Random,
        answer: Callable[[Call], Reply],
    ) -> Outcome | None:
        ways, silence = self._ways, Outcome(None, plan.hang_seconds)
        match kind:
            case "rate_limit":
                reply = ways.rate_limited(call, chance)
                return Outcome(self._with_retry_after(plan, reply, chance))
            case "unavailable":
                reply = ways.unavailable(call, chance)
                return Outcome(self._with_retry_after(plan, reply, chance))
            case "html_body":
                return Outcome(ways.html(call, chance))
            case "timeout_before":
                return silence
            case "timeout_after":
                # A login whose answer is lost is a kind of its own.
                if ways.is_login(call):
                    return None
                answer(call)
                return silence
            case "truncated_body":
                return self._truncated(call, chance, answer)
            case "restart":
                self._away_until = time.monotonic() + plan.restart_seconds
                restart = getattr(self._server, "restart", None)
                if restart is not None:
                    restart()
                return Outcome(None)
            case _:
                return self._with_dead_token(call, chance)

    def _with_dead_token(self, call: Call, chance: Random) -> Outcome | None:
        token = self._ways.token(call)
        if not token or self._ways.is_login(call):
            return None
        if self._ways.is_renewable(token):
            self._dead_tokens.add(token)
        elif self._deaths_left > 0:
            self._deaths_left -= 1
        else:
            return None
        return Outcome(self._ways.unauthorized(call, chance))

    def _with_retry_after(self, plan: FaultPlan, reply: Reply, chance: Random) -> Reply:
        seconds = plan.retry_after_seconds
        shown = chance.choice(
            [None, str(seconds), formatdate(self._server.clock.now + seconds, usegmt=True)]
        )
        if shown is None:
            return reply
        return replace(reply, headers={**reply.headers, "retry-after": shown})

    def _truncated(
        self, call: Call, chance: Random, answer: Callable[[Call], Reply]
    ) -> Outcome | None:
        if self._ways.is_login(call):
            return None
        reply = answer(call)
        if reply.status != 200 or len(reply.body) < 2:
            return Outcome(reply)
        kept = chance.randrange(1, len(reply.body))
        if chance.random() < 0.5:
            return Outcome(reply, kept_bytes=kept)
        # Something on the way has lost the rest and tells the length of what it has.
        plain = _plain(reply)
        kept = chance.randrange(1, len(plain.body))
        if not plain.content_type.startswith("application/json") and b"\n" in plain.body[:-1]:
            lines = plain.body.splitlines(keepends=True)
            kept = sum(map(len, lines[: chance.randrange(1, len(lines))]))
        return Outcome(replace(plain, body=plain.body[:kept]))

    def _skewed(self, reply: Reply, chance: Random) -> Reply:
        seconds = chance.choice([-240, -90, 90, 240, -_DAY_SECONDS, _DAY_SECONDS])
        date = formatdate(self._server.clock.now + seconds, usegmt=True)
        return replace(reply, headers={**reply.headers, "date": date})

    def _rewritten(
        self,
        plan: FaultPlan,
        call: Call,
        key: str,
        chance: Random,
        reply: Reply,
        answer: Callable[[Call], Reply],
    ) -> Reply:
        """Return an answer with rows moved, doubled, hidden or written in another way."""
        ways = self._ways
        if ways.is_table(call):
            return self._retold(plan, call, key, chance, reply)
        document = _parsed(reply)
        rows = ways.rows(call, document)
        if rows is None:
            return reply
        poison = ways.poisoned(call, rows, plan) if "poisoned_id" in plan.rates else None
        if poison is not None and self._poisoned[poison] < plan.poisoned_answers:
            self._poisoned[poison] += 1
            self._count("poisoned_id", key)
            self._withheld.add(poison)
            return ways.refused_for(call, chance)

        name, number = ways.list_name(call), ways.page(call)
        original = reply
        if number == 0:
            self._shifts.pop(name, None)
            self._pages.pop(name, None)
        elif self._comes(plan, "duplicated_page", chance) and name in self._pages:
            self._count("duplicated_page", key)
            document = _parsed(self._pages[name])
            if chance.random() < 0.5:
                # The rows of the page before under the head of this one.
                head = _parsed(original)
                ways.put_rows(call, head, ways.rows(call, document) or [])
                document = head
        elif ways.may_shrink(call):
            if self._comes(plan, "moved_rows", chance) and name not in self._shifts:
                self._count("moved_rows", key)
                self._shifts[name] = chance.randrange(1, 4)
            if name in self._shifts:
                self._shift(call, document, self._shifts[name], answer)
        self._pages[name] = original
        if ways.is_whole_list(call) and self._comes(plan, "vanished_rows", chance):
            self._vanish(call, key, document, chance)
        self._delay(plan, call, key, document)
        for kind in _REWRITING:
            if self._comes(plan, kind, chance):
                self._count(kind, key)
                _REWRITERS[kind](ways.rows(call, document) or [], document, chance)
        return ways.reply(call, reply, document)

    def _shift(
        self, call: Call, document: Any, count: int, answer: Callable[[Call], Reply]
    ) -> None:
        """Let the rows of a page begin later: some before them have left the list."""
        ways = self._ways
        rows = ways.rows(call, document) or []
        following = ways.following(call, document)
        more: list[Any] = []
        if following is not None:
            reply = answer(following)
            if reply.status == 200:
                more = ways.rows(following, _parsed(reply)) or []
        ways.put_rows(call, document, [*rows[count:], *more[:count]])

    def _vanish(self, call: Call, key: str, document: Any, chance: Random) -> None:
        rows = self._ways.rows(call, document) or []
        if len(rows) < 2:
            return
        gone = {chance.randrange(len(rows)) for _ in range(2)}
        for place in gone:
            self._withheld.add(self._ways.record(call, rows[place]))
        self._count("vanished_rows", key)
        kept = [row for place, row in enumerate(rows) if place not in gone]
        self._ways.put_rows(call, document, kept, gone=len(gone))

    def _delay(self, plan: FaultPlan, call: Call, key: str, document: Any) -> None:
        share = self._rate(plan, "late_events")
        if not share:
            return
        kept: list[Any] = []
        late: list[Any] = []
        for row in self._ways.rows(call, document) or []:
            moment = self._ways.moment(call, row)
            name = self._ways.record(call, row)
            is_new = moment is not None and moment > self._server.clock.now - _LATE_SECONDS
            is_late = is_new and _share_of(f"{plan.seed}|{name}") < share
            (late if is_late else kept).append(row)
            if is_late and name not in self._withheld:
                self._withheld.add(name)
                self._count("late_events", key)
        if late:
            self._ways.put_rows(call, document, kept)

    def _retold(self, plan: FaultPlan, call: Call, key: str, chance: Random, reply: Reply) -> Reply:
        """Return a table of text with rows of unsettled days hidden, rows twice, columns moved."""
        plain = _plain(reply)
        head, rows, tail = self._ways.table(call, plain.body.decode())
        changed = False
        if self._comes(plan, "vanished_rows", chance) and rows:
            today = (self._server.clock.now + 3 * 3600) // _DAY_SECONDS
            gone = [
                row
                for row in rows
                if (day := self._ways.day(call, head, row)) is not None
                and day >= today - _UNSETTLED_DAYS
                and chance.random() < 0.3
            ]
            if gone:
                self._count("vanished_rows", key)
                self._withheld.update(self._ways.cells(call, head, row) for row in gone)
                rows, changed = [row for row in rows if row not in gone], True
        if self._comes(plan, "duplicated_page", chance) and rows:
            self._count("duplicated_page", key)
            first = chance.randrange(len(rows))
            rows, changed = [*rows, *rows[first : first + 20]], True
        if self._comes(plan, "reordered_fields", chance) and head:
            self._count("reordered_fields", key)
            order = list(range(len(head.split("\t"))))
            chance.shuffle(order)
            head, *rows = (_reordered(line, order) for line in [head, *rows])
            changed = True
        if not changed:
            return reply
        lines = [head, *rows, *(self._ways.tail(len(rows)) if tail else ())]
        return replace(plain, body=("\n".join(lines) + "\n").encode())


class _Ways:
    """How one vendor says that something is wrong, and what its lists look like."""

    kinds: frozenset[str] = frozenset()
    whole_lists: frozenset[str] = frozenset()

    def __init__(self, server: Server) -> None:
        self._fixed_token = getattr(server, "token", None)

    def key(self, call: Call) -> str:
        """Return what is asked, without what differs from run to run."""
        body = hashlib.sha256(call.body).hexdigest()[:16] if call.body else ""
        return f"{call.method} {call.path}?{call.query} {body}"

    def token(self, call: Call) -> str:
        """Return the token a request carries."""
        return call.headers.get("authorization", "").partition(" ")[2]

    def is_renewable(self, token: str) -> bool:
        """Return whether the client can get another token by itself."""
        return token != self._fixed_token

    def is_login(self, call: Call) -> bool:
        """Return whether a request asks for a token."""
        return "oauth2" in call.path

    def rate_limited(self, call: Call, chance: Random) -> Reply:
        """Return the refusal of a request that came too soon."""
        return Reply(429, b"Too Many Requests", "text/plain")

    def unavailable(self, call: Call, chance: Random) -> Reply:
        """Return what a failing server says."""
        status = chance.choice([500, 502, 503, 503, 504])
        body = b'{"error":{"code":"ERR_INTERNAL","message":"Internal error"}}'
        return Reply(status, body)

    def html(self, call: Call, chance: Random) -> Reply:
        """Return a page of a web server in front of the API."""
        status, title = chance.choice(
            [(502, "502 Bad Gateway"), (503, "503 Service Unavailable"), (200, "Maintenance")]
        )
        return Reply(status, _page(title), "text/html")

    def unauthorized(self, call: Call, chance: Random) -> Reply:
        """Return the refusal of a token."""
        body = b'{"code":"expired_token","message":"Access token is expired"}'
        return Reply(401, body, headers={"www-authenticate": "Bearer"})

    def is_table(self, call: Call) -> bool:
        """Return whether the answer is tab-separated text."""
        return False

    def rows(self, call: Call, document: Any) -> list[Any] | None:
        """Return the records of an answer, or None where it has no list."""
        return None

    def put_rows(self, call: Call, document: Any, rows: list[Any], gone: int = 0) -> None:
        """Put other records into an answer; `gone` of them exist no longer."""

    def reply(self, call: Call, reply: Reply, document: Any) -> Reply:
        """Return an answer with another document."""
        return replace(reply, body=orjson.dumps(document))

    def list_name(self, call: Call) -> str:
        """Return what all pages of one list have in common."""
        return call.path

    def page(self, call: Call) -> int:
        """Return a page's place; 0 is the first."""
        return 0

    def following(self, call: Call, document: Any) -> Call | None:
        """Return the request for the page after an answer, or None at the end."""
        return None

    def may_shrink(self, call: Call) -> bool:
        """Return whether rows can leave the list while it is read."""
        return True

    def is_whole_list(self, call: Call) -> bool:
        """Return whether each run reads this list whole, so that hidden rows come back."""
        return any(call.path.endswith(name) for name in self.whole_lists)

    def record(self, call: Call, row: Any) -> str:
        """Return a name of a record, for comparisons."""
        return f"{call.path.rstrip('/').rpartition('/')[2]}|{row.get('id')}"

    def moment(self, call: Call, row: Any) -> int | None:
        """Return when an event happened; None where records do not come late."""
        return None

    def poisoned(self, call: Call, rows: list[Any], plan: FaultPlan) -> str | None:
        """Return the id that spoils a request, if one does."""
        return None

    def refused_for(self, call: Call, chance: Random) -> Reply:
        """Return what a spoiled request is answered."""
        return Reply(chance.choice([500, 504]), _page("504 Gateway Time-out"), "text/html")

    def table(self, call: Call, text: str) -> tuple[str, list[str], list[str]]:
        """Return a table's line of names, its rows, and what follows them."""
        lines = text.rstrip("\n").split("\n")
        return lines[0], lines[1:], []

    def tail(self, count: int) -> list[str]:
        """Return the lines after the rows of a table."""
        return []

    def day(self, call: Call, head: str, row: str) -> int | None:
        """Return the day of a row as days since 1970."""
        return None

    def cells(self, call: Call, head: str, row: str) -> str:
        """Return a name of a row of a table, for comparisons."""
        return row


class _AmoWays(_Ways):
    kinds = frozenset(KINDS)
    whole_lists = frozenset({"/users", "/loss_reasons", "/unsorted", "/elements", "/pipelines"})

    def rate_limited(self, call: Call, chance: Random) -> Reply:
        if chance.random() < 0.5:
            return Reply(429, _page("429 Too Many Requests"), "text/html")
        return _problem(429, "Too Many Requests")

    def unavailable(self, call: Call, chance: Random) -> Reply:
        status = chance.choice([500, 502, 503, 503, 504])
        if chance.random() < 0.5:
            return Reply(status, _page(f"{status} Server Error"), "text/html")
        return _problem(status, "Service Unavailable")

    def html(self, call: Call, chance: Random) -> Reply:
        if chance.random() < 0.4:
            return Reply(403, _page("403 Forbidden"), "text/html")
        return super().html(call, chance)

    def unauthorized(self, call: Call, chance: Random) -> Reply:
        return _problem(401, "Unauthorized")

    def rows(self, call: Call, document: Any) -> list[Any] | None:
        embedded = document.get("_embedded") if isinstance(document, dict) else None
        if not isinstance(embedded, dict) or len(embedded) != 1 or "id" in document:
            return None
        rows = next(iter(embedded.values()))
        return rows if isinstance(rows, list) else None

    def put_rows(self, call: Call, document: Any, rows: list[Any], gone: int = 0) -> None:
        name = next(iter(document["_embedded"]))
        document["_embedded"][name] = rows

    def list_name(self, call: Call) -> str:
        # A link to the next page names the same parameters in another order.
        asked = parse_qsl(call.query)
        kept = sorted((name, value) for name, value in asked if name not in {"page", "limit"})
        return f"{call.path}?{urlencode(kept)}"

    def page(self, call: Call) -> int:
        number = dict(parse_qsl(call.query)).get("page", "1")
        return int(number) - 1 if number.isdigit() else 0

    def following(self, call: Call, document: Any) -> Call | None:
        link = (document.get("_links") or {}).get("next")
        if not link:
            return None
        return replace(call, query=link["href"].partition("?")[2])

    def may_shrink(self, call: Call) -> bool:
        return not call.path.endswith("/events")

    def is_whole_list(self, call: Call) -> bool:
        return super().is_whole_list(call) or "only_deleted" in call.query

    def record(self, call: Call, row: Any) -> str:
        name = call.path.rstrip("/").rpartition("/")[2]
        name = "deleted_leads" if "only_deleted" in call.query else name
        name = "invoices" if name == "elements" else name
        return f"{name}|{row.get('uid', row.get('id'))}"

    def moment(self, call: Call, row: Any) -> int | None:
        return int(row["created_at"]) if call.path.endswith("/events") else None

    def poisoned(self, call: Call, rows: list[Any], plan: FaultPlan) -> str | None:
        if call.path not in {"/api/v4/leads", "/api/v4/contacts", "/api/v4/tasks"}:
            return None
        share = plan.rates["poisoned_id"] / 10
        for row in rows:
            name = self.record(call, row)
            if _share_of(f"{plan.seed}|poison|{name}") < share:
                return name
        return None


class _DirectWays(_Ways):
    kinds = frozenset(KINDS) - {
        "lost_refresh_answer",
        "poisoned_id",
        "late_events",
        "empty_map_as_list",
    }
    whole_lists = frozenset({"/campaigns"})

    def key(self, call: Call) -> str:
        # The name holds the token and, for days that still change, the time of the run.
        body = _object(call.body)
        body.get("params", {}).pop("ReportName", None)
        plain = orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
        return f"{call.path} {plain}"

    def _error(self, call: Call, code: int, text: str, status: int, chance: Random) -> Reply:
        is_report = self.is_table(call)
        shown: int | str = str(code) if chance.random() < 0.5 else code
        error = {"request_id": "1", "error_code": shown, "error_string": text, "error_detail": ""}
        return Reply(status if is_report else 200, orjson.dumps({"error": error}))

    def rate_limited(self, call: Call, chance: Random) -> Reply:
        code = chance.choice([56, 506, None])
        if code is None:
            return Reply(429, b"Too Many Requests", "text/plain")
        return self._error(call, code, "Exceeded the number of requests", 400, chance)

    def unavailable(self, call: Call, chance: Random) -> Reply:
        if chance.random() < 0.5:
            return Reply(chance.choice([500, 502, 503, 504]), b"", "text/plain")
        code = chance.choice([52, 1000, 1001, 1002])
        return self._error(call, code, "Service unavailable", chance.choice([500, 502]), chance)

    def unauthorized(self, call: Call, chance: Random) -> Reply:
        return self._error(call, 53, "Authorization error", 400, chance)

    def is_table(self, call: Call) -> bool:
        return call.path.rstrip("/").endswith("/reports")

    def rows(self, call: Call, document: Any) -> list[Any] | None:
        if not call.path.rstrip("/").endswith("/campaigns"):
            return None
        result = document.get("result") if isinstance(document, dict) else None
        rows = result.get("Campaigns") if isinstance(result, dict) else None
        return rows if isinstance(rows, list) else None

    def put_rows(self, call: Call, document: Any, rows: list[Any], gone: int = 0) -> None:
        document["result"]["Campaigns"] = rows

    def page(self, call: Call) -> int:
        page = _object(call.body).get("params", {}).get("Page") or {}
        return int(page.get("Offset", 0))

    def following(self, call: Call, document: Any) -> Call | None:
        offset = document["result"].get("LimitedBy")
        if offset is None:
            return None
        body = _object(call.body)
        body["params"]["Page"] = {**body["params"]["Page"], "Offset": offset}
        return replace(call, body=orjson.dumps(body))

    def record(self, call: Call, row: Any) -> str:
        return f"campaigns|{row.get('Id')}"

    def table(self, call: Call, text: str) -> tuple[str, list[str], list[str]]:
        lines = text.rstrip("\n").split("\n")
        tail = lines[-1:] if lines[-1].startswith("Total rows: ") else []
        rows = lines[1:-1] if tail else lines[1:]
        return lines[0], rows, tail

    def tail(self, count: int) -> list[str]:
        return [f"Total rows: {count}"]

    def day(self, call: Call, head: str, row: str) -> int | None:
        text = dict(zip(head.split("\t"), row.split("\t"), strict=False)).get("Date", "")
        return _day_number(text)

    def cells(self, call: Call, head: str, row: str) -> str:
        cells = dict(zip(head.split("\t"), row.split("\t"), strict=False))
        return f"campaign_daily_report|{cells.get('Date')}|{cells.get('CampaignId')}"


class _VkWays(_Ways):
    kinds = frozenset(KINDS) - {"late_events"}
    whole_lists = frozenset({"/ad_plans.json"})

    def rate_limited(self, call: Call, chance: Random) -> Reply:
        headers = {"X-RateLimit-RPS-Limit": "20", "X-RateLimit-RPS-Remaining": "0"}
        return Reply(429, b"", "text/plain", headers)

    def rows(self, call: Call, document: Any) -> list[Any] | None:
        rows = document.get("items") if isinstance(document, dict) else None
        return rows if isinstance(rows, list) else None

    def put_rows(self, call: Call, document: Any, rows: list[Any], gone: int = 0) -> None:
        document["items"] = rows
        if gone and "count" in document:
            document["count"] = int(document["count"]) - gone

    def list_name(self, call: Call) -> str:
        kept = [(name, value) for name, value in parse_qsl(call.query) if name != "offset"]
        return f"{call.path}?{urlencode(kept)}"

    def page(self, call: Call) -> int:
        number = dict(parse_qsl(call.query)).get("offset", "0")
        return int(number) if number.isdigit() else 0

    def following(self, call: Call, document: Any) -> Call | None:
        if "count" not in document:
            return None
        after = int(document["offset"]) + len(document["items"])
        if after >= int(document["count"]):
            return None
        query = {**dict(parse_qsl(call.query)), "offset": str(after)}
        return replace(call, query=urlencode(query))

    def record(self, call: Call, row: Any) -> str:
        name = call.path.rpartition("/")[2].removesuffix(".json")
        return f"{name}|{row.get('id')}"

    def poisoned(self, call: Call, rows: list[Any], plan: FaultPlan) -> str | None:
        if "/statistics/" not in call.path:
            return None
        ids = dict(parse_qsl(call.query)).get("id", "").split(",")
        # Few plans in a company of thousands: one in ten is bad at one time or another.
        share = min(plan.rates["poisoned_id"] * 20, 0.5)
        bad = [one for one in ids if _share_of(f"{plan.seed}|poison|{one}") < share]
        kind = call.path.split("/statistics/")[1].split("/")[0].removesuffix("s")
        return f"{kind}_daily_statistics|{bad[0]}" if bad else None

    def refused_for(self, call: Call, chance: Random) -> Reply:
        if chance.random() < 0.3:
            return Reply(404, b'{"error":{"code":"ERR_WRONG_IDS","message":"Unknown ids"}}')
        kind = call.path.split("/statistics/")[1].split("/")[0]
        code = {"ad_plans": "ADPLANS", "ad_groups": "ADGROUPS"}.get(kind, "BANNERS")
        body = {"error": {"code": f"ERR_WRONG_{code}", "message": "Objects are not available"}}
        return Reply(400, orjson.dumps(body))


class _MetricaWays(_Ways):
    # What a log holds is settled when it is made: no row leaves it while it is read, and a visit
    # that comes late is the server's own doing.
    kinds = frozenset(KINDS) - {
        "lost_refresh_answer",
        "poisoned_id",
        "late_events",
        "moved_rows",
        "vanished_rows",
        "empty_map_as_list",
    }

    def rate_limited(self, call: Call, chance: Random) -> Reply:
        return _metrica_error(429, "quota_requests_by_uid", "Quota exceeded")

    def unavailable(self, call: Call, chance: Random) -> Reply:
        status = chance.choice([500, 502, 503, 503, 504])
        return _metrica_error(status, "backend_error", "Service is temporarily unavailable")

    def unauthorized(self, call: Call, chance: Random) -> Reply:
        return _metrica_error(401, "invalid_token", "Invalid oauth_token")

    def is_table(self, call: Call) -> bool:
        return call.path.rstrip("/").endswith("/download")

    def rows(self, call: Call, document: Any) -> list[Any] | None:
        if not isinstance(document, dict):
            return None
        for name in ("log_request", "log_request_evaluation", "counter"):
            if isinstance(document.get(name), dict):
                return [document[name]]
        for name in ("requests", "counters"):
            if isinstance(document.get(name), list):
                return list(document[name])
        return None


def _reordered_rows(rows: list[Any], document: Any, chance: Random) -> None:
    for place, row in enumerate(rows):
        rows[place] = _shuffled(row, chance)


def _shuffled(value: Any, chance: Random) -> Any:
    if isinstance(value, list):
        return [_shuffled(one, chance) for one in value]
    if not isinstance(value, dict):
        return value
    items = list(value.items())
    chance.shuffle(items)
    return {name: _shuffled(one, chance) for name, one in items}


UNKNOWN_FIELD = "field_of_a_newer_version"


def _with_unknown_fields(rows: list[Any], document: Any, chance: Random) -> None:
    for row in rows:
        if isinstance(row, dict):
            row[UNKNOWN_FIELD] = {"value": [chance.randrange(9)], "is_new": True}
            for part in row.values():
                if isinstance(part, dict) and UNKNOWN_FIELD not in part and "is_new" not in part:
                    part[UNKNOWN_FIELD] = None


def _flipped(rows: list[Any], document: Any, chance: Random) -> None:
    """Write numbers as text and whole numbers in text as numbers, by the name of the field."""
    choices: dict[str, bool] = {}

    def is_flipped(name: str) -> bool:
        return choices.setdefault(name, chance.random() < 0.5)

    def flip(value: Any) -> Any:
        if isinstance(value, dict):
            for name, one in value.items():
                value[name] = _other_type(one) if is_flipped(name) else one
                flip(value[name])
        elif isinstance(value, list):
            for one in value:
                flip(one)
        return value

    for name, one in list(document.items()):
        if isinstance(one, int | str) and not isinstance(one, bool):
            document[name] = _other_type(one) if is_flipped(name) else one
    for row in rows:
        flip(row)


def _other_type(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    return value


def _emptied(rows: list[Any], document: Any, chance: Random) -> None:
    """Write every empty map as an empty list, as PHP does."""
    for place, row in enumerate(rows):
        rows[place] = _without_empty_maps(row)


def _without_empty_maps(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_empty_maps(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_empty_maps(one) for name, one in value.items()} or []
    return value


_REWRITERS: Mapping[str, Callable[[list[Any], Any, Random], None]] = {
    "reordered_fields": _reordered_rows,
    "unknown_fields": _with_unknown_fields,
    "type_flip": _flipped,
    "empty_map_as_list": _emptied,
}
_WAYS: Mapping[str, type[_Ways]] = {
    "amocrm": _AmoWays,
    "direct": _DirectWays,
    "vk": _VkWays,
    "metrica": _MetricaWays,
}
APIS = tuple(_WAYS)


def kinds_of(api: str) -> Iterable[str]:
    """Return the faults that an API can have, in the order of KINDS."""
    return [kind for kind in KINDS if kind in _WAYS[api].kinds]


def _page(title: str) -> bytes:
    text = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center>"
    )
    return f"{text}\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n".encode()


def _problem(status: int, title: str) -> Reply:
    body = {
        "title": title,
        "type": f"https://httpstatus.es/{status}",
        "status": status,
        "detail": title,
    }
    return Reply(status, orjson.dumps(body), "application/problem+json")


def _metrica_error(status: int, kind: str, text: str) -> Reply:
    errors = [{"error_type": kind, "message": text}]
    return Reply(status, orjson.dumps({"errors": errors, "code": status, "message": text}))


def _plain(reply: Reply) -> Reply:
    """Return an answer without its compression."""
    headers = dict(reply.headers)
    for name in list(headers):
        if name.lower() == "content-encoding":
            del headers[name]
            return replace(reply, body=gzip.decompress(reply.body), headers=headers)
    return reply


def _parsed(reply: Reply) -> Any:
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(_plain(reply).body)
    return None


def _object(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(orjson.JSONDecodeError):
        found = orjson.loads(body)
        if isinstance(found, dict):
            return found
    return {}


def _share_of(text: str) -> float:
    """Return a number in [0, 1) that a text always gets."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _reordered(line: str, order: list[int]) -> str:
    cells = line.split("\t")
    return "\t".join(cells[place] for place in order) if len(cells) == len(order) else line


def _day_number(text: str) -> int | None:
    with contextlib.suppress(ValueError):
        return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days
    return None
