"""The owner's page as a person meets it: a real Chromium, a phone and a desk, both languages."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from orchestration.lib.cards import LOCALES, read_dashboards
from orchestration.lib.page import DASHBOARDS
from tests.browser.driver import Browser

PHONE, DESK = 390, 1440
# Between phone and desk: a tablet upright and across, and a small laptop with the menu aside.
BETWEEN = (768, 1024, 1200)
VIEWS = [
    *itertools.product(("full", "bare"), (PHONE, DESK), LOCALES),
    *itertools.product(("full",), BETWEEN, ("ru",)),
    *itertools.product(("messy",), (PHONE, 768, DESK), ("ru",)),
]
NAMES = [file.dashboard.name for file in read_dashboards(DASHBOARDS)]

INSPECT = (Path(__file__).parent / "inspect_dashboard.js").read_text(encoding="utf-8")


def _inspect(chromium: Browser, language: str, name: str) -> dict[str, Any]:
    if name == "owner":
        chromium.run("location.hash = ''")
    else:
        chromium.run("location.hash = arguments[0]", f"{language}-{name}")
    found: dict[str, Any] = chromium.run(INSPECT, language, f"#{language}-{name}")
    return found


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d\u202f]*", text)


@pytest.mark.parametrize(("company", "width", "language"), VIEWS)
def test_every_dashboard_is_whole_and_readable(
    chromium: Browser, pages: dict[str, Path], company: str, width: int, language: str
) -> None:
    chromium.width(width)
    chromium.open(pages[company])
    if language == "en":
        chromium.click("#page-ru .languages label[for=language-en]")
    for name in NAMES:
        seen = _inspect(chromium, language, name)
        where = f"{company}, {width} px, {language}, {name}"
        assert seen["visible"] == [f"{language}-{name}"], where
        assert seen["wide"] <= 0, where
        assert seen["overflow"] == [], where
        assert seen["faint"] == [], where
        assert seen["blank"] == [], where
        assert seen["words"] > 20, where
    assert [one for one in chromium.log("browser") if one["level"] == "SEVERE"] == []
    asked = {address.split("#")[0] for address in chromium.requests()}
    assert asked <= {"about:blank", pages[company].as_uri()}


def test_browser_test_would_notice(chromium: Browser, pages: dict[str, Path]) -> None:
    """Each of the faults looked for is found where it is planted."""
    chromium.width(PHONE)
    chromium.open(pages["full"], "ru-funnel")
    chromium.run("""
        const cards = [...document.querySelectorAll('#ru-funnel .card')];
        const title = cards[0].querySelector('.title');
        title.style.cssText = 'white-space:nowrap;width:900px;display:block';
        cards[0].querySelector('.title').textContent = 'слово '.repeat(40);
        cards[1].querySelector('.title').style.color = '#cccccc';
        cards[1].querySelectorAll('.canvas polyline, .canvas .dot').forEach(one => one.remove());
    """)
    seen = chromium.run(INSPECT, "ru", "#ru-funnel")
    assert seen["wide"] > 0
    assert any("screen" in one for one in seen["overflow"])
    assert any("box" in one for one in seen["overflow"])
    assert seen["faint"]
    assert seen["blank"]


def test_language_switch_keeps_the_dashboard(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.width(PHONE)
    chromium.open(pages["full"], "ru-rejections")
    assert "Отказы" in chromium.text("#ru-rejections h2")
    russian = _numbers(chromium.text("#ru-rejections-reasons"))
    chromium.click("#page-ru .languages label[for=language-en]")
    assert chromium.run("return location.hash") == "#en-rejections"
    assert chromium.run("return document.documentElement.lang") == "en"
    assert chromium.text("#en-rejections h2") == "Rejections"
    assert not chromium.run("return document.querySelector('#page-ru').checkVisibility()")
    assert _numbers(chromium.text("#en-rejections-reasons")) == russian
    chromium.click("#page-en .languages label[for=language-ru]")
    assert chromium.run("return location.hash") == "#ru-rejections"


def test_filter_changes_the_numbers(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.width(DESK)
    chromium.open(pages["full"], "ru-rejections")
    every = _numbers(chromium.text("#ru-rejections-reasons"))
    chromium.click("label[for=ru-rejections-channel-1]")
    one = _numbers(chromium.text("#ru-rejections-reasons"))
    assert one
    assert one != every
    assert sum(map(int, one)) < sum(map(int, every))
    # The choice holds in the other language, and is taken back by "all".
    chromium.click("#page-ru .languages label[for=language-en]")
    assert _numbers(chromium.text("#en-rejections-reasons")) == one
    chromium.click("label[for=en-rejections-channel-0]")
    assert _numbers(chromium.text("#en-rejections-reasons")) == every


def test_period_choice_changes_the_first_screen(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.width(PHONE)
    chromium.open(pages["full"])
    week = chromium.text("#ru-owner-came .value")
    chromium.click("label[for=ru-owner-period-1]")
    month = chromium.run(
        "return [...document.querySelectorAll('#ru-owner-came .value')]"
        ".find(one => one.checkVisibility()).innerText"
    )
    assert int(month.replace("\u202f", "")) > 2 * int(week.replace("\u202f", ""))


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_number_opens_the_list_behind_it(
    chromium: Browser, pages: dict[str, Path], width: int
) -> None:
    chromium.width(width)
    chromium.open(pages["full"], "ru-funnel")
    before = chromium.text("#ru-funnel-open_deals")
    stock = "#ru-funnel-stock .variant:first-of-type a[data-choose]"
    counted = int(chromium.text(stock))
    chromium.click(stock)
    assert chromium.run("return location.hash") == "#ru-funnel-open_deals"
    # The pipeline of the tapped row is chosen on the way.
    chosen = chromium.run(
        "return document.querySelector('#ru-funnel input[name=ru-funnel-pipeline]:checked').id"
    )
    assert chosen != "ru-funnel-pipeline-0"
    assert counted > 0
    place = chromium.run(
        "return document.querySelector('#ru-funnel-open_deals').getBoundingClientRect().top"
    )
    assert 0 <= place < 200
    assert chromium.text("#ru-funnel-open_deals").splitlines()[0] == before.splitlines()[0]
    links = chromium.run(
        "return [...document.querySelectorAll('#ru-funnel-open_deals a[target]')].map(a => a.href)"
    )
    assert links
    assert all(link.startswith("https://demo.amocrm.ru/leads/detail/") for link in links)


def test_number_of_another_dashboard_opens_its_list(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.width(PHONE)
    chromium.open(pages["full"], "ru-speed")
    chromium.click("#ru-speed-silent a")
    assert chromium.run("return location.hash") == "#ru-funnel-open_deals"
    assert chromium.run("return document.querySelector('#ru-funnel').checkVisibility()")
    assert not chromium.run("return document.querySelector('#ru-speed').checkVisibility()")
    # A list that lies one tap deeper is opened by the tap that leads to it.
    chromium.open(pages["full"], "ru-channels")
    chromium.click("#ru-channels-table a")
    assert chromium.run("return location.hash") == "#ru-channels-leads"
    assert chromium.run("return document.querySelector('#ru-channels-leads').open")


def test_menu_leads_everywhere_and_shows_where_one_is(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    for width in (PHONE, DESK):
        chromium.width(width)
        chromium.open(pages["full"])
        for name in NAMES[1:]:
            chromium.run(f"document.querySelector('#page-ru .menu [href=\"#ru-{name}\"]').click()")
            current = chromium.run(
                "const link = document.querySelector('#page-ru .menu [aria-current]');"
                "const box = link.getBoundingClientRect();"
                "return [link.hash, box.left, box.right, getComputedStyle(link).fontWeight]"
            )
            assert current[0] == f"#ru-{name}"
            assert current[1] >= 0
            assert current[2] <= width
            assert int(current[3]) >= 600
        chromium.run("history.back()")


def test_page_works_without_its_script(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.width(PHONE)
    chromium.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(pages["full"], "ru-leaks")
        chromium.command("Emulation.setScriptExecutionDisabled", value=False)
        visible = chromium.run(
            "return [...document.querySelectorAll('section')]"
            ".filter(one => one.checkVisibility()).map(one => one.id)"
        )
        assert visible == ["ru-leaks"]
    finally:
        chromium.command("Emulation.setScriptExecutionDisabled", value=False)


def test_what_is_not_connected_is_said_in_words(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.width(PHONE)
    chromium.open(pages["bare"])
    assert "не подключено" in chromium.text("#ru-owner-paid")
    chromium.open(pages["bare"], "ru-invoices")
    assert "Счета не подключены" in chromium.text("#ru-invoices-summary")
    assert "Ни счета, ни оплаты не подключены" in chromium.text("#ru-invoices-by_month")
    chromium.open(pages["bare"], "ru-channels")
    assert "Ни расходов, ни продаж" in chromium.text("#ru-channels-by_month")


def test_name_written_from_right_to_left_turns_nothing_round(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.width(PHONE)
    chromium.open(pages["full"])
    place = chromium.run("""
        const said = document.querySelector('#ru-owner-leak_channel .said span');
        const name = said.querySelector('b');
        name.textContent = '\\u202eреклама';
        const after = document.createTextNode(' до');
        name.after(after);
        const left = at => {
          const range = document.createRange();
          range.setStart(after, at);
          range.setEnd(after, at + 1);
          return range.getBoundingClientRect().left;
        };
        return [left(1), left(2)];
    """)
    assert place[0] < place[1]
