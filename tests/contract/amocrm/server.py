"""A small amoCRM on loopback with every habit of the vendor's that the source must survive.

The demo company's server answers from whole tables; this one answers from plain lists that a test
changes between two requests, which is the only way to show rows that move while they are read.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Row = dict[str, Any]
HTML_403 = (403, {"Content-Type": "text/html"}, b"<html><h1>403 Forbidden</h1> nginx</html>")
HTML_429 = (429, {"Content-Type": "text/html"}, b"<html>Too Many Requests</html>")
TOKEN = "very-secret-token"
NOW = 1_763_700_000

_LISTS = {
    "/api/v4/leads": "leads",
    "/api/v4/leads/pipelines": "pipelines",
    "/api/v4/leads/loss_reasons": "loss_reasons",
    "/api/v4/leads/unsorted": "unsorted",
    "/api/v4/users": "users",
    "/api/v4/contacts": "contacts",
    "/api/v4/companies": "companies",
    "/api/v4/events": "events",
    "/api/v4/tasks": "tasks",
    "/api/v4/leads/notes": "lead_notes",
    "/api/v4/contacts/notes": "contact_notes",
    "/api/v4/companies/notes": "company_notes",
    "/api/v4/catalogs/1209/elements": "invoices",
}
_EMBEDDED = {
    "lead_notes": "notes",
    "contact_notes": "notes",
    "company_notes": "notes",
    "invoices": "elements",
}
_PAID = {"leads", "contacts", "companies"}


@dataclass
class Account:
    """What the account holds and how its server behaves."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    deleted: list[Row] = field(default_factory=list)
    now: int = NOW
    filters_on: bool = True
    obeys_filters: bool | None = None
    is_admin: bool = True
    catalog: int | None = None
    greatest_limit: int = 250
    greatest_events_limit: int = 100
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    refresh_tokens: set[str] = field(default_factory=set)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    before_answer: Callable[[str, dict[str, str]], None] | None = None
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.RLock)

    def paths(self, name: str) -> list[dict[str, str]]:
        """Return the queries that asked for one list."""
        return [query for path, query in self.requests if _LISTS.get(path) == name]


def lead(number: int, updated_at: int, **more: Any) -> Row:
    """Return a lead as the API shows it."""
    return {
        "id": number,
        "name": f"Сделка {number}",
        "price": 1000,
        "status_id": 142,
        "pipeline_id": 3001,
        "created_at": updated_at - 100,
        "updated_at": updated_at,
        "closed_at": None,
        "is_deleted": False,
        "custom_fields_values": None,
        "account_id": 900,
        "_links": {"self": {"href": f"https://x.amocrm.ru/api/v4/leads/{number}?page=1"}},
        "_embedded": {"tags": [], "companies": []},
        **more,
    }


def event(number: int, created_at: int, kind: str = "lead_status_changed") -> Row:
    """Return an event as the API shows it."""
    return {
        "id": f"01hf{number:022d}",
        "type": kind,
        "entity_id": 1001,
        "entity_type": "lead",
        "created_by": 501,
        "created_at": created_at,
        "value_after": [{"lead_status": {"id": 142, "pipeline_id": 3001}}],
        "value_before": [{"lead_status": {"id": 5, "pipeline_id": 3001}}],
        "account_id": 900,
    }


@contextmanager
def serve(account: Account) -> Iterator[str]:
    """Answer for an account on a free port and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._send(*_answer(account, self.path, self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*_refresh(account, body))

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(account.now, usegmt=True)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 204:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(account: Account, url: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    with account.lock:
        account.requests.append((parts.path, query))
        if account.before_answer is not None:
            account.before_answer(parts.path, query)
        if account.answers:
            return account.answers.pop(0)
        if authorization.removeprefix("Bearer ") not in account.tokens:
            return _json({"title": "Unauthorized", "status": 401}, 401)
        if parts.path == "/api/v4/account":
            settings = {"invoices_catalog_id": account.catalog}
            return _json(
                {
                    "id": 900,
                    "name": "ACME",
                    "subdomain": "acme",
                    "is_api_filter_enabled": account.filters_on,
                    "invoices_settings": settings,
                    "_embedded": {"datetime_settings": {"timezone": "Europe/Moscow"}},
                }
            )
        name = _LISTS.get(parts.path)
        if name is None:
            return _json({"title": "Not Found", "status": 404}, 404)
        if name == "users" and not account.is_admin:
            return _json({"title": "Forbidden", "status": 403}, 403)
        return _list(account, name, parts.path, query)


def _list(
    account: Account, name: str, path: str, query: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    rows = list(account.rows.get(name, ()))
    if "only_deleted" in query.get("with", ""):
        rows = list(account.deleted)
    obeys = account.filters_on if account.obeys_filters is None else account.obeys_filters
    for key, value in query.items():
        if key.startswith("filter[") and (obeys or name not in _PAID):
            column = key.split("[")[1].rstrip("]")
            if key.endswith("[from]"):
                rows = [row for row in rows if row[column] >= int(value)]
            elif key.endswith("[to]"):
                rows = [row for row in rows if row[column] <= int(value)]
            elif column == "type":
                rows = [row for row in rows if row["type"] in value.split(",")]
    for key, value in query.items():
        if key.startswith("order["):
            column = key.removeprefix("order[").rstrip("]")
            rows.sort(key=lambda row: (row[column], row.get("id", 0)), reverse=value == "desc")
    if name == "events":
        rows.sort(key=lambda row: row["created_at"], reverse=True)
    greatest = account.greatest_events_limit if name == "events" else account.greatest_limit
    limit = int(query.get("limit", 50))
    limit = limit if limit <= greatest else 50
    page = int(query.get("page", 1))
    shown = rows[(page - 1) * limit : page * limit]
    if not shown:
        return 204, {}, b""
    links = {"self": {"href": path}}
    if page * limit < len(rows):
        again = {key: value for key, value in query.items() if key not in {"page", "limit"}}
        href = (
            f"https://acme.amocrm.ru{path}?{urlencode({**again, 'page': page + 1, 'limit': limit})}"
        )
        links["next"] = {"href": href}
    return _json({"_page": page, "_links": links, "_embedded": {_EMBEDDED.get(name, name): shown}})


def _refresh(account: Account, body: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    with account.lock:
        account.requests.append(("/oauth2/access_token", body))
        if account.answers:
            return account.answers.pop(0)
        if body["refresh_token"] not in account.refresh_tokens:
            return _json({"hint": "Token has been revoked", "status": 400}, 400)
        account.refresh_tokens.clear()
        number = sum(path == "/oauth2/access_token" for path, _ in account.requests)
        account.tokens = {f"access-{number}"}
        account.refresh_tokens.add(f"refresh-{number}")
        return _json(
            {
                "token_type": "Bearer",
                "expires_in": 86400,
                "access_token": f"access-{number}",
                "refresh_token": f"refresh-{number}",
            }
        )


def _json(body: Any, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    kind = "application/hal+json" if status < 400 else "application/problem+json"
    return status, {"Content-Type": kind}, json.dumps(body).encode()
