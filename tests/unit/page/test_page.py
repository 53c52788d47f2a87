"""The owner's page: what it says in each state of a company; nothing in the data can harm it."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from ingest.config import load_settings
from orchestration.lib.cards import LOCALES, CardError, read_dashboards
from orchestration.lib.page import DASHBOARDS, PageSummary, owner_numbers, render_page
from orchestration.lib.page_formats import NARROW, NO_BREAK, WORD_JOINER
from orchestration.lib.page_views import safe_link
from orchestration.lib.page_words import WORDS
from orchestration.lib.publishing import write_page
from orchestration.lib.serving import ServeFolder
from tests.unit.page.marts import HOSTILE, contracts, write_marts

Page = Callable[..., tuple[str, PageSummary]]
VOID = {"meta", "input", "path", "rect", "polyline", "br", "link", "img", "circle", "wbr"}


class Reader(HTMLParser):
    """Collects tags, attributes and the text of each language."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, str | None]] = []
        self.words: dict[str | None, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag in VOID:
            return
        language = self.open[-1][1] if self.open else None
        if given.get("class") == "page":
            language = given["lang"]
        self.open.append((tag, language))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        opened, _ = self.open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ("", None)
        if data.strip() and inside[0] not in {"style", "script"}:
            self.words.setdefault(inside[1], []).append(data.strip())


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def text_of(html: str, language: str) -> str:
    words = " ".join(read(html).words[language])
    spaced = words.replace(NARROW, " ").replace(NO_BREAK, " ").replace(WORD_JOINER, "")
    return re.sub(r"\s+", " ", spaced)


@pytest.mark.parametrize("company", ["full", "bare", "young", "empty", "hostile"])
def test_page_is_well_formed_and_light(page: Page, company: str) -> None:
    html, summary = page(company)
    reader = read(html)
    assert not reader.open
    assert summary.size_bytes == len(html.encode())
    assert summary.size_bytes < 800_000
    assert summary.card_count == sum(
        1 for file in read_dashboards(DASHBOARDS) for _ in file.dashboard.cards()
    )
    ids = [given["id"] for _, given in reader.tags if "id" in given]
    assert len(ids) == len(set(ids))


def test_page_asks_for_nothing_and_allows_nothing_but_its_own_code(page: Page) -> None:
    html, _ = page()
    reader = read(html)
    policy = next(
        given["content"] or ""
        for tag, given in reader.tags
        if given.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (code,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "http" not in code
    for tag, given in reader.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "form", "base"}
        assert "src" not in given
        assert "style" not in given
        assert not [name for name in given if name.startswith("on")]


def test_only_deals_are_linked_to(page: Page) -> None:
    links = [given.get("href") or "" for tag, given in read(page()[0]).tags if tag == "a"]
    outside = [link for link in links if not link.startswith("#")]
    assert outside
    assert all(link.startswith("https://demo.amocrm.ru/leads/detail/") for link in outside)
    known = {given["id"] for _, given in read(page()[0]).tags if "id" in given}
    assert {link[1:] for link in links if link.startswith("#")} <= known
    assert "http" not in re.sub(r'href="https://demo\.amocrm\.ru[^"]*"', "", page()[0]).replace(
        "http-equiv", ""
    )


def test_hostile_names_stay_text(page: Page) -> None:
    html, _ = page("hostile")
    html = html.replace("<wbr>", "")
    assert html.count("<script>") == 1
    assert "alert('x')</script>" not in html
    assert HOSTILE not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in html
    hrefs = [given.get("href") or "" for tag, given in read(html).tags if tag == "a"]
    assert not [href for href in hrefs if href.startswith("javascript")]


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("https://a.amocrm.ru/leads/detail/1", True),
        ("http://crm.local/1", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ('https://a"onmouseover=x', False),
        ("//evil.example", False),
        ("", False),
        (None, False),
    ],
)
def test_only_web_addresses_become_links(value: str | None, safe: bool) -> None:
    assert (safe_link(value) is not None) == safe


def test_both_languages_are_whole(page: Page) -> None:
    html, _ = page()
    russian, english = text_of(html, "ru"), text_of(html, "en")
    for file in read_dashboards(DASHBOARDS):
        assert file.dashboard.title.ru in russian
        assert file.dashboard.title.en in english
        for card in file.dashboard.cards():
            if card.display not in {"headline", "number"} and card.key != "period":
                assert card.title.ru in russian, card.key
                assert card.title.en in english, card.key
    # Names of products, files and values to type are the same in every language.
    allowed = {"amoCRM", "Google", "Telegram", "stage_map", "sales_plans", "open", "lost"}
    assert set(re.findall(r"[A-Za-z][A-Za-z_]{3,}", russian)) <= allowed
    # What a company calls its stages, reasons and deals stays in its own language.
    from_data = "|".join(
        ["Новая заявка", "Взято в работу", "Квалификация", "Предложение", "Договор", "Оплата",
         "Успешно реализовано", "Закрыто и не реализовано", "Дорого", "Не дозвонились",
         "Ушёл к конкуренту", "Не наш клиент", "Закрыто по сроку", r"Заявка с сайта \d+",
         "VK — интересы", "Поиск — (бренд|общие)", "РСЯ — ретаргет", "Авито — витрина",
         "Ремонт и уют", "Рус", "Яндекс Директ", "Продажи", "Повторные заказы",
         "Обращение клиента", r"Счёт \d+"]
    )  # fmt: skip
    assert re.findall(r"[А-Яа-яЁё]{2,}", re.sub(from_data, "", english)) == []


def test_every_phrase_of_the_page_has_the_same_holes_in_both_languages() -> None:
    for key, words in WORDS.items():
        holes = [set(re.findall(r"\{(\w+)\}", words.in_(locale))) for locale in LOCALES]
        assert holes[0] == holes[1], key


def test_locale_decides_what_is_shown_first(page: Page) -> None:
    for locale in LOCALES:
        html, _ = page("full", locale)
        checked = [
            given["id"]
            for _, given in read(html).tags
            if given.get("name") == "language" and "checked" in given
        ]
        assert checked == [f"language-{locale}"]
        assert f'<html lang="{locale}">' in html


def test_unknown_locale_is_refused(companies: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(CardError, match="allowed: ru, en"):
        render_page(companies("empty"), DASHBOARDS, tmp_path / "index.html", "de", {})


def test_first_screen_keeps_its_order(page: Page) -> None:
    html, _ = page()
    order = [
        "headline", "plan", "period", "came", "bought", "sold", "paid", "acquisition_cost",
        "earned", "freshness", "bridge", "leak_step", "leak_channel",
    ]  # fmt: skip
    places = [html.index(f'id="ru-owner-{key}"') for key in order]
    assert places == sorted(places)
    assert places[-1] < html.index('id="ru-funnel"') < html.index('id="ru-channels"')
    assert html.index('id="ru-rejections"') < html.index('id="ru-data_trust"')


def test_biggest_change_is_the_first_sentence(companies: Callable[[str], Path]) -> None:
    lines = [line.replace(NO_BREAK, " ").replace(NARROW, " ") for line in owner_numbers(
        companies("full"), "ru")]  # fmt: skip
    assert lines[0] == ("За неделю 9–15 ноября пришёл 181 человек — на 31 % меньше обычного.")
    english = owner_numbers(companies("full"), "en")
    assert english[0].replace(NO_BREAK, " ") == (
        "181 people came in the week 9–15 November, 31% fewer than usual."
    )


def test_quiet_week_is_called_quiet(companies: Callable[[str], Path]) -> None:
    lines = owner_numbers(companies("hostile"), "en")
    assert lines[0].replace(NO_BREAK, " ").startswith("A usual week")
    assert "within normal variation" in lines[1]


def test_short_history_is_said(companies: Callable[[str], Path]) -> None:
    lines = owner_numbers(companies("young"), "en")
    assert "Too early to speak of changes" in lines[1].replace(NO_BREAK, " ")


def test_numbers_of_the_terminal_are_those_of_the_page(
    page: Page, companies: Callable[[str], Path]
) -> None:
    shown = text_of(page()[0], "ru")
    numbers = owner_numbers(companies("full"), "ru")
    assert len(numbers) == 15
    sold = next(line for line in numbers if line.startswith("Продано"))
    value = sold.split(": ")[1].split(" (")[0].replace(NARROW, " ")
    assert value in shown


def test_plan_is_set_against_the_pace(companies: Callable[[str], Path]) -> None:
    plan = [line for line in owner_numbers(companies("full"), "en") if line.startswith("Plan")]
    assert len(plan) == 2
    assert "At this pace November ends at" in plan[0].replace(NO_BREAK, " ")


def _planned(path: Path, metric: str, change: str) -> list[str]:
    """Give `metric` a plan for the running month, change its row, and return what is said."""
    connection = duckdb.connect(str(path))
    connection.execute(
        f"update marts.rpt_owner_panel set plan_value = 500000, {change} where metric_id = ? "
        "and period_type = 'month' and not is_complete",
        [metric],
    )
    connection.close()
    lines = owner_numbers(path, "ru")
    spaced = [line.replace(NO_BREAK, " ").replace(NARROW, " ") for line in lines]
    return [line for line in spaced if line.startswith("План")]


def test_plan_for_a_number_that_is_not_connected_is_not_set_against_zero(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(companies("bare"), tmp_path / "planned_serve.duckdb"))
    assert _planned(path, "paid", "value = null") == [
        "План и факт, ноябрь 2026: Оплачено не подключено, план 500 000 ₽. "
        "Подключите: счета и оплаты."
    ]
    out = tmp_path / "index.html"
    render_page(path, DASHBOARDS, out, "ru", {})
    html = out.read_text(encoding="utf-8")
    card = html[html.index('id="ru-owner-plan"') :].split("</article>")[0]
    assert "не подключено" in card
    assert "%" not in card.split('class="measures"')[1].split("<details")[0]
    assert 'class="meter"' not in card


def test_plan_for_a_number_with_nothing_to_count_is_not_set_against_zero(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(companies("bare"), tmp_path / "planned_serve.duckdb"))
    said = _planned(path, "sold", "value = null, run_rate_value = null")
    assert said == ["План и факт, ноябрь 2026: Продано считать не из чего, план 500 000 ₽."]


def test_plan_for_a_part_of_a_number_says_which_part_is_missing(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(companies("full"), tmp_path / "planned_serve.duckdb"))
    said = [line for line in _planned(path, "earned", "value = 400000") if "Заработано" in line]
    assert len(said) == 1
    assert "400 000 ₽ из 500 000 ₽" in said[0]
    assert said[0].endswith("Не учтено: себестоимость и зарплаты.")


def test_bridge_adds_up_in_words(companies: Callable[[str], Path]) -> None:
    lines = [line.replace(NO_BREAK, " ") for line in owner_numbers(companies("full"), "ru")]
    assert (
        "Сходится с amoCRM: 228 сделок = 181 человек + 18 повторных + 6 продолжений "
        "+ 21 дубль + 2 теста."
    ) in lines


def test_bridge_that_does_not_add_up_says_so(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken_serve.duckdb"
    shutil.copy(companies("full"), broken)
    connection = duckdb.connect(str(broken))
    connection.execute(
        "update marts.rpt_deal_bridge set deal_count = deal_count - 3 where step = 'people'"
    )
    connection.close()
    lines = owner_numbers(broken, "en")
    assert any("Does not match amoCRM" in line and "3" in line for line in lines)


def test_failed_comparison_with_the_crm_is_not_called_a_match(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken_serve.duckdb"
    shutil.copy(companies("full"), broken)
    connection = duckdb.connect(str(broken))
    connection.execute(
        "insert into marts.rpt_data_trust (check_id, check_position, check_name_en, "
        "check_name_ru, status, unit, row_count) "
        "values ('crm_new_deals', 2, 'New deals', 'Новые сделки', 'fail', 'count', 4)"
    )
    connection.close()
    lines = owner_numbers(broken, "en")
    assert any("Does not match amoCRM" in line for line in lines)


def test_what_is_not_connected_is_said_in_words(page: Page) -> None:
    said = text_of(page("bare")[0], "ru")
    assert "Оплачено не подключено Подключите: счета и оплаты" in said
    assert "Подключите: расходы на рекламу" in said
    assert "План не задан" in said
    english = text_of(page("bare")[0], "en")
    assert "Paid not connected Connect: invoices and payments" in english


def test_earned_without_costs_is_called_after_ads(page: Page) -> None:
    said = text_of(page()[0], "en")
    assert "After ads" in said
    assert "not counted: costs of goods and salaries" in said


def test_leaks_are_named_on_the_first_screen(page: Page) -> None:
    said = text_of(page()[0], "ru").split("Все разделы")[0]
    assert "Где теряется больше всего людей" in said
    assert "Взято в работу" in said
    assert "Квалификация" in said
    assert "VK Реклама" in said
    assert "ни одной продажи" in said


def test_empty_tables_give_a_page_that_says_so(page: Page) -> None:
    html, summary = page("empty")
    assert len(summary.empty_cards) == summary.card_count
    assert "owner/headline" in summary.empty_cards
    assert "Полной недели данных ещё нет." in text_of(html, "ru")


def test_rows_left_out_are_in_metabase_only_where_there_is_one(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    out = tmp_path / "index.html"
    said = {}
    for has_metabase in (False, True):
        origin = {"has_metabase": has_metabase}
        render_page(companies("full"), DASHBOARDS, out, "ru", origin)
        said[has_metabase] = text_of(out.read_text(encoding="utf-8"), "ru")
    assert "Metabase" not in said[False]
    assert re.search(r"Показаны первые \d+\.", said[False].replace(NO_BREAK, " "))
    assert "остальные — в Metabase" in said[True].replace(NO_BREAK, " ")


def _dependence(path: Path) -> str:
    return re.split(
        "Продано за 180 дней",
        _russian(path).split("Насколько продажи держатся на одном")[1],
    )[0]


def _russian(path: Path) -> str:
    out = path.parent / "index.html"
    render_page(path, DASHBOARDS, out, "ru", {})
    return text_of(out.read_text(encoding="utf-8"), "ru").replace(NO_BREAK, " ")


def test_company_without_sales_reps_depends_on_nobody(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(companies("full"), tmp_path / "nobody_serve.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("update marts.dim_deals set sales_rep_key = null")
    said = _dependence(path)
    assert "Ни у одной продажи за 180 дней не указан продавец" in said
    assert "Продавал" not in said
    assert "Никто" not in said


def test_sales_without_a_sales_rep_are_no_person(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(companies("full"), tmp_path / "half_serve.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "update marts.dim_deals set deal_amount = 100, sales_rep_key = case "
            "when cast(deal_id as int) % 5 = 0 then 'amocrm:900:rep0' end where outcome = 'won'"
        )
        shares = connection.execute(
            "select count(sales_rep_key) / count(*), count(*) from marts.dim_deals "
            "where outcome = 'won' and deal_kind not in ('service', 'test') "
            "and closed_at >= timestamp '2026-11-21 20:40:00' - interval 180 day"
        ).fetchone()
    assert shares is not None
    said = _dependence(path).replace(NARROW, " ")
    assert "За 180 дней продавал один человек: #810100" in said
    assert f"Не в счёт {round(100 - shares[0] * 100)}" in said
    assert "Никто" not in said


def test_deals_without_contacts_are_not_passed_off_as_people(
    companies: Callable[[str], Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(companies("full"), tmp_path / "contactless_serve.duckdb"))
    assert "Контактов" not in _russian(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("update marts.dim_deals set customer_key = 'deal:' || deal_key")
    said = _russian(path)
    assert "Контактов в данных нет: каждая из 480 сделок считается отдельным человеком." in said
    assert "Контактов в данных нет, поэтому не видно, кто из клиентов купил снова." in said
    assert "за следующие 180 дней купили снова" not in said


def test_statistics_stand_one_tap_deeper(page: Page) -> None:
    html, _ = page()
    start = html.index('id="ru-owner-came"')
    tile = html[start : html.index("</article>", start)]
    summary, deeper = tile.split("</summary>", 1)
    assert "Определение" not in summary
    assert "Посчитано по" in deeper
    assert "Интервал 95 %" in deeper
    assert "версия 1" in deeper


def test_period_choice_shows_both_without_a_script(page: Page) -> None:
    html, _ = page()
    assert "#ru-owner:has(#ru-owner-period-1:checked) .by-period:not(.period-1)" in html
    said = text_of(html, "ru")
    assert "Неделя 9–15 ноября" in said
    assert "Месяц: октябрь 2026" in said


def test_charts_have_words_for_those_who_do_not_see_them(page: Page) -> None:
    html, _ = page()
    for canvas in re.findall(r'<svg class="canvas".*?</svg>', html, re.DOTALL):
        assert 'role="img"' in canvas
        assert "<title" in canvas
        assert "<desc" in canvas
    assert html.count('<svg class="canvas"') > 2


def test_page_is_written_in_one_step(companies: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "page" / "index.html"
    render_page(companies("empty"), DASHBOARDS, out, "ru", {})
    first = out.read_text(encoding="utf-8")
    render_page(companies("empty"), DASHBOARDS, out, "ru", {})
    assert out.read_text(encoding="utf-8") == first
    assert [path.name for path in out.parent.iterdir()] == ["index.html"]


def test_broken_card_leaves_the_old_page(companies: Callable[[str], Path], tmp_path: Path) -> None:
    cards = tmp_path / "dashboards"
    shutil.copytree(DASHBOARDS, cards)
    funnel = cards / "funnel.yaml"
    text = funnel.read_text(encoding="utf-8")
    funnel.write_text(text.replace("mean_dwell_seconds", "mean_dwell"), encoding="utf-8")
    out = tmp_path / "index.html"
    out.write_text("yesterday")
    with pytest.raises(CardError, match=r"funnel.yaml:\d+: moves.sql"):
        render_page(companies("full"), cards, out, "ru", {})
    assert out.read_text() == "yesterday"


def test_company_name_is_escaped(companies: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "index.html"
    render_page(companies("empty"), DASHBOARDS, out, "ru", {"company": HOSTILE, "run_id": HOSTILE})
    assert out.read_text(encoding="utf-8").count("<script>") == 1


def test_hashes_of_phones_are_not_shown(companies: Callable[[str], Path], tmp_path: Path) -> None:
    named = tmp_path / "named_serve.duckdb"
    shutil.copy(companies("full"), named)
    connection = duckdb.connect(str(named))
    phone, mail = "ph_" + "4750bd4b" * 4, "em_" + "0f" * 16 + ":p:mail.ru"
    connection.execute(f"update marts.dim_deals set deal_name = 'Звонок от {phone}, {mail}'")
    connection.close()
    out = tmp_path / "index.html"
    render_page(named, DASHBOARDS, out, "ru", {})
    html = out.read_text(encoding="utf-8")
    assert "ph_" not in html
    assert "mail.ru" not in html
    assert "Звонок от [телефон скрыт], [почта скрыта]" in html
    assert "Звонок от [phone hidden], [e-mail hidden]" in html


def test_fixture_follows_the_contracts_of_the_marts() -> None:
    assert {"rpt_owner_panel", "rpt_data_trust", "dim_deals"} <= set(contracts())


@pytest.mark.parametrize("sources", ["demo", "amocrm"])
def test_the_demo_home_shows_the_demo_whatever_sources_are_named(
    tmp_path: Path, sources: str
) -> None:
    settings = load_settings(
        {
            "VORONKA_HOME": str(tmp_path),
            "VORONKA_SOURCES": sources,
            "VORONKA_AMOCRM_URL": "https://company.amocrm.ru",
        }
    )
    serve = ServeFolder(settings.home.serve_dir)
    write_marts(serve.new_serve_file(), "bare")
    serve.publish("run", [])
    banner = 'class="demo"'
    assert banner not in write_page(settings).read_text(encoding="utf-8")
    settings.home.demo_marker.parent.mkdir(parents=True, exist_ok=True)
    settings.home.demo_marker.write_text("{}", encoding="utf-8")
    assert banner in write_page(settings).read_text(encoding="utf-8")
