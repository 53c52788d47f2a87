"""The amoCRM v4 API of a simulated firm, with the vendor's habits.

Serves any `CompanyTables` as they stand at the simulated moment. What it imitates is listed in
`AmoOptions`; with the defaults it behaves like a healthy account with the vendor's limits.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import numpy as np
import orjson
from numpy.typing import NDArray

from ingest.demo.amocrm_records import NEVER, QUERY_MARK, Account, Ints, Records
from ingest.demo.arrow import compute
from ingest.demo.http import Call, Clock, RateWindow, Reply, Statistics
from ingest.demo.tables import CompanyTables

HAL = "application/hal+json"
PROBLEM = "application/problem+json"
HTML = "text/html"
DEFAULT_LIMIT = 50
_BRACKETS = re.compile(r"\[([^\]]*)\]")
# The list of one second's requests is a little shorter than a second, so that a client which spaces
# its requests evenly is not punished for a few milliseconds of jitter.
_RATE_WINDOW_SECONDS = 0.95
_EXCESS_WINDOW_SECONDS = 10.0

Params = list[tuple[str, list[str], str]]


@dataclass(frozen=True)
class AmoOptions:
    """How the account and its server behave.

    Attributes:
        token: The long-lived token; made up if it is not given.
        requests_per_second: The rate limit; None: none. The vendor's is 7.
        rate_limit_body: "json", "html", or "both" in turns, of the 429 answer.
        retry_after_seconds: Sent with 429; None: the header is left out, as often in life.
        excess_before_ban: This many refusals within ten seconds lead to 403 for everything.
        ban_seconds: How long the 403 lasts.
        is_api_filter_enabled: False: filters of leads, contacts and companies are ignored.
        is_admin: False: the token's owner is a sales rep: no users, and only own deals.
        leads_show_unsorted: Whether unsorted requests stand in the list of leads too.
        events_max_limit: The greatest page of events.
        unfiltered_events_are_complete: False: without filter[type] calls and chats are left out.
        links_echo_query: Whether links inside records repeat the page's query, as recorded once.
        seconds_per_request: The simulated clock goes on with every request: rows move between
            pages.
        client_id: Of the OAuth integration, as the next two.
        client_secret: See client_id.
        redirect_uri: See client_id.
        authorization_code: The code that can be exchanged for a first pair of tokens.
        consents: How many times it can; the vendor's is good once.
        access_token_seconds: Real life of an access token made by OAuth.
        access_token_requests: An access token made by OAuth dies after so many requests; None:
            never.
        accept_long_lived_token: False: only OAuth tokens are good.
    """

    token: str | None = None
    requests_per_second: int | None = 7
    rate_limit_body: str = "both"
    retry_after_seconds: int | None = None
    excess_before_ban: int = 20
    ban_seconds: float = 30.0
    is_api_filter_enabled: bool = True
    is_admin: bool = True
    leads_show_unsorted: bool = False
    events_max_limit: int = 100
    unfiltered_events_are_complete: bool = True
    links_echo_query: bool = False
    seconds_per_request: int = 0
    client_id: str = "demo-integration"
    client_secret: str = "demo-integration-secret"  # noqa: S105 - opens nothing but the demo
    redirect_uri: str = "https://voronka.example/oauth"
    authorization_code: str = "demo-authorization-code"
    consents: int = 1
    access_token_seconds: float = 86_400.0
    access_token_requests: int | None = None
    accept_long_lived_token: bool = True


class _RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass
class _Selection:
    records: Records
    positions: Ints
    total: int


class AmoServer:
    """amoCRM for one firm; `answer` is the whole of it."""

    def __init__(
        self, tables: CompanyTables, options: AmoOptions | None = None, now: int | None = None
    ) -> None:
        self.options = options or AmoOptions()
        self.token = self.options.token or secrets.token_hex(32)
        self.clock = Clock(tables.now if now is None else now, self.options.seconds_per_request)
        self.statistics = Statistics()
        self._account = Account(tables, links_echo_query=self.options.links_echo_query)
        self._me = int(self._account.account["current_user_id"])
        if not self.options.is_admin:
            others = tables.users.filter(compute.invert(tables.users.column("is_admin")))
            self._me = int(others.column("user_id")[0].as_py()) if others.num_rows else self._me
        self._rate = RateWindow(self.options.requests_per_second, _RATE_WINDOW_SECONDS)
        self._excess = RateWindow(self.options.excess_before_ban, _EXCESS_WINDOW_SECONDS)
        self._banned_until = 0.0
        self._refusals = 0
        self._access: dict[str, tuple[float, int]] = {}
        self._refresh: set[str] = set()
        self._consents_left = self.options.consents
        self._lists: dict[str, tuple[int, Records]] = {}
        self._selections: OrderedDict[tuple[Any, ...], _Selection] = OrderedDict()
        self._note_types: dict[str, NDArray[np.object_]] = {}
        invoices = self._account.account["invoices_catalog_id"]
        self._lists_by_path: dict[str, Callable[[Params], _Selection]] = {
            "/api/v4/leads": self._select_leads,
            "/api/v4/leads/unsorted": self._select_unsorted,
            "/api/v4/events": self._select_events,
            "/api/v4/contacts": self._select_parties("contacts"),
            "/api/v4/companies": self._select_parties("companies"),
            "/api/v4/tasks": self._select_tasks,
            "/api/v4/leads/notes": self._select_notes("leads"),
            "/api/v4/contacts/notes": self._select_notes("contacts"),
            "/api/v4/companies/notes": self._select_notes("companies"),
            "/api/v4/leads/loss_reasons": self._select_plain("loss_reasons"),
            "/api/v4/users": self._select_plain("users"),
            f"/api/v4/catalogs/{invoices}/elements": self._select_invoices,
        }

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request."""
        try:
            return self._answer(call)
        except _RefusedError as refused:
            return refused.reply

    def _answer(self, call: Call) -> Reply:
        path = call.path.rstrip("/")
        self._check_rate(call.received_at)
        if path == "/oauth2/access_token":
            return self._oauth(call)
        self._check_token(call.headers)
        if call.method != "GET":
            raise _RefusedError(_problem(405, "Method Not Allowed"))
        params = _params(call.query)
        extras = frozenset(
            filter(None, ",".join(v for name, _, v in params if name == "with").split(","))
        )
        if path == "/api/v4/account":
            filters_on = self.options.is_api_filter_enabled
            body = self._account.account_record(extras, filters_on=filters_on)
            return Reply(200, body.replace(QUERY_MARK.encode(), b""), HAL)
        if path == "/api/v4/leads/pipelines":
            pipelines = self._account.pipelines(self.clock.now)
            return self._whole_list(call, "pipelines", pipelines, with_total=True)
        if found := re.fullmatch(r"/api/v4/leads/pipelines/(\d+)", path):
            wanted = [
                one for one in self._account.pipelines(self.clock.now) if one["id"] == int(found[1])
            ]
            return Reply(200, orjson.dumps(wanted[0]), HAL) if wanted else Reply(204)
        if path == "/api/v4/catalogs":
            return self._whole_list(call, "catalogs", self._account.catalogs(), with_total=False)
        if path == "/api/v4/users" and not self.options.is_admin:
            raise _RefusedError(_problem(403, "Forbidden"))
        if path == "/api/v4/events/types":
            return self._whole_list(
                call, "events_types", _event_types(self._account), with_total=True
            )
        if path in self._lists_by_path:
            return self._page(call, path, params, extras)
        if found := re.fullmatch(r"/api/v4/(leads|contacts|companies|tasks|users)/(\d+)", path):
            return self._single(f"/api/v4/{found[1]}", int(found[2]), extras)
        raise _RefusedError(_problem(404, "Not Found"))

    def _check_rate(self, moment: float) -> None:
        if moment < self._banned_until:
            raise _RefusedError(Reply(403, _HTML_403, HTML))
        if not self._rate.is_exceeded(moment):
            return
        if self._excess.is_exceeded(moment):
            self._banned_until = moment + self.options.ban_seconds
            raise _RefusedError(Reply(403, _HTML_403, HTML))
        self._refusals += 1
        headers = {}
        if self.options.retry_after_seconds is not None:
            headers["Retry-After"] = str(self.options.retry_after_seconds)
        as_html = self.options.rate_limit_body == "html" or (
            self.options.rate_limit_body == "both" and self._refusals % 2 == 0
        )
        if as_html:
            raise _RefusedError(Reply(429, _HTML_429, HTML, headers))
        body = _problem(429, "Too Many Requests").body
        raise _RefusedError(Reply(429, body, PROBLEM, headers))

    def _check_token(self, headers: Mapping[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            if self.options.accept_long_lived_token and secrets.compare_digest(token, self.token):
                return
            if token in self._access:
                expires_at, uses_left = self._access[token]
                if time.monotonic() < expires_at and uses_left > 0:
                    self._access[token] = (expires_at, uses_left - 1)
                    return
        raise _RefusedError(
            Reply(
                401,
                orjson.dumps(
                    {
                        "title": "Unauthorized",
                        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html",
                        "status": 401,
                        "detail": "Неверный логин или пароль",
                    }
                ),
                PROBLEM,
            )
        )

    def _oauth(self, call: Call) -> Reply:
        try:
            body = orjson.loads(call.body)
        except orjson.JSONDecodeError:
            body = {}
        expected = {
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret,
            "redirect_uri": self.options.redirect_uri,
        }
        if call.method != "POST":
            return _problem(405, "Method Not Allowed")
        if any(body.get(name) != value for name, value in expected.items()):
            return _problem(
                400,
                "Некорректный запрос",
                hint="Check the client_id, client_secret and redirect_uri",
            )
        grant = body.get("grant_type")
        if grant == "authorization_code":
            if self._consents_left < 1 or body.get("code") != self.options.authorization_code:
                return _problem(400, "Некорректный запрос", hint="Authorization code has expired")
            self._consents_left -= 1
        elif grant == "refresh_token":
            if body.get("refresh_token") not in self._refresh:
                return _problem(400, "Некорректный запрос", hint="Token has been revoked")
            # Single use: the old one is dead before the new one is known to have arrived.
            self._refresh.discard(body["refresh_token"])
        else:
            return _problem(400, "Некорректный запрос", hint="Unsupported grant type")
        access, refresh = secrets.token_hex(48), "def502" + secrets.token_hex(48)
        uses = self.options.access_token_requests
        self._access[access] = (
            time.monotonic() + self.options.access_token_seconds,
            NEVER if uses is None else uses,
        )
        self._refresh.add(refresh)
        answer = {
            "token_type": "Bearer",
            "expires_in": int(self.options.access_token_seconds),
            "server_time": self.clock.now,
            "access_token": access,
            "refresh_token": refresh,
        }
        return Reply(200, orjson.dumps(answer))

    def _whole_list(
        self, call: Call, name: str, items: list[dict[str, Any]], *, with_total: bool
    ) -> Reply:
        if not items:
            return Reply(204)
        envelope: dict[str, Any] = {"_total_items": len(items)} if with_total else {"_page": 1}
        envelope["_links"] = {"self": {"href": f"{call.base_url}{call.path}"}}
        envelope["_embedded"] = {name: items}
        own_query = f"?{call.query}" if call.query else ""
        return Reply(
            200, orjson.dumps(envelope).replace(QUERY_MARK.encode(), own_query.encode()), HAL
        )

    def _page(self, call: Call, path: str, params: Params, extras: frozenset[str]) -> Reply:
        selection = self._selection(path, params, extras)
        greatest = self.options.events_max_limit if path == "/api/v4/events" else 250
        limit = _whole_number(params, "limit", DEFAULT_LIMIT)
        if not 1 <= limit <= greatest:
            # The vendor's trap: a limit above the maximum is not an error, it is forgotten.
            limit = DEFAULT_LIMIT
        page = max(1, _whole_number(params, "page", 1))
        first = (page - 1) * limit
        positions = selection.positions[first : first + limit]
        if not len(positions):
            return Reply(204)
        render = selection.records.render
        items = b",".join([render(position, extras) for position in positions.tolist()])
        asked = [(name, value) for name, value in parse_qsl(call.query, keep_blank_values=True)]

        def link(number: int) -> dict[str, str]:
            rest = [(name, value) for name, value in asked if name not in {"page", "limit"}]
            query = urlencode([*rest, ("page", number), ("limit", limit)], quote_via=quote)
            return {"href": f"{call.base_url}{call.path}?{query}"}

        links = {"self": link(page)}
        if first + limit < selection.total:
            links["next"] = link(page + 1)
        if page > 1:
            links["first"], links["prev"] = link(1), link(page - 1)
        head: dict[str, Any] = {"_page": page, "_links": links}
        if path == "/api/v4/users":
            head = {
                "_total_items": selection.total,
                "_page_count": -(-selection.total // limit),
                **head,
            }
        name = selection.records.embedded
        body = (
            orjson.dumps(head)[:-1] + b',"_embedded":{"' + name.encode() + b'":[' + items + b"]}}"
        )
        if self.options.links_echo_query:
            body = body.replace(QUERY_MARK.encode(), f"?page={page}&limit={limit}".encode())
        return Reply(200, body, HAL)

    def _single(self, path: str, number: int, extras: frozenset[str]) -> Reply:
        if path == "/api/v4/users" and not self.options.is_admin:
            raise _RefusedError(_problem(403, "Forbidden"))
        records = self._lists_by_path[path]([]).records
        place = np.flatnonzero(records.times["id"] == number)
        if not len(place) or int(place[0]) not in set(records.visible.tolist()):
            return Reply(204)
        body = records.render(int(place[0]), extras).replace(QUERY_MARK.encode(), b"")
        return Reply(200, body, HAL)

    def _selection(self, path: str, params: Params, extras: frozenset[str]) -> _Selection:
        """Return what a query selects; the pages of one query share it."""
        asked = tuple(
            (name, tuple(keys), value)
            for name, keys, value in params
            if name in {"filter", "order", "query"}
        )
        key = (path, "only_deleted" in extras, asked, self.clock.now)
        found = self._selections.get(key)
        if found is None:
            if path == "/api/v4/leads" and "only_deleted" in extras:
                found = self._select_deleted(params)
            else:
                found = self._lists_by_path[path](params)
            self._selections[key] = found
            if len(self._selections) > 256:
                self._selections.popitem(last=False)
        else:
            self._selections.move_to_end(key)
        return found

    def _records(self, name: str, make: Callable[[int], Records]) -> Records:
        now = self.clock.now
        known = self._lists.get(name)
        if known is None or known[0] != now:
            known = (now, make(now))
            self._lists[name] = known
        return known[1]

    def _leads(self, part: int) -> Records:
        shows = self.options.leads_show_unsorted
        both = self._lists.get("leads")
        if both is None or both[0] != self.clock.now:
            now = self.clock.now
            live, gone = self._account.leads(now, with_unsorted=shows)
            self._lists["leads"], self._lists["deleted"] = (now, live), (now, gone)
        return self._lists["leads" if part == 0 else "deleted"][1]

    def _select_leads(self, params: Params) -> _Selection:
        return self._select(self._leads(0), params, filters=self.options.is_api_filter_enabled)

    def _select_deleted(self, params: Params) -> _Selection:
        return self._select(self._leads(1), params, filters=self.options.is_api_filter_enabled)

    def _select_parties(self, name: str) -> Callable[[Params], _Selection]:
        make = self._account.contacts if name == "contacts" else self._account.companies

        def select(params: Params) -> _Selection:
            return self._select(
                self._records(name, make), params, filters=self.options.is_api_filter_enabled
            )

        return select

    def _select_plain(self, name: str) -> Callable[[Params], _Selection]:
        make = self._account.users if name == "users" else self._account.loss_reasons

        def select(params: Params) -> _Selection:
            return self._select(self._records(name, lambda _now: make()), [], filters=False)

        return select

    def _select_tasks(self, params: Params) -> _Selection:
        # Tasks cannot be ordered by updated_at.
        return self._select(
            self._records("tasks", self._account.tasks),
            params,
            orders=("created_at", "complete_till", "id"),
        )

    def _select_invoices(self, params: Params) -> _Selection:
        # No filter by time is documented for list elements: they are read whole.
        only_ids = [one for one in params if one[0] != "filter" or one[1][:1] == ["id"]]
        return self._select(self._records("invoices", self._account.invoices), only_ids)

    def _select_notes(self, entity: str) -> Callable[[Params], _Selection]:
        def select(params: Params) -> _Selection:
            records = self._records(f"{entity}.notes", lambda now: self._account.notes(entity, now))
            kinds = _values(params, "note_type")
            rest = [one for one in params if one[1][:1] != ["note_type"]]
            found = self._select(records, rest, orders=("updated_at", "id"))
            if not kinds:
                return found
            if entity not in self._note_types:
                self._note_types[entity] = self._account.note_types(entity)
            kept = found.positions[np.isin(self._note_types[entity][found.positions], kinds)]
            return _Selection(records, kept, len(kept))

        return select

    def _select_unsorted(self, params: Params) -> _Selection:
        records = self._records("unsorted", self._account.unsorted)
        rest = [one for one in params if one[1][:1] not in (["category"], ["uid"])]
        found = self._select(records, rest, orders=("created_at", "updated_at"))
        kept = found.positions
        for name in ("category", "uid"):
            wanted = _values(params, name)
            if wanted:
                kept = kept[np.isin(self._account.unsorted_text(name)[kept], wanted)]
        return _Selection(records, kept, len(kept))

    def _select(
        self,
        records: Records,
        params: Params,
        *,
        filters: bool = True,
        orders: Sequence[str] = ("created_at", "updated_at", "id"),
    ) -> _Selection:
        positions = records.visible
        if not self.options.is_admin and "responsible_user_id" in records.times:
            # Rows of others silently lack.
            positions = positions[records.times["responsible_user_id"][positions] == self._me]
        if filters:
            positions = self._filtered(records, positions, params)
        name, direction = next(
            (
                (keys[0], value)
                for what, keys, value in params
                if what == "order" and keys[:1] and keys[0] in orders
            ),
            ("id", "asc"),
        )
        by = records.times.get(name, records.times["id"])[positions]
        sequence = np.lexsort((records.times["id"][positions], by))
        if direction.lower() == "desc":
            sequence = sequence[::-1]
        chosen = positions[sequence]
        return _Selection(records, chosen, len(chosen))

    def _filtered(self, records: Records, positions: Ints, params: Params) -> Ints:
        ranges: dict[str, list[int]] = {}
        lists: dict[str, list[int]] = {}
        statuses: dict[str, dict[str, int]] = {}
        for what, keys, value in params:
            if what != "filter" or not keys:
                continue
            field, rest = keys[0], keys[1:]
            if field == "statuses" and len(rest) == 2:
                statuses.setdefault(rest[0], {})[rest[1]] = _number(value)
            elif rest[:1] in (["from"], ["to"]):
                window = ranges.setdefault(field, [-NEVER, NEVER - 1])
                window[0 if rest[0] == "from" else 1] = _number(value)
            elif field.endswith("_at") and not rest:
                # One moment means everything after it, two with a comma a window.
                edges = [_number(part) for part in value.split(",")]
                ranges[field] = [edges[0], edges[1] if len(edges) > 1 else NEVER - 1]
            elif field in records.times:
                lists.setdefault(field, []).extend(_number(part) for part in value.split(","))
        for field, (low, high) in ranges.items():
            if field in records.times:
                column = records.times[field][positions]
                positions = positions[(column >= low) & (column <= high)]
        for field, wanted in lists.items():
            positions = positions[np.isin(records.times[field][positions], wanted)]
        if statuses:
            pipeline = records.times["pipeline_id"][positions]
            stage = records.times["status_id"][positions]
            kept = np.zeros(len(positions), dtype=np.bool_)
            for pair in statuses.values():
                kept |= (pipeline == pair.get("pipeline_id", -1)) & (
                    (stage == pair["status_id"]) if "status_id" in pair else True
                )
            positions = positions[kept]
        return positions

    def _select_events(self, params: Params) -> _Selection:
        events = self._account.events
        records = self._records("events", events.records)
        types = _values(params, "type")
        entities = _values(params, "entity")
        entity_ids = [_number(value) for value in _values(params, "entity_id")]
        authors = [_number(value) for value in _values(params, "created_by")]
        custom = [name for name in types if re.fullmatch(r"custom_field_\d+_value_changed", name)]
        if custom and len(types) > len(custom):
            raise _RefusedError(
                _validation("filter.type", "custom_field_value_changed cannot be mixed")
            )
        if len(entity_ids) > 10 or len(authors) > 10:
            raise _RefusedError(_validation("filter", "at most 10 values"))
        if entity_ids and len(entities) != 1:
            raise _RefusedError(_validation("filter.entity_id", "exactly one entity is required"))

        # The feed is ordered by time: a window is two searches.
        visible = records.visible
        low, high = self._event_window(params)
        made = events.created_at[visible]
        positions = visible[
            np.searchsorted(made, low, "left") : np.searchsorted(made, high, "right")
        ]
        kind = events.kind[positions]
        if types:
            known = [events.TYPES.index(name) for name in types if name in events.TYPES]
            positions = positions[np.isin(kind, known)]
        elif not self.options.unfiltered_events_are_complete:
            positions = positions[~np.isin(kind, (*events.CALLS, *events.CHATS))]
        if entities:
            is_chat = np.isin(events.kind[positions], events.CHATS)
            codes = [events.ENTITIES.index(name) for name in entities if name in events.ENTITIES]
            matches = np.isin(events.entity[positions], codes) & ~is_chat
            if "contact" in entities:
                matches |= is_chat
            positions = positions[matches]
        if entity_ids:
            positions = positions[np.isin(events.entity_id[positions], entity_ids)]
        if authors:
            positions = positions[np.isin(events.created_by[positions], authors)]
        ids = set(_values(params, "id"))
        if ids:
            positions = np.array(
                [p for p in positions.tolist() if events.ids[p] in ids], dtype=np.int64
            )
        for side, place in (("value_before", 0), ("value_after", 1)):
            wanted = self._event_stages(params, side)
            if wanted:
                positions = np.array(
                    [
                        p
                        for p in positions.tolist()
                        if (s := events.stages(p)) is not None and s[place] in wanted
                    ],
                    dtype=np.int64,
                )
        ascending = any(
            what == "order" and keys == ["created_at"] and value == "asc"
            for what, keys, value in params
        )
        chosen = positions if ascending else positions[::-1]
        return _Selection(records, chosen, len(chosen))

    @staticmethod
    def _event_window(params: Params) -> tuple[int, int]:
        low, high = -NEVER, NEVER - 1
        for what, keys, value in params:
            if what != "filter" or keys[:1] != ["created_at"]:
                continue
            if keys[1:2] == ["from"]:
                low = _number(value)
            elif keys[1:2] == ["to"]:
                high = _number(value)
            else:
                edges = [_number(part) for part in value.split(",")]
                low = edges[0]
                high = edges[1] if len(edges) > 1 else high
        return low, high

    @staticmethod
    def _event_stages(params: Params, side: str) -> set[tuple[int, int]]:
        pairs: dict[str, dict[str, int]] = {}
        for what, keys, value in params:
            if what == "filter" and keys[:2] == [side, "leads_statuses"] and len(keys) == 4:
                pairs.setdefault(keys[2], {})[keys[3]] = _number(value)
        return {(pair.get("pipeline_id", -1), pair.get("status_id", -1)) for pair in pairs.values()}


_HTML_403 = (
    b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n"
    b"<center><h1>403 Forbidden</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_HTML_429 = _HTML_403.replace(b"403 Forbidden", b"429 Too Many Requests")


def _problem(status: int, title: str, *, hint: str | None = None) -> Reply:
    body: dict[str, Any] = {
        "title": title,
        "type": f"https://httpstatus.es/{status}",
        "status": status,
        "detail": hint or title,
    }
    if hint:
        body = {"hint": hint, **body}
    return Reply(status, orjson.dumps(body), PROBLEM)


def _validation(path: str, detail: str) -> Reply:
    body = {
        "validation-errors": [
            {
                "request_id": "0",
                "errors": [{"code": "NotSupportedChoice", "path": path, "detail": detail}],
            }
        ],
        "title": "Bad Request",
        "type": "https://httpstatus.es/400",
        "status": 400,
        "detail": "Request validation failed",
    }
    return Reply(400, orjson.dumps(body), PROBLEM)


def _params(query: str) -> Params:
    """Return query parameters as (name, keys in brackets, value)."""
    parsed: Params = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        bare, bracket, rest = name.partition("[")
        parsed.append((bare, _BRACKETS.findall(bracket + rest), value))
    return parsed


def _values(params: Params, field: str) -> list[str]:
    found: list[str] = []
    for what, keys, value in params:
        if what == "filter" and keys[:1] == [field]:
            found.extend(part for part in value.split(",") if part)
    return found


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _RefusedError(_validation("filter", f"{text!r} is not a number")) from None


def _whole_number(params: Params, name: str, default: int) -> int:
    for what, keys, value in params:
        if what == name and not keys:
            return int(value) if value.isdigit() else default
    return default


def _event_types(account: Account) -> list[dict[str, Any]]:
    return [
        {"key": key, "type": number, "lang": key}
        for number, key in enumerate(account.events.TYPES, start=1)
    ]
