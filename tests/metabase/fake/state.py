"""Everything a Metabase keeps in its application database, as plain values."""

from __future__ import annotations

import copy
import random
import uuid
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Rows = dict[int, Row]
ALL_USERS, ADMINISTRATORS = 1, 2
# Every kind counts from a place of its own: an id taken for another kind's is found out.
_FIRST_IDS = {
    "user": 1,
    "group": 3,
    "membership": 1,
    "api_key": 1,
    "database": 2,
    "table": 71,
    "field": 601,
    "task": 9001,
    "collection": 21,
    "card": 101,
    "dashboard": 11,
    "tab": 51,
    "dashcard": 3001,
}
_NANO = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"


@dataclass
class State:
    """The rows of the application database, by kind and id; copied whole for a snapshot."""

    users: Rows = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    failed_logins: dict[str, int] = field(default_factory=dict)
    groups: Rows = field(
        default_factory=lambda: {
            ALL_USERS: {"id": ALL_USERS, "name": "All Users"},
            ADMINISTRATORS: {"id": ADMINISTRATORS, "name": "Administrators"},
        }
    )
    memberships: Rows = field(default_factory=dict)
    api_keys: Rows = field(default_factory=dict)
    databases: Rows = field(default_factory=dict)
    tables: Rows = field(default_factory=dict)
    fields: Rows = field(default_factory=dict)
    tasks: list[Row] = field(default_factory=list)
    collections: Rows = field(default_factory=dict)
    cards: Rows = field(default_factory=dict)
    dashboards: Rows = field(default_factory=dict)
    tabs: Rows = field(default_factory=dict)
    dashcards: Rows = field(default_factory=dict)
    settings: Row = field(default_factory=dict)
    setup_token: str | None = None
    data_revision: int = 1
    # group id -> database id -> rights
    data_graph: dict[int, dict[int, Row]] = field(default_factory=dict)
    collection_revision: int = 1
    # group id -> collection id or "root" -> read | write; no entry is none
    collection_graph: dict[int, dict[Any, str]] = field(
        default_factory=lambda: {ALL_USERS: {"root": "write"}}
    )
    next_ids: dict[str, int] = field(default_factory=lambda: dict(_FIRST_IDS))
    clock: int = 0
    randomness: random.Random = field(default_factory=lambda: random.Random(20))

    def new_id(self, kind: str) -> int:
        """Return the next id of a kind; ids are never used again."""
        self.next_ids[kind] += 1
        return self.next_ids[kind] - 1

    def entity_id(self) -> str:
        """Return a NanoID."""
        return "".join(self.randomness.choices(_NANO, k=21))

    def uuid(self) -> str:
        """Return a random UUID, the same again in the same history."""
        return str(uuid.UUID(int=self.randomness.getrandbits(128), version=4))

    def moment(self) -> str:
        """Return a moment later than every one before."""
        self.clock += 1
        hours, rest = divmod(self.clock, 3600)
        minutes, seconds = divmod(rest, 60)
        days, hours = divmod(hours, 24)
        return f"2026-11-{1 + days:02d}T{hours:02d}:{minutes:02d}:{seconds:02d}.000000Z"

    def copy(self) -> State:
        """Return a copy that shares nothing."""
        return copy.deepcopy(self)
