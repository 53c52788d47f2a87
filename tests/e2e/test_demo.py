"""The demo company from its APIs to the owner's page, and what must hold afterwards."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ingest.config import load_settings
from ingest.demo import CompanyTables, DemoCompany
from orchestration.lib.benchmark.world import truth_folder
from orchestration.lib.cards import open_serve_file, read_dashboards
from orchestration.lib.cards.contracts import exposed_tables
from orchestration.lib.environment import DASHBOARDS_DIR
from orchestration.lib.metabase.commands import wanted
from orchestration.lib.metabase.published import published_company, published_values
from orchestration.lib.metabase.publishing import Showing
from orchestration.lib.metabase.rendering import desired_state
from orchestration.lib.postgres_serving import descriptions_of
from orchestration.lib.serving import ServeFolder
from tests.e2e.runs import kill_when, same_key, served_run, settle
from tests.metabase.crashes import direct
from tests.metabase.fake import FakeMetabase
from tests.metabase.wiring import filters_that_do_nothing
from tests.postgres.cards import differences
from tests.postgres.cluster import required_cluster
from tests.postgres.conftest import serving_of
from tests.product import Product
from tests.unit.metabase.running import sent
from tests.unit.metabase.taps import taps

pytestmark = pytest.mark.e2e
METABASE_SECRETS = {
    "METABASE__EMAIL": "owner@example.test",
    "METABASE__PASSWORD": "horse-battery-1",
}


def test_the_command_prints_the_owners_numbers_and_where_to_click(
    demo: tuple[Product, str],
) -> None:
    product, output = demo
    assert (product.home / "page" / "index.html").stat().st_size > 20_000
    for word in ("Пришли", "Купили", "Продано", (product.home / "page" / "index.html").as_uri()):
        assert word in output, output


def test_long_work_shows_progress(demo: tuple[Product, str]) -> None:
    _, output = demo
    for phase in ("load", "transform", "publish", "page", "done"):
        assert f"[{phase}]" in output
    planned = re.search(r"building (\d+) tables and checks", output)
    built = re.search(r"(\d+) tables built, (\d+) checks passed", output)
    assert planned is not None
    assert built is not None
    assert int(planned.group(1)) == int(built.group(1)) + int(built.group(2))


def test_every_mart_is_a_table_in_the_published_file(demo: tuple[Product, str]) -> None:
    product, _ = demo
    kinds = product.query(
        "select distinct table_type from information_schema.tables where table_schema = 'marts'"
    )
    assert kinds == [("BASE TABLE",)]
    empty = [name for name, (count, _) in product.fingerprints().items() if count == 0]
    assert empty == []


def test_cost_that_is_not_told_is_compared_with_no_mean(demo: tuple[Product, str]) -> None:
    product, _ = demo
    compared = {
        lacks: (periods, means)
        for lacks, periods, means in product.query(
            """
            select missing = 'silent_ad_account', count(*), count(previous_mean_value)
            from marts.rpt_owner_panel
            where metric_id in ('acquisition_cost', 'earned') and missing <> 'newer_data'
                and missing <> 'ad_spend'
            group by all
            """
        )
    }
    assert compared[True][0] > 0
    assert compared[True][1] == 0
    assert compared[False][1] > compared[False][0] / 2


def test_runs_of_the_command_are_visible_in_the_ui(demo: tuple[Product, str]) -> None:
    from dagster import DagsterInstance

    product, _ = demo
    with pytest.MonkeyPatch.context() as patch:
        for name, value in product.environment(
            VORONKA_DAGSTER_DIR=str(product.home / "dagster")
        ).items():
            patch.setenv(name, value)
        with DagsterInstance.from_config(str(Path(__file__).resolve().parents[2])) as instance:
            runs = instance.get_runs()
    assert runs and {run.job_name for run in runs} == {"refresh_job"}
    assert {run.status.value for run in runs} == {"SUCCESS"}


def test_every_card_answers_the_same_from_postgres(
    demo: tuple[Product, str], tmp_path: Path
) -> None:
    product, _ = demo
    serve = ServeFolder(product.home / "serve")
    current = serve.state().current
    assert current is not None
    manifest = json.loads((product.home / "dbt" / "target" / "manifest.json").read_bytes())
    with required_cluster() as cluster:
        database = cluster.new_database("demo")
        serving = serving_of(tmp_path / "home", database)
        counts = serving.load(serve.path_of(current), current.run_id, descriptions_of(manifest))
        serving.switch(current.run_id)
        assert counts == dict(current.row_counts)
        with (
            duckdb.connect(str(serve.path_of(current)), read_only=True) as published,
            database.as_reader().connect() as served,
        ):
            assert list(differences(read_dashboards(DASHBOARDS_DIR), published, served)) == []


def test_a_tap_on_a_number_opens_the_list_of_what_was_counted(
    demo: tuple[Product, str],
) -> None:
    product, _ = demo
    current = ServeFolder(product.home / "serve").state().current
    assert current is not None
    published = open_serve_file(ServeFolder(product.home / "serve").path_of(current))
    found = list(taps(read_dashboards(DASHBOARDS_DIR), published))
    assert len({tap.place for tap in found}) > 8
    wrong = [tap for tap in found if tap.format == "integer" and tap.number != tap.listed]
    assert wrong == []
    assert [tap for tap in found if tap.number > 0 and not tap.listed] == []


def test_breakdowns_add_up_to_the_kopeck(demo: tuple[Product, str]) -> None:
    product, _ = demo
    (spend,) = product.query("select sum(spend_amount) from marts.fct_ad_spend_daily")
    by_model = product.query(
        "select attribution_model, sum(spend_amount), sum(won_amount) from marts.rpt_channel_economics_monthly group by 1"
    )
    (won,) = product.query(
        "select sum(deal_amount) from marts.dim_deals where outcome = 'won' and not is_deleted and deal_kind <> 'test'"
    )
    assert len(by_model) == 6
    for _, spent, sold in by_model:
        assert spent == spend[0]
        assert sold == won[0]


def test_the_cost_of_every_campaign_is_what_its_platform_told_last(
    demo: tuple[Product, str],
) -> None:
    product, _ = demo
    company = json.loads((product.home / "demo" / "company.json").read_text(encoding="utf-8"))
    tables = DemoCompany(**company).tables()
    told: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for row in tables.ad_spend.to_pylist():
        ends = row["known_to_at"]
        if row["known_from_at"] <= tables.now and (ends is None or ends > tables.now):
            figures = (row["impressions"], row["clicks"], Decimal(row["cost_micros"]) / 1_000_000)
            key = (row["platform"], str(row["campaign_id"]))
            told[key] = [have + more for have, more in zip(told[key], figures, strict=True)]
    assert {platform for platform, _ in told} == {"yandex_direct", "vk_ads"}
    published = product.query(
        """
        select
            spend.platform, campaigns.campaign_id,
            sum(spend.impression_count), sum(spend.click_count), sum(spend.spend_native_amount)
        from marts.fct_ad_spend_daily as spend
        inner join marts.dim_campaigns as campaigns using (campaign_key)
        group by all
        """
    )
    assert {(row[0], row[1]): [Decimal(value) for value in row[2:]] for row in published} == told
    assert product.query("select distinct vat_mode from marts.fct_ad_spend_daily") == [("net",)]
    names = product.query("select count(*) from marts.dim_campaigns where campaign_name is null")
    assert names == [(0,)]


def test_the_benchmark_scores_the_demo_company(demo: tuple[Product, str], tmp_path: Path) -> None:
    product, _ = demo
    target = tmp_path / "scores.json"
    output = product.run("benchmark", "--home", str(product.home), "--json", str(target))
    assert "One company (seed " in output
    measures = {
        one["measure_id"]: one for one in json.loads(target.read_text(encoding="utf-8"))["measures"]
    }
    for one in measures.values():
        is_lacking = one["lacks"] != []
        assert {line["state"] == "not built" for line in one["statistics"]} == {is_lacking}, one
        # A planted truth that peers know has a naive score even where ours is not built.
        is_asked = one["n"] > 0 and one["naive_way"] is not None
        assert (one["by_seed"][0]["naive"] is not None) == is_asked, one

    def ours(measure_id: str) -> dict[str, float]:
        answer: dict[str, float] = measures[measure_id]["by_seed"][0]["ours"]
        return answer

    # What must be exact is exact, and what is planted is there to be found.
    assert ours("sold")["misplaced"] == 0
    assert abs(ours("spend_with_vat")["error"]) < 1e-6
    assert ours("restated_spend")["misplaced"] < 1e-6
    assert ours("unpaid_invoice")["recall"] == 1
    # Fewer than one in a hundred is joined wrongly, or kept apart.
    assert min(ours("same_customer")[rate] for rate in ("precision", "recall")) > 0.99
    for measure_id in ("late_recording", "never_called", "contradicted_loss_reason", "lost_events"):
        assert measures[measure_id]["n"] > 0, measure_id


def test_dbt_knows_every_dashboard_by_the_marts_it_reads(demo: tuple[Product, str]) -> None:
    manifests = list((demo[0].home / "dbt").rglob("manifest.json"))
    exposures = json.loads(manifests[0].read_text("utf-8"))["exposures"]
    found = {
        one["name"]: sorted(node.rsplit(".", 1)[1] for node in one["depends_on"]["nodes"])
        for one in exposures.values()
    }
    assert found == {
        file.dashboard.exposure: exposed_tables(file) for file in read_dashboards(DASHBOARDS_DIR)
    }


def test_every_rendered_card_answers_over_the_published_file(demo: tuple[Product, str]) -> None:
    product, _ = demo
    manifest = json.loads(next((product.home / "dbt").rglob("manifest.json")).read_text("utf-8"))
    files = read_dashboards(DASHBOARDS_DIR)
    state = desired_state(
        files,
        manifest,
        "ru",
        company=published_company(product.published, "ru"),
        values=published_values(product.published, files),
    )
    assert {one.foreign_key for one in state.fields} > {None}
    connection = open_serve_file(product.published)
    rows = 0
    for card in state.cards:
        cursor = connection.execute(sent(card))
        assert tuple(one[0] for one in cursor.description or []) == card.columns, card.key
        found = cursor.fetchall()
        assert found or card.may_be_empty, card.key
        rows += len(found)
    assert rows > 50
    connection.close()


@pytest.fixture(scope="module")
def firm(demo: tuple[Product, str]) -> CompanyTables:
    """Return what really happened in the firm that was loaded."""
    product, _ = demo
    return DemoCompany(**json.loads((product.home / "demo" / "company.json").read_text())).tables()


def subscriber(phone: str) -> str:
    return re.sub(r"\D", "", phone)[-10:]


PHONE = re.compile(r"(?<![\w.])(?:\+?7|8)?[ (]*9\d{2}[ )\-]*\d{3}[ -]?\d{2}[ -]?\d{2}(?![\w])")
MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
NAME = re.compile(r"[А-ЯЁ][а-яё-]+ [А-ЯЁ][а-яё-]+")


def mails_in(text: str) -> Iterator[str]:
    """Yield what looks like a mail; only where an @ is, for hashes are long and begin like one."""
    for at in re.finditer("@", text):
        yield from MAIL.findall(text[max(0, at.start() - 100) : at.end() + 100])


class Scanner:
    """Looks for phones, mails and full names of real people in text."""

    def __init__(self, firm: CompanyTables) -> None:
        texts = (
            firm.contacts.column("phone").to_pylist()
            + firm.calls.column("phone").to_pylist()
            + firm.unsorted.column("phone").to_pylist()
        )
        self.phones = {subscriber(text) for text in texts if text}
        mails = (
            firm.contacts.column("email").to_pylist()
            + firm.companies.column("email").to_pylist()
            + firm.users.column("email").to_pylist()
        )
        self.mails = {mail.lower() for mail in mails if mail}
        people = zip(
            firm.contacts.column("first_name").to_pylist(),
            firm.contacts.column("last_name").to_pylist(),
            strict=True,
        )
        self.names = {f"{first} {last}" for first, last in people if first and last}
        self.names |= {f"{name.split()[1]} {name.split()[0]}" for name in self.names}
        self.names |= set(firm.users.column("name").to_pylist())

    def found(self, text: str) -> set[str]:
        hits = {one for one in PHONE.findall(text) if subscriber(one) in self.phones}
        hits |= {one for one in mails_in(text) if one.lower() in self.mails}
        return hits | {one for one in NAME.findall(text) if one in self.names}


def texts_of(database: Path) -> str:
    """Return every text value of every table of a DuckDB file."""
    pieces = []
    with duckdb.connect(str(database), read_only=True) as connection:
        columns = connection.execute(
            "select schema_name, table_name, list(column_name) from duckdb_columns() "
            "where data_type in ('VARCHAR', 'JSON') and not internal group by all"
        ).fetchall()
        for schema, table, names in columns:
            # Together: a view is worked out once, and not for each of its columns.
            texts = ", ".join(f'string_agg(distinct "{name}", chr(10))' for name in names)
            row = connection.execute(f'select {texts} from "{schema}"."{table}"').fetchone()
            pieces += [text or "" for text in row or ()]
    return "\n".join(pieces)


def test_no_phone_mail_or_name_is_left_anywhere(
    demo: tuple[Product, str], firm: CompanyTables
) -> None:
    product, _ = demo
    scanner = Scanner(firm)
    assert len(scanner.phones) > 300
    assert len(scanner.names) > 300
    assert scanner.found(
        f"звонок 8 (9{next(iter(scanner.phones))[1:3]}) {next(iter(scanner.phones))[3:]}"
    ), "the scanner sees nothing"
    mail = next(iter(scanner.mails))
    assert scanner.found(f"Пишите: {mail.upper()}, ждём") == {mail.upper()}
    places = {
        "warehouse": texts_of(product.home / "warehouse.duckdb"),
        "published file": texts_of(product.published),
        "page": (product.home / "page" / "index.html").read_text(),
    }
    for log in [
        *product.home.glob("logs/**/*"),
        *product.home.glob("dbt/**/*"),
        *product.home.glob("dagster/**/*"),
        *product.home.glob("dlt/**/*"),
    ]:
        if log.is_file():
            places[str(log.relative_to(product.home))] = log.read_bytes().decode(errors="replace")
    for place, text in places.items():
        assert scanner.found(text) == set(), place


def test_metabase_shows_every_dashboard_and_every_filter_filters(
    demo: tuple[Product, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    product, _ = demo
    for name, value in METABASE_SECRETS.items():
        monkeypatch.setenv(name, value)
    with direct(FakeMetabase(sync_seconds=0, is_result_reused=True)) as fake:
        settings = load_settings(
            {
                "VORONKA_HOME": str(product.home),
                "VORONKA_METABASE_URL": fake.url,
                **METABASE_SECRETS,
            }
        )
        serve = ServeFolder(settings.home.serve_dir)
        showing = Showing(settings, wanted(settings), serve, sleep=lambda _: None)
        shown = showing.publish()
        plan, _, _, client = showing.look()
        assert plan.is_empty
        assert len(fake.state.dashboards) >= 10
        assert len(fake.state.cards) == shown.card_count
        assert client is not None
        tried, wrong = filters_that_do_nothing(fake, client)
        assert wrong == []
        assert tried > 50
        # What a server takes without a word and shows wrong, and what its documents forbid.
        assert fake.end_findings() == []


def test_the_models_unit_tests_hold(demo: tuple[Product, str]) -> None:
    product, _ = demo
    output = product.run("dbt", "test", "--select", "test_type:unit")
    assert re.search(r"PASS=\d{2,} WARN=0 ERROR=0 SKIP=0", output), output


READER = """
import pathlib, sys, time, duckdb
path, hurry, stop = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
queries = 0
while not stop.exists():
    with duckdb.connect(path, read_only=True) as connection:
        count = connection.execute("select count(*), sum(deal_amount) from marts.dim_deals").fetchone()[0]
        assert count > 0
    queries += 1
    time.sleep(0 if hurry.exists() else 0.05)
