"""What shall stand in Metabase, without an id of any instance: fields by name, targets by key.

Rendering makes these objects from the dashboard files and the dbt manifest; the plan compares them
with what an instance holds; apply puts the instance's ids in.

A click that leads somewhere names it by key inside `settings`:

    {"type": "link", "linkType": "dashboard", "targetId": {"$dashboard": "channels"},
     "tabId": {"$dashboard": "channels", "$tab": "deals"}, "parameterMapping": {...}}

`{"$dashboard": key}` stands for the dashboard's id, `{"$dashboard": key, "$tab": key}` for the id
of its tab. `parameterMapping` needs no placeholder: parameter ids are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestration.lib.cards import Locale
from orchestration.lib.serving import MARTS_SCHEMA

Settings = Mapping[str, Any]

# The key under which `settings` name what apply resolves.
DASHBOARD_PLACEHOLDER = "$dashboard"
TAB_PLACEHOLDER = "$tab"

ObjectKind = Literal["collection", "dashboard", "card"]
ROOT_COLLECTION = "root"


def marker(kind: ObjectKind, key: str) -> str:
    """Return the last line of a description by which an object of ours is known again."""
    return f"voronka:{kind}:{key}"


def marked(description: str | None, kind: ObjectKind, key: str) -> str:
    """Return `description` with the marker as its last line."""
    return f"{description}\n\n{marker(kind, key)}" if description else marker(kind, key)


@dataclass(frozen=True)
class DesiredField:
    """A column of the marts by name."""

    table: str
    column: str

    @property
    def schema(self) -> str:
        """Return the schema, which is always the published one."""
        return MARTS_SCHEMA


@dataclass(frozen=True)
class DesiredTag:
    """A field filter in a card's SQL.

    Attributes:
        name: As it stands in `{{name}}`.
        label: As people see it.
        kind: Always a field filter.
        field: The column it restricts.
        widget_type: One of Metabase's closed list, such as "string/=" or "date/all-options".
        default: Value taken where no dashboard sets one; a list for categories.
        is_required: Whether it always holds a value: without one the SQL would add up weeks and
            months.
    """

    name: str
    label: str
    kind: Literal["dimension"]
    field: DesiredField
    widget_type: str
    default: Any = None
    is_required: bool = False


@dataclass(frozen=True)
class DesiredCard:
    """A saved question.

    Attributes:
        key: "dashboard/card", stable.
        name: Its title.
        description: Without the marker; `marked` adds it.
        sql: With `{{tags}}` and `[[optional blocks]]`.
        tags: The field filters the SQL uses.
        display: One of Metabase's displays.
        settings: `visualization_settings`.
        columns: Names of the result's columns that it must return, exactly as written.
        may_be_empty: Whether no rows is a sound answer.
    """

    key: str
    name: str
    description: str | None
    sql: str
    tags: tuple[DesiredTag, ...]
    display: str
    settings: Settings
    columns: tuple[str, ...]
    may_be_empty: bool = True


@dataclass(frozen=True)
class DesiredParameter:
    """A filter above a dashboard.

    Attributes:
        id: Ours and stable.
        name: As people see it.
        slug: As it stands in the address.
        type: One of Metabase's closed list, as the widget of the tags it feeds.
        default: Chosen at first; a list for categories.
        is_multi_select: Whether several values may be chosen.
        is_required: Whether it always holds a value.
        values: The values offered with their words, where the set is closed
            (`values_source_type` "static-list"); empty: those found in the data.
    """

    id: str
    name: str
    slug: str
    type: str
    default: Any = None
    is_multi_select: bool = True
    is_required: bool = False
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DesiredDashcard:
    """A card's place on a dashboard, in units of the 24-column grid.

    Attributes:
        key: Stable within the dashboard.
        card_key: The card shown, or None for a heading or text.
        tab_key: Its tab, or None on a dashboard without tabs.
        row: From the top of the tab.
        column: From the left.
        width: In columns.
        height: In rows.
        settings: `visualization_settings` of the place: click behaviour, text of a virtual card.
        mappings: Pairs of (parameter id, template tag of the card).
    """

    key: str
    card_key: str | None
    tab_key: str | None
    row: int
    column: int
    width: int
    height: int
    settings: Settings = field(default_factory=dict)
    mappings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DesiredTab:
    """A tab of a dashboard; its place in the list is its position."""

    key: str
    name: str


@dataclass(frozen=True)
class DesiredDashboard:
    """A dashboard; `tabs` is empty when there would be only one."""

    key: str
    name: str
    description: str | None
    parameters: tuple[DesiredParameter, ...]
    tabs: tuple[DesiredTab, ...]
    dashcards: tuple[DesiredDashcard, ...]


@dataclass(frozen=True)
class DesiredFieldMetadata:
    """How Metabase names and treats a column."""

    table: str
    column: str
    label: str
    description: str | None = None
    semantic_type: str | None = None
    foreign_key: DesiredField | None = None


@dataclass(frozen=True)
class DesiredTableMetadata:
    """How Metabase names a table and whether it offers it to people."""

    table: str
    label: str
    description: str | None = None
    is_hidden: bool = False


@dataclass(frozen=True)
class DesiredState:
    """All that is ours in an instance."""

    locale: Locale
    collection_name: str
    dashboards: tuple[DesiredDashboard, ...]
    cards: tuple[DesiredCard, ...]
    tables: tuple[DesiredTableMetadata, ...]
    fields: tuple[DesiredFieldMetadata, ...]
    collection_description: str | None = None

    def card(self, key: str) -> DesiredCard:
        """Return the card `key`.

        Raises:
            KeyError: There is none.
        """
        for card in self.cards:
            if card.key == key:
                return card
        raise KeyError(key)

    def used_fields(self) -> Iterator[DesiredField]:
        """Yield every column a tag or a foreign key refers to, each once."""
        seen: set[DesiredField] = set()
        for card in self.cards:
            for tag in card.tags:
                if tag.field not in seen:
                    seen.add(tag.field)
                    yield tag.field
        for metadata in self.fields:
            target = metadata.foreign_key
            if target is not None and target not in seen:
                seen.add(target)
                yield target
