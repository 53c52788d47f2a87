import io
import subprocess
import sys

import pytest

from orchestration.lib.progress import Console, seconds_in_words, thousands

CHILD = """
import subprocess, sys
from pathlib import Path
from orchestration.lib.progress import console, terminal_for_progress
with terminal_for_progress(Path(sys.argv[1])):
    print("noise of a library")
    subprocess.run(["echo", "noise of a child"])
    console().line("load", "amocrm/leads: 1 row")
print("after")
"""


def test_terminal_shows_progress_and_the_log_takes_the_rest(tmp_path):
    log = tmp_path / "logs" / "refresh.log"
    finished = subprocess.run(
        [sys.executable, "-c", CHILD, str(log)], capture_output=True, text=True, check=True
    )
    assert finished.stdout.splitlines() == ["[load] amocrm/leads: 1 row", "after"]
    assert sorted(log.read_text().splitlines()) == ["noise of a child", "noise of a library"]


def test_lines_of_one_topic_come_seldom_and_of_another_at_once():
    stream = io.StringIO()
    console = Console(stream)
    for number in range(100):
        console.throttled("load", "leads", f"leads {number}")
    console.throttled("load", "events", "events 1")
    assert stream.getvalue() == "[load] leads 0\n[load] events 1\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59, "59 s"), (125, "2 min 05 s"), (4200, "1 h 10 min")]
)
def test_durations_are_read_at_a_glance(seconds, words):
    assert seconds_in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(59, "59 с"), (78, "1 мин 18 с"), (4200, "1 ч 10 мин")]
)
def test_the_closing_line_tells_its_time_in_the_owners_language(seconds: float, words: str) -> None:
    assert seconds_in_words(seconds, "ru") == words


def test_thousands_are_grouped():
    assert thousands(1234567) == "1 234 567"
