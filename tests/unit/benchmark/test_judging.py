import pytest

from orchestration.lib.benchmark.judging import judge
from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.report import Report
from orchestration.lib.errors import BenchmarkError

KINDS = Way(
    "select deal_id from marts.dim_deals where deal_kind = 'repeat'",
    {"marts.dim_deals": ("deal_id", "deal_kind")},
)
EVERYTHING = Way("select deal_id from marts.dim_deals", {"marts.dim_deals": ("deal_id",)})


def measure(ours=KINDS, **changes):
    described = {
        "truth_id": "deal_kind",
        "measure_id": "repeat",
        "title": "repeat orders",
        "kind": "found",
        "true": "select deal_id from truth.deals where kind = 'repeat'",
        "ours": ours,
        "naive": EVERYTHING,
        "naive_title": "every deal",
        "naive_source": "nobody",
        "builds": "a model of kinds",
    }
    return Measure(**{**described, **changes})


@pytest.fixture
def marts(connection):
    connection.execute("create schema marts")
    connection.execute(
        "create table marts.dim_deals as select * from (values"
        " ('101', 'new'), ('102', 'repeat'), ('103', 'repeat'), ('104', 'test')"
        ") as deals (deal_id, deal_kind)"
    )
    return connection


def test_both_ways_are_scored_against_the_truth(marts):
    (judgement,) = judge(marts, [measure()])
    assert judgement.item_count == 1
    assert judgement.ours.score.values == {"precision": 0.5, "recall": 1.0}
    assert judgement.naive.score.values == {"precision": 0.25, "recall": 1.0}


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [
        ({"marts.fct_lead_handovers": ("deal_key",)}, ("marts.fct_lead_handovers",)),
        ({"marts.dim_deals": ("deal_id", "is_late")}, ("marts.dim_deals.is_late",)),
    ],
)
def test_what_the_marts_lack_is_not_built_and_never_a_pass(marts, needs, lacks):
    (judgement,) = judge(marts, [measure(Way("select broken from nowhere", needs))])
    assert judgement.ours.state == "not built"
    assert judgement.ours.score is None
    assert judgement.ours.lacks == lacks
    # The naive way needs nothing new and is scored all the same.
    assert judgement.naive.score.values == {"precision": 0.25, "recall": 1.0}
    table = Report((1,), ((judgement,),)).table()
    assert table.count("not built") == 4  # two statistics, in the score and in the state
    assert f"needs {lacks[0]}: a model of kinds" in table


def test_a_column_nobody_fills_is_not_built(marts):
    way = Way(
        KINDS.sql,
        KINDS.needs,
        ready_when="select count(*) > 0 from marts.dim_deals where deal_kind = 'continuation'",
        not_ready="continuations",
    )
    (judgement,) = judge(marts, [measure(way)])
    assert (judgement.ours.state, judgement.ours.lacks) == ("not built", ("continuations",))


def test_a_truth_that_is_not_planted_is_said_to_be_absent(marts):
    planted = "select item_id from truth.items where truth_id = 'late_recording'"
    (judgement,) = judge(marts, [measure(true=planted)])
    assert (judgement.item_count, judgement.naive) == (0, None)
    (line, _) = Report((1,), ((judgement,),)).lines()
    assert (line.state, line.ours, line.naive) == ("not planted", None, None)


def test_a_query_that_fails_is_an_error_with_its_name(marts):
    broken = Way("select deal_id + interval from marts.dim_deals", KINDS.needs)
    with pytest.raises(BenchmarkError, match="repeat: the query of its ours failed"):
        judge(marts, [measure(broken)])
