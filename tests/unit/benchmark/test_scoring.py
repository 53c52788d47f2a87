import pytest

from orchestration.lib.benchmark.scoring import (
    ERROR,
    RECALL,
    Estimate,
    compare,
    score,
    truth_size,
)


def test_precision_and_recall_count_what_both_name():
    true = [("a",), ("b",), ("c",), ("d",)]
    said = [("a",), ("b",), ("x",)]
    found = score("found", "relative", true, said)
    assert found.values == {"precision": 2 / 3, "recall": 0.5}
    assert found.parts == {"true": 4, "found": 3, "both": 2}


def test_finding_nothing_has_no_precision_and_no_recall():
    assert score("found", "relative", [("a",)], []).values == {"precision": None, "recall": 0.0}


def test_alarms_are_the_share_of_innocents_named():
    innocent = [("a",), ("b",), ("c",), ("d",)]
    assert score("alarms", "relative", innocent, [("d",), ("guilty",)]).values == {
        "false alarms": 0.25
    }


def test_labels_must_be_equal_and_missing_ones_are_wrong():
    true = [("1", "seo"), ("2", "vk"), ("3", "seo"), ("4", "vk")]
    said = [("1", "seo"), ("2", "seo"), ("9", "vk")]
    assert score("label", "relative", true, said).values == {"right": 0.25}


@pytest.mark.parametrize(
    ("said", "misplaced"),
    [
        ([("seo", 60), ("vk", 40)], 0.0),
        ([("seo", 70), ("vk", 30)], 0.1),  # moved
        ([("seo", 60)], 0.4),  # lost
        ([("seo", 60), ("vk", 40), ("tv", 25)], 0.25),  # invented
        ([("seo", 50), ("vk", 20), ("vk", 20), (None, 10)], 0.1),
    ],
)
def test_misplaced_is_the_share_of_the_sum_in_a_wrong_row(said, misplaced):
    true = [("seo", 60, 6), ("vk", 40, 4)]
    assert score("breakdown", "relative", true, said).values["misplaced"] == pytest.approx(
        misplaced
    )


def test_a_number_is_off_by_a_share_of_the_truth_or_by_points():
    assert score("number", "relative", [(200, 7)], [(150,)]).values == {"error": -0.25}
    assert score("number", "points", [(0.2, 7)], [(0.25,)]).values["error"] == pytest.approx(0.05)
    assert score("number", "relative", [(200, 7)], [(None,)]).values == {"error": None}


def test_the_size_of_a_truth_is_what_it_is_made_of():
    assert truth_size("found", [("a",), ("b",)]) == 2
    assert truth_size("number", [(0.2, 1455)]) == 1455
    assert truth_size("number", [(None, 0)]) == 0
    assert truth_size("breakdown", [("seo", 60, 6), ("vk", 40, 4)]) == 10


def test_interval_over_seeds_is_students_and_stays_within_its_limits():
    # Mean 0.9, deviation 0.1, t(2) = 4.303: half is 4.303 * 0.1 / sqrt(3) = 0.2484.
    estimate = Estimate.of([0.8, 0.9, 1.0], RECALL)
    assert estimate is not None
    assert (estimate.mean, estimate.seeds) == (pytest.approx(0.9), 3)
    assert estimate.low == pytest.approx(0.6516, abs=1e-4)
    assert estimate.high == 1.0
    signed = Estimate.of([0.8, 0.9, 1.0], ERROR)
    assert signed is not None
    assert signed.high == pytest.approx(1.1484, abs=1e-4)


def test_one_seed_has_no_interval_and_no_seed_no_mean():
    assert Estimate.of([0.8, None], RECALL) == Estimate(0.8, None, None, 1)
    assert Estimate.of([None], RECALL) is None


def test_ways_are_compared_in_the_same_companies():
    assert compare([0.9, 0.8, 0.95], [0.4, 0.3, 0.45], RECALL) == "better"
    assert compare([0.4, 0.3, 0.45], [0.9, 0.8, 0.95], RECALL) == "worse"
    assert compare([0.9, 0.2, 0.6], [0.5, 0.6, 0.55], RECALL) == "no difference"
    # Of errors the smaller one is nearer, whatever its sign.
    assert compare([-0.01, 0.02, 0.0], [0.3, 0.31, 0.29], ERROR) == "better"
    assert compare([1.0], [0.1], RECALL) == "one seed"
    # A company in which one of them says nothing is not left out.
    assert compare([None, None], [0.1, 0.2], RECALL) == "not comparable"
    assert compare([1.0, 1.0, None], [0.1, 0.1, 0.1], RECALL) == "not comparable"
    assert compare([1.0, 1.0, 1.0], [0.1, None, 0.1], RECALL) == "not comparable"
