"""Metrica on loopback: the demo's counters behind one address, and answers given instead."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from ingest.demo.faults import FaultLayer
from ingest.demo.http import Call, Outcome, Reply
from ingest.demo.metrica_server import MetricaOptions, MetricaServer
from ingest.demo.tables import CompanyTables, unix_seconds

NOW = "2026-11-20T12:00:00+03:00"
QUICK = MetricaOptions(
    token="metrica-token",
    requests_per_second=None,
    requests_per_window=None,
    polls_until_processed=0,
    created_at="2024-01-01T00:00:00+03:00",
)

Visit = dict[str, Any]
Fault = Callable[[Call, Reply], Reply | None]


def company(visits: Sequence[Visit], now: str = NOW) -> CompanyTables:
    """Return a firm with these visits and one deal."""
    return CompanyTables.build(
        now=now,
        deals=[{"deal_id": 1, "created_at": "2026-09-05T10:00:00+03:00"}],
        visits=visits,
    )


def visit(number: int | str, at: str, **more: Any) -> Visit:
    """Return a visit at a moment of Moscow's clock."""
    moment = at if "+" in at else f"{at}+03:00"
    return {
        "visit_id": str(number),
        "client_id": "1700000000123456789",
        "visited_at": moment,
        **more,
    }


class Metrica:
    """Serves counters; tests change attributes between requests."""

    def __init__(self, visits: Sequence[Visit] = (), **options: Any) -> None:
        self.counters: dict[str, MetricaServer] = {}
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.faults: list[Fault] = []
        self.layer: FaultLayer | None = None
        self.serve(visits, **options)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                place = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                call = Call(
                    self.command,
                    place.path,
                    place.query,
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                    "",
                )
                outcome, now = owner.reply(call)
                reply = outcome.reply
                if reply is None:
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                headers = {"Date": formatdate(now, usegmt=True), **reply.headers}
                headers["Content-Type"] = reply.content_type
                headers["Content-Length"] = str(len(reply.body))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body[: outcome.kept_bytes])
                if outcome.kept_bytes is not None:
                    self.close_connection = True

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def log_message(self, format: str, *args: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def token(self) -> str:
        return self.server.token

    @property
    def server(self) -> MetricaServer:
        """Return the first counter."""
        return next(iter(self.counters.values()))

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def serve(self, visits: Sequence[Visit], now: str = NOW, **options: Any) -> MetricaServer:
        """Serve these visits from now on; the counter forgets its logs."""
        chosen = replace(QUICK, **options)
        server = MetricaServer(company(visits), chosen, unix_seconds(now))
        self.counters[server.counter_id] = server
        return server

    def go_on(self, **span: float) -> None:
        """Let the simulated time go on."""
        for server in self.counters.values():
            server.clock.set(server.clock.now + int(dt.timedelta(**span).total_seconds()))

    def reply(self, call: Call) -> tuple[Outcome, int]:
        with self._lock:
            asked = {name: values[-1] for name, values in parse_qs(call.query).items()}
            self.calls.append((call.method, call.path, asked))
            found = re.search(r"/counter/(\d+)", call.path)
            server = self.counters.get(found[1] if found else "", self.server)
            if self.layer is not None:
                return self.layer.outcome(call, server.answer), server.clock.now
            reply = server.answer(call)
            for fault in list(self.faults):
                changed = fault(call, reply)
                if changed is not None:
                    reply = changed
                    break
            return Outcome(reply), server.clock.now

    def ordered(self) -> list[tuple[str, str]]:
        """Return the days of all orders so far."""
        return [
            (asked["date1"], asked["date2"])
            for method, path, asked in self.calls
            if method == "POST" and path.endswith("/logrequests")
        ]

    def statuses(self) -> list[str]:
        """Return the status of every log of the first counter."""
        return [log["status"] for log in self.server.requests]


def once(path: str, reply: Reply, *, times: int = 1, method: str = "GET") -> Fault:
    """Return a fault: requests whose path ends so are answered so, some times."""
    left = [times]

    def fault(call: Call, _: Reply) -> Reply | None:
        if left[0] <= 0 or call.method != method or not re.search(f"{path}$", call.path):
            return None
        left[0] -= 1
        return reply

    return fault
