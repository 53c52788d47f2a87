"""`voronka`: the commands of one company's home folder.

Exit codes: 0 done, 1 failed, 2 settings or input files need a change, 3 a source refused or did not
answer, 4 models or data tests stopped the publish, 5 another refresh holds the home, 6 disk or
storage, 130 interrupted. `voronka dbt` passes on dbt's own code, `doctor` gives 1 on problems.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.lib.causes import EXIT_FAILED, EXIT_OK, Cause
from orchestration.lib.messages import say

if TYPE_CHECKING:
    from ingest.config import Home, Settings
    from orchestration.lib.serving import PublishedFile

app = typer.Typer(
    name="voronka",
    help="Shows where the money between an ad click and a repeat purchase leaks.\n\n"
    + (__doc__ or "").partition("\n\n")[2],
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


metabase = typer.Typer(
    help="Dashboards in Metabase: what differs, make it so, go back, examine.\n\n"
    "The address is VORONKA_METABASE_URL; METABASE__EMAIL and METABASE__PASSWORD (for an empty "
    "instance: of its first administrator), or METABASE__API_KEY, let us in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(metabase, name="metabase")


def main() -> None:
    """Run the command line; an error becomes one clear line and its exit code, no traceback."""
    try:
        app()
    except Exception as error:
        if os.environ.get("VORONKA_TRACEBACK"):
            raise
        cause = Cause.of(error)
        print(f"voronka: {cause.text}", file=sys.stderr)
        sys.exit(cause.exit_code)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"voronka {version('voronka')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Take options common to all commands."""


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Another seed, another company.")] = 20261121,
    months: Annotated[int, typer.Option(min=3, max=60, help="Months of history.")] = 18,
    leads: Annotated[int, typer.Option(min=100, help="About this many leads.")] = 20000,
    faults: Annotated[
        str, typer.Option(help="Let the APIs misbehave: all, or kinds separated by commas.")
    ] = "",
    faults_seed: Annotated[int, typer.Option(help="Another seed, other faults.")] = 0,
) -> None:
    """Run the whole road on a simulated company, its APIs served on loopback."""
    from orchestration.lib.demo import DemoParameters, choose_faults, settle_demo
    from orchestration.lib.session import ensure_home

    settings = _settings()
    ensure_home(settings)
    settle_demo(settings.home, DemoParameters(seed=seed, months=months, leads=leads))
    choose_faults(settings.home, faults, faults_seed)
    settings = _settings()
    code = _refresh(settings)
    if code == EXIT_OK:
        _print_numbers(settings, "demo_title")
        _print_where_to_click(settings)
    raise typer.Exit(code)


@app.command()
def benchmark(
    seeds: Annotated[int, typer.Option(min=1, max=50, help="How many companies.")] = 3,
    months: Annotated[int, typer.Option(min=3, max=60, help="Months of history of each.")] = 12,
    leads: Annotated[int, typer.Option(min=100, help="About this many leads in each.")] = 4000,
    home: Annotated[
        Path | None, typer.Option(help="Score this demo company's home as it stands.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to a file too.")
    ] = None,
) -> None:
    """Score the marts, and the naive ways of peers, against companies whose truth is known."""
    from ingest.config import Home
    from orchestration.lib.benchmark.running import report_on, run_benchmark, write_json

    if home is not None:
        report = report_on(Home(home.expanduser().absolute()))
    else:
        report = run_benchmark(seeds, months, leads, _print_now)
    print(f"\n{report.table()}")
    if json_file is not None:
        write_json(report, json_file)


@app.command()
def refresh() -> None:
    """Load what is new, rebuild, test, publish, write the page."""
    raise typer.Exit(_refresh(_settings()))


@app.command()
def page() -> None:
    """Write the owner's page again from the published file."""
    from orchestration.lib.publishing import check_served_version, write_page

    settings = _settings()
    check_served_version(settings)
    print(say(settings.locale, "page_written", page=write_page(settings)))


