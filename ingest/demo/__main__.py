"""`python -m ingest.demo`: the demo company's APIs alone, for any HTTP client to look at.

With `--scale N --home FOLDER` no API at all: the raw tables of a company of N deals, in a new home.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from pathlib import Path

from ingest.demo.amocrm_server import AmoOptions, AmoServer
from ingest.demo.direct_server import DirectOptions, DirectServer
from ingest.demo.faults import FaultPlan
from ingest.demo.generator import DemoCompany
from ingest.demo.http import Server
from ingest.demo.metrica_server import MetricaOptions, MetricaServer
from ingest.demo.scale import FEWEST, MOST, ScaledCompany, write_raw
from ingest.demo.serving import (
    LOOPBACK,
    applications,
    clock_text,
    fault_layers,
    listen,
    run_servers,
)
from ingest.demo.vk_server import VkServer
from ingest.errors import IngestError


def main() -> None:
    """Generate the firm and serve it until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m ingest.demo", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=20261121, help="of the firm (default %(default)s)"
    )
    parser.add_argument("--months", type=int, default=18, help="of history (default %(default)s)")
    parser.add_argument(
        "--leads", type=int, default=20_000, help="deals in all (default %(default)s)"
    )
    parser.add_argument("--amocrm-port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--direct-port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--vk-port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--metrica-port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument(
        "--rate",
        type=int,
        default=7,
        help="requests a second of amoCRM (default %(default)s, the vendor's)",
    )
    parser.add_argument("--token", default=None, help="of all APIs but VK Ads; made up by default")
    parser.add_argument(
        "--faults",
        nargs="?",
        const="all",
        metavar="KINDS",
        help="disturb the APIs as their vendors do: all (default), or kinds separated by commas",
    )
    parser.add_argument(
        "--faults-seed", type=int, default=0, help="another seed, other faults (default 0)"
    )
    scaled = parser.add_argument_group("a company of any size, its raw tables written straight")
    scaled.add_argument(
        "--scale", type=int, metavar="N", help=f"deals in all, {FEWEST:,} to {MOST:,}"
    )
    scaled.add_argument("--home", type=Path, help="the new home folder that receives them")
    scaled.add_argument(
        "--changes-per-deal", type=float, help="stage changes in the mean (default: as it happens)"
    )
    scaled.add_argument(
        "--visits-per-deal", type=float, help="visits in the mean (default: as it happens)"
    )
    asked = parser.parse_args()

    if asked.scale is not None or asked.home is not None:
        if asked.home is None or asked.scale is None or not FEWEST <= asked.scale <= MOST:
            parser.error(f"--scale takes {FEWEST} to {MOST} and needs --home")
        write_scaled(asked)
        return

    plan = None
    if asked.faults is not None:
        try:
            plan = FaultPlan.parse(asked.faults, asked.faults_seed)
        except ValueError as error:
            parser.error(str(error))
    token = asked.token or secrets.token_hex(16)
    tables = DemoCompany(seed=asked.seed, months=asked.months, leads=asked.leads).tables()
    amocrm = AmoServer(tables, AmoOptions(token=token, requests_per_second=asked.rate))
    direct = DirectServer(tables, DirectOptions(token=token))
    vk = VkServer(tables)
    metrica = MetricaServer(tables, MetricaOptions(token=token))
    asked_ports = (asked.amocrm_port, asked.direct_port, asked.vk_port, asked.metrica_port)
    listeners = [listen(port) for port in asked_ports]
    ports = [listener.getsockname()[1] for listener in listeners]
    counter = f"management/v1/counter/{metrica.counter_id}"
    sys.stdout.write(
        f"Simulated clock: {clock_text(tables.now)} Moscow time, {tables.deals.num_rows} deals\n"
        f"amoCRM:  http://{LOOPBACK}:{ports[0]}/api/v4/account\n"
        f"Direct:  http://{LOOPBACK}:{ports[1]}/json/v5/reports (login {direct.login})\n"
        f"VK Ads:  http://{LOOPBACK}:{ports[2]}/api/v2/oauth2/token.json"
        f" (client_id {vk.client_id}, client_secret {vk.client_secret})\n"
        f"Metrica: http://{LOOPBACK}:{ports[3]}/{counter}/logrequests\n"
        f"Header:  Authorization: Bearer {token}\n"
    )
    sys.stdout.flush()
    servers: dict[str, Server] = {
        "amocrm": amocrm,
        "direct": direct,
        "vk": vk,
        "metrica": metrica,
    }
    apps = applications(servers, fault_layers(servers, plan))
    asyncio.run(run_servers(list(zip(apps, listeners, strict=True))))


def write_scaled(asked: argparse.Namespace) -> None:
    """Write the raw tables of a company of the size that is asked for.

    Args:
        asked: The options of the command line.
    """
    company = ScaledCompany(
        deals=asked.scale,
        seed=asked.seed,
        months=asked.months,
        changes_per_deal=asked.changes_per_deal,
        visits_per_deal=asked.visits_per_deal,
    )

    def report(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    try:
        written = write_raw(company, asked.home, report=report)
    except IngestError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    for table, rows in written.rows.items():
        report(f"{rows:>12,}  {table}")
    report(
        f"{sum(written.rows.values()):,} rows in {written.seconds:.0f} s, "
        f"{written.bytes_on_disk / 1e6:,.0f} MB in {asked.home}"
    )


if __name__ == "__main__":
    main()
