"""A Yandex Direct on loopback: get services, Changes, and a report queue with its traps."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Key = tuple[str, int]


@dataclass
class Answer:
    """An answer given instead of the real one."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def error_body(code: int | str, text: str, detail: str = "") -> bytes:
    """Return the error object of Direct."""
    error = {
        "request_id": "8695244274068608439",
        "error_code": code,
        "error_string": text,
        "error_detail": detail,
    }
    return json.dumps({"error": error}).encode()


class DirectServer:
    """Serves one advertiser; attributes are changed by tests between requests."""

    token = "direct-token"

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 20, 9, 0, 0, tzinfo=dt.UTC)
        self.campaigns: list[dict[str, Any]] = [
            {"Id": 111, "Name": "Search", "Currency": "RUB", "StartDate": "2026-09-01"},
            {"Id": 222, "Name": "Network", "Currency": "RUB", "StartDate": "2026-09-01"},
        ]
        self.spend: dict[Key, tuple[str, str, str]] = {}
        self.borders: list[dict[str, Any]] = []
        self.page_limit = 10_000
        self.polls_before_ready = 0
        self.longest_days = 10_000
        self.ignores_window = False
        self.uses_gzip = False
        self.faults: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.stored: dict[str, tuple[str, bytes]] = {}
        self.queue: dict[str, int] = {}
        self.largest_queue = 0
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                body = json.loads(self.rfile.read(length))
                service = self.path.rsplit("/", 1)[-1]
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = owner.answer(service, body, headers)
                payload = answer.body
                self.send_response_only(answer.status)
                self.send_header("Date", owner.now.strftime("%a, %d %b %Y %H:%M:%S GMT"))
                self.send_header("Content-Type", answer.content_type)
                if owner.uses_gzip and payload:
                    payload = gzip.compress(payload)
                    self.send_header("Content-Encoding", "gzip")
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

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

    def report_requests(self) -> list[dict[str, Any]]:
        """Return the parameters of all report requests so far."""
        return [body["params"] for service, body, _ in self.requests if service == "reports"]

    def answer(self, service: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        with self._lock:
            self.requests.append((service, body, headers))
            if self.faults.get(service):
                return self.faults[service].pop(0)
            if headers.get("authorization") != f"Bearer {self.token}":
                code = error_body("53", "Authorization error")
                return Answer(400 if service == "reports" else 200, code)
            if service == "campaigns":
                return self._campaigns(body["params"])
            if service == "changes":
                return self._changes()
            return self._report(body["params"], headers)

    def _campaigns(self, params: dict[str, Any]) -> Answer:
        offset = params["Page"]["Offset"]
        following = offset + self.page_limit
        result: dict[str, Any] = {"Campaigns": self.campaigns[offset:following]}
        if following < len(self.campaigns):
            result["LimitedBy"] = following
        return _json({"result": result}, {"Units": "10/20828/64000"})

    def _changes(self) -> Answer:
        stamp = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        result = {"Modified": {"CampaignsStat": self.borders}, "Timestamp": stamp}
        return _json({"result": result}, {"Units": "10/20000/64000"})

    def _report(self, params: dict[str, Any], headers: dict[str, str]) -> Answer:
        name = params["ReportName"]
        definition = json.dumps(params, sort_keys=True)
        stored = self.stored.get(name)
        if stored is not None and stored[0] != definition:
            return Answer(400, error_body("4000", "A report with this name already exists"))
        days = params["SelectionCriteria"]
        first, last = days["DateFrom"], days["DateTo"]
        length = (dt.date.fromisoformat(last) - dt.date.fromisoformat(first)).days + 1
        if length > self.longest_days:
            return Answer(502, error_body(1002, "The report takes too long"))
        if self.polls_before_ready and stored is None:
            if name not in self.queue:
                if len(self.queue) >= 5:
                    return Answer(400, error_body(9000, "The report queue is full"))
                self.queue[name] = 0
                self.largest_queue = max(self.largest_queue, len(self.queue))
                return Answer(201, headers={"retryIn": "0.05"})
            self.queue[name] += 1
            if self.queue[name] < self.polls_before_ready:
                return Answer(202, headers={"retryIn": "0.05"})
            del self.queue[name]
        if stored is None:
            stored = (definition, self._tsv(params, headers, first, last))
            self.stored[name] = stored
        return Answer(200, stored[1], "text/tab-separated-values; charset=utf-8")

    def _tsv(self, params: dict[str, Any], headers: dict[str, str], first: str, last: str) -> bytes:
        lines: list[str] = []
        if headers.get("skipreportheader") != "true":
            lines.append(f'"{params["ReportName"]} ({first} - {last})"')
        if headers.get("skipcolumnheader") != "true":
            lines.append("\t".join(params["FieldNames"]))
        names = {item["Id"]: item["Name"] for item in self.campaigns}
        rows = 0
        for (day, campaign), (impressions, clicks, cost) in sorted(self.spend.items()):
            if not self.ignores_window and not first <= day <= last:
                continue
            rows += 1
            in_micros = headers.get("returnmoneyinmicros") != "false" and cost != "--"
            values = {
                "Date": day,
                "CampaignId": str(campaign),
                "CampaignName": names.get(campaign, "--"),
                "Impressions": impressions,
                "Clicks": clicks,
                "Cost": str(round(float(cost) * 1_000_000)) if in_micros else cost,
            }
            lines.append("\t".join(values[name] for name in params["FieldNames"]))
        if headers.get("skipreportsummary") != "true":
            lines.append(f"Total rows: {rows}")
        return ("\n".join(lines) + "\n").encode()


def _json(document: dict[str, Any], headers: dict[str, str]) -> Answer:
    return Answer(200, json.dumps(document).encode(), "application/json", headers)
