"""One refresh from lock to unlock: the settings it runs with and what it leaves in order.

The command and Dagster's UI go through the same session, so a run holds the same lock, finds the
same environment and tidies the same leftovers however it was started.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.config import Settings, applied, load_settings
from ingest.warehouse import check_clock
from orchestration.lib.demo import demo_sources
from orchestration.lib.environment import dagster_environment, dbt_environment
from orchestration.lib.errors import HomeError
from orchestration.lib.lock import refresh_lock
from orchestration.lib.progress import console
from orchestration.lib.publishing import repair_postgres
from orchestration.lib.recovery import fail_dead_runs, forget_old_runs, tidy_home
from orchestration.lib.serving import ServeFolder, check_disk_space

if TYPE_CHECKING:
    from dagster import DagsterInstance


@dataclass(frozen=True)
class Session:
    """What the assets of one run work with."""

    run_id: str
    settings: Settings
    serve: ServeFolder


@contextmanager
def refresh_session(run_id: str, instance: "DagsterInstance | None") -> Iterator[Session]:
    """Hold the home for one refresh.

    Args:
        run_id: The Dagster run.
        instance: Dagster's storage, to mark killed runs; None leaves them.

    Raises:
        HomeError: Demo and real data would mix.
        LockHeldError: Another refresh of this home is running.
        DiskSpaceError: Too little free disk.
        ConfigurationError: The clock was set back behind the newest load.
    """
    settings = load_settings()
    check_home(settings)
    home = settings.home
    with ExitStack() as stack:
        stack.enter_context(refresh_lock(home.refresh_lock, run_id))
        for text in tidy_home(home):
            console().line("start", text)
        for text in repair_postgres(settings):
            console().line("start", text)
        if instance is not None:
            for dead in fail_dead_runs(instance, run_id):
                console().line("start", f"run {dead} had been killed; marked as failed")
            forget_old_runs(instance, home)
        serve = ServeFolder(home.serve_dir)
        check_disk_space(home.root, home.warehouse, serve)
        check_clock(home)
        stack.enter_context(applied(dagster_environment(home)))
        stack.enter_context(applied(dbt_environment(home)))
        if settings.is_demo:
            settings = stack.enter_context(demo_sources(settings))
        yield Session(run_id=run_id, settings=settings, serve=serve)


def check_settings(settings: Settings) -> None:
    """Refuse a refresh that has nothing to read.

    Raises:
        ConfigurationError: No source is named.
        HomeError: Demo and real data would mix.
    """
    from ingest.config import COMPANY, FILES
    from ingest.errors import ConfigurationError

    names = {ref.name for ref in settings.sources} - {COMPANY}
    if not names:
        raise ConfigurationError(
            "no source is connected",
            action="Run `voronka init` and name your sources, or see `voronka demo`",
        )
    if FILES in names and not settings.files:
        raise ConfigurationError(
            "the source files is enabled but no folder is named",
            action="Set VORONKA_FILES or files in voronka.toml",
        )
    check_home(settings)


def check_home(settings: Settings) -> None:
    """Refuse to mix the demo company's data with real ones.

    The names of the sources do not tell: the environment may name others than the home's file did,
    and the demo lands under the names of the real sources.

    Raises:
        HomeError: The settings name real sources in the demo's home, or the demo in another one.
    """
    home = settings.home
    if home.demo_marker.exists() and not settings.is_demo:
        raise HomeError(
            f"the demo company lives in {home.root}, real sources need a home of their own: "
            "set VORONKA_HOME to another folder."
        )
    if settings.is_demo and not home.demo_marker.exists():
        raise HomeError(
            f"{home.root} is not a home of the demo company; "
            "run `voronka demo` with VORONKA_HOME set to a new folder."
        )


def ensure_home(settings: Settings) -> None:
    """Make the home folder.

    Raises:
        StorageError: It cannot be made or written.
    """
    from ingest.errors import StorageError

    root = settings.home.root
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the home folder {root} cannot be made ({error.strerror})",
            action="Set VORONKA_HOME to a folder this user may write",
        ) from None
    if not os.access(root, os.W_OK):
        raise StorageError(
            f"the home folder {root} is not writable",
            action="Set VORONKA_HOME to a folder this user may write",
        )
