import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.lib.errors import LockHeldError
from orchestration.lib.lock import current_holder, refresh_lock

HOLD = """
import sys, time
from pathlib import Path
from orchestration.lib.lock import refresh_lock
with refresh_lock(Path(sys.argv[1]), "run-of-another"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
    path = tmp_path / "refresh.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        yield process, path
        process.kill()


def test_second_process_is_told_who_holds_the_lock(other_process):
    process, path = other_process
    with pytest.raises(LockHeldError) as caught, refresh_lock(path, "mine"):
        pass
    assert f"process {process.pid}, run run-of-another, since " in str(caught.value)


def test_lock_of_a_killed_process_is_free(other_process):
    process, path = other_process
    process.kill()
    process.wait()
    with refresh_lock(path, "mine") as holder:
        assert holder.run_id == "mine"


def test_same_run_may_take_the_lock_again_in_its_process(tmp_path):
    path = tmp_path / "refresh.lock"
    with refresh_lock(path, "one") as outer, refresh_lock(path, "one") as inner:
        assert inner == outer


def test_other_run_of_the_same_process_is_refused(tmp_path):
    path = tmp_path / "refresh.lock"
    with refresh_lock(path, "one"), pytest.raises(LockHeldError), refresh_lock(path, "two"):
        pass


def test_looking_at_the_holder_does_not_take_the_lock(tmp_path, other_process):
    _, path = other_process
    holder = current_holder(path)
    assert holder is not None
    assert holder.run_id == "run-of-another"
    assert current_holder(Path(tmp_path / "never.lock")) is None


def test_lock_is_released_after_an_error(tmp_path):
    path = tmp_path / "refresh.lock"
    with pytest.raises(ValueError, match="broken"), refresh_lock(path, "one"):
        raise ValueError("broken")
    assert current_holder(path) is None
