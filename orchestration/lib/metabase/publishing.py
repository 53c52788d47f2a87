"""Showing a published build in Metabase: switch, sync where the tables changed, apply, prove.

Metabase keeps connections open, and a replaced file under an open connection goes on showing old
rows without an error. So a build has a path of its own, and `PUT /api/database/:id` leads Metabase
there: it opens the new file before it lets go of the old one, and no reader meets a gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from ingest.config import Settings
from orchestration.lib.errors import NothingPublishedError, RollbackError
from orchestration.lib.metabase.apply import Applied, Applier
from orchestration.lib.metabase.client import MetabaseClient
from orchestration.lib.metabase.desired import DesiredCard, DesiredState
from orchestration.lib.metabase.errors import (
    MetabaseCardsError,
    MetabaseError,
    MetabaseQueryError,
    MetabaseSyncError,
    shown,
)
from orchestration.lib.metabase.instance import (
    Instance,
    details_of,
    find_database,
    read_front,
    read_instance,
    read_tables,
)
from orchestration.lib.metabase.plan import Action, Plan, plan
from orchestration.lib.metabase.setup import (
    connect,
    ensure_set_up,
    metabase_url,
    refuse_old,
    wait_until_healthy,
)
from orchestration.lib.metabase.state import MetabaseState, schema_hash
from orchestration.lib.metabase.target import DUCKDB, Target, target_of
from orchestration.lib.serving import MARTS_SCHEMA, PublishedFile, ServeFolder

# A first sync reads the schema of every table; a hundred took seconds, a busy server takes longer.
SYNC_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_SHOWN_FAILURES = 5

Columns = list[tuple[str, str, str]]


@dataclass(frozen=True)
class CardFailure:
    """A card that does not show what it must: why, and its SQL."""

    key: str
    name: str
    sql: str
    reason: str

    def text(self) -> str:
        """Return the failure with the card's name and SQL."""
        sql = "\n".join(f"      {shown(line, 300)}" for line in self.sql.strip().splitlines())
        return f"  {self.key} {self.name!r}: {self.reason}\n{sql}"


@dataclass(frozen=True)
class Shown:
    """What a publish to Metabase did.

    Attributes:
        url: The instance.
        applied: Actions done.
        card_count: Cards proved.
        request_count: Requests sent.
        seconds: From the first request to the last.
    """

    url: str
    applied: Applied
    card_count: int
    request_count: int
    seconds: float


