"""The fake servers in a process of their own, for as long as somebody needs them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.demo.amocrm_server import AmoOptions, AmoServer
from ingest.demo.direct_server import DirectOptions, DirectServer
from ingest.demo.faults import FaultLayer, FaultPlan
from ingest.demo.http import ConnectionProtocol, Server, application
from ingest.demo.metrica_server import MetricaOptions, MetricaServer
from ingest.demo.tables import CompanyTables, Instant, unix_seconds
from ingest.demo.vk_server import VkOptions, VkServer

LOOPBACK = "127.0.0.1"
# The demo company's clock stands still while it is read, so the vendor's real-time limits would
# only make the demo slow: 300,000 events at 7 pages a second take seven minutes.
DEMO_AMO = AmoOptions(requests_per_second=2000, excess_before_ban=10_000)
DEMO_DIRECT = DirectOptions(requests_per_window=2000)
DEMO_VK = VkOptions(requests_per_second=2000)
DEMO_METRICA = MetricaOptions(
    requests_per_second=2000, requests_per_window=None, polls_until_processed=1
)
_START_SECONDS = 60.0


@dataclass(frozen=True)
class DemoEndpoints:
    """Where the fake APIs listen and what opens them."""

    amocrm_url: str
    direct_url: str
    vk_url: str
    metrica_url: str
    token: str
    direct_login: str
    vk_client_id: str
    vk_client_secret: str
    metrica_counter_id: str
    control_url: str
    process_id: int

    def statistics(self) -> dict[str, Any]:
        """Return, for each of the APIs, what was asked and how it was answered."""
        answer: dict[str, Any] = self._control("statistics", {})
        return answer

    def set_now(self, now: Instant) -> None:
        """Move the simulated clock of all APIs; what happened later is not visible."""
        self._control("clock", {"now": unix_seconds(now)})

    def set_faults(self, plan: FaultPlan | None) -> None:
        """Let another plan disturb the APIs from now on; None: nothing does."""
        self._control("faults", {"plan": None if plan is None else plan.dict()})

    def _control(self, what: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always our own loopback address
            f"{self.control_url}/{what}",
            data=json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())


@contextlib.contextmanager
def serve_demo(
    tables: CompanyTables,
    *,
    amocrm: AmoOptions = DEMO_AMO,
    direct: DirectOptions = DEMO_DIRECT,
    vk: VkOptions = DEMO_VK,
    metrica: MetricaOptions = DEMO_METRICA,
    faults: FaultPlan | None = None,
    now: Instant | None = None,
    amocrm_port: int = 0,
    direct_port: int = 0,
    vk_port: int = 0,
    metrica_port: int = 0,
) -> Iterator[DemoEndpoints]:
    """Serve a firm's APIs on loopback and yield where.

    The servers run in a child process (their work does not slow the reader's down) that ends with
    the block, and also when this process dies in any way.

    Args:
        tables: The firm.
        amocrm: Behaviour of the CRM; the default has a raised rate limit, `AmoOptions()` has the
            vendor's.
        direct: Behaviour of Yandex Direct, alike.
        vk: Behaviour of VK Ads, alike.
        metrica: Behaviour of Yandex Metrica.
        faults: What disturbs the APIs; `statistics` counts it, by kind.
        now: The simulated moment; default: the end of the tables.
        amocrm_port: A fixed port; 0: any free one.
        direct_port: Alike.
        vk_port: Alike.
        metrica_port: Alike.

    Raises:
        OSError: The servers did not start; the message holds what they said.
    """
    token = amocrm.token or direct.token or metrica.token or secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="voronka-demo-") as folder:
        tables.save(Path(folder))
        settings = {
            "folder": folder,
            "now": tables.now if now is None else unix_seconds(now),
            "amocrm": asdict(replace(amocrm, token=token)),
            "direct": asdict(replace(direct, token=token)),
            "vk": asdict(
                replace(
                    vk,
                    client_id=vk.client_id or secrets.token_hex(8),
                    client_secret=vk.client_secret or secrets.token_hex(24),
                )
            ),
            "metrica": asdict(replace(metrica, token=token)),
            "faults": None if faults is None else faults.dict(),
            "ports": {
                "amocrm": amocrm_port,
                "direct": direct_port,
                "vk": vk_port,
                "metrica": metrica_port,
            },
        }
        with (Path(folder) / "stderr").open("w+b") as said:
            child = subprocess.Popen(
                [sys.executable, "-m", "ingest.demo.serving"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                cwd=Path(__file__).resolve().parents[2],
                start_new_session=True,
            )
            try:
                yield _started(child, settings, said, token)
            finally:
                _stop(child)


def _started(
    child: subprocess.Popen[bytes], settings: dict[str, Any], said: Any, token: str
) -> DemoEndpoints:
    if child.stdin is None or child.stdout is None:
        raise OSError("the demo servers have no pipes")
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps(settings).encode() + b"\n")
        child.stdin.flush()
    watchdog = threading.Timer(_START_SECONDS, child.kill)
    watchdog.start()
    line = child.stdout.readline()
    watchdog.cancel()
    if not line:
        child.wait()
        said.seek(0)
        reason = said.read().decode(errors="replace").strip()[-2000:]
        raise OSError(f"the demo servers did not start: {reason}")
    ready = json.loads(line)
    urls = {name: f"http://{LOOPBACK}:{port}" for name, port in ready["ports"].items()}
    return DemoEndpoints(
        amocrm_url=urls["amocrm"],
        direct_url=urls["direct"],
        vk_url=urls["vk"],
        metrica_url=urls["metrica"],
        token=token,
        direct_login=ready["login"],
        vk_client_id=settings["vk"]["client_id"],
        vk_client_secret=settings["vk"]["client_secret"],
        metrica_counter_id=ready["counter_id"],
        control_url=urls["control"],
        process_id=child.pid,
    )


def _stop(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _control(
    servers: Mapping[str, Server], layers: Mapping[str, FaultLayer], token: str
) -> Starlette:
    """Return the hidden last server: statistics, the clock, and the faults."""

    async def endpoint(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {token}":
            return Response(status_code=401)
        if request.url.path == "/clock":
            now = (await request.json())["now"]
            for server in servers.values():
                server.clock.set(now)
        if request.url.path == "/faults":
            plan = FaultPlan.of((await request.json())["plan"])
            for layer in layers.values():
                layer.follow(plan)
        return JSONResponse(
            {
                name: {**server.statistics.summary(), **layers[name].summary()}
                for name, server in servers.items()
            }
        )

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=["POST"])])


def listen(port: int) -> socket.socket:
    """Return a listening socket on loopback; port 0 takes any free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Without it every answer of two packets waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((LOOPBACK, port))
    listener.listen(256)
    return listener


async def run_servers(apps: list[tuple[Starlette, socket.socket]]) -> None:
    """Run applications on their sockets until the process ends."""
    servers = []
    for app, listener in apps:
        config = uvicorn.Config(
            app,
            http=ConnectionProtocol,
            log_level="error",
            access_log=False,
            date_header=False,
            server_header=False,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        servers.append(server.serve(sockets=[listener]))
    await asyncio.gather(*servers)


def fault_layers(servers: Mapping[str, Server], plan: FaultPlan | None) -> dict[str, FaultLayer]:
    """Return what stands in front of each server; without a plan it lets everything through."""
    return {name: FaultLayer(name, server, plan) for name, server in servers.items()}


def applications(
    servers: Mapping[str, Server], layers: Mapping[str, FaultLayer]
) -> list[Starlette]:
    """Return the ASGI applications of servers behind their layers."""
    return [application(server, layers[name]) for name, server in servers.items()]


def _die_with_parent() -> None:
    """Leave when the parent closes our stdin, which its death does too."""
    parent = os.getppid()

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    def look() -> None:
        # Another child of the parent may have inherited the other end of the pipe.
        while os.getppid() == parent:
            threading.Event().wait(1.0)
        os._exit(0)

    for target in (watch, look):
        threading.Thread(target=target, daemon=True).start()


def _child() -> None:
    settings = json.loads(sys.stdin.buffer.readline())
    _die_with_parent()
    tables = CompanyTables.load(Path(settings["folder"]))
    now = settings["now"]
    direct = DirectServer(tables, DirectOptions(**settings["direct"]), now)
    metrica = MetricaServer(tables, MetricaOptions(**settings["metrica"]), now)
    servers: dict[str, Server] = {
        "amocrm": AmoServer(tables, AmoOptions(**settings["amocrm"]), now),
        "direct": direct,
        "vk": VkServer(tables, VkOptions(**settings["vk"]), now),
        "metrica": metrica,
    }
    layers = fault_layers(servers, FaultPlan.of(settings["faults"]))
    listeners = {name: listen(settings["ports"].get(name, 0)) for name in (*servers, "control")}
    apps = [
        *applications(servers, layers),
        _control(servers, layers, settings["amocrm"]["token"]),
    ]
    ready = {
        "ports": {name: listener.getsockname()[1] for name, listener in listeners.items()},
        "login": direct.login,
        "counter_id": str(metrica.counter_id),
    }
    # The company never goes away: walking it again and again would hold up answers.
    gc.freeze()
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    asyncio.run(run_servers(list(zip(apps, listeners.values(), strict=True))))


def clock_text(now: int) -> str:
    """Return a simulated moment in Moscow time, for people."""
    zone = dt.timezone(dt.timedelta(hours=3))
    return dt.datetime.fromtimestamp(now, tz=zone).strftime("%Y-%m-%d %H:%M")


if __name__ == "__main__":
    _child()
