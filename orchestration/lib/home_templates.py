"""What `voronka init` writes: commented settings and templates of the company's own tables."""

from pathlib import Path

from ingest.config import Home

_SETTINGS = """\
# Настройки Voronka / Voronka's settings. Секреты сюда не пишутся / no secrets in this file:
# they come from the environment (SOURCES__AMOCRM__TOKEN, SOURCES__YANDEX_DIRECT__TOKEN)
# or from secrets.toml beside this file:
#   [sources.amocrm]
#   token = "..."
# `voronka doctor` shows every setting, its value and where it came from.
# Every setting has an environment override: VORONKA_<NAME>, such as VORONKA_LOCALE.

# Источники / sources to read: "amocrm", "yandex_direct", "vk_ads", "yandex_metrica", "files".
# A second account of the same system: "amocrm:second".
sources = []

# Папки с вашими таблицами (CSV, XLSX, Parquet) / folders of your own tables, for "files".
# files = ["/data/exports"]

# Валюта и часовой пояс отчётов; по умолчанию - из CRM / default: as in the CRM account.
# currency = "RUB"
# timezone = "Europe/Moscow"

# Язык страницы и сообщений / language of the page and of messages: "ru" or "en".
locale = "ru"

# Телефоны и e-mail хранятся как ключевые хеши; "keep" хранит их как есть.
# Phones and e-mails are kept as keyed hashes; "keep" stores them as they are.
# personal_data = "hash"

# Имена продавцов: "drop" не загружает их / names of sales reps: "keep" loads them.
# sales_rep_names = "drop"

# Машина времени: как всё выглядело на момент (UTC) / the time machine.
# known_as_of_at = 2026-01-31T21:00:00

# Metabase: адрес / its address; secrets: METABASE__API_KEY, or an administrator's
# METABASE__EMAIL and METABASE__PASSWORD (почта и пароль администратора).
# metabase_url = "http://127.0.0.1:3000"
# The published files' folder as Metabase sees it, where that differs (a container's volume).
# metabase_database_folder = "/marts"
# Память DuckDB внутри Metabase / memory of DuckDB inside Metabase.
# metabase_memory_limit = "512MB"

# Витрины ещё и в PostgreSQL / the marts in PostgreSQL too; the passwords are secrets:
# [postgres] password = "..." and reader_password = "..." in secrets.toml.
# serving = "postgres"
# postgres_url = "postgresql://voronka@db.example.com:5432/company"
# postgres_tls = "prefer"      # "disable", "prefer", "require", "verify-full"

# [source.amocrm.main]
# url = "https://example.amocrm.ru"

# [source.yandex_direct.main]
# client_login = "your-login"

# [source.vk_ads.main]
# includes_vat = false

# [source.yandex_metrica.main]
# counter_id = 12345678
"""


def write_templates_of(home: Home) -> list[tuple[Path, bool]]:
    """Write settings and templates where they are missing; nothing is overwritten.

    Args:
        home: The home folder.

    Returns:
        Each file and whether it was written now.
    """
    from ingest.sources.company import write_templates

    is_new = not home.config_file.exists()
    if is_new:
        home.config_file.write_text(_SETTINGS, encoding="utf-8")
    home.company_dir.mkdir(parents=True, exist_ok=True)
    new_tables = write_templates(home.company_dir)
    return [
        (home.config_file, is_new),
        *((path, path in new_tables) for path in sorted(home.company_dir.iterdir())),
    ]
