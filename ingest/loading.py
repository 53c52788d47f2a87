"""The run that reads one source account and appends what changed, chunk by chunk.

A chunk is one dlt load package: closed windows until about 200,000 rows or 60 seconds. Its rows and
its `_pulls` rows become visible together, when dlt writes the package into `_dlt_loads`; whatever a
killed run left behind has no such row and counts for nobody. So a broken backfill goes on after its
last committed chunk, and nothing is stored twice.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.pipeline.exceptions import PipelineStepFailed

from ingest.chunks import ChunkBudget, LoadRun, LoadSummary, Progress
from ingest.collector import few_collections
from ingest.config import Home, Settings, SourceRef, dlt_configured
from ingest.errors import IngestError
from ingest.sources import SOURCES, SourceDefinition
from ingest.stored_state import StoredState
from ingest.warehouse import ensure_raw_tables, open_warehouse, storage_error


class _WarehouseFile(dlt.destinations.duckdb):
    """dlt's DuckDB destination, which tells what it can do without looking up its settings.

    dlt asks twenty times a chunk and resolves the settings anew each time, for destinations whose
    abilities depend on them: a quarter of the time of a small load.
    """

    @property
    def destination_type(self) -> str:
        """Return the name that the stored state of earlier loads knows."""
        return "dlt.destinations.duckdb"

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """Return what DuckDB can do; no setting changes it."""
        return super().capabilities(config or self.spec(), naming)


def pipeline_for(home: Home, source: str) -> dlt.Pipeline:
    """Return a dlt pipeline with an empty working folder.

    Anything a killed run left in the folder is dropped on purpose, not finished: its windows have
    no committed pull and are read again, while finishing a half-loaded package would append the
    files that had reached the warehouse a second time. dlt restores its schema from there.

    Args:
        home: The home folder.
        source: The source's name.
    """
    folder = _working_folder(home, source)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return dlt.pipeline(
        pipeline_name=source,
        pipelines_dir=str(folder.parent),
        destination=_WarehouseFile(str(home.warehouse)),
        dataset_name=SOURCES[source].dataset,
    )


def _working_folder(home: Home, source: str) -> Path:
    return home.dlt_dir / "pipelines" / source


def load_source(
    ref: SourceRef, settings: Settings, progress: Progress | None = None
) -> LoadSummary:
    """Read one source account to its present and append what changed.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.
        progress: Told after each window.

    Raises:
        IngestError: The source or the warehouse failed; complete chunks stay committed.
    """
    definition = SOURCES[ref.name]
    started = time.monotonic()
    run = LoadRun(str(ref), progress)
    load_ids: list[str] = []
    ensure_raw_tables(settings.home)
    try:
        with dlt_configured(settings.home):
            while True:
                budget = ChunkBudget(run)
                load_ids += _load_chunk(definition, ref, settings, budget)
                budget.commit()
                if budget.error is not None:
                    raise budget.error
                if not budget.has_more:
                    break
    finally:
        run.close()
        shutil.rmtree(_working_folder(settings.home, definition.name), ignore_errors=True)
    return LoadSummary(
        source=str(ref),
        resources=run.resources,
        load_ids=tuple(load_ids),
        seconds=time.monotonic() - started,
        observed_until_at=run.observed_until_at,
        warnings=tuple(run.warnings),
    )


def _load_chunk(
    definition: SourceDefinition, ref: SourceRef, settings: Settings, budget: ChunkBudget
) -> list[str]:
    home = settings.home
    state = StoredState(home.warehouse, definition.dataset)
    try:
        source = definition.build_source(ref, settings, state, budget)
        pipeline = pipeline_for(home, definition.name)
        # Held open beside dlt and the questions to the stored state: each would read the whole
        # catalog when it opens the file, and write the log back when it closes it.
        with few_collections(), open_warehouse(home.warehouse):
            result = pipeline.run(source, loader_file_format="parquet")
    except PipelineStepFailed as failure:
        raise _named(failure, home) from failure
    except OSError as failure:
        raise storage_error(failure, home.root) from None
    return list(result.loads_ids) if result is not None else []


def _named(failure: BaseException, home: Home) -> BaseException:
    """Return the first cause that ingest or the operating system names, else the failure."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, IngestError):
            return cause
        if isinstance(cause, OSError | duckdb.IOException | duckdb.FatalException):
            return storage_error(cause, home.root)
        cause = cause.__cause__ or cause.__context__
    text = str(failure)
    if "No space left" in text or "IO Error" in text:
        return storage_error(RuntimeError(text.splitlines()[-1]), home.root)
    return failure
