import json
import sys

import pytest
from dagster import materialize

from orchestration import cli
from orchestration.defs.resources import RefreshRun
from orchestration.defs.serve import metabase_dashboards
from orchestration.lib.causes import causes_of
from orchestration.lib.lock import refresh_lock
from tests.metabase.crashes import direct
from tests.metabase.desired_states import STATE, with_card
from tests.metabase.fake import FakeMetabase
from tests.metabase.homes import PASSWORD, Company


@pytest.fixture
def company(tmp_path, monkeypatch):
    with direct(FakeMetabase(sync_seconds=0, is_result_reused=True)) as fake:
        made = Company(tmp_path / "home", fake)
        made.publish_file("one")
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("orchestration.lib.metabase.commands.wanted", lambda settings: STATE)
        yield made


@pytest.fixture
def voronka(monkeypatch, capsys):
    """Return the command as `main` runs it: exit code, output, errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["voronka", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_from_nothing_to_everything_and_then_nothing_to_do(company, voronka):
    code, out, _ = voronka("metabase", "plan")
    assert code == 0
    assert "+ dashboard owner 'Monday': create" in out
    assert company.mutations() == []
    code, out, err = voronka("metabase", "apply")
    assert (code, err) == (0, "")
    assert "+ card owner/came 'Came': create" in out
    assert "Tables and columns labelled: 6" in out
    assert "3 cards proved" in out
    assert voronka("metabase", "plan")[1] == "Metabase is as the files say; nothing to do.\n"
    code, out, _ = voronka("metabase", "doctor")
    assert code == 0
    assert out.endswith("Everything is in order.\n")


def test_secrets_are_in_no_output_no_request_address_and_no_memory(company, voronka):
    out = "".join("".join(voronka("metabase", name)[1:]) for name in ("plan", "apply", "doctor"))
    out += "".join(voronka("doctor")[1:])
    home = company.settings.home
    out += home.metabase_state.read_text()
    key = json.loads(home.metabase_key.read_text())["api_key"]
    assert key.startswith("mb_")
    for secret in (key, PASSWORD, *company.fake.state.sessions):
        assert secret not in out
        assert not [one for one in company.fake.requests if secret in one.path]
    assert "metabase.password = ***" in out


def test_release_whose_queries_have_another_form_is_left_alone(company, voronka):
    company.fake.tag = "v0.56.9"
    code, _, err = voronka("metabase", "apply")
    assert code == 1
    assert "too old; the oldest that works is v0.57" in err
    assert company.mutations() == []


def test_failing_card_ends_the_command_with_its_name_sql_and_code(company, voronka, monkeypatch):
    bad = with_card(STATE, "owner/total", sql="select nothing from marts.dim_deals", tags=())
    monkeypatch.setattr("orchestration.lib.metabase.commands.wanted", lambda settings: bad)
    code, _, err = voronka("metabase", "apply")
    assert code == 4
    assert "owner/total 'Total'" in err
    assert "select nothing from marts.dim_deals" in err


def test_problem_ends_the_doctor_with_a_code(company, voronka):
    code, out, _ = voronka("metabase", "doctor")
    assert code == 1
    assert "To be put right: 1" in out


def test_apply_and_rollback_wait_for_nobody_who_holds_the_home(company, voronka):
    with refresh_lock(company.settings.home.refresh_lock, "another-run"):
        for name in ("apply", "rollback"):
            code, _, err = voronka("metabase", name)
            assert code == 5
            assert "another-run" in err
    assert company.fake.requests == []


def test_without_an_address_the_commands_say_what_to_set(company, voronka, monkeypatch):
    monkeypatch.delenv("VORONKA_METABASE_URL")
    for name in ("plan", "apply", "rollback", "doctor"):
        code, _, err = voronka("metabase", name)
        assert code == 2
        assert "VORONKA_METABASE_URL" in err


def test_empty_instance_without_an_administrator_says_what_to_set(company, voronka, monkeypatch):
    monkeypatch.delenv("METABASE__PASSWORD")
    code, _, err = voronka("metabase", "apply")
    assert code == 2
    assert "METABASE__EMAIL and METABASE__PASSWORD" in err


def without_the_page(monkeypatch):
    """Leave out what asks for every table of the dashboards: these homes hold a few."""
    monkeypatch.setattr("orchestration.lib.publishing.write_page", lambda settings: None)
    monkeypatch.setattr("orchestration.lib.publishing._check_version", lambda *_: None)


def test_rollback_of_the_home_leads_metabase_back_too(company, voronka, monkeypatch):
    without_the_page(monkeypatch)
    voronka("metabase", "apply")
    company.publish_file("two")
    voronka("metabase", "apply")
    code, out, err = voronka("rollback")
    assert (code, err) == (0, "")
    assert "Metabase shows the build of" in out
    (database,) = company.fake.state.databases.values()
    assert database["details"]["database_file"].endswith("voronka_one.duckdb")
    current = company.serve.state().current
    assert current is not None and current.run_id == "one"


def test_rollback_of_the_home_does_without_a_metabase_that_shows_nothing(
    company, voronka, monkeypatch
):
    without_the_page(monkeypatch)
    company.publish_file("two")
    code, out, _ = voronka("rollback")
    assert code == 0
    assert "Metabase was not switched" in out


def test_short_doctor_speaks_of_metabase_only_where_one_is_named(company, voronka, monkeypatch):
    assert "Metabase at http://metabase.test is empty" in voronka("doctor")[1]
    monkeypatch.delenv("VORONKA_METABASE_URL")
    assert "Metabase at" not in voronka("doctor")[1]


def test_asset_stands_after_the_published_marts_and_only_with_an_address(company):
    (asset,) = metabase_dashboards(company.settings)
    (key,) = asset.keys
    assert key.path == ["metabase_dashboards"]
    assert [one.path for one in asset.asset_deps[key]] == [["published_marts"]]
    without = company.settings.model_copy(update={"metabase_url": None})
    assert metabase_dashboards(without) == []


def run_of_the_asset(company):
    (asset,) = metabase_dashboards(company.settings)
    return materialize(
        [asset], resources={"refresh_run": RefreshRun()}, raise_on_error=False, run_config={}
    )


def test_step_of_a_refresh_shows_the_build_and_says_what_it_did(company, capsys):
    result = run_of_the_asset(company)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["card_count"].value == 3
    assert metadata["url"].value == company.fake.url
    assert "[metabase] + card owner/came" in capsys.readouterr().out
    assert company.plan().is_empty


def test_step_of_a_refresh_fails_with_the_card_and_its_sql(company, monkeypatch):
    bad = with_card(STATE, "owner/total", sql="select nothing from marts.dim_deals", tags=())
    monkeypatch.setattr("orchestration.lib.metabase.commands.wanted", lambda settings: bad)
    result = run_of_the_asset(company)
    assert not result.success
    (cause,) = causes_of(result.all_events)
    assert cause.exit_code == 4
    assert "owner/total 'Total'" in cause.text
    assert "select nothing from marts.dim_deals" in cause.text
