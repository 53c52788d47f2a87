"""The words an owner reads on the terminal, in Russian and English; progress lines stay stable."""

from collections.abc import Mapping

MESSAGES: Mapping[str, Mapping[str, str]] = {
    "done": {
        "ru": "Готово за {seconds}. Страница владельца: {page}",
        "en": "Done in {seconds}. The owner's page: {page}",
    },
    "failed": {
        "ru": "Обновление не удалось:",
        "en": "The refresh failed:",
    },
    "still_serving": {
        "ru": "По-прежнему показывается выпуск от {published_at} UTC.",
        "en": "The build of {published_at} UTC is still served.",
    },
    "nothing_served": {
        "ru": "Пока ничего не опубликовано.",
        "en": "Nothing is published yet.",
    },
    "log": {
        "ru": "Подробности: {log}",
        "en": "Details: {log}",
    },
    "marts": {
        "ru": "Данные для SQL: {file}",
        "en": "Data for SQL: {file}",
    },
    "click_page": {
        "ru": "Откройте в браузере: {url}",
        "en": "Open in a browser: {url}",
    },
    "click_dev": {
        "ru": "Как это посчитано, шаг за шагом: make dev, затем http://127.0.0.1:3000",
        "en": "How it was computed, step by step: make dev, then http://127.0.0.1:3000",
    },
    "click_real": {
        "ru": "Свои данные: VORONKA_HOME=папка .venv/bin/voronka init",
        "en": "Your own data: VORONKA_HOME=folder .venv/bin/voronka init",
    },
    "demo_title": {
        "ru": "Демонстрационная компания, последние цифры:",
        "en": "The demo company, latest numbers:",
    },
    "rolled_back": {
        "ru": "Показывается выпуск от {published_at} UTC; страница записана заново.",
        "en": "The build of {published_at} UTC is served; the page is written anew.",
    },
    "metabase_labels": {
        "ru": "Подписаны таблицы и колонки: {count}",
        "en": "Tables and columns labelled: {count}",
    },
    "metabase_waiting": {
        "ru": "Metabase {url} ещё не отвечает; жду до {seconds} с",
        "en": "Metabase {url} does not answer yet; waiting up to {seconds} s",
    },
    "metabase_rewritten": {
        "ru": "Metabase хранит по-своему, это не ошибка: {count} ({what})",
        "en": "Metabase keeps in its own way, which is no fault: {count} ({what})",
    },
    "metabase_shown": {
        "ru": "Metabase {url}: изменений {actions}, проверено карточек {cards};"
        " запросов {requests}, {seconds} с",
        "en": "Metabase {url}: {actions} changes, {cards} cards proved;"
        " {requests} requests, {seconds} s",
    },
    "metabase_rolled_back": {
        "ru": "Metabase показывает выпуск от {published_at} UTC.",
        "en": "Metabase shows the build of {published_at} UTC.",
    },
    "metabase_not_rolled_back": {
        "ru": "Metabase не переключён: {why}",
        "en": "Metabase was not switched: {why}",
    },
    "page_written": {
        "ru": "Страница записана: {page}",
        "en": "The page is written: {page}",
    },
    "init_written": {
        "ru": "Создано: {path}",
        "en": "Written: {path}",
    },
    "init_kept": {
        "ru": "Уже есть, не изменено: {path}",
        "en": "Already there, left as it is: {path}",
    },
    "init_next": {
        "ru": "Дальше: впишите источники в {config}, затем voronka doctor и voronka refresh",
        "en": "Next: name your sources in {config}, then voronka doctor and voronka refresh",
    },
    "doctor_fine": {
        "ru": "Всё в порядке.",
        "en": "Everything is in order.",
    },
    "doctor_problems": {
        "ru": "Нужно исправить: {count}",
        "en": "To be put right: {count}",
    },
    "interrupted": {
        "ru": "Прервано; недочитанное будет дочитано при следующем запуске.",
        "en": "Interrupted; the next run goes on where this one stopped.",
    },
}


def say(locale: str, name: str, **values: object) -> str:
    """Return a message in the owner's language."""
    return MESSAGES[name]["en" if locale == "en" else "ru"].format(**values)
