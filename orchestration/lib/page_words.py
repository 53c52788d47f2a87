"""What the page says around the cards, in both languages; the cards bring their own words."""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.lib.cards import Locale, Localised

_WORDS: Mapping[str, tuple[str, str]] = {
    "brand": ("Voronka", "Воронка"),
    "language": ("Language", "Язык"),
    "demo": (
        "Demo company: every name and number here is made up",
        "Учебная компания: все имена и числа вымышлены",
    ),
    "sections": ("Sections", "Разделы"),
    "whole": ("All dashboards", "Все разделы"),
    "back": ("To the top", "Наверх"),
    "all": ("All", "Все"),
    "how": ("How it is counted", "Как посчитано"),
    "numbers": ("The same in numbers", "То же в цифрах"),
    "more_rows": ("{n} more", "Ещё {n}"),
    "first_rows": ("The first {n} rows.", "Показаны первые {n}."),
    "first_rows_in_metabase": (
        "The first {n} rows; all of them are in Metabase.",
        "Показаны первые {n}; остальные — в Metabase.",
    ),
    "first_rows_and_choice": (
        "The first {n} rows; all of them, with a choice of {choice}, are in Metabase.",
        "Показаны первые {n}; остальные — в Metabase, там же выбор: {choice}.",
    ),
    "definition": ("Definition", "Определение"),
    "version": ("version {n}", "версия {n}"),
    "usual": ("usually {value}", "обычно {value}"),
    "usual_label": ("Usually", "Обычно"),
    "usual_how": (
        "mean of the four periods before",
        "среднее за четыре таких же периода до этого",
    ),
    "period": ("Period", "Период"),
    "exact": ("Exactly", "Точно"),
    "interval": ("95% interval", "Интервал 95 %"),
    "interval_value": ("{low} to {high}", "от {low} до {high}"),
    "n": ("Counted from", "Посчитано по"),
    "plan": ("Plan", "План"),
    "verdict": ("Against normal variation", "На фоне обычных колебаний"),
    "verdict_notable": ("a change beyond it", "изменение заметное"),
    "verdict_usual": ("within it", "в пределах обычного"),
    "verdict_unknown": (
        "too little history to tell (eleven periods are needed)",
        "истории мало, чтобы судить (нужно одиннадцать периодов)",
    ),
    "verdict_how": (
        "A change counts when it is beyond the 99% band of how this company's own past periods "
        "differed from the four before them.",
        "Заметным считаем изменение вне 99-процентной полосы: как в этой же компании прошлые "
        "периоды отличались от четырёх перед ними.",
    ),
    "state": ("Status", "Состояние"),
    "state_known": ("complete", "полное"),
    "state_partial": ("not everything is counted in", "учтено не всё"),
    "not_connected": ("not connected", "не подключено"),
    "connect": ("Connect: {missing}", "Подключите: {missing}"),
    "without": ("not counted: {missing}", "не учтено: {missing}"),
    "nothing_to_count": ("nothing to count", "считать не из чего"),
    "headline_usual": (
        "A usual week: nothing moved more than it normally does.",
        "Неделя прошла как обычно: заметных изменений нет.",
    ),
    "headline_usual_largest": (
        "The largest difference is within normal variation: {fact}.",
        "Самое большое отклонение в пределах обычных колебаний: {fact}.",
    ),
    "headline_notable": (
        "Usually {usual}, the mean of the four weeks before. The difference is larger than this "
        "company's normal week-to-week variation.",
        "Обычно {usual} — среднее за четыре недели до этого. Разница больше обычных колебаний "
        "от недели к неделе.",
    ),
    "headline_unknown": (
        "Too early to speak of changes: that takes eleven weeks of history.",
        "О переменах говорить рано: для этого нужно одиннадцать недель истории.",
    ),
    "than_usual": ("{change} {word} than usual", "{change} {word} обычного"),
    "usually": ("usually {usual}", "обычно {usual}"),
    "plan_alone": ("{why}, plan {plan}", "{why}, план {plan}"),
    "of_plan": ("{value} of {plan}", "{value} из {plan}"),
    "pace_over": (
        "At this pace {period} ends at {forecast}: {change} above plan",
        "Таким темпом за {period} будет {forecast} — {change} больше плана",
    ),
    "pace_under": (
        "At this pace {period} ends at {forecast}: {change} below plan",
        "Таким темпом за {period} будет {forecast} — {change} меньше плана",
    ),
    "pace_on": (
        "At this pace {period} ends at {forecast}: on plan",
        "Таким темпом за {period} будет {forecast} — это по плану",
    ),
    "pace_early": (
        "Too early in {period} to tell where this pace leads",
        "Судить о темпе рано: {period} только начался",
    ),
    "done_over": ("{change} above plan", "{change} больше плана"),
    "done_under": ("{change} below plan", "{change} меньше плана"),
    "done_on": ("on plan", "по плану"),
    "elapsed": ("{share} of the period has passed", "прошло {share} периода"),
    "funnel_share": ("{ratio} of the step before", "{ratio} от прошлого шага"),
    "funnel_lost": ("lost here: {n}", "потеряли здесь: {n}"),
    "funnel_worst": ("the biggest loss", "самая большая потеря"),
    "other": ("Other", "Остальное"),
    "total": ("Total", "Всего"),
    "hidden_ph": ("[phone hidden]", "[телефон скрыт]"),
    "hidden_em": ("[e-mail hidden]", "[почта скрыта]"),
    "opens": ("See the list", "Открыть список"),
    "open_deal": ("opens in the CRM", "откроется в CRM"),
    "stale": (
        "These numbers are more than two days old: refresh the data",
        "Этим числам больше двух суток: обновите данные",
    ),
    "made_at": ("Page made {moment}", "Страница собрана {moment}"),
    "run": ("run {run}", "запуск {run}"),
    "sources": ("Sources: {names}", "Источники: {names}"),
    "chart_of": (
        "{title}: {n} values from {low} to {high}",
        "{title}: {n} значений, от {low} до {high}",
    ),
    "methodology": ("Method", "Методика"),
    "answers": ("Answers for it: {name}", "Отвечает {name}"),
}  # fmt: skip

WORDS: Mapping[str, Localised] = {key: Localised(en=en, ru=ru) for key, (en, ru) in _WORDS.items()}


def say(locale: Locale, key: str, **values: object) -> str:
    """Return the phrase `key` in `locale` with `values` put in."""
    return WORDS[key].in_(locale).format(**values)