@app.command()
def rollback() -> None:
    """Serve the build published before the present one, on the page and in Metabase too."""
    from orchestration.lib.environment import new_run_id
    from orchestration.lib.lock import refresh_lock
    from orchestration.lib.publishing import roll_back, write_page

    settings = _settings()
    with refresh_lock(settings.home.refresh_lock, new_run_id()):
        served = roll_back(settings)
        write_page(settings)
        print(say(settings.locale, "rolled_back", published_at=served.published_at))
        if settings.metabase_url is not None:
            _roll_back_metabase(settings, served)


def _roll_back_metabase(settings: "Settings", served: "PublishedFile") -> None:
    from orchestration.lib.errors import RollbackError
    from orchestration.lib.metabase.commands import rollback as roll_back_metabase

    try:
        roll_back_metabase(settings, served)
    except RollbackError as error:
        # An instance that shows nothing of this home has nothing to be led back.
        print(say(settings.locale, "metabase_not_rolled_back", why=error))
    else:
        print(say(settings.locale, "metabase_rolled_back", published_at=served.published_at))


@app.command()
def init() -> None:
    """Write a commented voronka.toml and templates of the company's own tables."""
    from orchestration.lib.home_templates import write_templates_of
    from orchestration.lib.session import ensure_home

    settings = _settings()
    ensure_home(settings)
    for path, is_new in write_templates_of(settings.home):
        print(say(settings.locale, "init_written" if is_new else "init_kept", path=path))
    print(say(settings.locale, "init_next", config=settings.home.config_file))


@app.command()
def doctor() -> None:
    """Look at everything a refresh needs; each finding says what to do."""
    from orchestration.lib.doctor import examine

    problems, locale = examine(print)
    if problems:
        print(say(locale, "doctor_problems", count=problems))
        raise typer.Exit(EXIT_FAILED)
    print(say(locale, "doctor_fine"))


@metabase.command("plan")
def metabase_plan() -> None:
    """Tell what an apply would do, key by key, and what was changed by hand; changes nothing."""
    from orchestration.lib.metabase.commands import show_plan

    show_plan(_settings(), _print_now)


@metabase.command("apply")
def metabase_apply() -> None:
    """Set an empty Metabase up, or put it in step with the files; then run every card.

    What the files no longer hold goes to the trash, never further. What is not ours stays.
    Broken off anywhere, the next apply goes on.
    """
    from orchestration.lib.metabase.commands import apply

    apply(_settings(), _print_now)


@metabase.command("rollback")
def metabase_rollback() -> None:
    """Lead Metabase back to the build before the one it shows; the page stays as it is."""
    from orchestration.lib.environment import new_run_id
    from orchestration.lib.lock import refresh_lock
    from orchestration.lib.metabase.commands import rollback as roll_back

    settings = _settings()
    with refresh_lock(settings.home.refresh_lock, new_run_id()):
        shown = roll_back(settings)
    print(say(settings.locale, "metabase_rolled_back", published_at=shown.published_at))


@metabase.command("doctor")
def metabase_doctor() -> None:
    """Examine the instance end to end and say what was seen; changes nothing.

    Reachability, version, driver, credentials, the file it shows, sync, rights, differences, every
    card and every filter.
    """
    from orchestration.lib.metabase.commands import examine

    settings = _settings()
    problems = examine(settings, _print_now)
    if problems:
        print(say(settings.locale, "doctor_problems", count=problems))
        raise typer.Exit(EXIT_FAILED)
    print(say(settings.locale, "doctor_fine"))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def dbt(context: typer.Context) -> None:
    """Run dbt with the environment of this home, under the lock."""
    from orchestration.lib.dbt_command import run_dbt

    raise typer.Exit(run_dbt(_settings(), context.args))


@app.command()
def dev(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000) -> None:
    """Open Dagster's UI on this home; the command's runs are visible there."""
    from orchestration.lib.environment import REPOSITORY, dagster_environment
    from orchestration.lib.session import ensure_home

    settings = _settings()
    ensure_home(settings)
    settings.home.dagster_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "orchestration.definitions"]
    command += ["--working-directory", str(REPOSITORY), "-h", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, **dagster_environment(settings.home)}
    # In place of this process, so that whoever stops it stops the UI and the daemon with it.
    os.execve(sys.executable, command, environment)  # noqa: S606


