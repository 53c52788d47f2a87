"""Loads through APIs that misbehave, beside the same loads through APIs that do not."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import httpx

from ingest.config import Settings, SourceRef, load_settings
from ingest.demo.amocrm_server import AmoOptions
from ingest.demo.faults import UNKNOWN_FIELD, FaultPlan
from ingest.demo.serving import DEMO_AMO, DEMO_DIRECT, DemoEndpoints
from ingest.errors import IngestError
from ingest.loading import load_source
from ingest.records import PULLS_TABLE
from ingest.warehouse import RAW_TABLES

# Of each source: the name of its fake API in the statistics.
APIS: Mapping[str, str] = {
    "amocrm": "amocrm",
    "yandex_direct": "direct",
    "vk_ads": "vk",
    "yandex_metrica": "metrica",
}
_LINK_QUERY = re.compile(r"\?.*")
# After so many broken loads the cause counts as lasting; the test then removes it.
_PATIENCE = 8
GAVE_UP = "gave up"

# Two moments of a working week, a day apart: what came late at the first is there at the second.
FIRST_LOAD_AT = "2026-11-12T14:30:00+03:00"
SECOND_LOAD_AT = "2026-11-13T15:00:00+03:00"
# What makes the servers show more of their ways than a small company would meet: lists of several
# pages, reports that are queued, consents that can be given again.
SERVERS: Mapping[str, Any] = {
    "amocrm": replace(DEMO_AMO, consents=10_000),
    "direct": replace(
        DEMO_DIRECT, campaigns_page_limit=3, offline_above_days=20, retry_in_seconds=0
    ),
    "now": FIRST_LOAD_AT,
}

Content = dict[str, dict[str, Any]]


@dataclass
class Home:
    """A home folder whose sources are the fake APIs."""

    root: Path
    endpoints: DemoEndpoints
    options: Mapping[str, str] = field(default_factory=dict)
    by_oauth: bool = False
    consent: str = ""

    @property
    def settings(self) -> Settings:
        """Return settings that read the fake APIs without sparing them."""
        found = self.endpoints
        return load_settings(
            {
                "VORONKA_HOME": str(self.root),
                "VORONKA_SOURCES": ",".join(APIS),
                "VORONKA_AMOCRM_URL": found.amocrm_url,
                "VORONKA_AMOCRM_REDIRECT_URI": AmoOptions().redirect_uri,
                "VORONKA_AMOCRM_REQUESTS_PER_SECOND": "1000",
                "VORONKA_YANDEX_DIRECT_URL": found.direct_url,
                "VORONKA_YANDEX_DIRECT_REQUESTS_PER_SECOND": "1000",
                "VORONKA_VK_ADS_URL": found.vk_url,
                "VORONKA_VK_ADS_REQUESTS_PER_SECOND": "1000",
                "VORONKA_VK_ADS_PAGE_SIZE": "5",
                # The homes of a test share one API client, and VK gives it five tokens.
                "VORONKA_VK_ADS_WHEN_TOKENS_RUN_OUT": "delete",
                "VORONKA_YANDEX_METRICA_URL": found.metrica_url,
                "VORONKA_YANDEX_METRICA_COUNTER_ID": found.metrica_counter_id,
                "VORONKA_YANDEX_METRICA_REQUESTS_PER_SECOND": "1000",
                "VORONKA_YANDEX_METRICA_REQUESTS_PER_FIVE_MINUTES": "1000000",
                "VORONKA_YANDEX_METRICA_POLL_SECONDS": "0.01",
                **self.options,
            }
        )

    @contextmanager
    def secrets_of(self) -> Iterator[None]:
        """Put the secrets where the sources look for them."""
        found = self.endpoints
        wanted = {
            **self._amocrm_secrets(),
            "SOURCES__YANDEX_DIRECT__TOKEN": found.token,
            "SOURCES__VK_ADS__CLIENT_ID": found.vk_client_id,
            "SOURCES__VK_ADS__CLIENT_SECRET": found.vk_client_secret,
            "SOURCES__YANDEX_METRICA__TOKEN": found.token,
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update({name: value for name, value in wanted.items() if value})
        for name in (name for name, value in wanted.items() if not value):
            os.environ.pop(name, None)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def _amocrm_secrets(self) -> dict[str, str]:
        options = AmoOptions()
        return {
            "SOURCES__AMOCRM__TOKEN": "" if self.by_oauth else self.endpoints.token,
            "SOURCES__AMOCRM__CLIENT_ID": options.client_id if self.by_oauth else "",
            "SOURCES__AMOCRM__CLIENT_SECRET": options.client_secret if self.by_oauth else "",
            "SOURCES__AMOCRM__REFRESH_TOKEN": self.consent,
        }

    def give_consent(self) -> None:
        """Do what a person does when the chain of tokens is lost."""
        options = AmoOptions()
        for _ in range(100):
            try:
                answer = httpx.post(
                    f"{self.endpoints.amocrm_url}/oauth2/access_token",
                    json={
                        "client_id": options.client_id,
                        "client_secret": options.client_secret,
                        "redirect_uri": options.redirect_uri,
                        "grant_type": "authorization_code",
                        "code": options.authorization_code,
                    },
                    trust_env=False,
                )
                self.consent = answer.raise_for_status().json()["refresh_token"]
            except (httpx.HTTPError, ValueError):
                continue
            return
        raise AssertionError("no consent could be given")

    def load(self, source: str) -> None:
        """Read one source to its present.

        Raises:
            IngestError: The load ended with one clear error.
        """
        with self.secrets_of():
            load_source(SourceRef(source), self.settings)

    def load_patiently(self, source: str) -> list[str]:
        """Load again and again until it succeeds or patience ends; return the errors met."""
        errors: list[str] = []
        if self.by_oauth and source == "amocrm" and not self.consent:
            self.give_consent()
        for _ in range(_PATIENCE):
            try:
                self.load(source)
            except IngestError as error:
                text = str(error)
                assert "\n" not in text, text
                errors.append(text)
                if "Give consent again" in text:
                    self.give_consent()
            else:
                return errors
        return [*errors, GAVE_UP]

    def same_key_as(self, other: Home) -> None:
        """Hash personal data as another home does, so that contents can be compared."""
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.copytree(other.root / "keys", self.root / "keys", dirs_exist_ok=True)

    def content(self, source: str) -> Content:
        """Return, by table, what the newest version of each record that is not gone says."""
        found: Content = {}
        with duckdb.connect(str(self.root / "warehouse.duckdb")) as connection:
            for table, schema in RAW_TABLES[source].items():
                if table == PULLS_TABLE:
                    continue
                values = [name for name in schema.names if name not in _BOOKKEEPING]
                rows = connection.execute(
                    f"""
                    select records.record_id, {", ".join(f"records.{name}" for name in values)}
                    from raw_{source}.{table} as records
                    inner join raw_{source}._pulls as pulls
                        on records.pull_id = pulls.pull_id and pulls.is_complete
                    inner join raw_{source}._dlt_loads as loads
                        on records._dlt_load_id = loads.load_id and loads.status = 0
                    qualify row_number() over (
                        partition by records.source_account_id, records.record_id
                        order by
                            loads.inserted_at desc, pulls.finished_at desc, records.pull_id desc
                    ) = 1 and not records.is_deleted
                    """
                ).fetchall()
                found[table] = {
                    row[0]: _plain(json.loads(row[1])) if values == ["payload"] else row[1:]
                    for row in rows
                }
        return found

    def doubled(self, source: str) -> int:
        """Return how many rows repeat the version of their record that was stored before them."""
        count = 0
        with duckdb.connect(str(self.root / "warehouse.duckdb")) as connection:
            for table in RAW_TABLES[source]:
                if table == PULLS_TABLE:
                    continue
                row = connection.execute(
                    f"""
                    select count(*) from (
                        select
                            records.payload_hash, records.is_deleted,
                            lag(records.payload_hash) over record as hash_before,
                            lag(records.is_deleted) over record as was_deleted
                        from raw_{source}.{table} as records
                        inner join raw_{source}._pulls as pulls
                            on records.pull_id = pulls.pull_id and pulls.is_complete
                        inner join raw_{source}._dlt_loads as loads
                            on records._dlt_load_id = loads.load_id and loads.status = 0
                        window record as (
                            partition by records.source_account_id, records.record_id
                            order by loads.inserted_at, pulls.finished_at, records.pull_id
                        )
                    ) where payload_hash = hash_before and is_deleted = was_deleted
                    """
                ).fetchone()
                count += row[0] if row else 0
        return count


_BOOKKEEPING = frozenset(
    {"source_account_id", "record_id", "is_deleted", "payload_hash", "pull_id", "cursor_at"}
)


def _plain(value: Any) -> Any:
    """Return a payload in the one way of writing it: no types, no order, no unknown fields."""
    if isinstance(value, dict):
        kept = {name: _plain(one) for name, one in value.items() if name != UNKNOWN_FIELD}
        return kept or None
    if isinstance(value, list):
        return [_plain(one) for one in value] or None
    if value is None:
        return None
    if isinstance(value, str) and value.startswith("http"):
        return _LINK_QUERY.sub("", value)
    return str(value)


@dataclass
class Difference:
    """How a content differs from the one it should be."""

    lost: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.extra or self.other)

    def less(self, tolerated: set[str]) -> Difference:
        """Return the difference without records that the API hides now, and without their days."""
        hidden = {name.rpartition("|")[2] for name in tolerated}
        return Difference(
            [
                name
                for name in self.lost
                if name not in tolerated
                and not ("_statistics|" in name and name.rpartition("|")[2] in hidden)
            ],
            self.extra,
            self.other,
        )


def difference(found: Content, expected: Content) -> Difference:
    """Return what is lost, extra or different, as table|record."""
    result = Difference()
    for table in expected:
        ours, theirs = found[table], expected[table]
        result.lost += [f"{table}|{name}" for name in theirs.keys() - ours.keys()]
        result.extra += [f"{table}|{name}" for name in ours.keys() - theirs.keys()]
        result.other += [
            f"{table}|{name}" for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]
        ]
    return result


@dataclass
class Undisturbed:
    """What the two loads bring when nothing disturbs them."""

    home: Home
    first: Content
    second: Content

    @classmethod
    def of(cls, home: Home, source: str, *, is_short: bool = False) -> Undisturbed:
        """Load twice without faults; or once, at the second moment."""
        home.endpoints.set_faults(None)
        home.endpoints.set_now(FIRST_LOAD_AT)
        first: Content = {}
        if not is_short:
            home.load(source)
            first = home.content(source)
        home.endpoints.set_now(SECOND_LOAD_AT)
        home.load(source)
        return cls(home, first, home.content(source))


@dataclass
class Tally:
    """What happened over many loads."""

    injected: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    seeds: int = 0
    loads: int = 0
    errors: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Return one line per kind."""
        lines = [f"{'fault':<22}{'injected':>9}{'retried':>9}{'lost':>6}"]
        lines += [
            f"{kind:<22}{count:>9}{self.retried[kind]:>9}{self.lost[kind]:>6}"
            for kind, count in sorted(self.injected.items())
        ]
        return "\n".join(lines)

    def reasons(self) -> Counter[str]:
        """Return the errors that ended a load, numbers left out."""
        return Counter(re.sub(r"\d+", "N", text.partition(". ")[0]) for text in self.errors)


