"""The fake as a whole: requests in, answers out, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

from ingest.demo.http import ConnectionProtocol
from ingest.demo.serving import LOOPBACK, listen
from tests.metabase.fake.accounts import Accounts
from tests.metabase.fake.cards import Cards
from tests.metabase.fake.checker import Checker
from tests.metabase.fake.collections import Collections
from tests.metabase.fake.dashboards import Dashboards
from tests.metabase.fake.databases import Databases
from tests.metabase.fake.dump import dump
from tests.metabase.fake.groups import Groups
from tests.metabase.fake.queries import Queries
from tests.metabase.fake.specification import documents
from tests.metabase.fake.state import Row, State
from tests.metabase.fake.web import Answer, Call, RefusedError, Routes, query_of

When = Literal["before", "after"]
_CONNECTION = "voronka.connection"
_TAGS = {"0.59": "v0.59.12", "0.61": "v0.61.5", "0.63": "v0.63.17"}
# Questions that change nothing though they are asked with POST.
_READING_POSTS = ("/query", "/api/dataset", "/api/database/validate", "/api/eid-translation")
_STARTING = "<html><body><h1>Metabase is starting up</h1></body></html>"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    body: Any

    @property
    def is_mutating(self) -> bool:
        """Return whether it can change something."""
        return is_mutating(self.method, self.path)


def is_mutating(method: str, path: str) -> bool:
    """Return whether a request can change something."""
    if method in {"GET", "HEAD"}:
        return False
    return not (
        method == "POST"
        and (path.endswith("/query") or any(path.startswith(one) for one in _READING_POSTS[1:]))
    )


class FakeMetabase:
    """A Metabase in memory.

    Attributes:
        url: Where it listens, while `running`.
        requests: What was asked, in order.
        findings: What was wrong with requests though the server took them.
        latency: Seconds each answer waits.
        latencies: Seconds more for routes, by template such as `/api/card`.
        sync_seconds: How long a sync takes before tables show.
        watch: Called before and after each request that can change something is carried out.
    """

    def __init__(
        self,
        version: str = "0.63",
        documents: Any = None,
        *,
        engines: tuple[str, ...] = ("duckdb", "postgres", "h2"),
        driver: str = "1.5.5",
        sync_seconds: float = 0.05,
        today: dt.date | None = None,
        setup_token: str | None = None,
        notify_key: str | None = None,
        is_result_reused: bool = False,
        is_validated: bool = True,
    ) -> None:
        """Make an instance nobody has set up.

        Args:
            version: "0.59", "0.61" or "0.63".
            documents: The OpenAPI documents to hold requests against; default: both.
            engines: Engines it has a driver for.
            driver: Version of DuckDB in the DuckDB driver.
            sync_seconds: How long a sync takes before its tables show.
            today: The day relative dates count from; default: the real one.
            setup_token: Preset as `MB_SETUP_TOKEN` does.
            notify_key: `MB_API_KEY`.
            is_result_reused: Answer the same SQL on the same file from memory.
            is_validated: Hold requests against the documents and the checker.
        """
        self.minor = int(version.split(".")[1])
        self.tag = _TAGS.get(version, f"v{version}.1")
        self.engines = engines
        # v0.63 hands a key to drivers that those before 1.5.5 pass on to DuckDB: api.md 9.
        self.is_driver_too_old = self.minor >= 63 and tuple(map(int, driver.split("."))) < (1, 5, 5)
        self.sync_seconds = sync_seconds
        self.notify_key = notify_key
        self.is_result_reused = is_result_reused
        self.is_validated = is_validated
        self.state = State(setup_token=setup_token or secrets.token_hex(16))
        self.lock = threading.RLock()
        self.requests: list[Asked] = []
        self.findings: list[str] = []
        self.latency = 0.0
        self.latencies: dict[str, float] = {}
        self.url = ""
        self.watch: Callable[[When, Asked], None] | None = None
        self._today = today
        self._documents = documents
        self._starting_answers = 0
        self._mutations = 0
        self._crash: tuple[int, When] | None = None
        self._html: list[tuple[int, int]] = []
        self._stalls: dict[int, float] = {}
        self._routes = Routes()
        self.accounts = Accounts(self)
        self.groups = Groups(self)
        self.databases = Databases(self)
        self.collections = Collections(self)
        self.queries = Queries(self)
        self.cards = Cards(self)
        self.dashboards = Dashboards(self)
        self.checker = Checker(self)
        for part in (
            self.accounts,
            self.groups,
            self.databases,
            self.queries,
            self.collections,
            self.cards,
            self.dashboards,
        ):
            part.register(self._routes)
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="fake-metabase")

    def today(self) -> dt.date:
        """Return the day relative dates count from."""
        return self._today or dt.datetime.now(tz=dt.UTC).date()

    @property
    def mutation_count(self) -> int:
        """Return how many requests that can change something have come."""
        return self._mutations

    def crash_after(self, n: int, when: When = "after") -> None:
        """Break the connection at the n-th mutating request from now on, once.

        Args:
            n: From 1.
            when: "before": nothing of it happens; "after": it is done and nobody is told.
        """
        self._crash = (self._mutations + n, when)

    def answer_html(self, n: int, status: int = 502) -> None:
        """Answer the n-th request from now on with a proxy's page, once; nothing happens."""
        self._html.append((len(self.requests) + n, status))

    def stall(self, n: int, seconds: float) -> None:
        """Do the n-th mutating request from now on and answer so many seconds later."""
        self._stalls[self._mutations + n] = seconds

    def start_slowly(self, answers: int) -> None:
        """Answer so many requests with 503, as a server that is starting."""
        self._starting_answers = answers

    def restore(self, state: State) -> None:
        """Go on from a state that was kept."""
        with self.lock:
            self.state = state.copy()

    def reset(self) -> None:
        """Forget what was asked, found and ordered to go wrong."""
        with self.lock:
            self.requests.clear()
            self.findings.clear()
            self._html.clear()
            self._stalls.clear()
            self._crash = None
            self._starting_answers = self._mutations = 0
            self.latency = 0.0
            self.latencies.clear()
            self.watch = None

    def dump(self) -> Row:
        """Return what it holds without ids: equal for two histories that end alike."""
        with self.lock:
            return dump(self.state)

    def edit_by_hand(self, kind: str, name: str, /, **changes: Any) -> Row:
        """Change a row as a person in the browser would, past all checks.

        Args:
            kind: "card", "dashboard", "collection", "database", "field" or "table".
            name: Its name; the first of several.
            changes: New values of its columns.

        Returns:
            The row.
        """
        with self.lock:
            rows: dict[int, Row] = getattr(self.state, f"{kind}s")
            row = next(row for row in rows.values() if row["name"] == name)
            row.update(changes, updated_at=self.state.moment())
            return row

    def add_user(self, email: str, password: str, *groups: int) -> None:
        """Let a person exist, without the browser."""
        with self.lock:
            self.accounts.add_user({"email": email, "password": password}, *groups)

    def close(self) -> None:
        """Close all connections."""
        self.databases.close()
        self._threads.shutdown(wait=False)

    def handle(self, call: Call, raw: bytes) -> Answer | None:
        """Return the answer to a request; None: the connection breaks."""
        number = 0
        with self.lock:
            if is_mutating(call.method, call.path):
                self._mutations += 1
                number = self._mutations
            body, is_readable = _parsed(raw)
            call.body = body
            asked = Asked(call.method, call.path, body)
            self.requests.append(asked)
            page = next((one for one in self._html if one[0] == len(self.requests)), None)
            if page is not None:
                return Answer(page[1], "<html><body>Bad Gateway</body></html>")
            if self._starting_answers:
                self._starting_answers -= 1
                return Answer(503, _STARTING)
            crash = self._crash
            if crash is not None and number == crash[0]:
                self._crash = None
                if crash[1] == "before":
                    return None
            else:
                crash = None
        if number and self.watch is not None:
            self.watch("before", asked)
        answer = self._answer(call, is_readable=is_readable)
        if number and self.watch is not None:
            self.watch("after", asked)
        if number in self._stalls:
            time.sleep(self._stalls.pop(number))
        return None if crash is not None else answer

    def _answer(self, call: Call, *, is_readable: bool) -> Answer:
        try:
            if not is_readable:
                raise RefusedError(400, {"message": "Malformed JSON in request body"})
            template, handler, numbers = self._routes.find(call.method, call.path)
            call.numbers = numbers
            if template not in Accounts.OPEN and template != "/api/notify/db/{id}":
                call.visitor = self.accounts.visitor(call)
            wait = self.latency + self.latencies.get(template, 0.0)
            if wait:
                time.sleep(wait)
            if self.is_validated:
                self._hold_against_documents(call, template)
            if template == "/api/dataset" or template.endswith("/query"):
                found = handler(call)
            else:
                with self.lock:
                    found = handler(call)
                    if self.is_validated:
                        self.findings.extend(self.checker.findings(call, template, found))
        except RefusedError as refusal:
            return refusal.answer
        return found if isinstance(found, Answer) else Answer(200, found)

    def _hold_against_documents(self, call: Call, template: str) -> None:
        known = documents() if self._documents is None else self._documents
        for document in known:
            found = document.findings(call.method, template, call.body)
            if found:
                with self.lock:
                    self.findings.extend(found)

    def end_findings(self) -> list[str]:
        """Return all findings, with those of the instance as it stands now."""
        with self.lock:
            return [*self.findings, *self.checker.end_findings()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as an ASGI application."""
        if scope["type"] != "http":
            return
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        call = Call(
            method=scope["method"],
            path=scope["path"].rstrip("/") or "/",
            query=query_of(scope["query_string"].decode()),
            headers={k.decode().lower(): v.decode() for k, v in scope["headers"]},
        )
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._handled, call, raw)
        if answer is None:
            scope[_CONNECTION].transport.close()
            # The loop must see the connection end before the application does.
            await asyncio.sleep(0.01)
            return
        body, content_type = answer.encoded()
        headers = [(b"content-type", content_type.encode())] if body else []
        headers += [(k.encode(), v.encode()) for k, v in answer.headers.items()]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _handled(self, call: Call, raw: bytes) -> Answer | None:
        try:
            return self.handle(call, raw)
        except Exception as error:  # a mistake of the fake must fail the test that met it
            self.findings.append(f"the fake failed: {call.method} {call.path}: {error!r}")
            return Answer(500, {"message": repr(error), "trace": []})


def _parsed(raw: bytes) -> tuple[Any, bool]:
    if not raw:
        return None, True
    try:
        return orjson.loads(raw), True
    except orjson.JSONDecodeError:
        return None, False


@contextlib.contextmanager
def running(fake: FakeMetabase) -> Iterator[FakeMetabase]:
    """Serve a fake on loopback, on a free port, as long as the block lasts."""
    listener = listen(0)
    fake.url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    server = uvicorn.Server(
        uvicorn.Config(
            fake,
            http=ConnectionProtocol,
            log_level="error",
            access_log=False,
            date_header=False,
            server_header=False,
            lifespan="off",
        )
    )
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, daemon=True, name="fake-metabase"
    )
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield fake
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=10)
        listener.close()
        fake.close()
