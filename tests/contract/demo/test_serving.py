"""The servers as a reader meets them: over HTTP, in a process of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ingest.demo import CompanyTables, serve_demo
from ingest.demo.amocrm_server import AmoOptions
from ingest.demo.serving import DemoEndpoints


@pytest.fixture(scope="module")
def endpoints(firm: CompanyTables):  # type: ignore[no-untyped-def]
    with serve_demo(firm) as found:
        yield found


def client(endpoints: DemoEndpoints) -> httpx.Client:
    return httpx.Client(headers={"authorization": f"Bearer {endpoints.token}"}, trust_env=False)


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_both_apis_answer_with_the_simulated_date(endpoints: DemoEndpoints) -> None:
    with client(endpoints) as http:
        account = http.get(f"{endpoints.amocrm_url}/api/v4/account")
        assert account.status_code == 200
        assert account.headers["date"] == "Mon, 16 Nov 2026 06:00:00 GMT"
        assert account.headers.get_list("date") == ["Mon, 16 Nov 2026 06:00:00 GMT"]
        assert account.headers["content-type"] == "application/hal+json"
        body = {"method": "get", "params": {"FieldNames": ["Id"]}}
        campaigns = http.post(f"{endpoints.direct_url}/json/v5/campaigns", json=body)
        assert campaigns.headers["date"] == "Mon, 16 Nov 2026 06:00:00 GMT"
        assert len(campaigns.json()["result"]["Campaigns"]) == 8


def test_vk_ads_and_metrica_answer_beside_them(endpoints: DemoEndpoints) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": endpoints.vk_client_id,
        "client_secret": endpoints.vk_client_secret,
    }
    with httpx.Client(trust_env=False) as http:
        token = http.post(f"{endpoints.vk_url}/api/v2/oauth2/token.json", data=form).json()
        headers = {"authorization": f"Bearer {token['access_token']}"}
        plans = http.get(f"{endpoints.vk_url}/api/v2/ad_plans.json", headers=headers)
        assert plans.headers["date"] == "Mon, 16 Nov 2026 06:00:00 GMT"
        assert plans.json()["count"] == 3
        path = f"management/v1/counter/{endpoints.metrica_counter_id}"
        headers = {"authorization": f"OAuth {endpoints.token}"}
        counter = http.get(f"{endpoints.metrica_url}/{path}", headers=headers)
        assert counter.json()["counter"]["time_zone_name"] == "Europe/Moscow"
    assert set(endpoints.statistics()) == {"amocrm", "direct", "vk", "metrica"}


def test_records_do_not_name_the_port(endpoints: DemoEndpoints) -> None:
    # The port is another one each time; a record that named it would look changed on every run.
    with client(endpoints) as http:
        account = http.get(f"{endpoints.amocrm_url}/api/v4/account", params={"with": "version"})
        leads = http.get(f"{endpoints.amocrm_url}/api/v4/leads").json()["_embedded"]
    assert "127.0.0.1" not in account.text
    assert "127.0.0.1" not in str(leads)


def test_next_link_can_be_followed(endpoints: DemoEndpoints) -> None:
    with client(endpoints) as http:
        first = http.get(
            f"{endpoints.amocrm_url}/api/v4/leads",
            params={"filter[created_at][from]": 1, "limit": 10},
        )
        second = http.get(first.json()["_links"]["next"]["href"])
        ids = [row["id"] for page in (first, second) for row in page.json()["_embedded"]["leads"]]
        assert len(set(ids)) == 20


def test_empty_answer_over_http(endpoints: DemoEndpoints) -> None:
    with client(endpoints) as http:
        reply = http.get(f"{endpoints.amocrm_url}/api/v4/leads", params={"page": 9999})
        assert (reply.status_code, reply.content) == (204, b"")


def test_requests_are_counted(endpoints: DemoEndpoints) -> None:
    with client(endpoints) as http:
        before = endpoints.statistics()["amocrm"]["requests"]
        http.get(f"{endpoints.amocrm_url}/api/v4/account")
        http.get(f"{endpoints.amocrm_url}/api/v4/nothing")
        after = endpoints.statistics()["amocrm"]
        assert after["requests"] == before + 2
        assert after["by_status"]["404"] >= 1
        assert after["busiest_second"] >= 2


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="only Linux tells when bytes came")
def test_request_counts_when_it_came_and_not_when_the_server_got_to_it(firm: CompanyTables) -> None:
    with serve_demo(firm) as endpoints, client(endpoints) as http:
        url = httpx.URL(f"{endpoints.amocrm_url}/api/v4/account")
        os.kill(endpoints.process_id, signal.SIGSTOP)
        with socket.create_connection((url.host, url.port or 0)) as early:
            early.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
            time.sleep(1.2)
            os.kill(endpoints.process_id, signal.SIGCONT)
            assert early.recv(100).startswith(b"HTTP/1.1 401")
        http.get(url)
        told = endpoints.statistics()["amocrm"]
        assert (told["requests"], told["busiest_second"]) == (2, 1)
        assert told["first_to_last_seconds"] >= 1.1


def test_clock_can_be_moved(firm: CompanyTables) -> None:
    with serve_demo(firm, now=firm.now - 86_400) as endpoints, client(endpoints) as http:

        def deals() -> int:
            last = {"order[created_at]": "desc", "limit": 1}
            reply = http.get(f"{endpoints.amocrm_url}/api/v4/leads", params=last)
            return int(reply.json()["_embedded"]["leads"][0]["created_at"])

        assert deals() <= firm.now - 86_400
        endpoints.set_now("2026-11-16T09:00:00+03:00")
        assert firm.now - 86_400 < deals() <= firm.now


def test_vendor_limit_holds_over_http(firm: CompanyTables) -> None:
    with (
        serve_demo(firm, amocrm=AmoOptions(excess_before_ban=3)) as endpoints,
        client(endpoints) as http,
    ):
        statuses = [
            http.get(f"{endpoints.amocrm_url}/api/v4/account").status_code for _ in range(12)
        ]
    assert statuses.count(429) >= 1
    assert statuses[-1] == 403


def test_servers_end_with_the_block(firm: CompanyTables) -> None:
    with serve_demo(firm) as endpoints:
        assert is_alive(endpoints.process_id)
    assert not is_alive(endpoints.process_id)


def test_servers_die_with_a_killed_parent() -> None:
    code = (
        "import sys, time\n"
        "from ingest.demo import DemoCompany, serve_demo\n"
        "with serve_demo(DemoCompany(months=1, leads=20).tables()) as endpoints:\n"
        "    print(endpoints.process_id, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_port_in_use_is_a_clear_error(firm: CompanyTables, endpoints: DemoEndpoints) -> None:
    port = int(endpoints.amocrm_url.rpartition(":")[2])
    with pytest.raises(OSError, match="did not start"), serve_demo(firm, amocrm_port=port):
        pass


def test_help_of_the_stand_alone_servers() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ingest.demo", "--help"], capture_output=True, text=True, check=True
    )
    ports = ("--amocrm-port", "--direct-port", "--vk-port", "--metrica-port")
    for flag in ("--seed", "--months", "--leads", *ports, "--rate"):
        assert flag in run.stdout
