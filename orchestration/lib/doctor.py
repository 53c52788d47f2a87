"""`voronka doctor`: everything a refresh needs, looked at one by one, each finding with a remedy.

A broken part must not hide the state of the others, so every examination stands alone and an
unexpected error is a finding too.
"""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Literal

from ingest.config import Settings, applied, load_settings
from ingest.errors import ConfigurationError, IngestError
from orchestration.lib.causes import in_one_line
from orchestration.lib.environment import (
    DBT_PROJECT_DIR,
    dagster_environment,
    dbt_executable,
)
from orchestration.lib.errors import HomeError, OrchestrationError
from orchestration.lib.failures import last_failure
from orchestration.lib.lock import current_holder
from orchestration.lib.metabase.versions import DUCKDB_VERSION
from orchestration.lib.serving import ServeFolder, bytes_needed
from orchestration.lib.session import check_home

_STALE_AFTER_HOURS = 36
_MEGABYTE = 1_000_000

Status = Literal["ok", "note", "PROBLEM"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Examined:
    """One finding: its state, what was seen, and what to do about it."""

    status: Status
    text: str
    action: str = ""

    def line(self) -> str:
        """Return the finding as one line."""
        line = f"{self.status:<8}{self.text}"
        return f"{line}. {self.action}" if self.action else line


def examine(tell: Tell) -> tuple[int, str]:
    """Examine the home and tell every finding.

    Args:
        tell: Receives one line at a time.

    Returns:
        The number of problems and the owner's language.
    """
    try:
        settings = load_settings()
    except ConfigurationError as error:
        tell(Examined("PROBLEM", str(error)).line())
        problems = sum(tell_findings(part, tell) for part in (_versions,))
        return problems + 1, "ru"
    tell("settings")
    for value in settings.explain():
        tell(f"  {value.name} = {value.value or '-'}  ({value.origin})")
    problems = 0
    for title, part in _parts(settings):
        tell(title)
        problems += tell_findings(part, tell)
    return problems, settings.locale


def _parts(settings: Settings) -> list[tuple[str, Callable[[], Iterator[Examined]]]]:
    return [
        ("versions", _versions),
        ("home", lambda: _home(settings)),
        ("sources", lambda: _sources(settings)),
        ("personal data", lambda: _privacy_key(settings)),
        ("models", lambda: _models(settings)),
        ("runs", lambda: _runs(settings)),
        ("published", lambda: _published(settings)),
        ("postgres", lambda: _postgres(settings)),
        *([("metabase", lambda: _metabase(settings))] if settings.metabase_url else []),
    ]


def tell_findings(part: Callable[[], Iterator[Examined]], tell: Tell) -> int:
    """Tell the findings of one part, an error among them, and return the number of problems."""
    problems = 0
    try:
        for found in part():
            tell(f"  {found.line()}")
            problems += found.status == "PROBLEM"
    except (IngestError, OrchestrationError) as error:
        tell(f"  {Examined('PROBLEM', str(error)).line()}")
        problems += 1
    except Exception as error:  # a broken part must not end the examination
        words = str(error).strip().splitlines()[:1]
        text = f"{type(error).__name__}: {words[0] if words else 'no message'}"
        tell(f"  {Examined('PROBLEM', text).line()}")
        problems += 1
    return problems


def _versions() -> Iterator[Examined]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Examined("ok", f"Python {python}")
    duckdb = metadata.version("duckdb")
    if duckdb == DUCKDB_VERSION:
        yield Examined("ok", f"DuckDB {duckdb}, the version Metabase's DuckDB driver reads")
    else:
        yield Examined(
            "PROBLEM",
            f"DuckDB {duckdb}: Metabase's driver reads files of {DUCKDB_VERSION} only",
            "Install from requirements.lock",
        )
    dbt = metadata.version("dbt-core")
    if dbt.startswith("1.11."):
        yield Examined("ok", f"dbt {dbt}, dbt-duckdb {metadata.version('dbt-duckdb')}")
    else:
        yield Examined("PROBLEM", f"dbt {dbt} is not 1.11", "Install from requirements.lock")
    yield Examined("ok", f"Dagster {metadata.version('dagster')}, dlt {metadata.version('dlt')}")


def _home(settings: Settings) -> Iterator[Examined]:
    home = settings.home
    try:
        check_home(settings)
    except HomeError as error:
        yield Examined("PROBLEM", str(error))
    if not home.root.is_dir():
        yield Examined("note", f"{home.root} does not exist yet", "The first refresh makes it")
        return
    if not os.access(home.root, os.W_OK):
        yield Examined("PROBLEM", f"{home.root} is not writable", "Give this user the right")
    needed = bytes_needed(home.warehouse, ServeFolder(home.serve_dir))
    free = shutil.disk_usage(home.root).free
    warehouse = home.warehouse.stat().st_size if home.warehouse.exists() else 0
    text = (
        f"{free // _MEGABYTE} MB free, warehouse {warehouse // _MEGABYTE} MB,"
        f" a refresh may need {needed // _MEGABYTE} MB"
    )
    if free < needed:
        yield Examined("PROBLEM", text, "Free some space or move VORONKA_HOME")
    else:
        yield Examined("ok", text)
    holder = current_holder(home.refresh_lock)
    if holder is None:
        yield Examined("ok", "no refresh is running")
    else:
        yield Examined("note", f"a refresh is running: {holder.describe()}", "Wait until it ends")


def _models(settings: Settings) -> Iterator[Examined]:
    from orchestration.lib.dbt_manifest import manifest_is_fresh

    if not dbt_executable().exists():
        yield Examined("PROBLEM", f"{dbt_executable()} is missing", "Install requirements.lock")
    if not (DBT_PROJECT_DIR / "dbt_project.yml").exists():
        yield Examined("PROBLEM", f"{DBT_PROJECT_DIR} is missing", "Check the installation")
    elif manifest_is_fresh(settings.home):
        yield Examined("ok", "the models are parsed")
    else:
        yield Examined("note", "the models changed", "The next refresh parses them, 10 s more")


def _runs(settings: Settings) -> Iterator[Examined]:
    home = settings.home
    if home.dagster_dir.exists():
        from dagster import DagsterRunStatus, RunsFilter

        from orchestration.lib.dagster_run import open_instance

        with applied(dagster_environment(home)), open_instance(home.dagster_dir) as instance:
            yield Examined("ok", f"the run history opens, {instance.get_runs_count()} runs")
            started = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
        if started and current_holder(home.refresh_lock) is None:
            yield Examined(
                "note",
                f"{len(started)} runs were killed and still say started",
                "The next refresh marks them as failed",
            )
    else:
        yield Examined("note", "no run yet")
    failed = last_failure(home)
    current = ServeFolder(home.serve_dir).state().current
    if failed is None:
        return
    what = in_one_line(failed.causes[0]) if failed.causes else "no cause was written"
    if current is None or failed.failed_at > current.published_at:
        yield Examined("PROBLEM", f"the last refresh failed at {failed.failed_at} UTC: {what}")
    else:
        yield Examined("ok", f"the last failure, {failed.failed_at} UTC, is overcome")


def _published(settings: Settings) -> Iterator[Examined]:
    home = settings.home
    serve = ServeFolder(home.serve_dir)
    state = serve.state()
    current = state.current
    if current is None:
        yield Examined("note", "nothing is published yet", "Run `voronka refresh`")
        return
    if not serve.path_of(current).exists():
        yield Examined(
            "PROBLEM", f"{current.file_name} is missing", "Run `voronka refresh` or `rollback`"
        )
    published_at = datetime.strptime(current.published_at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    hours = (datetime.now(UTC) - published_at).total_seconds() / 3600
    text = f"served: build of {current.published_at} UTC, {len(state.published)} builds kept"
    if hours > _STALE_AFTER_HOURS and not settings.is_demo:
        yield Examined("PROBLEM", f"{text}; {hours:.0f} hours old", "Run `voronka refresh`")
    else:
        yield Examined("ok", text)
    if not home.page_file.exists():
        yield Examined("PROBLEM", f"{home.page_file} is missing", "Run `voronka page`")
    stale = serve.leftovers()
    if stale and current_holder(home.refresh_lock) is None:
        yield Examined(
            "note",
            f"left by a broken run or by `voronka dbt`: {', '.join(stale)}",
            "The next refresh removes them",
        )


def _postgres(settings: Settings) -> Iterator[Examined]:
    if settings.serving != "postgres":
        yield Examined("ok", "not used (serving = duckdb)")
        return
    from orchestration.lib.postgres_doctor import examine_postgres

    current = ServeFolder(settings.home.serve_dir).state().current
    for status, text, action in examine_postgres(
        settings, current.run_id if current is not None else None
    ):
        yield Examined(status, text, action)


def _privacy_key(settings: Settings) -> Iterator[Examined]:
    from ingest.privacy import key_fingerprint

    home = settings.home
    if settings.personal_data == "keep":
        yield Examined("note", "phones and e-mails are stored as they are (personal_data = keep)")
        return
    if not home.privacy_key.exists():
        if home.warehouse.exists() and home.privacy_key_backup.exists():
            yield Examined(
                "PROBLEM",
                f"{home.privacy_key} is missing",
                f"Copy {home.privacy_key_backup.name} back, or people will not be recognised",
            )
        else:
            yield Examined("note", "the hashing key is made on first use")
        return
    yield Examined("ok", f"key fingerprint {key_fingerprint(home)}")
    mode = stat.S_IMODE(home.privacy_key.stat().st_mode)
    if mode & 0o077:
        yield Examined(
            "PROBLEM", f"others may read {home.privacy_key}", f"chmod 600 {home.privacy_key}"
        )
    if not home.privacy_key_backup.exists():
        yield Examined("PROBLEM", "the key has no backup", f"Copy it to {home.privacy_key_backup}")
    elif home.privacy_key_backup.read_bytes() != home.privacy_key.read_bytes():
        yield Examined(
            "PROBLEM",
            "the key differs from its backup",
            "Restore the one under which the warehouse was loaded",
        )


def _metabase(settings: Settings) -> Iterator[Examined]:
    from orchestration.lib.metabase.doctor import examine_briefly

    yield from examine_briefly(settings)
    yield Examined("note", "this is the short look", "The whole one is `voronka metabase doctor`")


def _sources(settings: Settings) -> Iterator[Examined]:
    from orchestration.lib.source_access import check_access

    real = [ref for ref in settings.enabled_sources if ref.name != "demo"]
    if settings.is_demo:
        yield Examined("ok", "the demo company; its servers run during a refresh only")
    elif len(real) == 1:
        yield Examined(
            "PROBLEM", "no source is connected", "Name one in voronka.toml (`voronka init`)"
        )
    for ref in real:
        try:
            yield Examined("ok", f"{ref}: {check_access(ref, settings)}")
        except IngestError as error:
            yield Examined("PROBLEM", str(error))
