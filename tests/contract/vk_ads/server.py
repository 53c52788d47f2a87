"""The demo's VK Ads on loopback, with a record of what was asked and answers put in between."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import orjson

from ingest.demo.http import Call, Reply
from ingest.demo.tables import CompanyTables, unix_seconds
from ingest.demo.vk_server import VkOptions, VkServer

NOW = "2026-11-20T12:00:00+03:00"
ALWAYS = 0

Fault = Callable[[Call, Reply], Reply]


def spend(
    plan: int, day: str, cost: str, *, clicks: int = 1, known_from: Any = ALWAYS, until: Any = None
) -> dict[str, Any]:
    """Return what one ad plan cost on one day, as told between two moments."""
    return {
        "platform": "vk_ads",
        "campaign_id": plan,
        "spend_date": day,
        "impressions": clicks * 10,
        "clicks": clicks,
        "cost_micros": round(float(cost) * 1_000_000),
        "vat_rate_percent": 22,
        "known_from_at": known_from,
        "known_to_at": until,
    }


def firm(
    *rows: dict[str, Any], plans: int | range = 2, started: str = "2026-01-01"
) -> CompanyTables:
    """Return a firm that only advertises."""
    numbers = range(111, 111 + plans) if isinstance(plans, int) else plans
    return CompanyTables.build(
        now=NOW,
        ad_campaigns=[
            {
                "platform": "vk_ads",
                "account_login": "dubrava",
                "campaign_id": number,
                "name": f"Кампания {number}",
                "channel": "vk_ads",
                "started_on": dt.date.fromisoformat(started),
            }
            for number in numbers
        ],
        ad_spend=[{**row, "spend_date": dt.date.fromisoformat(row["spend_date"])} for row in rows],
    )


class Desk:
    """One VK Ads; tests change `vk` and put answers in between."""

    def __init__(self) -> None:
        self.options = VkOptions(
            client_id="client",
            client_secret="client-secret-value",
            requests_per_second=None,
            deleted_after_days=10_000,
        )
        self.vk = VkServer(firm(), self.options)
        self.calls: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.statuses: Counter[int] = Counter()
        self.faults: list[tuple[str, Fault, int]] = []
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body in one packet: two wait 40 ms for each other.
            wbufsize = -1

            def do_GET(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                path, _, query = self.path.partition("?")
                call = Call(
                    self.command,
                    path,
                    query,
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                    "",
                )
                reply = owner.answer(call)
                owner.statuses[reply.status] += 1
                self.send_response_only(reply.status)
                self.send_header("Date", self.date_time_string(owner.vk.clock.now))
                self.send_header("Content-Type", reply.content_type)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def show(self, *rows: dict[str, Any], **firm_options: Any) -> None:
        """Show another firm; tokens and the simulated time stay."""
        tokens, now = self.vk._tokens, self.vk.clock.now
        self.vk = VkServer(firm(*rows, **firm_options), self.options, now)
        self.vk._tokens = tokens

    def change(self, **options: Any) -> None:
        """Change how the server behaves."""
        self.options = self.vk.options = replace(self.options, **options)

    def set_now(self, moment: str) -> None:
        self.vk.clock.set(unix_seconds(moment))

    def disturb(self, path: str, fault: Fault, times: int = 1) -> None:
        """Let the next answers of a path be changed."""
        self.faults.append((path, fault, times))

    def put(self, path: str, *replies: Reply) -> None:
        """Give these answers next instead of the real ones."""
        for reply in replies:
            self.disturb(path, _always(reply))

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the parameters of all requests of a path."""
        return [query for known, query, _ in self.calls if known.endswith(path)]

    def answer(self, call: Call) -> Reply:
        with self._lock:
            text = call.query or call.body.decode()
            query = {name: values[-1] for name, values in parse_qs(text).items()}
            self.calls.append((call.path, query, dict(call.headers)))
            for place, (path, fault, times) in enumerate(self.faults):
                if call.path.endswith(path):
                    if times == 1:
                        del self.faults[place]
                    else:
                        self.faults[place] = (path, fault, times - 1)
                    return fault(call, self.vk.answer(call))
            return self.vk.answer(call)


def _always(reply: Reply) -> Fault:
    return lambda _call, _real: reply


def error(status: int, code: str) -> Reply:
    """Return an error as VK tells it."""
    return Reply(status, orjson.dumps({"error": {"code": code, "message": "no"}}))


HTML = Reply(200, b"<html><body>proxy</body></html>", "text/html")