@dataclass
class Showing:
    """One home and the instance that shows it.

    Attributes:
        settings: Of the home.
        desired: What the dashboard files and the models want.
        serve: The folder of published files.
        tell: Receives each action done.
        tell_waiting: Called once when the instance is still starting.
        sleep: Waits.
    """

    settings: Settings
    desired: DesiredState
    serve: ServeFolder
    tell: Callable[[Action], None] = lambda _: None
    tell_waiting: Callable[[], None] = lambda: None
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.client = MetabaseClient(metabase_url(self.settings), sleep=self.sleep)

    def state(self) -> MetabaseState:
        """Return what we remember of the instance."""
        return MetabaseState.load(self.settings.home.metabase_state, self.client.url)

    def current(self) -> PublishedFile:
        """Return the build that is served.

        Raises:
            NothingPublishedError: Nothing is published.
        """
        current = self.serve.state().current
        if current is None:
            raise NothingPublishedError("Nothing is published yet; run `voronka refresh` first.")
        return current

    def look(self) -> tuple[Plan, Instance, MetabaseState, MetabaseClient | None]:
        """Return the plan, changing nothing.

        Returns:
            Plan, what is there, memory, and the client, None where the instance is empty.

        Raises:
            MetabaseError: It cannot be read.
        """
        state = self.state()
        target = target_of(self.settings, self.current().file_name)
        client = connect(self.settings, self.client)
        instance = (
            read_front(self.client) if client is None else read_instance(client, state, target)
        )
        return plan(self.desired, target, instance, state), instance, state, client

    def publish(self) -> Shown:
        """Make the instance show the served build and all dashboards, and prove every card.

        Raises:
            MetabaseCardsError: A card fails on the new build.
            MetabaseError: A request failed; run again to go on.
        """
        started = time.monotonic()
        current = self.current()
        file = self.serve.path_of(current)
        target = target_of(self.settings, current.file_name)
        state = self.state()
        wait_until_healthy(self.client, sleep=self.sleep, tell_waiting=self.tell_waiting)
        refuse_old(self.client)
        client = ensure_set_up(self.settings, self.client, state, target)
        before = self._shown_file(find_database(client, state, target))
        self._hold(before, target.file_name)
        columns = published_columns(file)
        applier = Applier(
            client,
            state,
            self.desired,
            target,
            sync=lambda number: ensure_synced(client, state, number, columns, self.sleep),
            tell=self.tell,
            sleep=self.sleep,
        )
        applied = applier.run()
        failures = verify_cards(client, self.desired.cards, applied.names.cards)
        if failures:
            kept = self._back_to(before, client, state, applied)
            raise MetabaseCardsError(failures_text(failures, len(self.desired.cards), kept))
        self._hold(target.file_name)
        return Shown(
            url=client.url,
            applied=applied,
            card_count=len(self.desired.cards),
            request_count=client.request_count,
            seconds=time.monotonic() - started,
        )

    def rollback(self, to: PublishedFile | None = None) -> PublishedFile:
        """Let Metabase show an earlier build.

        Args:
            to: The build; default: the one before that which Metabase shows.

        Returns:
            The build shown now.

        Raises:
            RollbackError: No earlier build is kept.
            MetabaseCardsError: The earlier build is shown, and cards fail on it.
            MetabaseError: A request failed.
        """
        if to is None and self.settings.serving != DUCKDB:
            raise RollbackError(
                "PostgreSQL serves one build to all its readers; `voronka rollback` leads them "
                "and Metabase back together."
            )
        state = self.state()
        client = connect(self.settings, self.client)
        newest = target_of(self.settings, self.current().file_name)
        database = None if client is None else find_database(client, state, newest)
        if client is None or database is None:
            raise RollbackError(
                "Metabase shows no build of this home; run `voronka metabase apply`."
            )
        before = self._shown_file(database)
        chosen = to or self._build_before(before)
        target = target_of(self.settings, chosen.file_name)
        self._hold(before, target.file_name)
        switch_database(client, state, database["id"], target)
        columns = published_columns(self.serve.path_of(chosen))
        ensure_synced(client, state, database["id"], columns, self.sleep)
        self._hold(target.file_name)
        instance = read_instance(client, state, target)
        failures = verify_cards(client, self.desired.cards, instance.names().cards)
        if failures:
            raise MetabaseCardsError(
                failures_text(failures, len(self.desired.cards), "the earlier")
            )
        return chosen

    def _build_before(self, file_name: str | None) -> PublishedFile:
        published = self.serve.state().published
        names = [one.file_name for one in published]
        position = names.index(file_name) if file_name in names else -1
        for one in published[position + 1 :]:
            if self.serve.path_of(one).exists():
                return one
        raise RollbackError("No earlier published file is kept, so there is nothing to go back to.")

    def _shown_file(self, database: Any) -> str | None:
        """Return the name of the published file Metabase shows."""
        file = str(details_of(database).get("database_file") or "")
        return PurePosixPath(file).name or None

    def _hold(self, *file_names: str | None) -> None:
        """Keep the files that Metabase shows, or may show after a request that got lost."""
        self.serve.hold(name for name in file_names if name)

    def _back_to(
        self, before: str | None, client: MetabaseClient, state: MetabaseState, applied: Applied
    ) -> str:
        """Show the build before, when nothing but the build is new; return which is shown."""
        is_switched = any(
            one.kind == "database" and one.verb == "switch" for one in applied.actions
        )
        if not is_switched or before is None or applied.has_changed_content:
            # The cards of today may not fit the build of yesterday.
            return "the new"
        if not (self.serve.folder / before).exists() or applied.names.database_id is None:
            return "the new"
        try:
            target = target_of(self.settings, before)
            switch_database(client, state, applied.names.database_id, target)
        except MetabaseError:
            return "the new"
        self._hold(before)
        return "the earlier"


def switch_database(
    client: MetabaseClient, state: MetabaseState, database_id: int, target: Target
) -> None:
    """Let Metabase show another file; it keeps the old one when the new cannot be opened.

    Raises:
        MetabaseError: It could not be opened.
    """
    client.put(f"/api/database/{database_id}", {"details": dict(target.details)})
    state.served_file = target.file_name
    state.save()


