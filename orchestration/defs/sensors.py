"""What happens after a failed run of the UI or the schedule."""

from dagster import DefaultSensorStatus, RunFailureSensorContext, run_failure_sensor

from ingest.config import load_settings
from orchestration.lib.causes import causes_of
from orchestration.lib.failures import record_failure


@run_failure_sensor(
    name="refresh_failure_sensor",
    default_status=DefaultSensorStatus.RUNNING,
    description="Writes the causes of a failed run where `voronka doctor` reads them.",
)
def refresh_failure_sensor(context: RunFailureSensorContext) -> None:
    """Write down why the run failed, in the words the command would print."""
    events = [*context.get_step_failure_events(), context.failure_event]
    texts = [cause.text for cause in causes_of(events)] or [context.failure_event.message or ""]
    record_failure(load_settings().home, context.dagster_run.run_id, texts)
