"""What happens after a failed run of the UI or the schedule, and after a killed one."""

import json
from datetime import UTC, datetime

from dagster import (
    DefaultSensorStatus,
    RunFailureSensorContext,
    SensorEvaluationContext,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from ingest.config import load_settings
from orchestration.lib.causes import causes_of
from orchestration.lib.failures import is_recorded, record_failure
from orchestration.lib.recovery import fail_stranded_runs

_NO_CAUSE = "The process of the run ended without a word: killed, restarted or out of memory."


@run_failure_sensor(
    name="refresh_failure_sensor",
    default_status=DefaultSensorStatus.RUNNING,
    description="Writes the causes of a failed run where `voronka doctor` reads them.",
)
def refresh_failure_sensor(context: RunFailureSensorContext) -> None:
    """Write down why the run failed, in the words the command would print."""
    home, run_id = load_settings().home, context.dagster_run.run_id
    # The command wrote its own; the sensor hears of it whenever the UI is opened next.
    if is_recorded(home, run_id):
        return
    events = [*context.get_step_failure_events(), context.failure_event]
    texts = [cause.text for cause in causes_of(events)] or [_NO_CAUSE]
    record = context.instance.get_run_record_by_id(run_id)
    ended = record.end_time if record is not None else None
    record_failure(
        home, run_id, texts, datetime.fromtimestamp(ended, UTC) if ended is not None else None
    )


@sensor(
    name="killed_run_sensor",
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Marks runs that a kill or a restart of the machine left as started; no other run"
    " would begin while they count as working.",
)
def killed_run_sensor(context: SensorEvaluationContext) -> SkipReason:
    """Look for runs that nobody works on; what is found twice is marked as failed."""
    suspects = json.loads(context.cursor or "[]")
    left = fail_stranded_runs(context.instance, load_settings().home, suspects)
    context.update_cursor(json.dumps(left))
    return SkipReason(f"{len(left)} runs without a process" if left else "every run has a process")
