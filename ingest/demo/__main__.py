"""`python -m ingest.demo`: the demo company's APIs alone, for any HTTP client to look at."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from ingest.demo.amocrm_server import AmoOptions, AmoServer
from ingest.demo.direct_server import DirectOptions, DirectServer
from ingest.demo.generator import DemoCompany
from ingest.demo.metrica_server import MetricaOptions, MetricaServer
from ingest.demo.serving import LOOPBACK, applications, clock_text, listen, run_servers
from ingest.demo.vk_server import VkServer


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
    asked = parser.parse_args()

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
    asyncio.run(
        run_servers(list(zip(applications([amocrm, direct, vk, metrica]), listeners, strict=True)))
    )


if __name__ == "__main__":
    main()
