"""The dashboards of one published file as sections of the page, before they become HTML.

A section is a dashboard in one language: its choices, and each card under each of them.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from orchestration.lib.cards import (
    Card,
    CardBase,
    CardError,
    DashboardFile,
    Filter,
    Locale,
    Piece,
    TextCard,
    bound_sql,
)
from orchestration.lib.page_formats import Writer
from orchestration.lib.page_views import Jump, Row, Scribe, View, view
from orchestration.lib.page_words import say

# A page holds one rendering per choice; beyond this a filter belongs in Metabase.
_MOST_VARIANTS = 24


@dataclass(frozen=True)
class Option:
    """One choice of a filter; `value` None is "all"."""

    index: int
    value: str | None
    label: str
    is_default: bool


@dataclass(frozen=True)
class Control:
    """A filter as it stands above a section."""

    key: str
    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Variant:
    """A card under one choice of each of its filters."""

    classes: str
    view: View


@dataclass(frozen=True)
class Shown:
    """A card, heading or note in one language, with all its variants."""

    card: Piece
    anchor: str
    place: str
    variants: tuple[Variant, ...]
    controls: tuple[Control, ...] = ()

    @property
    def tone(self) -> str:
        """Return the tone of a text card, as its first choice shows it."""
        return str(getattr(self.variants[0].view, "tone", "plain"))


@dataclass(frozen=True)
class Part:
    """The cards of a tab: what is open and what lies one tap deeper."""

    title: str
    cards: tuple[Shown, ...]
    deeper: tuple[Shown, ...]


@dataclass(frozen=True)
class Section:
    """A dashboard in one language."""

    anchor: str
    name: str
    title: str
    description: str
    methodology: str
    owner: str
    controls: tuple[Control, ...]
    first: tuple[Shown, ...]
    parts: tuple[Part, ...]


def pieces_of(section: Section) -> Iterator[Shown]:
    """Yield all that stands in a section, in order."""
    yield from section.first
    for part in section.parts:
        yield from part.cards
        yield from part.deeper


class Gathered:
    """Rows, filter values and words of one published file, read once for both languages."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, generated_from: Mapping[str, Any]
    ) -> None:
        self._connection = connection
        self._rows: dict[str, list[Row]] = {}
        # By dashboard and filter: the choices of the page, and filters that it leaves to Metabase.
        self._offered: dict[tuple[str, str], list[str | None]] = {}
        self._elsewhere: set[tuple[str, str]] = set()
        self.fresh_until: dt.datetime | None = self._first("rpt_owner_panel", "fresh_until_at")
        currency = generated_from.get("currency_code")
        currency = currency or self._first("rpt_owner_panel", "currency_code")
        zone = generated_from.get("time_zone") or self._first("rpt_owner_panel", "time_zone")
        fresh = self.fresh_until
        self.writer = Writer(
            locale="ru",
            currency=str(currency) if currency else None,
            zone=ZoneInfo(str(zone or "UTC")),
            year=fresh.year if fresh is not None else None,
        )
        self._has_metabase = bool(generated_from.get("has_metabase"))
        self._definitions = self._read_definitions()

    def _columns(self, table: str) -> set[str]:
        rows = self._connection.execute(
            "select column_name from information_schema.columns "
            "where table_schema = 'marts' and table_name = ?",
            [table],
        ).fetchall()
        return {str(row[0]) for row in rows}

    def _first(self, table: str, column: str) -> Any:
        if column not in self._columns(table):
            return None
        row = self._connection.execute(f"select max({column}) from marts.{table}").fetchone()
        return row[0] if row else None

    def _read_definitions(self) -> dict[tuple[str, Locale], str]:
        if not {"metric_id", "version", "definition_en"} <= self._columns("dim_metrics"):
            return {}
        rows = self._connection.execute(
            "select metric_id, definition_en, definition_ru, version from marts.dim_metrics "
            "qualify row_number() over "
            "(partition by metric_id order by valid_from_date desc, version desc) = 1"
        ).fetchall()
        found: dict[tuple[str, Locale], str] = {}
        for metric, english, russian, version in rows:
            for locale, words in (("en", english), ("ru", russian)):
                said = say(locale, "version", n=version)  # type: ignore[arg-type]
                found[(str(metric), locale)] = f"{words} ({said})"  # type: ignore[index]
        return found

    def rows(self, file: DashboardFile, card: CardBase, chosen: Mapping[str, str]) -> list[Row]:
        """Return the result of a card under a choice of filters."""
        sql = bound_sql(card, chosen)
        if sql not in self._rows:
            try:
                cursor = self._connection.execute(sql)
                names = [str(column[0]) for column in cursor.description or []]
                self._rows[sql] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            except duckdb.Error as error:
                message = " ".join(str(error).split())
                raise CardError([f"{file.where(card, 'sql')}: {message}; SQL: {sql}"]) from error
        return self._rows[sql]

    def _found(self, file: DashboardFile, key: str) -> set[str]:
        """Return every value that stands in the columns which a filter is bound to."""
        bindings = sorted(
            {card.filters[key] for card in file.dashboard.cards() if key in card.filters}
        )
        found: set[str] = set()
        for binding in bindings:
            table, column = binding.split(".")
            rows = self._connection.execute(
                f"select distinct cast({column} as varchar) from marts.{table} "
                f"where {column} is not null"
            ).fetchall()
            found |= {str(row[0]) for row in rows}
        return found

    def _offer(self, kind: Filter, found: set[str]) -> list[str | None]:
        """Return the choices of a filter on the page; None stands for all."""
        newest_first = kind.kind != "category"
        named = [value for value in kind.values if value in found]
        others = sorted(found - set(named), reverse=newest_first)
        shown = [*named, *others][: kind.page_options]
        if kind.default is None:
            # A choice between everything and the one thing there is chooses nothing.
            return [None, *shown] if len(found) > 1 else [None]
        return [*shown] if kind.default in shown else [kind.default, *shown]

    def _control(self, file: DashboardFile, key: str, writer: Writer) -> Control:
        kind = file.dashboard.filters[key]
        options = []
        for index, value in enumerate(self._offered[file.dashboard.name, key]):
            if value is None:
                label = say(writer.locale, "all")
            elif value in kind.values:
                label = kind.values[value].in_(writer.locale)
            elif kind.kind == "category":
                label = value
            else:
                label = writer.value(dt.date.fromisoformat(value), kind.kind)
            options.append(Option(index, value, label, value == kind.default))
        return Control(key=key, label=kind.label.in_(writer.locale), options=tuple(options))

    def sections(self, files: Sequence[DashboardFile], locale: Locale) -> list[Section]:
        """Return the dashboards in one language."""
        writer = self.writer.in_(locale)
        for file in files:
            for key, kind in file.dashboard.filters.items():
                at = (file.dashboard.name, key)
                if at not in self._offered:
                    found = self._found(file, key)
                    self._offered[at] = self._offer(kind, found) if kind.is_offered_by_page else []
                    if len(found) > 1 and len(self._offered[at]) < 2:
                        self._elsewhere.add(at)
        return [self._section(file, writer) for file in files]

    def _jump(self, locale: Locale, target: str, passed: Mapping[str, str]) -> Jump:
        """Return the place of a card and the choices to make there; what is not offered is not."""
        dashboard = target.split("/", maxsplit=1)[0]
        choices = [
            f"{dashboard}-{key}-{offered.index(value)}"
            for key, value in passed.items()
            if value in (offered := self._offered.get((dashboard, key), []))
        ]
        return Jump(f"#{locale}-{target.replace('/', '-')}", " ".join(choices))

    def _section(self, file: DashboardFile, writer: Writer) -> Section:
        dashboard, locale = file.dashboard, writer.locale
        controls = {
            key: control
            for key, kind in dashboard.filters.items()
            if kind.is_offered_by_page
            and (
                len((control := self._control(file, key, writer)).options) > 1
                or kind.default is not None
            )
        }
        first: list[Shown] = []
        parts: list[Part] = []
        for tab in dashboard.tabs:
            by_tier: dict[str, list[Shown]] = {"first_screen": [], "body": [], "tap": []}
            for piece in sorted(tab.pieces, key=lambda one: (one.layout.row, one.layout.column)):
                shown = (
                    self._shown(file, piece, controls, writer)
                    if isinstance(piece, CardBase)
                    else _still(file, piece, writer.locale)
                )
                by_tier[piece.tier].append(shown)
            first.extend(by_tier["first_screen"])
            if by_tier["body"] or by_tier["tap"]:
                parts.append(
                    Part(
                        title=tab.title.in_(locale),
                        cards=_placed(by_tier["body"]),
                        deeper=_placed(by_tier["tap"]),
                    )
                )
        hosted = {control for shown in first for control in shown.controls}
        return Section(
            anchor=f"{locale}-{dashboard.name}",
            name=dashboard.name,
            title=dashboard.title.in_(locale),
            description=dashboard.description.in_(locale),
            methodology=dashboard.methodology.in_(locale),
            owner=dashboard.owner.name.in_(locale),
            controls=tuple(
                one for one in controls.values() if len(one.options) > 1 and one not in hosted
            ),
            first=_placed(first),
            parts=tuple(parts),
        )

    def _shown(
        self, file: DashboardFile, card: Card, controls: Mapping[str, Control], writer: Writer
    ) -> Shown:
        scribe = Scribe(
            card,
            writer,
            definition=self._definitions.get((card.metric or "", writer.locale)),
            jumps=functools.partial(self._jump, writer.locale),
            elsewhere=tuple(
                kind.label.in_(writer.locale)
                for key, kind in file.dashboard.filters.items()
                if key in card.filters and (file.dashboard.name, key) in self._elsewhere
            ),
            has_metabase=self._has_metabase,
        )
        used = [controls[key] for key in card.filters if key in controls]
        choices = list(itertools.product(*(control.options for control in used)))
        if len(choices) > _MOST_VARIANTS:
            where = file.where(card, "filters")
            said = (
                f"{len(choices)} choices on the page; at most {_MOST_VARIANTS}: lower page_options"
            )
            raise CardError([f"{where}: {said}"])
        # The default first: the terminal and a browser without :has() show the first alone.
        choices.sort(key=lambda options: sum(not one.is_default for one in options))
        variants = []
        for options in choices:
            chosen = {
                control.key: option.value
                for control, option in zip(used, options, strict=True)
                if option.value is not None
            }
            classes = [
                f"by-{control.key} {control.key}-{option.index}"
                for control, option in zip(used, options, strict=True)
            ]
            if not all(option.is_default for option in options):
                classes.append("not-first")
            seen = view(scribe, self.rows(file, card, chosen))
            variants.append(Variant(" ".join(classes), seen))
        anchor = f"{writer.locale}-{file.dashboard.name}-{card.key}"
        hosted = tuple(control for control in used if len(control.options) > 1)
        return Shown(
            card=card, anchor=anchor, place="", variants=tuple(variants),
            controls=hosted if _is_caption(card) else (),
        )  # fmt: skip


def _still(file: DashboardFile, piece: Piece, locale: Locale) -> Shown:
    """Return a heading or note, which knows nothing of data and filters."""
    seen = View(kind=piece.display, title=piece.title.in_(locale))
    anchor = f"{locale}-{file.dashboard.name}-{piece.key}"
    return Shown(card=piece, anchor=anchor, place="", variants=(Variant("", seen),))


def _is_caption(card: Card) -> bool:
    """Return whether `card` is the line that names the period, where its choice stands too."""
    return isinstance(card, TextCard) and all(one.tone == "caption" for one in card.texts)


def _placed(cards: Sequence[Shown]) -> tuple[Shown, ...]:
    """Return the cards with their grid classes; heights follow content, so rows become tracks."""
    starts = sorted({one.card.layout.row for one in cards})
    placed = []
    for one in cards:
        box = one.card.layout
        track = starts.index(box.row) + 1
        span = max(1, sum(box.row <= start < box.row + box.height for start in starts))
        place = f"x{box.column + 1} w{box.width} y{track} h{span}"
        placed.append(replace(one, place=place))
    return tuple(placed)
