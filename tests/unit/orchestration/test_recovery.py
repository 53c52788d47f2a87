import sqlite3
import subprocess
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    MaterializeResult,
    asset,
    job,
    materialize,
    op,
)

from ingest.config import Home
from orchestration.lib import recovery
from orchestration.lib.environment import COMMAND_TAG
from orchestration.lib.lock import refresh_lock
from orchestration.lib.page import _write
from orchestration.lib.recovery import (
    end_orphan,
    fail_dead_runs,
    fail_stranded_runs,
    forget_child,
    forget_old_runs,
    remember_child,
    tidy_home,
)


@op
def nothing() -> None:
    pass


@job
def refresh_job() -> None:
    nothing()


def test_killed_runs_are_marked_and_living_ones_are_not():
    with DagsterInstance.ephemeral() as instance:

        def run(status, **tags):
            return instance.create_run_for_job(refresh_job, status=status, tags=tags).run_id

        killed = run(DagsterRunStatus.STARTED)
        killed_early = run(DagsterRunStatus.NOT_STARTED, **{COMMAND_TAG: "true"})
        of_the_ui = run(DagsterRunStatus.STARTING)
        own = run(DagsterRunStatus.STARTED, **{COMMAND_TAG: "true"})
        assert set(fail_dead_runs(instance, own)) == {killed, killed_early}
        status = {one.run_id: one.status for one in instance.get_runs()}
    assert status[killed] == status[killed_early] == DagsterRunStatus.FAILURE
    assert status[of_the_ui] == DagsterRunStatus.STARTING
    assert status[own] == DagsterRunStatus.STARTED


def test_run_found_twice_without_a_process_is_failed_and_no_other(tmp_path):
    home = Home(tmp_path)
    with DagsterInstance.ephemeral() as instance:

        def run(status):
            return instance.create_run_for_job(refresh_job, status=status).run_id

        killed = run(DagsterRunStatus.STARTED)
        with refresh_lock(home.refresh_lock, killed):
            assert fail_stranded_runs(instance, home, []) == []
        starting = run(DagsterRunStatus.STARTING)
        suspects = fail_stranded_runs(instance, home, [])
        assert suspects == [killed]
        begun = run(DagsterRunStatus.STARTED)
        with refresh_lock(home.refresh_lock, begun):
            assert fail_stranded_runs(instance, home, suspects) == []
        suspects = fail_stranded_runs(instance, home, [])
        assert set(suspects) == {killed, begun}
        assert fail_stranded_runs(instance, home, [killed]) == [begun]
        status = {one.run_id: one.status for one in instance.get_runs()}
    assert status == {
        killed: DagsterRunStatus.FAILURE,
        begun: DagsterRunStatus.STARTED,
        starting: DagsterRunStatus.STARTING,
    }


def test_run_that_died_while_it_began_is_failed_when_no_start_takes_so_long(tmp_path, monkeypatch):
    home = Home(tmp_path)
    with DagsterInstance.ephemeral() as instance:
        starting = instance.create_run_for_job(refresh_job, status=DagsterRunStatus.STARTING).run_id
        assert fail_stranded_runs(instance, home, [starting]) == []
        monkeypatch.setattr(recovery, "_LONGEST_START", timedelta(0))
        assert fail_stranded_runs(instance, home, [starting]) == []
        [run] = instance.get_runs()
    assert run.status == DagsterRunStatus.FAILURE


@asset(check_specs=[AssetCheckSpec("whole", asset="deals")])
def deals() -> MaterializeResult:
    return MaterializeResult(check_results=[AssetCheckResult(passed=True, check_name="whole")])


def places_of(run_id, folder):
    """Return the files, folders and tables of a run history that know a run."""
    found = {str(path.relative_to(folder)) for path in folder.rglob(f"*{run_id}*")}
    for path in folder.rglob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            for (table,) in connection.execute(
                "select name from sqlite_master where type = 'table'"
            ).fetchall():
                rows = connection.execute(f'select * from "{table}"').fetchall()
                if any(run_id in str(row) for row in rows):
                    found.add(f"{path.name}:{table}")
    return found


def test_only_the_newest_runs_stay_in_the_history(tmp_path, monkeypatch):
    monkeypatch.setattr(recovery, "_KEPT_RUNS", 2)
    home = Home(tmp_path)
    (tmp_path / "dagster.yaml").write_text(
        "storage:\n  custom:\n    module: orchestration.lib.run_history\n    class: RunHistory\n"
        f"    config: {{base_dir: '{home.dagster_dir}'}}\n"
    )
    run_ids = []
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        for _ in range(4):
            run_ids.append(materialize([deals], instance=instance).run_id)
            (home.dagster_dir / run_ids[-1] / "compute_logs").mkdir(parents=True)
        begun = instance.create_run_for_job(refresh_job, status=DagsterRunStatus.STARTED).run_id
        forget_old_runs(instance, home)
        assert set(instance.get_run_ids()) == {*run_ids[2:], begun}
        latest = instance.get_latest_materialization_event(AssetKey("deals"))
    assert latest is not None
    assert latest.run_id == run_ids[-1]
    for run_id in run_ids[:2]:
        assert places_of(run_id, home.dagster_dir) == set()
    for run_id in run_ids[2:]:
        assert {f"{run_id}.db:event_logs", "index.db:asset_check_executions"} <= places_of(
            run_id, home.dagster_dir
        )


def test_process_that_outlived_its_run_is_ended(tmp_path):
    home = Home(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as orphan:
        remember_child(home, orphan.pid)
        assert f"ended process {orphan.pid}" in (end_orphan(home) or "")
        assert orphan.wait(timeout=5) == -9
    assert end_orphan(home) is None


def test_process_that_only_shares_the_number_is_left_alone(tmp_path):
    home = Home(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as other:
        remember_child(home, other.pid)
        note = next(home.dbt_target_dir.parent.glob("*.json"))
        note.write_text(note.read_text().replace('"start_ticks": ', '"start_ticks": 1'))
        assert end_orphan(home) is None
        assert other.poll() is None
        other.kill()


def test_forgotten_child_is_not_ended(tmp_path):
    home = Home(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as child:
        remember_child(home, child.pid)
        forget_child(home)
        assert end_orphan(home) is None
        child.kill()


def test_old_logs_are_removed_and_the_newest_stay(tmp_path):
    home = Home(tmp_path)
    home.logs_dir.mkdir()
    for number in range(35):
        (home.logs_dir / f"refresh_{number:02d}.log").touch()
    tidy_home(home)
    assert len(list(home.logs_dir.glob("refresh_*.log"))) == 30


def test_half_a_page_that_a_killed_run_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    home = Home(tmp_path)
    kept = {"index.html", ".htaccess", "logo.tmp"}
    home.page_file.parent.mkdir()
    for name in kept:
        (home.page_file.parent / name).write_text("content")

    def killed(*_, **__):
        raise KeyboardInterrupt

    # A kill leaves no time for the tidying of an exception.
    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        _write(home.page_file, "half a page")
    monkeypatch.undo()
    (left,) = {path.name for path in home.page_file.parent.iterdir()} - kept
    assert tidy_home(home) == [f"removed {left}"]
    assert {path.name for path in home.page_file.parent.iterdir()} == kept
