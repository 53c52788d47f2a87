"""What people see: the published file, the owner's page and the dashboards in Metabase."""

from collections.abc import Sequence
from typing import Any

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, MaterializeResult, asset

from ingest.config import Settings
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


def metabase_dashboards(settings: Settings) -> list[AssetsDefinition]:
    """Return the asset of the dashboards in Metabase; none where no Metabase is named."""
    if settings.metabase_url is None:
        return []

    @asset(
        name="metabase_dashboards",
        deps=[AssetKey("published_marts")],
        group_name="serve",
        kinds={"metabase"},
        owners=[OWNER],
    )
    def dashboards(
        context: AssetExecutionContext, refresh_run: RefreshRun
    ) -> MaterializeResult[Any]:
        """Metabase on the new build: every dashboard as its file says, every card proved."""
        # Its imports take 0.3 s, which homes without Metabase need not pay.
        from orchestration.lib.metabase.commands import show_build

        shown = show_build(refresh_run.session.settings)
        return MaterializeResult(
            metadata={
                "url": shown.url,
                "change_count": len(shown.applied.actions),
                "card_count": shown.card_count,
                "request_count": shown.request_count,
                "seconds": shown.seconds,
            }
        )

    return [dashboards]