@app.command()
def docs(folder: Annotated[Path, typer.Option(help="Where to write.")] = Path("site")) -> None:
    """Build the models' documentation as one self-contained HTML file."""
    from orchestration.lib.dbt_command import write_docs

    print(write_docs(_settings(), folder))


def _print_now(line: str) -> None:
    print(line, flush=True)


def _settings() -> "Settings":
    from ingest.config import load_settings
    from orchestration.lib.environment import QUIET

    os.environ.update(QUIET)
    return load_settings()


def _refresh(settings: "Settings") -> int:
    from ingest.config import applied
    from orchestration.lib.environment import dagster_environment, new_run_id
    from orchestration.lib.lock import refresh_lock
    from orchestration.lib.progress import seconds_in_words, terminal_for_progress
    from orchestration.lib.session import check_settings, ensure_home

    home, locale = settings.home, settings.locale
    check_settings(settings)
    ensure_home(settings)
    run_id = new_run_id()
    log = home.logs_dir / f"refresh_{run_id}.log"
    with (
        refresh_lock(home.refresh_lock, run_id),
        applied(dagster_environment(home)),
        terminal_for_progress(log) as terminal,
    ):
        terminal.line("start", f"run {run_id} in {home.root}")
        try:
            causes = _run_job(home, run_id)
        except KeyboardInterrupt:
            causes = [Cause.of_interrupt()]
        if not causes:
            seconds = seconds_in_words(terminal.elapsed(), locale)
            text = say(locale, "done", seconds=seconds, page=home.page_file)
            terminal.line("done", text)
            return EXIT_OK
    _print_failure(settings, run_id, causes, log)
    return max(cause.exit_code for cause in causes)


def _run_job(home: "Home", run_id: str) -> list[Cause]:
    """Run the refresh job in this process and return why it failed, if it did."""
    from ingest.collector import few_collections
    from orchestration.lib.dbt_manifest import preparing_manifest

    # Definitions and events live as long as the run: looking for dead ones among them took 1 s.
    with few_collections(), preparing_manifest(home):
        from orchestration.lib.dagster_run import open_instance, run_job

        with open_instance(home.dagster_dir) as instance:
            from orchestration.definitions import defs

            return run_job(defs.resolve_job_def("refresh_job"), instance, run_id)


def _print_failure(settings: "Settings", run_id: str, causes: list[Cause], log: Path) -> None:
    from orchestration.lib.failures import record_failure
    from orchestration.lib.serving import ServeFolder

    locale = settings.locale
    if any(cause.is_interrupt for cause in causes):
        print(say(locale, "interrupted"), file=sys.stderr)
    else:
        record_failure(settings.home, run_id, [cause.text for cause in causes])
        print(say(locale, "failed"), file=sys.stderr)
        for cause in causes:
            print(cause.text, file=sys.stderr)
    current = ServeFolder(settings.home.serve_dir).state().current
    serving = (
        say(locale, "still_serving", published_at=current.published_at)
        if current is not None
        else say(locale, "nothing_served")
    )
    print(serving, file=sys.stderr)
    print(say(locale, "log", log=log), file=sys.stderr)


def _print_numbers(settings: "Settings", title: str) -> None:
    from orchestration.lib.page import owner_numbers

    print()
    print(say(settings.locale, title))
    for line in owner_numbers(settings.home.serve_current, settings.locale):
        print(f"  {line}")


def _print_where_to_click(settings: "Settings") -> None:
    home, locale = settings.home, settings.locale
    print()
    print(say(locale, "click_page", url=home.page_file.as_uri()))
    print(say(locale, "marts", file=home.serve_current))
    print(say(locale, "click_dev"))
    print(say(locale, "click_real"))


if __name__ == "__main__":
    main()
