"""What goes wrong ends in one clear line, a non-zero exit code and yesterday's file still served."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.demo import CompanyTables
from ingest.demo.serving import serve_demo
from tests.product import Product

pytestmark = pytest.mark.e2e
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "files"


@contextmanager
def html_api() -> Iterator[str]:
    """Serve a page of HTML to every request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html><body>Service maintenance</body></html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def nothing_published(product: Product) -> bool:
    return not list((product.home / "serve").glob("*.duckdb"))


@dataclass(frozen=True)
class Started:
    """A refresh under way, and the home it works on."""

    product: Product
    process: subprocess.Popen[str]

    def output_of(self, code: int) -> str:
        """Wait for the end, which must have this exit code, and return what was printed."""
        output, _ = self.process.communicate(timeout=300)
        assert self.process.returncode == code, output
        return output


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Started]]:
    """Return refreshes of a CRM that refuses, is away or answers HTML, all begun at once.

    Each spends most of its time in the pauses between its attempts.
    """
    with (
        serve_demo(CompanyTables.build(now="2026-01-21T00:00:00+00:00")) as demo,
        html_api() as html,
    ):
        addresses = {"refusing": demo.amocrm_url, "away": closed_port(), "html": html}
        found = {}
        for name, url in addresses.items():
            product = Product(
                tmp_path_factory.mktemp(name) / "home",
                {
                    "VORONKA_SOURCES": "amocrm",
                    "VORONKA_AMOCRM_URL": url,
                    "SOURCES__AMOCRM__TOKEN": "wrong",
                },
            )
            found[name] = Started(product, product.start("refresh"))
        try:
            yield found
        finally:
            for one in found.values():
                one.process.kill()
                one.process.wait()


def test_wrong_credentials(started: dict[str, Started]) -> None:
    output = started["refusing"].output_of(3)
    assert "token" in output.lower()
    assert "Traceback" not in output
    assert nothing_published(started["refusing"].product)


def test_an_unreachable_host(started: dict[str, Started]) -> None:
    output = started["away"].output_of(3)
    assert "127.0.0.1" in output
    assert "Traceback" not in output
    assert nothing_published(started["away"].product)


def test_an_api_that_answers_html(started: dict[str, Started]) -> None:
    output = started["html"].output_of(3)
    assert "HTML" in output or "html" in output
    assert "Traceback" not in output
    assert nothing_published(started["html"].product)


def test_no_source_is_named(product: Callable[..., Product]) -> None:
    output = product().run("refresh", code=2)
    assert "VORONKA_SOURCES" in output or "sources" in output


@pytest.fixture(scope="module")
def golden(small_firms: Product) -> Product:
    """Return a company that has been published once."""
    return small_firms


@contextmanager
def changed(product: Product, name: str, text: str, *, append: bool = True) -> Iterator[None]:
    path = Path(product.settings["VORONKA_FILES"]) / name
    before = path.read_text()
    path.write_text(before + text if append else text)
    try:
        yield
    finally:
        path.write_text(before)


def test_a_bad_row_names_file_line_column_and_value_and_loads_nothing(golden: Product) -> None:
    before = golden.fingerprints()
    with changed(golden, "deals.csv", "I,yesterday,,Deal I,p,1,open,,100,M1,SMB,person-I\n"):
        output = golden.run("refresh", code=2)
    for part in ("deals.csv", "10", "created_at", "yesterday"):
        assert part in output, output
    assert golden.fingerprints() == before


def test_a_bad_company_table_names_line_and_column(golden: Product) -> None:
    before = golden.fingerprints()
    table = golden.home / "company" / "sales_plans.csv"
    table.parent.mkdir(exist_ok=True)
    table.write_text("period_type,period_start_date,metric_id,plan_value\nmonth,soon,sold,100\n")
    try:
        output = golden.run("refresh", code=2)
    finally:
        table.unlink()
    for part in ("sales_plans.csv", "2", "period_start_date", "soon"):
        assert part in output, output
    assert golden.fingerprints() == before


def test_a_failing_test_stops_the_publish_and_shows_its_name_and_rows(golden: Product) -> None:
    """Money in a currency without a rate must not be summed: the build stops and names currency and day."""
    before = golden.fingerprints()
    served = (golden.home / "serve" / "voronka.duckdb").stat().st_mtime_ns
    header = (GOLDEN / "deals.csv").read_text().splitlines()[0] + ",currency_code\n"
    rows = [line + ",RUB" for line in (GOLDEN / "deals.csv").read_text().splitlines()[1:]]
    rows[0] = rows[0].removesuffix("RUB") + "USD"
    with changed(golden, "deals.csv", header + "\n".join(rows) + "\n", append=False):
        output = golden.run("refresh", code=4)
    assert "rate" in output
    assert "USD" in output
    assert "Traceback" not in output
    assert golden.fingerprints() == before
    assert (golden.home / "serve" / "voronka.duckdb").stat().st_mtime_ns == served


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)],
            check=False,
            capture_output=True,
        ).returncode
    ):
        pytest.skip("a small disk can only be mounted by root")
    try:
        one = Product(disk / "home", {"VORONKA_SOURCES": "files", "VORONKA_FILES": str(GOLDEN)})
        output = one.run("refresh", code=6)
        assert "disk" in output
        assert "Traceback" not in output
        assert nothing_published(one)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
