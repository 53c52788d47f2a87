from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    build_run_status_sensor_context,
    build_sensor_context,
    job,
    op,
)

from ingest.config import load_settings
from orchestration.defs.sensors import killed_run_sensor, refresh_failure_sensor
from orchestration.lib.failures import last_failure, record_failure


@op
def refuse() -> None:
    raise ValueError("the token is refused")


@job
def refresh_job() -> None:
    refuse()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VORONKA_HOME", str(tmp_path))
    return load_settings().home


def hear_of(instance, result):
    refresh_failure_sensor(
        build_run_status_sensor_context(
            sensor_name="refresh_failure_sensor",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
    )


def test_failure_that_is_heard_of_later_bears_the_moment_it_happened(home, monkeypatch):
    with DagsterInstance.ephemeral() as instance:
        result = refresh_job.execute_in_process(instance=instance, raise_on_error=False)
        ended = datetime(2026, 11, 22, 3, 0, 5, tzinfo=UTC)
        monkeypatch.setattr(
            instance,
            "get_run_record_by_id",
            lambda _: SimpleNamespace(end_time=ended.timestamp()),
        )
        hear_of(instance, result)
    failed = last_failure(home)
    assert failed is not None
    assert failed.failed_at == "2026-11-22 03:00:05"
    assert "the token is refused" in failed.causes[0]


def test_failure_that_the_command_wrote_down_is_not_written_again(home):
    with DagsterInstance.ephemeral() as instance:
        result = refresh_job.execute_in_process(instance=instance, raise_on_error=False)
        record_failure(home, result.run_id, ["told by the command"])
        hear_of(instance, result)
    failed = last_failure(home)
    assert failed is not None
    assert failed.causes == ("told by the command",)
    assert len((home.logs_dir / "failures.jsonl").read_text().splitlines()) == 1


def test_run_that_a_restart_left_is_marked_at_the_second_look(home):
    with DagsterInstance.ephemeral() as instance:
        run_id = instance.create_run_for_job(refresh_job, status=DagsterRunStatus.STARTED).run_id

        def status_after(cursor):
            context = build_sensor_context(instance=instance, cursor=cursor)
            killed_run_sensor(context)
            return instance.get_runs()[0].status, context.cursor

        status, cursor = status_after(None)
        assert (status, cursor) == (DagsterRunStatus.STARTED, f'["{run_id}"]')
        assert status_after(cursor) == (DagsterRunStatus.FAILURE, "[]")
