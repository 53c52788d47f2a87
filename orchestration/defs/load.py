"""Raw tables: one step per source, every table an asset."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetsDefinition,
    MaterializeResult,
    multi_asset,
)

from ingest.loading import load_source
from ingest.sources import SOURCES, SourceDefinition
from ingest.warehouse import ensure_raw_tables
from orchestration.defs.resources import RefreshRun
from orchestration.lib.dlt_assets import (
    count_raw,
    pulls_check_spec,
    raw_results,
    raw_table_specs,
)
from orchestration.lib.load_progress import LoadReport

WRITER_POOL = "duckdb_writer"


def raw_assets() -> list[AssetsDefinition]:
    """Return the asset sets of every source the product knows."""
    return [_assets_of(source) for source in SOURCES.values()]


def _assets_of(source: SourceDefinition) -> AssetsDefinition:
    # dagster-dlt's own decorator takes no check specs; it is this one with its specs.
    @multi_asset(
        name=f"load_{source.name}",
        specs=raw_table_specs(source),
        check_specs=[pulls_check_spec(source)],
        can_subset=True,
        pool=WRITER_POOL,
    )
    def load(
        context: AssetExecutionContext, refresh_run: RefreshRun
    ) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
        settings = refresh_run.session.settings
        refs = [ref for ref in settings.enabled_sources if ref.name == source.name]
        ensure_raw_tables(settings.home)
        report = LoadReport(source.name, context.log.info)
        for ref in refs:
            report.add(load_source(ref, settings, report.progress))
        counts = count_raw(settings.home, source)
        yield from raw_results(
            source,
            counts,
            is_configured=bool(refs),
            selected=context.selected_asset_keys,
            resource_metadata=report.metadata(),
        )

    return load
