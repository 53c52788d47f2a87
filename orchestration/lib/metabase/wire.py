"""Between our words and Metabase's: pure, both ways, so that what is wanted and what is there meet.

What Metabase returns is not what was sent: queries come back as MBQL 5 with `lib/uuid` in every
reference, template tags as a map or as a list, dashcards in any order, nulls dropped. Everything is
therefore compared in one canonical form, in which a column, a dashboard or a tab has its name and
no id: `*_wanted` in `wire_cards` and `wire_dashboards` makes that form from the files, `*_found`
from an answer, `*_body` a request. Here are the names and ids of an instance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestration.lib.metabase.desired import DASHBOARD_PLACEHOLDER, TAB_PLACEHOLDER

Raw = Mapping[str, Any]
Values = dict[str, Any]

OUR_COLLECTION = "ours"


@dataclass(frozen=True)
class Names:
    """The ids of one instance by our names, and back."""

    collection_id: int | None = None
    database_id: int | None = None
    fields: Mapping[tuple[str, str], int] = field(default_factory=dict)
    cards: Mapping[str, int] = field(default_factory=dict)
    dashboards: Mapping[str, int] = field(default_factory=dict)
    tabs: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @cached_property
    def field_names(self) -> dict[int, str]:
        """Return "table.column" by id."""
        return {number: f"{table}.{column}" for (table, column), number in self.fields.items()}

    @cached_property
    def card_keys(self) -> dict[int, str]:
        """Return card keys by id."""
        return {number: key for key, number in self.cards.items()}

    @cached_property
    def dashboard_keys(self) -> dict[int, str]:
        """Return dashboard keys by id."""
        return {number: key for key, number in self.dashboards.items()}

    @cached_property
    def tab_keys(self) -> dict[int, tuple[str, str]]:
        """Return (dashboard, tab) keys by tab id."""
        return {number: key for key, number in self.tabs.items()}

    def place(self, collection_id: object) -> str:
        """Return a collection in words that hold for every instance."""
        if self.collection_id is not None and collection_id == self.collection_id:
            return OUR_COLLECTION
        return "root" if collection_id is None else f"collection {collection_id}"


def canonical(value: Any) -> Any:
    """Return a JSON value without what Metabase adds or drops on its own.

    Nulls and `lib/uuid` go, whole floats become integers, and the JSON texts that
    `column_settings` uses as keys get one spelling.
    """
    if isinstance(value, Mapping):
        return {
            _canonical_key(name): canonical(one)
            for name, one in value.items()
            if one is not None and name != "lib/uuid"
        }
    if isinstance(value, list | tuple):
        return [canonical(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _canonical_key(name: str) -> str:
    if name.startswith("["):
        try:
            return json.dumps(json.loads(name), ensure_ascii=False, separators=(",", ":"))
        except ValueError:
            return name
    return name


def resolved(settings: Any, names: Names) -> tuple[Any, bool]:
    """Return settings with ids where they name dashboards and tabs.

    Returns:
        The settings, and False where something named has no id yet; its key is then left out.
    """
    if isinstance(settings, Mapping):
        if DASHBOARD_PLACEHOLDER in settings:
            number = _placeholder_id(settings, names)
            return number, number is not None
        parts = {name: resolved(one, names) for name, one in settings.items()}
        kept = {
            name: value
            for name, (value, is_known) in parts.items()
            if is_known or value is not None
        }
        return kept, all(is_known for _, is_known in parts.values())
    if isinstance(settings, list | tuple):
        found = [resolved(one, names) for one in settings]
        return [value for value, _ in found], all(is_known for _, is_known in found)
    return settings, True


def _placeholder_id(placeholder: Raw, names: Names) -> int | None:
    dashboard = placeholder[DASHBOARD_PLACEHOLDER]
    if TAB_PLACEHOLDER in placeholder:
        return names.tabs.get((dashboard, placeholder[TAB_PLACEHOLDER]))
    return names.dashboards.get(dashboard)


def with_names(settings: Any, names: Names) -> Any:
    """Return settings with placeholders where they hold ids of our dashboards and tabs."""
    if isinstance(settings, list):
        return [with_names(one, names) for one in settings]
    if not isinstance(settings, dict):
        return settings
    named = {name: with_names(one, names) for name, one in settings.items()}
    if settings.get("type") == "link" and settings.get("linkType") == "dashboard":
        key = names.dashboard_keys.get(settings.get("targetId", 0))
        if key is not None:
            named["targetId"] = {DASHBOARD_PLACEHOLDER: key}
        tab = names.tab_keys.get(settings.get("tabId", 0))
        if tab is not None:
            named["tabId"] = {DASHBOARD_PLACEHOLDER: tab[0], TAB_PLACEHOLDER: tab[1]}
    return named
