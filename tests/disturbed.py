"""Loads through APIs that misbehave, beside the same loads through APIs that do not."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ingest.config import Settings, SourceRef, load_settings
from ingest.demo.faults import UNKNOWN_FIELD
from ingest.demo.serving import DemoEndpoints
from ingest.errors import IngestError
from ingest.loading import RAW_TABLES, load_source
from ingest.records import PULLS_TABLE

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

Content = dict[str, dict[str, Any]]


@dataclass
class Home:
    """A home folder whose sources are the fake APIs."""

    root: Path
    endpoints: DemoEndpoints
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """Return settings that read the fake APIs without sparing them."""
        found = self.endpoints
        return load_settings(
            {
                "VORONKA_HOME": str(self.root),
                "VORONKA_SOURCES": ",".join(APIS),
                "VORONKA_AMOCRM_URL": found.amocrm_url,
                "VORONKA_AMOCRM_REQUESTS_PER_SECOND": "1000",
                "VORONKA_YANDEX_DIRECT_URL": found.direct_url,
                "VORONKA_YANDEX_DIRECT_REQUESTS_PER_SECOND": "1000",
                "VORONKA_VK_ADS_URL": found.vk_url,
                "VORONKA_VK_ADS_REQUESTS_PER_SECOND": "1000",
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
            "SOURCES__AMOCRM__TOKEN": found.token,
            "SOURCES__YANDEX_DIRECT__TOKEN": found.token,
            "SOURCES__VK_ADS__CLIENT_ID": found.vk_client_id,
            "SOURCES__VK_ADS__CLIENT_SECRET": found.vk_client_secret,
            "SOURCES__YANDEX_METRICA__TOKEN": found.token,
            **self.secrets,
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
        for _ in range(_PATIENCE):
            try:
                self.load(source)
            except IngestError as error:
                text = str(error)
                assert "\n" not in text, text
                errors.append(text)
            else:
                return errors
        return [*errors, "gave up"]

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
        """Return the difference without records that the API hides at present."""
        return Difference(
            [name for name in self.lost if name not in tolerated], self.extra, self.other
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
class Tally:
    """What happened over many loads."""

    injected: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
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
