"""Dashboard files turned into what shall stand in Metabase."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from orchestration.lib.cards import (
    GRID_COLUMNS,
    Card,
    CardBase,
    CardError,
    Column,
    DashboardFile,
    Filter,
    HeadingCard,
    Localised,
    NoteCard,
    Piece,
    Tab,
)
from orchestration.lib.cards.contracts import contract_types
from orchestration.lib.metabase.desired import (
    DASHBOARD_PLACEHOLDER,
    TAB_PLACEHOLDER,
    DesiredCard,
    DesiredDashboard,
    DesiredDashcard,
    DesiredField,
    DesiredParameter,
    DesiredState,
    DesiredTab,
    DesiredTag,
)
from orchestration.lib.metabase.displays import Output, Shown, passed_name, query, shown
from orchestration.lib.metabase.formats import (
    Company,
    column_key,
    column_settings,
    expression,
)
from orchestration.lib.metabase.metadata import categories, field_metadata, table_metadata
from orchestration.lib.metabase.places import markdown, places, text_rows, virtual

COLLECTION = Localised(en="Voronka", ru="Воронка")
_COLLECTION_DESCRIPTION = Localised(
    en="Made from the dashboard files of the project; what is changed here by hand is overwritten.",
    ru="Собрано из файлов проекта; изменения, сделанные здесь вручную, будут перезаписаны.",
)
_METHOD = Localised(en="How it is counted", ru="Как посчитано")
_ANSWERS = Localised(en="Answers for it", ru="Отвечает")
_WHEN_EMPTY = Localised(en="No rows means", ru="Если строк нет")
_FRESHNESS = Localised(en="Data up to", ru="Данные по")
_FRESHNESS_HOW = Localised(
    en="The moment up to which every connected source has been read to the end.",
    ru="Момент, до которого все подключённые источники прочитаны полностью.",
)
FRESHNESS_KEY = "shared/freshness"
# No name in a file begins so: these places are ours beside any that the files give.
METHOD_PLACE, FRESHNESS_PLACE = "_method", "_freshness"
_FRESHNESS_SQL = """\
select min(fresh_until_at) as fresh_until_at
from marts.rpt_owner_panel
where state <> 'not_connected'
    and period_start_date = (select max(period_start_date) from marts.rpt_owner_panel)"""

_METHOD_WIDTH = 18


def desired_state(
    dashboards: Sequence[DashboardFile],
    manifest: Mapping[str, Any],
    locale: str,
    *,
    company: Company | None = None,
    values: Mapping[str, Sequence[str]] | None = None,
) -> DesiredState:
    """Return all that shall be ours in an instance.

    Args:
        dashboards: The dashboard files, in order.
        manifest: The dbt manifest, for the names and meaning of tables and columns.
        locale: "ru" or "en"; everything is in one language, as Metabase has no second.
        company: Currency and clock; by default sums go without a sign and moments are in UTC.
        values: What stands in the columns of filters (`published_values`). Metabase lists values
            of a column by their codes; given these, filters offer them by their words.

    Returns:
        The state.

    Raises:
        CardError: If a card overrides settings with columns it does not return.
    """
    known = company or Company()
    known = Company("en" if locale == "en" else "ru", known.currency_code, known.time_zone)
    return _Rendering(known, dashboards, manifest, values or {}).state()


def columns_in_settings(settings: Mapping[str, Any]) -> set[str]:
    """Return the names of result columns that `visualization_settings` speak of."""
    found: set[str] = set()
    for key in settings.get("column_settings", {}):
        found.add(json.loads(key)[1])
    for one in settings.get("column_settings", {}).values():
        found |= set(re.findall(r"\{\{([^{}]+)\}\}", one.get("link_url", "")))
        found |= _columns_of_click(one.get("click_behavior", {}))
    found |= _columns_of_click(settings.get("click_behavior", {}))
    for key in _NAMING_KEYS:
        value = settings.get(key)
        names = value if isinstance(value, list) else [value] if value is not None else []
        found |= {name for name in names if isinstance(name, str)}
    found |= {one["name"] for one in settings.get("table.columns", [])}
    for rule in settings.get("table.column_formatting", []):
        found |= set(rule["columns"])
    for comparison in settings.get("scalar.comparisons", []):
        if comparison.get("type") == "anotherColumn":
            found.add(comparison["column"])
    return found


_NAMING_KEYS = (
    "graph.dimensions", "graph.metrics", "graph.tooltip_columns", "scalar.field",
    "funnel.dimension", "funnel.metric", "sankey.source", "sankey.target", "sankey.value",
    "progress.value", "progress.goal", "pie.dimension", "pie.metric",
    "table.pivot_column", "table.cell_column",
)  # fmt: skip


def _columns_of_click(click: Mapping[str, Any]) -> set[str]:
    return {
        one["source"]["id"]
        for one in click.get("parameterMapping", {}).values()
        if one["source"]["type"] == "column"
    }


def parameter_id(dashboard: str, name: str) -> str:
    """Return the id of a filter, ours and the same in every instance."""
    return f"{dashboard}-{name}"


class _Rendering:
    def __init__(
        self,
        company: Company,
        files: Sequence[DashboardFile],
        manifest: Mapping[str, Any],
        values: Mapping[str, Sequence[str]],
    ) -> None:
        self.company = company
        self.files = {file.dashboard.name: file for file in files}
        self.manifest = manifest
        self.types = contract_types(manifest)
        self.closed = {
            f"{table}.{column}": found for (table, column), found in categories(manifest).items()
        }
        self.values = values
        self.shown: dict[str, Shown] = {}

    def state(self) -> DesiredState:
        company = self.company
        cards: list[DesiredCard] = []
        findings: list[str] = []
        for file in self.files.values():
            for card in file.dashboard.cards():
                made = shown(company, card)
                self.shown[f"{file.dashboard.name}/{card.key}"] = made
                strangers = columns_in_settings(made.settings) - set(made.columns)
                if strangers:
                    findings.append(
                        f"{file.where(card, 'metabase')}: settings name "
                        f"{', '.join(sorted(strangers))}; in Metabase the card returns "
                        f"{', '.join(made.columns)}"
                    )
                cards.append(self._card(file, card, made))
        if findings:
            raise CardError(findings)
        if self._has_freshness:
            cards.append(self._freshness())
        chosen = {tag.field for card in cards for tag in card.tags if tag.widget_type == "string/="}
        return DesiredState(
            locale=company.locale,
            collection_name=company.say(COLLECTION),
            collection_description=company.say(_COLLECTION_DESCRIPTION),
            dashboards=tuple(self._dashboard(file) for file in self.files.values()),
            cards=tuple(cards),
            tables=table_metadata(self.manifest, company.locale),
            fields=field_metadata(self.manifest, company.locale, chosen),
        )

    @property
    def _has_freshness(self) -> bool:
        return "fresh_until_at" in self.types.get("rpt_owner_panel", {})

    def _freshness(self) -> DesiredCard:
        say = self.company.say
        column = Column(label=_FRESHNESS, format="datetime")
        output = Output(
            "fresh_until_at",
            expression(self.company, column, "fresh_until_at"),
            column_settings(self.company, column),
        )
        return DesiredCard(
            key=FRESHNESS_KEY,
            name=say(_FRESHNESS),
            description=say(_FRESHNESS_HOW),
            sql=query(_FRESHNESS_SQL, [output]),
            tags=(),
            display="scalar",
            settings={
                "scalar.field": output.name,
                "column_settings": {column_key(output.name): dict(output.settings)},
            },
            columns=(output.name,),
            may_be_empty=False,
        )

    def _card(self, file: DashboardFile, card: Card, made: Shown) -> DesiredCard:
        say = self.company.say
        description = f"{say(card.description)}\n\n{say(_WHEN_EMPTY)}: {say(card.empty)}"
        tags = tuple(
            self._tag(file.dashboard.filters[name], name, binding)
            for name, binding in card.filters.items()
        )
        return DesiredCard(
            key=f"{file.dashboard.name}/{card.key}",
            name=say(card.title),
            description=description,
            sql=made.sql,
            tags=tags,
            display=made.display,
            settings=made.settings,
            columns=made.columns,
            may_be_empty=not card.expects_rows,
        )

    def _tag(self, kind: Filter, name: str, binding: str) -> DesiredTag:
        table, column = binding.split(".")
        return DesiredTag(
            name=name,
            label=self.company.say(kind.label),
            kind="dimension",
            field=DesiredField(table, column),
            widget_type=_widget(kind),
            default=_default(kind),
            is_required=kind.default is not None,
        )

    def _dashboard(self, file: DashboardFile) -> DesiredDashboard:
        dashboard, say = file.dashboard, self.company.say
        tabs = (
            tuple(DesiredTab(tab.key, say(tab.title)) for tab in dashboard.tabs)
            if len(dashboard.tabs) > 1
            else ()
        )
        dashcards: list[DesiredDashcard] = []
        for number, tab in enumerate(dashboard.tabs):
            tab_key = tab.key if tabs else None
            head = self._head(file, tab_key) if number == 0 else []
            dashcards += head
            top = max((one.row + one.height for one in head), default=0)
            dashcards += self._tab(file, tab, tab_key, top)
        return DesiredDashboard(
            key=dashboard.name,
            name=say(dashboard.title),
            description=say(dashboard.description),
            parameters=tuple(self._parameters(file)),
            tabs=tabs,
            dashcards=tuple(dashcards),
        )

    def _parameters(self, file: DashboardFile) -> Iterator[DesiredParameter]:
        for name, kind in file.dashboard.filters.items():
            bindings = {
                card.filters[name] for card in file.dashboard.cards() if name in card.filters
            }
            if not bindings:
                continue
            yield DesiredParameter(
                id=parameter_id(file.dashboard.name, name),
                name=self.company.say(kind.label),
                slug=name,
                type=_widget(kind),
                default=_default(kind),
                # A filter that always holds a value chooses between grains: week or month.
                is_multi_select=kind.default is None and kind.kind == "category",
                is_required=kind.default is not None,
                values=self._offered(kind, bindings),
            )

    def _offered(self, kind: Filter, bindings: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return the values of a filter with their words; without words Metabase lists the codes.

        A closed set is offered whole, so the list does not change with the data.
        """
        if kind.kind != "category" or not kind.values:
            return ()
        found: set[str] = set()
        for binding in bindings:
            known = self.closed.get(binding, self.values.get(binding))
            if known is None:
                return ()
            found.update(known)
        if kind.default is not None:
            found.add(kind.default)
        named = [value for value in kind.values if value in found]
        others = sorted(found - set(named))
        return tuple(
            (value, self.company.say(kind.values[value]) if value in kind.values else value)
            for value in (*named, *others)
        )

    def _head(self, file: DashboardFile, tab_key: str | None) -> list[DesiredDashcard]:
        """Return the method and the freshness, which open every dashboard."""
        dashboard, say = file.dashboard, self.company.say
        method = f"**{markdown(say(_METHOD))}.** {markdown(say(dashboard.methodology))}"
        owner = f"{markdown(say(_ANSWERS))}: {markdown(say(dashboard.owner.name))}."
        width = _METHOD_WIDTH if self._has_freshness else GRID_COLUMNS
        height = max(3, 1 + text_rows(say(dashboard.methodology), width))
        head = [
            DesiredDashcard(
                key=METHOD_PLACE, card_key=None, tab_key=tab_key, row=0, column=0, width=width,
                height=height, settings=virtual("text", f"{method}\n\n{owner}"),
            )
        ]  # fmt: skip
        if self._has_freshness:
            head.append(
                DesiredDashcard(
                    key=FRESHNESS_PLACE, card_key=FRESHNESS_KEY, tab_key=tab_key, row=0,
                    column=width, width=GRID_COLUMNS - width, height=height,
                )
            )  # fmt: skip
        return head

    def _tab(
        self, file: DashboardFile, tab: Tab, tab_key: str | None, top: int
    ) -> Iterator[DesiredDashcard]:
        boxes = places(
            [(piece.layout, self._least_height(file, piece)) for piece in tab.pieces], top
        )
        for piece, place in zip(tab.pieces, boxes, strict=True):
            card_key = None
            mappings: tuple[tuple[str, str], ...] = ()
            if isinstance(piece, CardBase):
                card_key = f"{file.dashboard.name}/{piece.key}"
                mappings = tuple(
                    (parameter_id(file.dashboard.name, name), name) for name in piece.filters
                )
            yield DesiredDashcard(
                key=piece.key, card_key=card_key, tab_key=tab_key, row=place.row,
                column=place.column, width=place.width, height=place.height,
                settings=self._place_settings(file, piece), mappings=mappings,
            )  # fmt: skip

    def _least_height(self, file: DashboardFile, piece: Piece) -> int:
        if isinstance(piece, CardBase):
            return self.shown[f"{file.dashboard.name}/{piece.key}"].least_height
        if isinstance(piece, NoteCard):
            return 1 + text_rows(self.company.say(piece.text), piece.layout.width)
        return 1

    def _place_settings(self, file: DashboardFile, piece: Piece) -> dict[str, Any]:
        say = self.company.say
        match piece:
            case HeadingCard():
                # A heading is shown as it is: no Markdown, and a line has no end to escape.
                return virtual("heading", say(piece.title))
            case NoteCard():
                text = f"**{markdown(say(piece.title))}**\n\n{markdown(say(piece.text))}"
                return virtual("text", text)
            case _:
                return self._clicks(file, piece)

    def _clicks(self, file: DashboardFile, card: Card) -> dict[str, Any]:
        made = self.shown[f"{file.dashboard.name}/{card.key}"]
        columns = [name for name in made.columns if name in card.columns]
        ways = {
            name: way
            for name in columns
            if (target := card.columns[name].opens)
            and (way := self._way(file, card, target, card.columns[name].passes))
        }
        if made.display != "table" or made.settings.get("table.pivot"):
            # Charts and numbers have one way out; the card's own comes first.
            way = self._way(file, card, card.opens, {}) if card.opens else None
            way = way or next(iter(ways.values()), None)
            return {"click_behavior": way} if way else {}
        first = columns[0] if columns else None
        if card.opens and first and first not in ways and card.columns[first].link is None:
            way = self._way(file, card, card.opens, {})
            ways |= {first: way} if way else {}
        settings = {
            column_key(name): {
                # Whole, because the place's settings of a column stand over the card's.
                **made.settings["column_settings"].get(column_key(name), {}),
                "click_behavior": way,
            }
            for name, way in ways.items()
        }
        return {"column_settings": settings} if settings else {}

    def _way(
        self, file: DashboardFile, card: Card, target: str, passes: Mapping[str, str]
    ) -> dict[str, Any] | None:
        """Return the tap that opens the dashboard of `target` with this row's values as filters.

        A filter that both dashboards have under one name is passed on as it is chosen here.

        Returns:
            None where the display holds not all of these values: the list would be of more than
            the number tapped.
        """
        dashboard_name, _, card_key = target.partition("/")
        other = self.files[dashboard_name].dashboard
        tab = next(tab for tab in other.tabs if any(one.key == card_key for one in tab.cards))
        made = self.shown[f"{file.dashboard.name}/{card.key}"]
        mapping: dict[str, Any] = {}
        for name, kind in other.filters.items():
            ours = file.dashboard.filters.get(name)
            there = parameter_id(dashboard_name, name)
            if name in passes:
                column = passed_name(card, passes[name])
                if column not in made.columns:
                    return None
                source = {"type": "column", "id": column, "name": column}
            elif ours and ours.kind == kind.kind:
                here = parameter_id(file.dashboard.name, name)
                source = {"type": "parameter", "id": here, "name": self.company.say(ours.label)}
            else:
                continue
            mapping[there] = {
                "id": there,
                "source": source,
                "target": {"type": "parameter", "id": there},
            }
        way: dict[str, Any] = {
            "type": "link",
            "linkType": "dashboard",
            "targetId": {DASHBOARD_PLACEHOLDER: dashboard_name},
            "parameterMapping": mapping,
        }
        if len(other.tabs) > 1:
            way["tabId"] = {DASHBOARD_PLACEHOLDER: dashboard_name, TAB_PLACEHOLDER: tab.key}
        return way


def _widget(kind: Filter) -> str:
    return "string/=" if kind.kind == "category" else "date/all-options"


def _default(kind: Filter) -> Any:
    if kind.default is None:
        return None
    return [kind.default] if kind.kind == "category" else kind.default


__all__ = [
    "FRESHNESS_KEY",
    "FRESHNESS_PLACE",
    "METHOD_PLACE",
    "columns_in_settings",
    "desired_state",
    "parameter_id",
]
