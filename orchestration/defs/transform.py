"""The dbt models and their tests."""

from collections.abc import Iterator
from typing import Any

from dagster import AssetExecutionContext, AssetsDefinition

from orchestration.defs.load import WRITER_POOL
from orchestration.defs.resources import RefreshRun
from orchestration.lib.build import build_models
from orchestration.lib.dagster_dbt_alone import DbtProject, dbt_assets
from orchestration.lib.dbt_assets import ModelTranslator, VoronkaDbt


def model_assets(project: DbtProject) -> AssetsDefinition:
    """Return every model of the project as one asset set."""

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=ModelTranslator(),
        name="dbt_models",
        pool=WRITER_POOL,
    )
    def dbt_models(
        context: AssetExecutionContext, refresh_run: RefreshRun, dbt: VoronkaDbt
    ) -> Iterator[Any]:
        yield from build_models(context, refresh_run.session, dbt)

    return dbt_models