print(queries)
"""


@dataclass(frozen=True)
class Resumed:
    """A home whose refresh was killed three times and then ran, and what was seen meanwhile."""

    product: Product
    served_after_kills: list[str]
    values_after_kills: dict[str, tuple[int, int]]
    holder: int
    output: str
    refused: str
    seconds_to_refuse: float
    reader: tuple[int | None, str, str]


@pytest.fixture(scope="module")
def resumed(demo: tuple[Product, str], tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    """Kill the refresh of a home three times, while it serves an earlier file, then let it run.

    The last run is met by readers, who hurry when the file is switched, and by a second command.
    """
    root = tmp_path_factory.mktemp("resumed")
    undisturbed, product = demo[0], Product(root / "home")
    same_key(undisturbed, product)
    settle(product)
    shutil.copytree(undisturbed.home / "serve", product.home / "serve", symlinks=True)
    served = [served_run(product)]
    for point, delay in (
        (r"\[load\] amocrm/", 0.0),
        (r"\[transform\] building", 3.0),
        (r"\[publish\]", 0.0),
    ):
        kill_when(product, point, delay=delay)
        served.append(served_run(product))
    values = product.fingerprints()
    hurry, stop = root / "hurry", root / "stop"
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(product.published), str(hurry), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        first = product.start("refresh")
        assert first.stdout is not None
        printed = [first.stdout.readline()]
        assert "[start] run" in printed[0]
        started = time.monotonic()
        refused = product.run("refresh", code=5)
        seconds_to_refuse = time.monotonic() - started
        truth = truth_folder(load_settings({"VORONKA_HOME": str(product.home)}).home)
        for line in first.stdout:
            printed.append(line)
            if "[load]" in line and truth.exists():
                # The demo company's own secret: nothing that comes may need it.
                shutil.rmtree(truth)
            if "[publish]" in line:
                hurry.touch()
        assert first.wait(timeout=60) == 0, "".join(printed)
        time.sleep(1)
        stop.touch()
        found, complaint = reader.communicate(timeout=30)
    finally:
        reader.kill()
        reader.wait()
    return Resumed(
        product=product,
        served_after_kills=served,
        values_after_kills=values,
        holder=first.pid,
        output="".join(printed),
        refused=refused,
        seconds_to_refuse=seconds_to_refuse,
        reader=(reader.returncode, found, complaint),
    )


def test_killed_refreshes_leave_the_earlier_file_served(
    demo: tuple[Product, str], resumed: Resumed
) -> None:
    assert set(resumed.served_after_kills) == {served_run(demo[0])}
    assert resumed.values_after_kills == demo[0].fingerprints()


def test_a_refresh_killed_three_times_then_run_equals_an_undisturbed_one(
    demo: tuple[Product, str], resumed: Resumed
) -> None:
    # The file is the new run's own: the one it was served before would be equal for nothing.
    assert served_run(resumed.product) not in resumed.served_after_kills
    assert served_run(resumed.product) in resumed.output
    assert resumed.product.fingerprints() == demo[0].fingerprints()


def test_while_one_refresh_runs_readers_go_on_and_another_is_refused(resumed: Resumed) -> None:
    code, found, complaint = resumed.reader
    assert code == 0, complaint
    assert int(found) > 100
    assert resumed.seconds_to_refuse < 30
    assert str(resumed.holder) in resumed.refused
    assert resumed.output.split("run ")[1].split()[0] in resumed.refused


def test_the_truth_is_read_by_nobody(demo: tuple[Product, str], resumed: Resumed) -> None:
    truths = [
        truth_folder(load_settings({"VORONKA_HOME": str(product.home)}).home)
        for product in (demo[0], resumed.product)
    ]
    assert [truth.exists() for truth in truths] == [True, False]
    assert resumed.product.fingerprints() == demo[0].fingerprints()


def test_what_is_stored_is_not_stored_again(resumed: Resumed) -> None:
    stored = dict(re.findall(r"(amocrm|yandex_direct): ([\d ]+) rows stored", resumed.output))
    assert stored == {"amocrm": "0", "yandex_direct": "0"}, resumed.output
