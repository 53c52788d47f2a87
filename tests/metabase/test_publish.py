import json
from uuid import uuid4

import pytest

from ingest.config import load_settings
from ingest.errors import ConfigurationError
from orchestration.lib.causes import EXIT_TESTS, Cause
from orchestration.lib.errors import NothingPublishedError, RollbackError
from orchestration.lib.metabase.errors import (
    MetabaseCardsError,
    MetabaseRefusedError,
    MetabaseSyncError,
    MetabaseUnreachableError,
)
from orchestration.lib.metabase.publishing import (
    ensure_synced,
    published_columns,
    switch_database,
)
from orchestration.lib.metabase.target import target_of
from tests.metabase.crashes import direct
from tests.metabase.desired_states import MARTS_SQL, STATE, with_card
from tests.metabase.fake import FakeMetabase
from tests.metabase.homes import Company, settled

SYNC = "/sync_schema"


@pytest.fixture(scope="module")
def settled_home(tmp_path_factory):
    with settled(tmp_path_factory.mktemp("settled")) as restored:
        yield restored


@pytest.fixture
def company(settled_home, monkeypatch):
    made = settled_home()
    monkeypatch.setattr(made.fake, "sync_seconds", 0)
    yield made
    # What a test put before the fake goes with it.
    vars(made.fake).pop("handle", None)


def shown_file(company):
    (database,) = company.fake.state.databases.values()
    return database["details"]["database_file"].rpartition("/")[2]


def count_of(company, card="Total"):
    number = next(o["id"] for o in company.fake.state.cards.values() if o["name"] == card)
    answer = company.client().post(f"/api/card/{number}/query", {"parameters": []}, reads=True)
    return answer["data"]["rows"]


def test_new_build_is_one_request_and_a_run_of_every_card(company):
    company.publish_file("two", MARTS_SQL.replace("range(1, 31)", "range(1, 2)"))
    shown = company.showing().publish()
    assert [(method, path[:13]) for method, path in company.mutations()] == [
        ("PUT", "/api/database")
    ]
    ran = [one for one in company.fake.requests if one.path.endswith("/query")]
    assert len(ran) == shown.card_count == 3
    assert shown_file(company) == "voronka_two.duckdb"
    assert count_of(company) == [[100]]


def test_schema_is_synced_only_when_it_changed_and_waited_for(company):
    company.fake.sync_seconds = 0.15
    company.publish_file("two", f"{MARTS_SQL}alter table marts.dim_deals add column extra text;")
    company.showing().publish()
    assert sum(path.endswith(SYNC) for _, path in company.mutations()) == 1
    names = {one["name"] for one in company.fake.state.fields.values() if one["active"]}
    assert "extra" in names
    company.fake.requests.clear()
    company.publish_file("three", f"{MARTS_SQL}alter table marts.dim_deals add column extra text;")
    company.showing().publish()
    assert not [path for _, path in company.mutations() if path.endswith(SYNC)]


def test_sync_that_does_not_end_says_what_is_missing(company):
    state = company.state()
    columns = [*published_columns(company.serve.public_file), ("dim_deals", "never", "INTEGER")]
    with pytest.raises(MetabaseSyncError, match=r"dim_deals\.never"):
        number = state.remembered("database", "root").id
        ensure_synced(company.client(), state, number, columns, lambda _: None, seconds=0.05)
    assert company.state().schema_hash == state.schema_hash


def test_card_that_fails_fails_the_run_with_its_name_and_sql(company):
    broken = with_card(
        STATE, "owner/total", sql="select no_such as deal_amount from marts.dim_deals"
    )
    broken = with_card(broken, "owner/total", tags=())
    with pytest.raises(MetabaseCardsError) as caught:
        company.showing(broken).publish()
    text = str(caught.value)
    assert "1 of 3 cards fail in Metabase" in text
    assert "owner/total 'Total'" in text
    assert "select no_such as deal_amount from marts.dim_deals" in text
    cause = Cause.of(caught.value)
    assert (cause.exit_code, cause.text) == (EXIT_TESTS, text)


def test_card_without_a_column_its_settings_name_fails(company):
    desired = with_card(STATE, "owner/total", columns=("deal_amount", "client_count"))
    with pytest.raises(MetabaseCardsError, match="lacks the columns client_count"):
        company.showing(desired).publish()


