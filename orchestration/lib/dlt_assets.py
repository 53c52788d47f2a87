"""Raw tables as Dagster assets: one set per source, keyed [raw_<source>, <table>].

The keys equal dbt's source keys by naming, so the lineage from an API's table to a report has no
gap. A source nobody configured keeps its assets: their work is to exist, empty, so that no model
asks what is enabled.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import dlt
import duckdb
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetSpec,
    MaterializeResult,
)
from dagster_dlt import DagsterDltTranslator, build_dlt_asset_specs
from dagster_dlt.translator import DltResourceTranslatorData

from ingest.config import Home
from ingest.sources import SOURCES, SourceDefinition
from ingest.warehouse import RAW_TABLES, open_warehouse

PULLS_TABLE = "_pulls"
LOADS_TABLE = "_dlt_loads"
PULLS_CHECK = "stored_rows_match_pulls"
OWNER = "team:data"


class RawTableTranslator(DagsterDltTranslator):
    """Names a dlt resource as dbt names the source table it becomes."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> AssetSpec:
        """Return the spec of one raw table.

        The default adds an upstream asset per source function that nothing ever materializes.
        """
        source = data.resource.source_name
        dataset = SOURCES[source].dataset
        spec = super().get_asset_spec(data)
        return spec.replace_attributes(
            key=AssetKey([dataset, data.resource.name]),
            deps=[],
            group_name=dataset,
            kinds={"dlt", "duckdb"},
            owners=[OWNER],
            description=_description(source, data.resource.name),
        )


def table_names(source: SourceDefinition) -> tuple[str, ...]:
    """Return every table of a source's dataset: its raw tables, `_pulls`, and dlt's loads."""
    return (*RAW_TABLES[source.name], LOADS_TABLE)


def raw_table_specs(source: SourceDefinition) -> list[AssetSpec]:
    """Return the asset specs of every raw table of one source.

    The dlt source here only declares: reading happens chunk by chunk in `ingest.loading`, which
    builds its source anew for every chunk.
    """
    resources = [dlt.resource([], name=name, table_name=name) for name in table_names(source)]

    @dlt.source(name=source.name)
    def declared() -> Any:
        return resources

    pipeline = dlt.pipeline(pipeline_name=f"declared_{source.name}", destination="duckdb")
    specs = build_dlt_asset_specs(
        dlt_source=declared(),
        dlt_pipeline=pipeline,
        dagster_dlt_translator=RawTableTranslator(),
    )
    return [_without_objects(spec) for spec in specs]


def pulls_check_spec(source: SourceDefinition) -> AssetCheckSpec:
    """Return the check that every complete pull stored the rows it says it stored."""
    return AssetCheckSpec(
        name=PULLS_CHECK,
        asset=AssetKey([source.dataset, PULLS_TABLE]),
        description="Each complete pull of a committed load has exactly the rows it counted.",
        blocking=True,
    )


@dataclass(frozen=True)
class RawCounts:
    """What a source's dataset holds: rows by table, and pulls whose rows do not add up."""

    row_counts: Mapping[str, int]
    broken_pulls: tuple[str, ...]
    pull_count: int


def count_raw(home: Home, source: SourceDefinition) -> RawCounts:
    """Return the row counts of one dataset and the pulls that lost rows."""
    dataset = source.dataset
    with open_warehouse(home.warehouse) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "select table_name from information_schema.tables where table_schema = ?",
                [dataset],
            ).fetchall()
        ]
        row_counts = {
            table: _scalar(connection, f'select count(*) from {dataset}."{table}"')
            for table in tables
        }
        broken: list[str] = []
        pull_count = 0
        if {PULLS_TABLE, LOADS_TABLE} <= set(tables):
            complete = (
                f"from {dataset}.{PULLS_TABLE} as pulls"
                f" inner join {dataset}.{LOADS_TABLE} as loads"
                " on pulls._dlt_load_id = loads.load_id and loads.status = 0"
                " where pulls.is_complete"
            )
            pull_count = _scalar(connection, f"select count(*) {complete}")
            for table in source.raw_tables:
                if table not in row_counts:
                    continue
                rows = connection.execute(
                    "select pulls.pull_id, pulls.stored_count, count(stored.pull_id) as found"
                    f" from (select pulls.* {complete} and pulls.resource = ?) as pulls"
                    f' left join {dataset}."{table}" as stored'
                    " on stored.pull_id = pulls.pull_id"
                    " and stored._dlt_load_id = pulls._dlt_load_id"
                    " group by all having found <> pulls.stored_count",
                    [table],
                ).fetchall()
                broken += [
                    f"{table} pull {pull_id}: {found} rows stored, {expected} counted"
                    for pull_id, expected, found in rows
                ]
    return RawCounts(row_counts=row_counts, broken_pulls=tuple(broken), pull_count=pull_count)


def raw_results(
    source: SourceDefinition,
    counts: RawCounts,
    *,
    is_configured: bool,
    selected: Set[AssetKey],
    resource_metadata: Mapping[str, Mapping[str, Any]],
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Yield one materialization per raw table, and the check of the pulls.

    Args:
        source: The source that was loaded.
        counts: What its dataset holds now.
        is_configured: Whether an account of it is connected.
        selected: The assets this step was asked for.
        resource_metadata: More facts by table.
    """
    for name in table_names(source):
        key = AssetKey([source.dataset, name])
        if key in selected:
            yield MaterializeResult(
                asset_key=key,
                metadata={
                    "dagster/row_count": counts.row_counts.get(name, 0),
                    "is_connected": is_configured,
                    **resource_metadata.get(name, {}),
                },
            )
    if AssetKey([source.dataset, PULLS_TABLE]) in selected:
        yield AssetCheckResult(
            check_name=PULLS_CHECK,
            asset_key=AssetKey([source.dataset, PULLS_TABLE]),
            passed=not counts.broken_pulls,
            severity=AssetCheckSeverity.ERROR,
            metadata={
                "pull_count": counts.pull_count,
                "broken_pulls": "\n".join(counts.broken_pulls[:5]),
            },
        )


def _without_objects(spec: AssetSpec) -> AssetSpec:
    # dagster-dlt hangs the source, pipeline and translator objects on every spec for its own
    # `run`, which is not used here.
    plain = {
        name: value for name, value in spec.metadata.items() if not name.startswith("dagster_dlt/")
    }
    return spec.replace_attributes(metadata=plain)


def _description(source: str, table: str) -> str:
    if table == PULLS_TABLE:
        return f"One row per reading of a resource of {source}: what was read and how much."
    if table == LOADS_TABLE:
        return f"One row per load of {source}; status 0 means committed, its time is known_at."
    return f"Records of {source} {table} as the source gave them, appended when they changed."


def _scalar(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
