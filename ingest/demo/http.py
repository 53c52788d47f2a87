"""What the fake servers share: a reply, the simulated clock, request statistics, a bad day."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import pairwise
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_IDLE_SECONDS = 2.0
# struct tcp_info: eight bytes of flags, then numbers of four; the twelfth is tcpi_last_data_recv.
_LAST_DATA_RECEIVED = 8 + 11 * 4
_TCP_INFO_BYTES = _LAST_DATA_RECEIVED + 4
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Reply:
    """An answer to a request."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request, as far as the servers look at it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    # Monotonic seconds: the limits count when a request came, not when its turn to be answered did.
    received_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Outcome:
    """What becomes of a request on its way: an answer, a part of one, or silence.

    Attributes:
        reply: The answer; None: the connection is closed without one.
        seconds: How long the caller waits for it.
        kept_bytes: So many bytes of the body arrive before the connection breaks; None: all.
    """

    reply: Reply | None
    seconds: float = 0.0
    kept_bytes: int | None = None


class Disturbance(Protocol):
    """A layer in front of a server."""

    def outcome(self, call: Call, answer: Callable[[Call], Reply]) -> Outcome:
        """Return what becomes of a request, asking the server or not."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return what was done to requests so far."""
        ...


class Server(Protocol):
    """A fake API: requests in, replies out, no sockets."""

    clock: Clock
    statistics: Statistics

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request."""
        ...


class Clock:
    """The simulated time; it stands still unless a test moves it or each request does."""

    def __init__(self, now: int, seconds_per_request: int = 0) -> None:
        self._now = now
        self._step = seconds_per_request
        self._lock = threading.Lock()

    @property
    def now(self) -> int:
        """Return the simulated moment as Unix seconds."""
        return self._now

    def set(self, now: int) -> None:
        """Move to a moment."""
        self._now = now

    def tick(self) -> None:
        """Count one request."""
        if self._step:
            with self._lock:
                self._now += self._step


class Statistics:
    """What was asked and how it was answered, in real time: a test judges the client by it."""

    def __init__(self) -> None:
        self._statuses: Counter[int] = Counter()
        self._paths: Counter[str] = Counter()
        self._moments: deque[float] = deque(maxlen=1_000_000)
        self._bytes = 0

    def count(self, path: str, status: int, size: int, moment: float) -> None:
        """Add one answered request."""
        self._statuses[status] += 1
        self._paths[path] += 1
        self._moments.append(moment)
        self._bytes += size

    def summary(self) -> dict[str, Any]:
        """Return counts by status and path, bytes, and how busy the busiest times were.

        `idle_seconds` adds up the pauses of more than two seconds: then the client had other work.
        """
        # Answers that wait are counted later than those that came after them.
        moments = sorted(self._moments)
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        return {
            "requests": sum(self._statuses.values()),
            "by_status": {str(status): count for status, count in sorted(self._statuses.items())},
            "by_path": dict(sorted(self._paths.items())),
            "bytes": self._bytes,
            "busiest_second": _busiest(moments, 1.0),
            "busiest_ten_seconds": _busiest(moments, 10.0),
            "busiest_five_minutes": _busiest(moments, 300.0),
            "idle_seconds": sum(gap for gap in gaps if gap > _IDLE_SECONDS),
            "first_to_last_seconds": moments[-1] - moments[0] if moments else 0.0,
        }


def _busiest(moments: list[float], seconds: float) -> int:
    """Return the greatest number of moments in any span of so many seconds."""
    busiest = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds:
            first += 1
        busiest = max(busiest, last - first + 1)
    return busiest


class RateWindow:
    """Counts requests in a sliding window of real time."""

    def __init__(self, limit: int | None, seconds: float) -> None:
        self._limit, self._seconds = limit, seconds
        self._seen: deque[float] = deque()

    def is_exceeded(self, moment: float) -> bool:
        """Count a request and return whether it is one too many; those refused are not counted.

        Args:
            moment: When it came, in monotonic seconds.
        """
        if self._limit is None:
            return False
        while self._seen and moment - self._seen[0] >= self._seconds:
            self._seen.popleft()
        if len(self._seen) >= self._limit:
            return True
        self._seen.append(moment)
        return False


class ConnectionProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol for what ASGI has no word for: when a request came, and breaking off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.received_at = time.monotonic()
        wrapped: ASGIApp = self.app  # type: ignore[has-type]

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            await wrapped({**scope, _CONNECTION: self}, receive, send)

        self.app = with_connection

    def data_received(self, data: bytes) -> None:
        """Take note of when the bytes came and pass them on."""
        connection = self.transport.get_extra_info("socket")
        self.received_at = time.monotonic() - _waited_seconds(connection)
        super().data_received(data)


def _waited_seconds(connection: Any) -> float:
    """Return how long bytes lay in the kernel while this process answered others or had no core.

    A vendor's front counts what reaches it; without this, a second in which we were slow to look
    would seem to hold one request too many. Linux tells it, in steps of a few milliseconds.
    """
    if connection is None or not hasattr(socket, "TCP_INFO"):
        return 0.0
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    milliseconds: int = struct.unpack_from("=I", told, _LAST_DATA_RECEIVED)[0]
    return milliseconds / 1000


_CONNECTION = "voronka.connection"


class _Broken(Response):
    """An answer of which the caller gets a part, or nothing at all."""

    def __init__(self, whole: Response | None, kept_bytes: int) -> None:
        super().__init__()
        self._whole, self._kept = whole, kept_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._whole is not None:
            start = {"status": self._whole.status_code, "headers": self._whole.raw_headers}
            await send({"type": "http.response.start", **start})
            part = bytes(self._whole.body)[: self._kept]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        scope[_CONNECTION].transport.close()
        # The loop must see the connection end before the application does, or it answers 500.
        await asyncio.sleep(0.01)


def application(server: Server, disturbance: Disturbance | None = None) -> Starlette:
    """Return the ASGI application of a fake server.

    Args:
        server: What answers.
        disturbance: What stands between it and the callers.
    """

    async def endpoint(request: Request) -> Response:
        call = Call(
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            headers=request.headers,
            body=await request.body(),
            base_url=f"{request.url.scheme}://{request.url.netloc}",
            received_at=request.scope[_CONNECTION].received_at,
        )
        if disturbance is None:
            outcome = Outcome(server.answer(call))
        else:
            outcome = disturbance.outcome(call, server.answer)
        server.clock.tick()
        reply = outcome.reply
        if outcome.seconds:
            await asyncio.sleep(outcome.seconds)
        if reply is None:
            server.statistics.count(call.path, 0, 0, call.received_at)
            return _Broken(None, 0)
        server.statistics.count(call.path, reply.status, len(reply.body), call.received_at)
        response = _response(reply, server.clock.now)
        return response if outcome.kept_bytes is None else _Broken(response, outcome.kept_bytes)

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=METHODS)])


def _response(reply: Reply, now: int) -> Response:
    headers = {"date": formatdate(now, usegmt=True), **reply.headers}
    if reply.status == 204:
        return Response(status_code=204, headers=headers)
    return Response(reply.body, reply.status, {**headers, "content-type": reply.content_type})