def test_build_that_empties_a_card_is_taken_back_and_the_run_fails(company):
    company.publish_file("two", MARTS_SQL.replace("range(1, 31)", "range(1, 1)"))
    with pytest.raises(MetabaseCardsError) as caught:
        company.showing().publish()
    assert "owner/came 'Came': returns no rows" in str(caught.value)
    assert "it shows the earlier build" in str(caught.value)
    assert shown_file(company) == "voronka_one.duckdb"
    assert company.serve.held() == {"voronka_one.duckdb"}


def test_build_is_not_taken_back_when_the_cards_changed_with_it(company):
    renamed = MARTS_SQL.replace("deal_amount", "amount")
    company.publish_file("two", renamed)
    sql = (
        "select sum(amount) as deal_amount from marts.dim_deals"
        " where {{channel}} [[and {{period}}]]"
    )
    with pytest.raises(MetabaseCardsError, match="it shows the new build"):
        company.showing(with_card(STATE, "owner/total", sql=sql)).publish()
    assert shown_file(company) == "voronka_two.duckdb"


def forget_memory_limit(company):
    """Leave the instance as it was made before the limit was set."""
    (database,) = company.fake.state.databases.values()
    del database["details"]["memory_limit"]


def test_instance_without_a_memory_limit_gets_it_with_the_next_build_in_one_request(company):
    forget_memory_limit(company)
    company.publish_file("two")
    company.fake.requests.clear()
    company.showing().publish()
    assert [method for method, path in company.mutations() if "/api/database/" in path] == ["PUT"]
    (database,) = company.fake.state.databases.values()
    assert database["details"]["memory_limit"] == "512MB"
    assert company.plan().is_empty


def test_build_that_brings_the_memory_limit_is_taken_back_all_the_same(company):
    forget_memory_limit(company)
    company.publish_file("two", MARTS_SQL.replace("range(1, 31)", "range(1, 1)"))
    with pytest.raises(MetabaseCardsError, match="it shows the earlier build"):
        company.showing().publish()
    assert shown_file(company) == "voronka_one.duckdb"


def test_memory_limit_of_the_settings_stands(tmp_path):
    limit = {"VORONKA_HOME": str(tmp_path), "VORONKA_METABASE_MEMORY_LIMIT": "1.5GB"}
    assert target_of(load_settings(limit), "x.duckdb").details["memory_limit"] == "1.5GB"
    with pytest.raises(ConfigurationError, match="such as 512MB"):
        load_settings({**limit, "VORONKA_METABASE_MEMORY_LIMIT": "half"})


def test_file_that_metabase_cannot_open_leaves_the_old_one_shown(company):
    published = company.publish_file("two")
    path = company.serve.path_of(published)
    path.chmod(0o644)
    good = path.read_bytes()
    path.write_bytes(b"this is no database")
    target = target_of(company.settings, published.file_name)
    state = company.state()
    with pytest.raises(MetabaseRefusedError):
        switch_database(company.client(), state, state.remembered("database", "root").id, target)
    assert company.state().served_file == "voronka_one.duckdb"
    path.write_bytes(good)
    assert shown_file(company) == "voronka_one.duckdb"
    assert count_of(company)


def test_file_that_metabase_shows_outlives_the_builds_after_it(company):
    serve = company.serve
    shown = company.publish_file(str(uuid4())).file_name
    company.showing().publish()
    for run in ("two", "three", "four", "five"):
        company.publish_file(run)
        serve.repair()
    kept = {path.name for path in serve.folder.glob("voronka_*.duckdb")}
    assert shown in kept
    assert "voronka_two.duckdb" not in kept
    assert serve.leftovers() == []
    company.showing().publish()
    assert serve.leftovers() == [shown]
    serve.repair()
    assert not (serve.folder / shown).exists()
    assert shown_file(company) == "voronka_five.duckdb"


