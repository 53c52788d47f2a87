"""One dbt build: the command line, its progress, and what its failure means."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, AssetObservation

from ingest.config import Settings
from orchestration.lib.dbt_assets import VoronkaDbt
from orchestration.lib.dbt_findings import DbtFinding, dbt_findings
from orchestration.lib.environment import dbt_vars_arguments
from orchestration.lib.errors import DbtBuildError, DbtProjectError
from orchestration.lib.progress import console, seconds_in_words, thousands
from orchestration.lib.recovery import forget_child, remember_child
from orchestration.lib.session import Session

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

FAILED = ("error", "fail", "runtime error")
_SHOWN_FINDINGS = 10
_BUILT_TYPES = ("model", "seed", "test")


def dbt_build_arguments(settings: Settings) -> list[str]:
    """Return the command line of a refresh's build.

    Unit tests prove the models, not the data; they run in `make test`, 0.065 s each.
    """
    return ["build", "--exclude-resource-type", "unit_test", *dbt_vars_arguments(settings)]


def build_models(
    context: "AssetExecutionContext", session: Session, dbt: VoronkaDbt
) -> Iterator[Any]:
    """Yield the Dagster events of one dbt build.

    Raises:
        DbtBuildError: A model failed or a test of severity error returned rows.
    """
    home = session.settings.home
    serve_file = session.serve.new_serve_file()
    run_results = home.dbt_target_dir / "run_results.json"
    run_results.unlink(missing_ok=True)
    started = time.monotonic()
    invocation = dbt.cli(
        dbt_build_arguments(session.settings),
        context=context,
        target_path=home.dbt_target_dir,
        raise_on_error=False,
    )
    remember_child(home, invocation.process.pid)
    total = sum(
        node["resource_type"] in _BUILT_TYPES for node in invocation.manifest["nodes"].values()
    )
    console().line("transform", f"building {thousands(total)} tables and checks")
    models = 0
    checks: set[str] = set()
    try:
        for event in invocation.stream():
            if isinstance(event, AssetCheckResult | AssetObservation):
                # A check of several tables is told once for each of them.
                checks.add(str(event.metadata["unique_id"].value))
            else:
                models += 1
            console().throttled(
                "transform",
                "dbt",
                f"{thousands(models + len(checks))} of {thousands(total)} tables and checks",
            )
            yield event
        succeeded = invocation.is_successful()
    except KeyError as error:
        # dagster-dbt looks every node of dbt's answer up in the manifest of the run's start.
        raise DbtProjectError(
            f"The models changed during the build ({error}); run `voronka refresh` again."
        ) from None
    finally:
        if invocation.process.poll() is None:
            # Our side broke off: dbt must not go on writing behind the released lock.
            invocation.process.kill()
            invocation.process.wait()
        forget_child(home)
    for finding in dbt_findings(
        home.dbt_target_dir, home.warehouse, serve_file, statuses=("warn",)
    )[:_SHOWN_FINDINGS]:
        console().line("transform", f"warning: {finding.lines()[0]}")
    if not succeeded:
        raise DbtBuildError(_failure(session, str(invocation.get_error() or "")))
    console().line(
        "transform",
        f"{thousands(models)} tables built, {thousands(len(checks))} checks passed"
        f" in {seconds_in_words(time.monotonic() - started)}",
    )


def _failure(session: Session, dbt_words: str) -> str:
    home = session.settings.home
    findings = dbt_findings(
        home.dbt_target_dir, home.warehouse, session.serve.build_file, statuses=FAILED
    )
    if not findings:
        return f"dbt failed: {' '.join(dbt_words.split())[-600:]}"
    return failure_text(findings)


def failure_text(findings: list[DbtFinding]) -> str:
    """Return what failed as the lines a person reads."""
    lines = []
    for finding in findings[:_SHOWN_FINDINGS]:
        lines += finding.lines()
    if len(findings) > _SHOWN_FINDINGS:
        lines.append(f"and {len(findings) - _SHOWN_FINDINGS} more failures")
    lines.append("Nothing was published; yesterday's file keeps serving.")
    return "\n".join(lines)