def published_columns(file: Path) -> Columns:
    """Return the columns of a published build: (table, column, type)."""
    with duckdb.connect(str(file), read_only=True) as connection:
        rows = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = ? order by table_name, ordinal_position",
            [MARTS_SCHEMA],
        ).fetchall()
    return [(str(table), str(column), str(kind)) for table, column, kind in rows]


def ensure_synced(
    client: MetabaseClient,
    state: MetabaseState,
    database_id: int,
    columns: Columns,
    sleep: Callable[[float], None] = time.sleep,
    seconds: float = SYNC_SECONDS,
) -> bool:
    """Let Metabase read the schema when it differs from the one it last read, and wait.

    Args:
        client: With an administrator's credentials.
        state: Remembers the schema of the last finished sync.
        database_id: Our database.
        columns: Of the build it shows.
        sleep: Waits.
        seconds: How long to wait.

    Returns:
        Whether a sync was needed.

    Raises:
        MetabaseSyncError: The tables did not appear in time.
    """
    wanted = schema_hash(columns)
    if state.schema_hash == wanted:
        return False
    # A new database is synced by itself; asking again does no harm and spares a difference.
    client.post(f"/api/database/{database_id}/sync_schema", reads=True)
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        missing = _unseen(client, database_id, columns)
        if not missing:
            break
        if time.monotonic() >= deadline:
            raise MetabaseSyncError(
                f"Metabase did not see {len(missing)} columns within {seconds:.0f} s, such as "
                f"{missing[0]}; look at its log (Admin, Troubleshooting), then run "
                "`voronka metabase apply`."
            )
        sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    state.schema_hash = wanted
    state.save()
    return True


def _unseen(client: MetabaseClient, database_id: int, columns: Columns) -> list[str]:
    tables = read_tables(client, database_id)
    known = {(name, column) for name, table in tables.items() for column in table.columns}
    return [f"{table}.{column}" for table, column, _ in columns if (table, column) not in known]


def verify_cards(
    client: MetabaseClient, cards: Iterable[DesiredCard], ids: Any
) -> list[CardFailure]:
    """Run every card in Metabase and return those that do not show what they must.

    Args:
        client: With an administrator's credentials.
        cards: What shall be shown.
        ids: Ids of the cards by key.

    Raises:
        MetabaseError: Metabase itself failed.
    """
    failures = []
    for card in cards:
        reason = _reason(client, card, ids.get(card.key))
        if reason is not None:
            failures.append(CardFailure(card.key, card.name, card.sql, reason))
    return failures


def _reason(client: MetabaseClient, card: DesiredCard, number: int | None) -> str | None:
    if number is None:
        return "is not in Metabase"
    try:
        answer = client.post(
            f"/api/card/{number}/query", {"ignore_cache": True, "parameters": []}, reads=True
        )
    except MetabaseQueryError as error:
        return str(error)
    if not isinstance(answer, dict) or answer.get("status") != "completed":
        return "gave no result"
    data = answer.get("data") or {}
    found = {str(one.get("name")) for one in data.get("cols") or []}
    missing = [name for name in card.columns if name not in found]
    if missing:
        return f"lacks the columns {', '.join(missing)}, which its settings name"
    if not card.may_be_empty and not data.get("rows"):
        return "returns no rows, and some are expected"
    return None


def failures_text(failures: list[CardFailure], card_count: int, shown_build: str) -> str:
    """Return which cards fail, each with its name, the reason and its SQL."""
    head = f"{len(failures)} of {card_count} cards fail in Metabase; it shows {shown_build} build."
    lines = [head, *(one.text() for one in failures[:_SHOWN_FAILURES])]
    if len(failures) > _SHOWN_FAILURES:
        rest = ", ".join(one.key for one in failures[_SHOWN_FAILURES:])
        lines.append(f"  and {rest}")
    return "\n".join(lines)


def without_unknown_columns(desired: DesiredState, columns: Columns) -> DesiredState:
    """Return a desired state whose labels speak of published columns only."""
    known = {(table, column) for table, column, _ in columns}
    return replace(
        desired, fields=tuple(one for one in desired.fields if (one.table, one.column) in known)
    )