def test_both_files_are_held_while_nobody_knows_which_is_shown(company):
    company.publish_file("two")
    company.fake.crash_after(1, "after")
    # The PUT is sent again, so break the road altogether after it.
    real, dead = company.fake.handle, []

    def handle(call, raw):
        if dead:
            return None
        answer = real(call, raw)
        if call.method == "PUT":
            dead.append(True)
        return answer

    company.fake.handle = handle
    with pytest.raises(MetabaseUnreachableError):
        company.showing().publish()
    assert company.serve.held() == {"voronka_one.duckdb", "voronka_two.duckdb"}
    dead.append(True)
    company.fake.handle = real
    company.showing().publish()
    assert company.serve.held() == {"voronka_two.duckdb"}


def test_rollback_leads_to_the_build_before_step_by_step(company):
    for number, run in enumerate(("two", "three"), start=2):
        company.publish_file(run, MARTS_SQL.replace("range(1, 31)", f"range(1, {number})"))
        company.showing().publish()
    company.fake.requests.clear()
    assert company.showing().rollback().run_id == "two"
    assert [method for method, _ in company.mutations()] == ["PUT"]
    assert shown_file(company) == "voronka_two.duckdb"
    assert count_of(company) == [[100]]
    assert company.showing().rollback().run_id == "one"
    with pytest.raises(RollbackError, match="nothing to go back to"):
        company.showing().rollback()
    assert company.serve.held() == {"voronka_one.duckdb"}
    # The next refresh goes forward again.
    company.showing().publish()
    assert shown_file(company) == "voronka_three.duckdb"


def test_rollback_of_metabase_alone_is_not_for_a_shared_server(company):
    showing = company.showing()
    showing.settings = showing.settings.model_copy(update={"serving": "postgres"})
    with pytest.raises(RollbackError, match="voronka rollback"):
        showing.rollback()
    assert company.fake.requests == []


def test_rollback_to_a_build_on_which_cards_fail_says_so_and_stays(company):
    company.publish_file("bad", MARTS_SQL.replace("range(1, 31)", "range(1, 1)"))
    company.publish_file("three")
    company.showing().publish()
    with pytest.raises(MetabaseCardsError, match="it shows the earlier build"):
        company.showing().rollback()
    assert shown_file(company) == "voronka_bad.duckdb"


def test_instance_that_is_starting_is_waited_for_and_the_person_told_once(company):
    company.fake.start_slowly(9)
    told = []
    showing = company.showing()
    showing.tell_waiting = lambda: told.append(True)
    assert showing.publish().card_count == 3
    assert told == [True]


def test_nothing_published_is_said_before_metabase_is_asked(tmp_path):
    with direct(FakeMetabase()) as fake:
        company = Company(tmp_path, fake)
        with pytest.raises(NothingPublishedError, match="Nothing is published yet"):
            company.showing().publish()
        assert fake.requests == []


def test_database_is_named_as_metabase_sees_it(tmp_path):
    settings = load_settings(
        {
            "VORONKA_HOME": str(tmp_path),
            "VORONKA_METABASE_DATABASE_FOLDER": "/marts",
            "VORONKA_METABASE_DATABASE_NAME": "Company",
        }
    )
    target = target_of(settings, "voronka_x.duckdb")
    assert target.details == {
        "database_file": "/marts/voronka_x.duckdb",
        "read_only": True,
        "old_implicit_casting": True,
        "memory_limit": "512MB",
    }
    assert target.group_name == "Company: владельцы"
    assert target.is_ours({"database_file": "/marts/voronka_y.duckdb?threads=2"})
    assert not target.is_ours({"database_file": "/other/voronka_y.duckdb"})


def test_postgres_password_reaches_the_request_and_no_text(tmp_path, monkeypatch):
    monkeypatch.setenv("POSTGRES__READER_PASSWORD", "pass-of-the-reader")
    settings = load_settings(
        {
            "VORONKA_HOME": str(tmp_path),
            "VORONKA_SERVING": "postgres",
            "VORONKA_POSTGRES_URL": "postgresql://writer@db.test:5433/company",
        }
    )
    target = target_of(settings, None)
    assert target.engine == "postgres"
    assert target.details["password"] == "pass-of-the-reader"
    assert "pass-of-the-reader" not in repr(target)
    hidden = {**target.details, "password": "**MetabasePass**"}
    assert target.differing(hidden) == {}
    assert target.is_ours(hidden)
    assert "pass-of-the-reader" not in json.dumps(target.place_of(hidden))
