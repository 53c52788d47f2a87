import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingest.config import load_settings
from ingest.errors import ConfigurationError
from ingest.warehouse import ensure_raw_tables, open_warehouse
from orchestration.lib.demo import DemoParameters, settle_demo
from orchestration.lib.doctor import examine
from orchestration.lib.environment import dbt_vars, new_run_id
from orchestration.lib.errors import HomeError
from orchestration.lib.failures import last_failure, record_failure
from orchestration.lib.home_templates import write_templates_of
from orchestration.lib.lock import refresh_lock
from orchestration.lib.messages import MESSAGES
from orchestration.lib.serving import ServeFolder
from orchestration.lib.session import ensure_home, refresh_session

COMMAND = Path(sys.executable).parent / "voronka"
PRIVATE = ("VORONKA_", "SOURCES__", "DBT_", "DAGSTER_")


def voronka(home, *arguments, timeout=120, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
    return subprocess.run(
        [str(COMMAND), *arguments],
        env={**kept, "VORONKA_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def test_help_does_not_pay_for_dagster_and_dbt():
    code = (
        "import sys; from orchestration import cli;"
        "heavy = {'dagster', 'dbt', 'dlt', 'pyarrow', 'duckdb'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_version_is_printed(tmp_path):
    assert voronka(tmp_path, "--version").stdout.startswith("voronka ")


def test_refresh_without_a_source_says_what_to_do(tmp_path):
    finished = voronka(tmp_path, "refresh")
    assert finished.returncode == 2
    assert finished.stderr == (
        "voronka: no source is connected. "
        "Run `voronka init` and name your sources, or see `voronka demo`\n"
    )


def test_second_refresh_stops_at_once_and_names_the_holder(tmp_path):
    run_id = new_run_id()
    with refresh_lock(tmp_path / "refresh.lock", run_id):
        started = time.monotonic()
        finished = voronka(tmp_path, "refresh", VORONKA_SOURCES="files", VORONKA_FILES="/nowhere")
        seconds = time.monotonic() - started
    assert finished.returncode == 5
    assert f"process {os.getpid()}, run {run_id}, since " in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert seconds < 10


def test_unknown_setting_is_one_line(tmp_path):
    (tmp_path / "voronka.toml").write_text("colour = 'red'\n")
    finished = voronka(tmp_path, "refresh")
    assert finished.returncode == 2
    assert "unknown key 'colour'" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_rollback_without_a_published_file_says_so(tmp_path):
    finished = voronka(tmp_path, "rollback")
    assert finished.returncode == 1
    assert "nothing to go back to" in finished.stderr


def test_page_without_a_published_file_says_so(tmp_path):
    finished = voronka(tmp_path, "page")
    assert finished.returncode == 1
    assert "Nothing is published yet" in finished.stderr


def publish_as_another_version(home):
    """Publish two builds of tables that the dashboards of this version do not know."""
    serve = ServeFolder(load_settings({"VORONKA_HOME": str(home)}).home.serve_dir)
    for number in (1, 2):
        with duckdb.connect(str(serve.new_serve_file())) as connection:
            connection.execute("create schema marts")
            connection.execute(f"create table marts.dim_deals as select {number} as build")
        serve.publish(f"run-{number}", [])
    return serve


def test_rollback_to_a_build_of_another_version_changes_nothing_and_says_why(tmp_path):
    serve = publish_as_another_version(tmp_path)
    before = files_under(serve.folder)
    finished = voronka(tmp_path, "rollback")
    assert finished.returncode == 1
    assert "was made by another version of Voronka" in finished.stderr
    assert "Nothing was changed; run `voronka rollback` with the version" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert files_under(serve.folder) == before


def test_page_of_a_build_of_another_version_asks_for_a_refresh(tmp_path):
    publish_as_another_version(tmp_path)
    finished = voronka(tmp_path, "page")
    assert finished.returncode == 1
    assert "was made by another version of Voronka" in finished.stderr
    assert "Run `voronka refresh`" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_demo_refuses_a_home_of_a_real_company(tmp_path):
    (tmp_path / "voronka.toml").write_text('sources = ["amocrm"]\n')
    finished = voronka(tmp_path, "demo")
    assert finished.returncode == 2
    assert "belongs to a real company" in finished.stderr


def files_under(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def demo_home(tmp_path):
    home = load_settings({"VORONKA_HOME": str(tmp_path / "home")}).home
    settle_demo(home, DemoParameters(leads=200, months=3))
    home.warehouse.write_bytes(b"the demo company's rows")
    return home


@pytest.fixture
def owners_home(tmp_path):
    home = load_settings({"VORONKA_HOME": str(tmp_path / "home")}).home
    home.root.mkdir()
    home.warehouse.write_bytes(b"the owner's rows")
    return home


def test_real_sources_never_go_into_the_demo_home(demo_home):
    before = files_under(demo_home.root)
    variables = {"VORONKA_SOURCES": "files", "VORONKA_FILES": "/nowhere"}
    finished = voronka(demo_home.root, "refresh", **variables)
    assert finished.returncode == 2, finished.stderr
    assert finished.stderr.startswith(f"voronka: the demo company lives in {demo_home.root}")
    assert len(finished.stderr.splitlines()) == 1
    assert files_under(demo_home.root) == before
    assert (
        "PROBLEM the demo company lives in" in voronka(demo_home.root, "doctor", **variables).stdout
    )


def test_demo_never_goes_into_a_home_of_real_data(owners_home):
    before = files_under(owners_home.root)
    finished = voronka(owners_home.root, "refresh", VORONKA_SOURCES="demo")
    assert finished.returncode == 2, finished.stderr
    assert finished.stderr.startswith(f"voronka: {owners_home.root} is not a home of the demo")
    assert len(finished.stderr.splitlines()) == 1
    assert files_under(owners_home.root) == before
    assert "PROBLEM" in voronka(owners_home.root, "doctor", VORONKA_SOURCES="demo").stdout


@pytest.mark.parametrize(("home", "sources"), [("demo_home", "files"), ("owners_home", "demo")])
def test_run_started_in_the_ui_is_refused_in_the_wrong_home_too(
    request, monkeypatch, home, sources
):
    root = request.getfixturevalue(home).root
    monkeypatch.setenv("VORONKA_HOME", str(root))
    monkeypatch.setenv("VORONKA_SOURCES", sources)
    before = files_under(root)
    with pytest.raises(HomeError), refresh_session("run-1", None):
        pass
    assert files_under(root) == before


def test_refresh_is_refused_while_the_clock_is_behind_the_newest_load(tmp_path, monkeypatch):
    monkeypatch.setenv("VORONKA_HOME", str(tmp_path))
    monkeypatch.setenv("VORONKA_SOURCES", "files")
    home = load_settings().home
    ensure_raw_tables(home)

    def load(dataset, status, hours):
        with open_warehouse(home.warehouse) as connection:
            connection.execute(
                f"insert into {dataset}._dlt_loads (load_id, status, inserted_at) "
                f"values ('1', {status}, now() + interval '{hours} hour')"
            )

    load("raw_company", 0, -1)
    # Of a load that was killed nothing is read.
    load("raw_files", 1, 2)
    with refresh_session("run-1", None):
        pass
    load("raw_company", 0, 1)
    with (
        pytest.raises(
            ConfigurationError, match=r"this machine's clock says .* Set the clock right"
        ),
        refresh_session("run-1", None),
    ):
        pass


def test_doctor_masks_secrets_names_problems_and_survives_a_broken_run_history(tmp_path):
    (tmp_path / "dagster" / "history").mkdir(parents=True)
    (tmp_path / "dagster" / "history" / "runs.db").write_bytes(b"this is no database" * 100)
    finished = voronka(
        tmp_path,
        "doctor",
        VORONKA_SOURCES="amocrm",
        VORONKA_AMOCRM_URL="http://127.0.0.1:9",
        SOURCES__AMOCRM__TOKEN="secret-of-the-test",
    )
    assert finished.returncode == 1
    everything = finished.stdout + finished.stderr
    assert "secret-of-the-test" not in everything
    assert "source.amocrm.main.token = ***" in everything
    assert "Traceback" not in everything
    assert "the run history in" in everything
    assert "PROBLEM amocrm:" in everything
    assert "DuckDB 1.5.5" in everything


def test_init_writes_settings_that_load_and_never_overwrites(tmp_path):
    settings = load_settings({"VORONKA_HOME": str(tmp_path / "home")})
    ensure_home(settings)
    assert all(is_new for _, is_new in write_templates_of(settings.home))
    loaded = load_settings({"VORONKA_HOME": str(tmp_path / "home")})
    assert loaded.sources == ()
    settings.home.config_file.write_text('sources = ["files"]\nfiles = ["/data"]\n')
    assert not any(is_new for _, is_new in write_templates_of(settings.home))
    assert settings.home.config_file.read_text().startswith('sources = ["files"]')


def test_unset_dbt_variables_are_left_to_the_project(tmp_path):
    assert dbt_vars(load_settings({"VORONKA_HOME": str(tmp_path)})) == {}
    settings = load_settings(
        {
            "VORONKA_HOME": str(tmp_path),
            "VORONKA_CURRENCY": "EUR",
            "VORONKA_KNOWN_AS_OF_AT": "2026-01-31T21:00:00",
        }
    )
    assert dbt_vars(settings) == {
        "known_as_of_at": "2026-01-31 21:00:00",
        "reporting_currency": "EUR",
    }


def test_last_failure_is_remembered(tmp_path):
    home = load_settings({"VORONKA_HOME": str(tmp_path)}).home
    assert last_failure(home) is None
    record_failure(home, "run-1", ["first"])
    record_failure(home, "run-2", ["второй"])
    remembered = last_failure(home)
    assert remembered is not None
    assert (remembered.run_id, remembered.causes) == ("run-2", ("второй",))


def test_older_failure_that_is_heard_of_later_is_not_the_last(tmp_path):
    home = load_settings({"VORONKA_HOME": str(tmp_path)}).home
    record_failure(home, "run-2", ["second"], datetime(2026, 11, 22, 7, tzinfo=UTC))
    record_failure(home, "run-1", ["first"], datetime(2026, 11, 22, 6, tzinfo=UTC))
    with (home.logs_dir / "failures.jsonl").open("a") as file:
        file.write('{"run_id": "run-3", "fai')
    remembered = last_failure(home)
    assert remembered is not None
    assert (remembered.run_id, remembered.failed_at) == ("run-2", "2026-11-22 07:00:00")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (
            "company tables are wrong:\n  costs.csv:2 [rate]: not a number",
            "wrong: costs.csv:2 [rate]",
        ),
        ("the token is refused\ntrace of the call", "the token is refused"),
        ("", "no message"),
    ],
)
def test_doctor_tells_the_reason_of_the_last_failure(tmp_path, monkeypatch, cause, told):
    monkeypatch.setenv("VORONKA_HOME", str(tmp_path))
    record_failure(load_settings().home, "run-1", [cause])
    lines: list[str] = []
    examine(lines.append)
    [line] = [line for line in lines if "the last refresh failed" in line]
    assert told in line
    assert "trace" not in line


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_is_in_both_languages_with_the_same_values(name):
    import string

    def fields(text):
        return {field for _, field, _, _ in string.Formatter().parse(text) if field}

    russian, english = MESSAGES[name]["ru"], MESSAGES[name]["en"]
    assert fields(russian) == fields(english)
