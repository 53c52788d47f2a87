import json
from dataclasses import replace

from orchestration.lib.benchmark.judging import Answer, Judgement
from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.report import Report
from orchestration.lib.benchmark.running import write_json
from orchestration.lib.benchmark.scoring import Score, score

OWED = Measure(
    truth_id="unpaid_invoice",
    measure_id="owed",
    title="money owed",
    kind="number",
    true="select 1",
    ours=Way("select 1"),
    naive=Way("\n    select sum(price)\n    from staging.invoices\n"),
    naive_title="sums of unpaid invoices",
    naive_source="somebody [X1]",
)


def scored(ours, naive):
    return (
        Judgement(
            OWED,
            10,
            Answer("scored", Score({"error": ours}, {"true": 100.0, "said": 100 + 100 * ours})),
            Answer("scored", Score({"error": naive}, {"true": 100.0})),
        ),
    )


THREE = Report((7, 8, 9), (scored(0.0, -0.10), scored(0.01, -0.13), scored(-0.01, -0.13)))


def test_the_table_shows_means_intervals_sources_and_who_is_nearer():
    table = THREE.table()
    assert table.startswith("3 companies (seeds 7, 8, 9).")
    # Of 0, 1, -1: half = 4.303 * 1 / sqrt(3) = 2.5; of -10, -13, -13: mean -12, half 4.3.
    assert (
        "unpaid_invoice\n  money owed: error          30  +0.0 % [-2.5 .. +2.5]  "
        "-12.0 % [-16.3 .. -7.7]  better"
    ) in table
    assert "owed  sums of unpaid invoices. Source: somebody [X1]" in table
    assert "Not built" not in table


def test_columns_are_aligned():
    heading, rule, _, row = THREE.table().split("\n\n")[1].splitlines()
    starts = [heading.index(name) for name in ("ours", "naive", "state")]
    assert all(rule[start] == "-" and rule[start - 1] == " " for start in starts)
    assert all(row[start - 1] == " " for start in starts)


def test_one_company_has_no_intervals():
    table = Report((7,), (scored(0.0, -0.10),)).table()
    assert "One company (seed 7): no intervals." in table
    assert "+0.0 %  -10.0 %  one seed" in table


def test_json_holds_every_company_and_the_naive_query(tmp_path):
    write_json(THREE, tmp_path / "scores.json")
    read = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert read["seeds"] == [7, 8, 9]
    (measure,) = read["measures"]
    assert measure["n"] == 30
    assert measure["naive_way"]["sql"] == "select sum(price)\nfrom staging.invoices"
    (statistic,) = measure["statistics"]
    assert statistic["state"] == "better"
    assert round(statistic["naive"]["mean"], 6) == -0.12
    assert [one["naive"]["error"] for one in measure["by_seed"]] == [-0.10, -0.13, -0.13]
    assert measure["by_seed"][1]["ours"]["parts"] == {"true": 100.0, "said": 101.0}


FOUND = replace(
    OWED,
    truth_id="wasted_campaign",
    measure_id="wasted_campaign",
    title="campaigns",
    kind="found",
    naive=Way("select 1"),
    naive_title="everything",
)


def found(ours):
    def answer(said):
        return Answer("scored", score("found", "relative", [("a",)], [(one,) for one in said]))

    return (Judgement(FOUND, 1, answer(ours), answer("ab")),)


def test_a_mean_says_of_how_many_companies_it_is():
    # In three of five companies nothing is found: that has no precision, and is no better.
    five = Report((1, 2, 3, 4, 5), (found("a"), found("a"), found(""), found(""), found("")))
    precision, recall = five.table().split("\n\n")[1].splitlines()[3:]
    assert "1.000 [1.000 .. 1.000] (2 of 5)  0.500 [0.500 .. 0.500]  not comparable" in precision
    assert "0.400 [0.000 .. 1.000]" in recall
    assert " of 5)" not in recall
    (measure,) = five.as_json()["measures"]
    assert [one["ours"]["seeds"] for one in measure["statistics"]] == [2, 5]


def test_one_company_is_not_counted():
    table = Report((1,), (found(""),)).table()
    assert "undefined  0.500  not comparable" in table
    assert " of 1)" not in table


def test_what_no_peer_computes_is_said_and_not_won():
    alone = replace(FOUND, naive=None, naive_title="", naive_source="the field is all they check")
    judgement = Judgement(alone, 1, found("a")[0].ours, None)
    report = Report((1, 2), ((judgement,), (judgement,)))
    precision = report.table().split("\n\n")[1].splitlines()[3]
    assert "1.000 [1.000 .. 1.000]  peers: none  not comparable" in precision
    assert "wasted_campaign  peers: none: the field is all they check" in report.table()
    assert report.as_json()["measures"][0]["naive_way"] is None
