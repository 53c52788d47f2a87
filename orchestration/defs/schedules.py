"""When the work runs: one job, every morning."""

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    ScheduleDefinition,
    define_asset_job,
)

from ingest.config import Settings
from orchestration.lib.serving import ServeFolder

# Where the company's zone is neither set nor known from a published file yet.
_FIRST_ZONE = "Europe/Moscow"

refresh_job = define_asset_job(
    name="refresh_job",
    selection=AssetSelection.all(),
    description="Load every source, build the models, publish the marts, write the page.",
)


def refresh_daily_schedule(settings: Settings) -> ScheduleDefinition:
    """Return the daily refresh, at 06:00 of the company's zone, before people come to work.

    It is on by default: whoever starts the Dagster daemon wants mornings with fresh numbers.
    """
    published_zone = ServeFolder(settings.home.serve_dir).state().time_zone
    return ScheduleDefinition(
        name="refresh_daily_schedule",
        job=refresh_job,
        cron_schedule="0 6 * * *",
        execution_timezone=settings.timezone or published_zone or _FIRST_ZONE,
        default_status=DefaultScheduleStatus.RUNNING,
    )
