"""What people see: the published file and the owner's page."""

from collections.abc import Sequence
from typing import Any

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, MaterializeResult, asset

from orchestration.defs.load import WRITER_POOL
from orchestration.defs.resources import RefreshRun
from orchestration.lib.dbt_manifest import expected_marts, read_manifest
from orchestration.lib.dlt_assets import OWNER
from orchestration.lib.publishing import publish_marts, write_page


def published_marts(mart_keys: Sequence[AssetKey]) -> AssetsDefinition:
    """Return the asset of the file analysts and dashboards read."""

    @asset(
        name="published_marts",
        deps=list(mart_keys),
        group_name="serve",
        kinds={"duckdb"},
        owners=[OWNER],
        pool=WRITER_POOL,
    )
    def publish(context: AssetExecutionContext, refresh_run: RefreshRun) -> MaterializeResult[Any]:
        """The audited marts in serve/voronka.duckdb; the last three builds are kept beside it.

        With VORONKA_SERVING=postgres the same tables replace the schema marts there.
        """
        session = refresh_run.session
        marts = expected_marts(read_manifest(session.settings.home))
        published, second = publish_marts(session, marts)
        metadata: dict[str, Any] = {
            "file": published.file_name,
            "table_count": len(published.row_counts),
            "dagster/row_count": sum(published.row_counts.values()),
        }
        if second is not None:
            metadata["postgres"] = second.place
            metadata["postgres_row_count"] = second.rows
            metadata["postgres_load_seconds"] = second.load_seconds
            metadata["postgres_switch_seconds"] = second.switch_seconds
        return MaterializeResult(metadata=metadata)

    return publish


def owner_page() -> AssetsDefinition:
    """Return the asset of the owner's page."""

    @asset(
        name="owner_page",
        deps=[AssetKey("published_marts")],
        group_name="serve",
        kinds={"html"},
        owners=[OWNER],
    )
    def page(context: AssetExecutionContext, refresh_run: RefreshRun) -> MaterializeResult[Any]:
        """The self-contained page rendered from the published file and the dashboard files."""
        settings = refresh_run.session.settings
        written = write_page(settings)
        return MaterializeResult(metadata={"path": str(written), "bytes": written.stat().st_size})

    return page
