"""Everything Dagster sees of this home folder. `voronka dev` opens it in a browser."""

from dagster import Definitions, in_process_executor

from ingest.config import load_settings
from orchestration.defs.load import raw_assets
from orchestration.defs.resources import RefreshRun
from orchestration.defs.schedules import refresh_daily_schedule, refresh_job
from orchestration.defs.sensors import killed_run_sensor, refresh_failure_sensor
from orchestration.defs.serve import metabase_dashboards, owner_page, published_marts
from orchestration.defs.transform import model_assets
from orchestration.lib.dbt_assets import dbt_command, dbt_project, mart_keys

_settings = load_settings()
_project = dbt_project(_settings.home)

defs = Definitions(
    assets=[
        *raw_assets(),
        model_assets(_project),
        published_marts(mart_keys(_project)),
        owner_page(),
        *metabase_dashboards(_settings),
    ],
    jobs=[refresh_job],
    schedules=[refresh_daily_schedule(_settings)],
    sensors=[refresh_failure_sensor, killed_run_sensor],
    resources={
        "refresh_run": RefreshRun(),
        "dbt": dbt_command(_project),
    },
    # A process per step would pay 3 s of imports each, and only one may write anyway.
    executor=in_process_executor,
)