def disturbed_loads(
    home: Home,
    source: str,
    plan: FaultPlan,
    expected: Undisturbed,
    tally: Tally,
    *,
    is_short: bool = False,
) -> None:
    """Load at two moments through faults, then once without them, and compare after each load.

    Args:
        home: An empty home.
        source: The source to load.
        plan: The faults; their pauses are made short.
        expected: The same loads without faults.
        tally: Takes what happened.
        is_short: Leave out the first moment.
    """
    endpoints, api = home.endpoints, APIS[source]
    home.same_key_as(expected.home)
    before = endpoints.statistics()[api]
    losses: list[str] = []

    def compare(name: str, content: Content, *, hidden: set[str]) -> None:
        found = difference(home.content(source), content)
        losses.extend(found.lost if name == "healed" else found.less(hidden).lost)
        wrong = found.less(hidden)
        assert not wrong, f"{source}, seed {plan.seed}, {name}: {wrong}"

    for name, moment, content in (
        ("first", FIRST_LOAD_AT, expected.first),
        ("second", SECOND_LOAD_AT, expected.second),
    )[is_short:]:
        endpoints.set_now(moment)
        endpoints.set_faults(
            replace(plan, hang_seconds=0.02, restart_seconds=0.05, retry_after_seconds=0)
        )
        errors = home.load_patiently(source)
        tally.loads += 1 + len(errors) - (errors[-1:] == [GAVE_UP])
        tally.errors += errors
        after = endpoints.statistics()[api]
        if errors[-1:] != [GAVE_UP]:
            # What the API itself does not show at present cannot be there.
            compare(name, content, hidden=set(after["withheld"]))
    endpoints.set_faults(None)
    home.load(source)
    tally.loads += 1
    compare("healed", expected.second, hidden=set())
    tally.doubled += home.doubled(source)

    for kind, count in after["faults"].items():
        tally.injected[kind] += count - before["faults"].get(kind, 0)
        tally.retried[kind] += after["faults_retried"].get(kind, 0) - before["faults_retried"].get(
            kind, 0
        )
        tally.lost[kind] += len(losses)
