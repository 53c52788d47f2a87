"""The owner's page: one HTML file that opens anywhere, from the cards of `dashboards/*.yaml`.

    serve_file + dashboards ─► rows per card and filter choice ─► views (page_views) ─► index.html

The page is a file, not an application: no request leaves it, and its policy (`default-src 'none'`,
styles and the one small script allowed by their hash) makes sure that nothing put into a deal's
name can change that. Charts are our own inline SVG. Plotly was considered for what lies below the
first screen and left out: its script is 4.7 MB, some twenty times the whole page, for a reader who
opens it on a phone; and a chart drawn by a script says nothing to a screen reader or on paper.

Both languages and every filter choice are in the file; switching them is CSS, so the page works
without its script, which only remembers the language.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestration.lib.cards import (
    LOCALES,
    CardBase,
    CardError,
    Locale,
    check_against,
    open_serve_file,
    read_dashboards,
)
from orchestration.lib.page_formats import WORD_JOINER, Writer
from orchestration.lib.page_sections import Gathered, Section, pieces_of
from orchestration.lib.page_views import Table
from orchestration.lib.page_words import say

DASHBOARDS = Path(__file__).resolve().parents[1] / "dashboards"
_TEMPLATES = Path(__file__).resolve().parent / "page_templates"
# A word that no column holds.
_LONG_WORD = re.compile(r"(\S{32,})")
# The style of the menu's entry for the dashboard on show.
_CURRENT = "color:var(--ink);font-weight:600;border-color:var(--accent)"


@dataclass(frozen=True)
class PageSummary:
    """What was written.

    Attributes:
        path: The file.
        size_bytes: Its size.
        card_count: Cards shown.
        empty_cards: Cards that had nothing to show, as `dashboard/card`.
    """

    path: Path
    size_bytes: int
    card_count: int
    empty_cards: tuple[str, ...]


def render_page(
    serve_file: Path,
    dashboards_dir: Path,
    out: Path,
    locale: str,
    generated_from: Mapping[str, Any],
) -> PageSummary:
    """Write the owner's page.

    Args:
        serve_file: The published DuckDB file.
        dashboards_dir: The folder with the card files.
        out: Where to write; replaced in one step, so a reader sees the old page or the new one.
        locale: The language shown first, "ru" or "en".
        generated_from: What the page says of its origin, all optional: company, demo, run_id,
            refreshed_at (ISO, UTC), sources (names), time_zone (IANA), currency_code,
            has_metabase (whether there is one to look further in).

    Returns:
        What was written.

    Raises:
        CardError: If a card file has a mistake or a card cannot be answered by the file.
    """
    files = read_dashboards(dashboards_dir)
    connection = open_serve_file(serve_file)
    try:
        findings = [said for file in files for said in check_against(file, connection)]
        if findings:
            raise CardError(findings)
        gathered = Gathered(connection, generated_from)
        pages = [(one, gathered.sections(files, one)) for one in _locales(locale)]
        html = _html(pages, gathered, generated_from)
    finally:
        connection.close()
    _write(out, html)
    shown = [
        piece
        for section in pages[0][1]
        for piece in pieces_of(section)
        if isinstance(piece.card, CardBase)
    ]
    empty = tuple(
        one.anchor.split("-", 1)[1].replace("-", "/", 1)
        for one in shown
        if all(variant.view.is_empty for variant in one.variants)
    )
    return PageSummary(out, len(html.encode()), len(shown), empty)


def owner_numbers(serve_file: Path, locale: str) -> list[str]:
    """Return the first screen as lines for the terminal.

    Args:
        serve_file: The published DuckDB file.
        locale: "ru" or "en".

    Returns:
        The sentence of the week, the plan, the numbers, freshness and the bridge.

    Raises:
        CardError: If a card cannot be answered by the file.
    """
    connection = open_serve_file(serve_file)
    try:
        first = read_dashboards(DASHBOARDS)[0]
        findings = check_against(first, connection)
        if findings:
            raise CardError(findings)
        section = Gathered(connection, {}).sections([first], _locales(locale)[0])[0]
    finally:
        connection.close()
    # Some terminals draw a box for a joiner.
    return [
        line.replace(WORD_JOINER, "")
        for shown in section.first
        for variant in shown.variants[:1]
        if not variant.view.is_empty
        for line in variant.view.lines
    ]


def _locales(locale: str) -> tuple[Locale, ...]:
    if locale not in LOCALES:
        raise CardError([f"locale {locale!r} is not known; allowed: {', '.join(LOCALES)}"])
    return tuple(sorted(LOCALES, key=lambda one: one != locale))


def _html(
    pages: Sequence[tuple[Locale, Sequence[Section]]],
    gathered: Gathered,
    generated_from: Mapping[str, Any],
) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["say"] = say
    environment.globals["points"] = _points
    environment.filters["breakable"] = _breakable
    labels = _labels(pages)
    environment.globals["labels"] = lambda table: labels[_headings(table)]
    rules = _rules(pages) + _label_rules(labels)
    styles = _tight((_TEMPLATES / "page.css").read_text(encoding="utf-8") + rules)
    script = _tight((_TEMPLATES / "page.js").read_text(encoding="utf-8"))
    origins = {locale: _origin(gathered.writer.in_(locale), generated_from) for locale, _ in pages}
    fresh = gathered.fresh_until
    html = environment.get_template("page.html.j2").render(
        pages=pages,
        locale=pages[0][0],
        company=generated_from.get("company"),
        is_demo=bool(generated_from.get("demo")),
        origins=origins,
        fresh_until=fresh.isoformat() + "Z" if fresh is not None else "",
        # Read from the repository, never from data, so they may stand unescaped.
        styles=Markup(styles),  # noqa: S704
        script=Markup(script),  # noqa: S704
        style_hash=_hash(styles),
        script_hash=_hash(script),
    )
    return _tight(html)


def _tight(text: str) -> str:
    """Return `text` without indents and empty lines, a fifth of the page; twice changes nothing."""
    return re.sub(r"\s*\n\s*", "\n", text)


def _points(run: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in run)


def _breakable(text: str) -> Markup:
    # A table grows to its longest word, and the page with it; usual words stay whole.
    pieces = [
        Markup("<wbr>").join(re.findall(".{1,8}", piece)) if _LONG_WORD.fullmatch(piece) else piece
        for piece in _LONG_WORD.split(text)
    ]
    return Markup("").join(pieces)


def _origin(writer: Writer, generated_from: Mapping[str, Any]) -> list[str]:
    locale = writer.locale
    said = []
    if sources := generated_from.get("sources"):
        names = [sources] if isinstance(sources, str) else [str(one) for one in sources]
        said.append(say(locale, "sources", names=", ".join(names)))
    if refreshed := generated_from.get("refreshed_at") or generated_from.get("published_at"):
        moment = refreshed
        if isinstance(moment, str):
            moment = dt.datetime.fromisoformat(moment.replace("Z", "+00:00"))
        said.append(say(locale, "made_at", moment=writer.moment(moment)))
    if run := generated_from.get("run_id"):
        said.append(say(locale, "run", run=str(run)[:8]))
    return said


def _rules(pages: Sequence[tuple[Locale, Sequence[Section]]]) -> str:
    """Return the style rules that depend on the cards: places on the grid and filter choices.

    Classes instead of style attributes, because the page's policy allows no inline styles.
    """
    wide: set[str] = set()
    filters: list[str] = []
    current: list[str] = []
    for _, sections in pages:
        for section in sections:
            for shown in pieces_of(section):
                wide.update(shown.place.split())
            hosted = [control for shown in section.first for control in shown.controls]
            for control in (*section.controls, *hosted):
                for option in control.options:
                    name = f"{section.anchor}-{control.key}-{option.index}"
                    filters.append(
                        f"#{section.anchor}:has(#{name}:checked) "
                        f".by-{control.key}:not(.{control.key}-{option.index}){{display:none}}"
                    )
        name = sections[0].anchor
        closed = f"#page-{name[:2]}:not(:has(.dash:target,.dash :target))"
        current.append(f'{closed} .menu [href="#{name}"]')
        for section in sections[1:]:
            opened = f"#page-{name[:2]}:has(#{section.anchor}:target,#{section.anchor} :target)"
            current.append(f'{opened} .menu [href="#{section.anchor}"]')
    makers = {
        "x": "grid-column-start:{}",
        "w": "grid-column-end:span {}",
        "y": "grid-row-start:{}",
        "h": "grid-row-end:span {}",
    }
    places = "".join(
        f".grid>.{name}{{{makers[name[0]].format(name[1:])}}}"
        for name in sorted(wide, key=lambda one: (one[0], int(one[1:])))
    )
    return (
        f"\n@media(min-width:60rem){{{places}}}\n"
        f"@supports selector(:has(a)){{{''.join(filters)}{','.join(current)}{{{_CURRENT}}}}}\n"
        "@supports not selector(:has(a)){.not-first,.filters{display:none}}\n"
    )


def _headings(table: Table) -> tuple[str, ...]:
    return tuple(cell.text for cell in table.headings)


def _labels(pages: Sequence[tuple[Locale, Sequence[Section]]]) -> dict[tuple[str, ...], str]:
    """Return a class for each set of headings: on a phone every cell shows the name of its column.

    As an attribute of each cell these names were a sixth of the page.
    """
    found: dict[tuple[str, ...], str] = {}
    for _, sections in pages:
        for section in sections:
            for shown in pieces_of(section):
                for variant in shown.variants:
                    if variant.view.table is not None:
                        found.setdefault(_headings(variant.view.table), f"c{len(found)}")
    return found


def _label_rules(labels: Mapping[tuple[str, ...], str]) -> str:
    rules = []
    for headings, name in labels.items():
        for at, text in enumerate(headings[1:], start=2):
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            rules.append(f'.{name} td:nth-child({at})::before{{content:"{quoted}"}}')
    return f"@media(max-width:39.99rem){{{''.join(rules)}}}\n"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _write(out: Path, html: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


__all__ = ["DASHBOARDS", "PageSummary", "owner_numbers", "render_page"]
