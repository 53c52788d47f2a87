"""What `voronka metabase ...` and the refresh do: settings in, lines for a person out."""

from __future__ import annotations

from collections.abc import Callable

from ingest.config import Settings
from orchestration.lib.environment import DASHBOARDS_DIR, new_run_id
from orchestration.lib.errors import NothingPublishedError
from orchestration.lib.lock import refresh_lock
from orchestration.lib.messages import say
from orchestration.lib.metabase.desired import DesiredState
from orchestration.lib.metabase.plan_text import action_lines
from orchestration.lib.metabase.publishing import Showing, Shown, published_columns
from orchestration.lib.metabase.setup import START_SECONDS, metabase_url
from orchestration.lib.progress import console
from orchestration.lib.serving import PublishedFile, ServeFolder

Tell = Callable[[str], None]
_LABELLED = frozenset({"table", "field"})


def wanted(settings: Settings) -> DesiredState:
    """Return what the dashboard files and the models want to stand in Metabase.

    Raises:
        NothingPublishedError: Nothing is published: the currency and the zone come from the marts.
        CardError: A dashboard file is wrong.
    """
    from orchestration.lib.cards import read_dashboards
    from orchestration.lib.dbt_manifest import read_manifest
    from orchestration.lib.metabase.published import published_company, published_values
    from orchestration.lib.metabase.publishing import without_unknown_columns
    from orchestration.lib.metabase.rendering import desired_state

    serve = ServeFolder(settings.home.serve_dir)
    current = serve.state().current
    if current is None:
        raise NothingPublishedError("Nothing is published yet; run `voronka refresh` first.")
    file = serve.path_of(current)
    dashboards = read_dashboards(DASHBOARDS_DIR)
    desired = desired_state(
        dashboards,
        read_manifest(settings.home),
        settings.locale,
        company=published_company(file, settings.locale),
        values=published_values(file, dashboards),
    )
    return without_unknown_columns(desired, published_columns(file))


def show_plan(settings: Settings, tell: Tell) -> None:
    """Tell what an apply would do."""
    # Before the models are parsed: without an address there is nothing to compare with.
    metabase_url(settings)
    plan = _showing(settings).look()[0]
    tell(plan.text(settings.locale))


def apply(settings: Settings, tell: Tell) -> Shown:
    """Make Metabase as the files say and prove every card; takes the home's lock."""
    metabase_url(settings)
    with refresh_lock(settings.home.refresh_lock, new_run_id()):
        shown = show(settings, tell)
    for line in summary(shown, settings.locale):
        tell(line)
    return shown


def show(settings: Settings, tell: Tell) -> Shown:
    """Make Metabase show the served build and all dashboards; the caller holds the lock."""
    locale = settings.locale
    showing = _showing(settings)
    # Labels come by the hundred and are counted, not told.
    showing.tell = lambda action: (
        None if action.kind in _LABELLED else tell("\n".join(action_lines(action, locale)))
    )
    showing.tell_waiting = lambda: tell(
        say(locale, "metabase_waiting", url=showing.client.url, seconds=f"{START_SECONDS:.0f}")
    )
    return showing.publish()


def show_build(settings: Settings) -> Shown:
    """Show the served build in Metabase as a step of a refresh, with its progress lines."""
    console().line("metabase", f"showing the build in {metabase_url(settings)}")

    def tell(text: str) -> None:
        for line in text.splitlines():
            console().line("metabase", line)

    shown = show(settings, tell)
    for line in summary(shown, settings.locale):
        tell(line)
    return shown


def summary(shown: Shown, locale: str) -> list[str]:
    """Return what a publish to Metabase did, as lines for a person."""
    applied = shown.applied
    lines = []
    labels = sum(action.kind in _LABELLED for action in applied.actions)
    if labels:
        lines.append(say(locale, "metabase_labels", count=labels))
    if applied.rewritten:
        what = ", ".join(applied.rewritten[:5])
        lines.append(say(locale, "metabase_rewritten", count=len(applied.rewritten), what=what))
    lines.append(
        say(
            locale,
            "metabase_shown",
            url=shown.url,
            actions=len(applied.actions),
            cards=shown.card_count,
            requests=shown.request_count,
            seconds=f"{shown.seconds:.1f}",
        )
    )
    return lines


def rollback(settings: Settings, to: PublishedFile | None = None) -> PublishedFile:
    """Let Metabase show an earlier build; the caller of `to` holds the lock."""
    metabase_url(settings)
    return _showing(settings).rollback(to)


def examine(settings: Settings, tell: Tell) -> int:
    """Tell every finding about the instance and return the number of problems."""
    from orchestration.lib.doctor import tell_findings
    from orchestration.lib.metabase.doctor import examine_instance

    metabase_url(settings)
    return tell_findings(lambda: examine_instance(settings, wanted(settings)), tell)


def _showing(settings: Settings) -> Showing:
    return Showing(settings, wanted(settings), ServeFolder(settings.home.serve_dir))
