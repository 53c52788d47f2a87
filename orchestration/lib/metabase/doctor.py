"""`voronka metabase doctor`: a real instance examined end to end, each finding with a remedy."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ingest.config import METABASE, Settings, read_service_secret
from orchestration.lib.doctor import Examined
from orchestration.lib.metabase.client import LOOPBACK, MetabaseClient
from orchestration.lib.metabase.desired import DesiredDashboard, DesiredState
from orchestration.lib.metabase.errors import (
    MetabaseError,
    MetabaseNotFoundError,
    MetabaseQueryError,
    shown,
)
from orchestration.lib.metabase.instance import (
    Instance,
    Version,
    details_of,
    find_database,
    read_front,
)
from orchestration.lib.metabase.plan import Plan
from orchestration.lib.metabase.publishing import (
    Showing,
    published_columns,
    verify_cards,
)
from orchestration.lib.metabase.setup import OLDEST_VERSION, connect, metabase_url
from orchestration.lib.metabase.state import MetabaseState, schema_hash
from orchestration.lib.metabase.target import DUCKDB, Target, target_of
from orchestration.lib.metabase.versions import DUCKDB_DRIVER_VERSION, METABASE_VERSION
from orchestration.lib.metabase.wire import Raw
from orchestration.lib.serving import ServeFolder

NEWEST_VERSION = Version.parse(METABASE_VERSION).major or 0


def examine_briefly(settings: Settings) -> Iterator[Examined]:
    """Yield the few findings that `voronka doctor` shows: is it there, does it show today's build.

    Args:
        settings: With an address of Metabase.
    """
    client = MetabaseClient(metabase_url(settings), timeout=(3.0, 10.0), sleep=lambda _: None)
    try:
        front = read_front(client)
        yield _version(front)
        connected = connect(settings, client)
        current = ServeFolder(settings.home.serve_dir).state().current
        if connected is None:
            yield Examined(
                "note", f"Metabase at {client.url} is empty", "Run `voronka metabase apply`"
            )
        elif current is not None:
            target = target_of(settings, current.file_name)
            state = MetabaseState.load(settings.home.metabase_state, client.url)
            yield _pointing(target, find_database(connected, state, target))
    except MetabaseError as error:
        yield Examined("PROBLEM", str(error))


def examine_instance(settings: Settings, desired: DesiredState) -> Iterator[Examined]:
    """Yield every finding about the instance; nothing is changed.

    Args:
        settings: With an address of Metabase.
        desired: What the dashboard files and the models want.
    """
    showing = Showing(settings, desired, ServeFolder(settings.home.serve_dir))
    # Whoever examines does not want to wait for a server that is not there.
    showing.client = MetabaseClient(showing.client.url, timeout=(3.0, 90.0))
    yield from _reachable(settings, showing.client)
    front = read_front(showing.client)
    yield _version(front)
    yield _driver(settings, showing.client)
    found, instance, state, client = showing.look()
    yield from _credentials(settings, client)
    if client is None:
        yield Examined("PROBLEM", "nobody has set it up", "Run `voronka metabase apply`")
        return
    target = target_of(settings, showing.current().file_name)
    yield _pointing(target, instance.database)
    if instance.database is None:
        return
    yield from _sync(showing, instance, state)
    yield from _permissions(instance, found)
    yield _difference(found)
    yield from _cards(client, desired, instance)
    yield from _filters(client, desired, found)


def _reachable(settings: Settings, client: MetabaseClient) -> Iterator[Examined]:
    started = time.monotonic()
    client.get("/api/health")
    milliseconds = 1000 * (time.monotonic() - started)
    yield Examined("ok", f"{client.url} answers in {milliseconds:.0f} ms")
    parts = urlsplit(client.url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        yield Examined(
            "note",
            "the key travels unencrypted",
            "Fine inside one machine or a private network; else put https before Metabase",
        )


def _version(front: Instance) -> Examined:
    major, tag = front.version.major, shown(front.version.tag, 40)
    if major is None:
        return Examined("note", f"Metabase {tag}: the version cannot be read")
    if major < OLDEST_VERSION:
        return Examined(
            "PROBLEM",
            f"Metabase {tag} is too old",
            f"Install {METABASE_VERSION}; the oldest that works is v0.{OLDEST_VERSION}",
        )
    if major > NEWEST_VERSION:
        return Examined(
            "note",
            f"Metabase {tag} is newer than v0.{NEWEST_VERSION}, the newest this was tested against",
            f"Tested is {METABASE_VERSION} with DuckDB driver {DUCKDB_DRIVER_VERSION}; look at the"
            " findings below before you rely on it",
        )
    return Examined("ok", f"Metabase {tag}")


def _driver(settings: Settings, client: MetabaseClient) -> Examined:
    engines = client.get("/api/session/properties").get("engines")
    engine = settings.serving
    if not isinstance(engines, dict):
        return Examined("note", "the instance does not tell which databases it can open")
    if engine in engines:
        return Examined("ok", f"it can open {engine}")
    remedy = (
        "Put the DuckDB driver into its plugins folder (see README), or set "
        "VORONKA_SERVING=postgres"
        if engine == DUCKDB
        else "Check the installation of Metabase"
    )
    return Examined("PROBLEM", f"it has no driver for {engine}", remedy)


def _credentials(settings: Settings, client: MetabaseClient | None) -> Iterator[Examined]:
    if client is None:
        return
    given = read_service_secret(settings.home, METABASE, "api_key")
    if given:
        yield Examined("ok", "METABASE__API_KEY is an administrator's")
    elif client.has_key:
        yield Examined("ok", f"the key in {settings.home.metabase_key} is an administrator's")
    else:
        yield Examined("ok", "e-mail and password are an administrator's; apply makes a key")
    file = settings.home.metabase_key
    if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
        yield Examined("PROBLEM", f"others may read {file}", f"chmod 600 {file}")


def _pointing(target: Target, database: Raw | None) -> Examined:
    name = shown(target.name, 80)
    if database is None:
        return Examined(
            "PROBLEM", f"the database {name} is not there", "Run `voronka metabase apply`"
        )
    details = details_of(database)
    differing = set(target.differing(details)) - {"password"}
    if not differing:
        return Examined("ok", f"the database {name} shows {shown(target.place_of(details))}")
    if differing == {"database_file"}:
        file = PurePosixPath(str(details.get("database_file"))).name
        return Examined(
            "PROBLEM",
            f"the database {name} shows {shown(file)}, published is {target.file_name}",
            "Run `voronka metabase apply`",
        )
    return Examined(
        "PROBLEM",
        f"the database {name} has other {', '.join(sorted(differing))}",
        "Run `voronka metabase apply`",
    )


def _sync(showing: Showing, instance: Instance, state: MetabaseState) -> Iterator[Examined]:
    columns = published_columns(showing.serve.path_of(showing.current()))
    known = {(name, one) for name, table in instance.tables.items() for one in table.columns}
    missing = [f"{table}.{column}" for table, column, _ in columns if (table, column) not in known]
    if missing:
        yield Examined(
            "PROBLEM",
            f"Metabase does not see {len(missing)} of {len(columns)} columns, such as {missing[0]}",
            "Run `voronka metabase apply`; it syncs and waits",
        )
    elif state.schema_hash != schema_hash(columns):
        yield Examined(
            "note", "the published tables changed since the last sync", "The next apply syncs"
        )
    else:
        yield Examined(
            "ok", f"all {len(columns)} columns of {len(instance.tables)} tables are seen"
        )


def _permissions(instance: Instance, found: Plan) -> Iterator[Examined]:
    for one in found.permissions:
        group = shown(instance.groups.get(one.group_id), 80)
        yield Examined(
            "PROBLEM",
            f"the group {group} has {one.right} = {one.before}, it shall be {one.after}",
            "Run `voronka metabase apply`",
        )
    if instance.group is None:
        yield Examined("PROBLEM", "the owners' group is missing", "Run `voronka metabase apply`")
        return
    name, members = shown(instance.group["name"], 80), instance.group.get("member_count")
    if not members:
        yield Examined(
            "note",
            f"nobody is in the group {name}, so only administrators see the dashboards",
            "Add people in Metabase: Admin, People, Groups",
        )
    elif not found.permissions:
        yield Examined("ok", f"{members} people of the group {name} read and cannot edit")


def _difference(found: Plan) -> Examined:
    if found.is_empty:
        return Examined("ok", "everything is as the files say")
    by_hand = sum(action.is_by_hand for action in found.actions)
    hand = f", {by_hand} of them changed by hand" if by_hand else ""
    return Examined(
        "PROBLEM",
        f"{len(found.actions)} things are not as the files say{hand}",
        "See `voronka metabase plan`, then run `voronka metabase apply`",
    )


def _cards(client: MetabaseClient, desired: DesiredState, instance: Instance) -> Iterator[Examined]:
    started = time.monotonic()
    failures = verify_cards(client, desired.cards, instance.names().cards)
    for one in failures:
        yield Examined("PROBLEM", f"card {one.key} {one.name!r}: {one.reason}")
    seconds = time.monotonic() - started
    if not failures:
        yield Examined("ok", f"all {len(desired.cards)} cards run, {seconds:.1f} s")


def _filters(client: MetabaseClient, desired: DesiredState, found: Plan) -> Iterator[Examined]:
    """Run each place with the filters people see first: only this proves their wiring."""
    count = 0
    for dashboard in desired.dashboards:
        for key, body, path in _first_looks(dashboard, found):
            try:
                client.post(path, body, reads=True)
            except MetabaseQueryError as error:
                yield Examined("PROBLEM", f"{dashboard.key}/{key} with its filters: {error}")
            except MetabaseNotFoundError:
                yield Examined("PROBLEM", f"{dashboard.key}/{key} is not on its dashboard")
            count += 1
    yield Examined("ok", f"{count} places were run with the filters set at first")


def _first_looks(
    dashboard: DesiredDashboard, found: Plan
) -> Iterator[tuple[str, dict[str, object], str]]:
    live = found.found.get(dashboard.key)
    number = found.names.dashboards.get(dashboard.key)
    if live is None or number is None:
        return
    defaults = {one.id: one for one in dashboard.parameters if one.default is not None}
    for dashcard in dashboard.dashcards:
        place = live.dashcard_ids.get(dashcard.key)
        card = found.names.cards.get(dashcard.card_key or "")
        values = [
            {
                "id": parameter,
                "type": defaults[parameter].type,
                "value": defaults[parameter].default,
                "target": ["dimension", ["template-tag", tag]],
            }
            for parameter, tag in dashcard.mappings
            if parameter in defaults
        ]
        if values and place is not None and card is not None:
            path = f"/api/dashboard/{number}/dashcard/{place}/card/{card}/query"
            yield dashcard.key, {"parameters": values}, path
