import pytest

from orchestration.lib.doctor import tell_findings
from orchestration.lib.metabase.doctor import examine_briefly, examine_instance
from tests.metabase.crashes import direct
from tests.metabase.desired_states import MARTS_SQL, STATE, with_dashboard
from tests.metabase.fake import ALL_USERS, FakeMetabase
from tests.metabase.homes import EMAIL, PASSWORD, Company, settled


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("METABASE__EMAIL", EMAIL)
    monkeypatch.setenv("METABASE__PASSWORD", PASSWORD)
    with direct(FakeMetabase(sync_seconds=0, is_result_reused=True)) as fake:
        company = Company(tmp_path, fake)
        company.publish_file("one")
        yield company


@pytest.fixture(scope="module")
def settled_home(tmp_path_factory):
    with settled(tmp_path_factory.mktemp("settled")) as restored:
        yield restored


@pytest.fixture
def company(settled_home, monkeypatch):
    made = settled_home()
    monkeypatch.setattr(made.fake, "tag", made.fake.tag)
    monkeypatch.setattr(made.fake, "engines", made.fake.engines)
    yield made
    vars(made.fake).pop("handle", None)


def findings(company, desired=STATE):
    """Return the lines of the doctor, which changes nothing."""
    lines = []
    before = company.fake.dump()
    problems = tell_findings(lambda: examine_instance(company.settings, desired), lines.append)
    assert company.fake.dump() == before
    assert problems == sum(line.strip().startswith("PROBLEM") for line in lines)
    return lines


def problems(company, desired=STATE):
    found = [line.strip() for line in findings(company, desired)]
    return [line.removeprefix("PROBLEM").strip() for line in found if line.startswith("PROBLEM")]


def test_sound_instance_shows_what_was_seen(company):
    desired = with_dashboard(
        STATE,
        "owner",
        parameters=tuple(
            type(one)(**{**vars(one), "default": ["ads"]}) if one.id == "channel" else one
            for one in STATE.dashboards[0].parameters
        ),
    )
    company.showing(desired).publish()
    text = "\n".join(findings(company, desired))
    assert "PROBLEM" not in text
    for words in (
        "Metabase v0.63.17",
        "it can open duckdb",
        "is an administrator's",
        "voronka_one.duckdb",
        "all 5 columns of 2 tables are seen",
        "nobody is in the group Voronka: owners",
        "everything is as the files say",
        "all 3 cards run",
        "2 places were run with the filters set at first",
    ):
        assert words in text


def test_empty_instance_is_told_what_to_run(empty):
    assert problems(empty) == ["nobody has set it up. Run `voronka metabase apply`"]


def test_instance_that_does_not_answer_is_one_finding(company, monkeypatch):
    monkeypatch.setattr("orchestration.lib.metabase.client._FIRST_PAUSE_SECONDS", 0.0)
    company.fake.handle = lambda call, raw: None
    (problem,) = problems(company)
    assert "did not answer GET /api/health" in problem


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("v0.55.3", "too old"),
        ("v0.64.1", "newer than v0.63"),
        ("v1.61.2", "ok      Metabase v1.61.2"),
        ("nightly", "cannot be read"),
    ],
)
def test_version_is_judged(company, tag, words):
    company.fake.tag = tag
    assert any(words in line for line in findings(company))


def test_missing_driver_is_named_with_its_remedy(company):
    company.fake.engines = ("postgres", "h2")
    assert any("no driver for duckdb. Put the DuckDB driver" in one for one in problems(company))


def test_wrong_password_says_which_settings_to_check(company, monkeypatch):
    company.settings.home.metabase_key.unlink()
    monkeypatch.setenv("METABASE__PASSWORD", "not-the-password-1")
    (problem,) = problems(company)
    assert "METABASE__PASSWORD" in problem
    assert "not-the-password-1" not in problem


def test_key_of_somebody_who_is_no_administrator_is_refused(company, monkeypatch):
    made = company.client().post("/api/api-key", {"name": "weak", "group_id": ALL_USERS})
    monkeypatch.setenv("METABASE__API_KEY", made["unmasked_key"])
    (problem,) = problems(company)
    assert "not an administrator's" in problem
    assert made["unmasked_key"] not in problem


def test_key_that_others_may_read_is_a_problem(company):
    company.settings.home.metabase_key.chmod(0o644)
    assert any(one.endswith("metabase.json") and "chmod 600" in one for one in problems(company))


def test_yesterdays_file_is_a_problem(company):
    company.publish_file("two")
    found = problems(company)
    assert any("shows voronka_one.duckdb, published is voronka_two.duckdb" in one for one in found)


def test_column_metabase_does_not_see_is_a_problem(company):
    company.fake.edit_by_hand("field", "deal_amount", active=False)
    assert any("does not see 1 of 5 columns" in one for one in problems(company))


def test_rights_and_drift_and_failing_cards_are_problems(company):
    (ours,) = [one for one in company.fake.state.collections.values() if one["name"] == "Voronka"]
    company.fake.state.collection_graph.setdefault(ALL_USERS, {})[ours["id"]] = "write"
    card = next(one for one in company.fake.state.cards.values() if one["name"] == "Total")
    card["dataset_query"]["stages"][0]["native"] = "select nothing_there from marts.dim_deals"
    text = "\n".join(problems(company))
    assert "All Users has collection = write, it shall be none" in text
    assert "2 things are not as the files say, 1 of them changed by hand" in text
    assert "card owner/total 'Total':" in text
    assert "nothing_there" in text


def test_short_look_says_whether_todays_build_is_shown(company):
    lines = [one.line() for one in examine_briefly(company.settings)]
    assert len(lines) == 2
    assert lines[1].startswith("ok      the database Voronka shows")
    company.publish_file("two", MARTS_SQL)
    assert "published is voronka_two.duckdb" in list(examine_briefly(company.settings))[1].text
