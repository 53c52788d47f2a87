"""A change is called one only when it is larger than the company's own noise."""

from __future__ import annotations

import random

import pytest

from orchestration.lib.page_changes import judge
from orchestration.lib.page_words import say

QUIET = [100.0, 103.0, 98.0, 101.0, 99.0, 102.0, 97.0, 100.0, 101.0, 99.0, 103.0, 98.0, 100.0]


def test_week_inside_the_noise_is_usual() -> None:
    change = judge([*QUIET, 103.0], 100.5, is_count=False)
    assert change is not None
    assert change.verdict == "usual"


def test_week_far_outside_is_notable() -> None:
    change = judge([*QUIET, 60.0], 100.0, is_count=True)
    assert change is not None
    assert change.verdict == "notable"
    assert change.ratio == pytest.approx(-0.4)


def test_small_counts_need_more_than_a_steady_past() -> None:
    steady = [9.0] * 13
    assert judge([*steady, 14.0], 9.0, is_count=False).verdict == "notable"  # type: ignore[union-attr]
    assert judge([*steady, 14.0], 9.0, is_count=True).verdict == "usual"  # type: ignore[union-attr]


def test_short_history_is_no_ground_for_a_verdict() -> None:
    change = judge([100.0, 101.0, 99.0, 100.0, 40.0], 100.0, is_count=False)
    assert change is not None
    assert change.verdict == "unknown"


def test_eleven_periods_are_enough_for_a_verdict_and_ten_are_not() -> None:
    ten = judge(QUIET[:10], 100.0, is_count=False)
    eleven = judge(QUIET[:11], 100.0, is_count=False)
    assert ten is not None and ten.verdict == "unknown"
    assert eleven is not None and eleven.verdict != "unknown"
    for key in ("headline_unknown", "verdict_unknown"):
        assert "eleven" in say("en", key)
        assert "одиннадцать" in say("ru", key)


def test_unknown_value_is_not_judged() -> None:
    assert judge([*QUIET, None], 100.0, is_count=False) is None
    assert judge([], None, is_count=False) is None


def test_gap_in_the_past_leaves_its_weeks_out() -> None:
    history: list[float | None] = [*QUIET[:6], None, *QUIET, 101.0]
    change = judge(history, 100.0, is_count=False)
    assert change is not None
    assert change.verdict == "usual"


def test_change_around_zero_has_no_percentage() -> None:
    change = judge([*QUIET, -20.0], 10.0, is_count=False)
    assert change is not None
    assert change.ratio is None


def test_false_alarms_stay_near_one_in_a_hundred() -> None:
    chance = random.Random(11)
    alarms, trials = 0, 3000
    for _ in range(trials):
        weeks = [chance.gauss(100, 10) for _ in range(18)]
        change = judge(weeks, sum(weeks[-5:-1]) / 4, is_count=False)
        alarms += change is not None and change.verdict == "notable"
    assert alarms / trials < 0.03
