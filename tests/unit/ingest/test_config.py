"""Settings: where each value comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.config import (
    SourceRef,
    dlt_configured,
    load_settings,
    read_secret,
    require_secret,
)
from ingest.errors import ConfigurationError
from ingest.sources.amocrm.settings import AmocrmSettings

FILE = """
sources = ["amocrm", "amocrm:second"]
files = ["exports"]
currency = "RUB"

[source.amocrm.main]
url = "https://one.amocrm.ru"

[source.amocrm.second]
url = "https://two.amocrm.ru/"
window_days = 7
"""


def write(home: Path, text: str) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    (home / "voronka.toml").write_text(text, encoding="utf-8")
    return {"VORONKA_HOME": str(home)}


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load_settings({"VORONKA_HOME": str(tmp_path / "absent")})
    assert settings.sources == ()
    assert [str(ref) for ref in settings.enabled_sources] == ["company"]
    assert (settings.locale, settings.personal_data, settings.sales_rep_names) == (
        "ru",
        "hash",
        "drop",
    )


@pytest.mark.parametrize("character", ["'", "%", "#", "?", "{", "}", "\n"])
def test_a_home_whose_path_no_tool_reads_is_refused_with_the_character(
    tmp_path: Path, character: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"VORONKA_HOME": str(tmp_path / f"my{character}company" / "home")})
    text = str(caught.value)
    assert f"has {character!r} in it" in text
    assert "Set VORONKA_HOME" in text
    assert "\n" not in text


def test_a_home_with_blanks_dots_and_letters_of_any_alphabet_is_taken(tmp_path: Path) -> None:
    home = tmp_path / "Моя фирма, №1 (2026).home"
    assert load_settings({"VORONKA_HOME": str(home)}).home.root == home


def test_the_environment_wins_over_the_file_and_says_so(tmp_path: Path) -> None:
    environment = write(tmp_path, FILE)
    more = {
        "VORONKA_CURRENCY": "KZT",
        "VORONKA_AMOCRM_WINDOW_DAYS": "3",
        "VORONKA_FILES": f"/a:{tmp_path}",
    }
    settings = load_settings({**environment, **more})
    assert settings.currency == "KZT"
    assert settings.files == (Path("/a"), tmp_path)
    assert settings.options_of(SourceRef("amocrm"), AmocrmSettings).window_days == 3
    second = settings.options_of(SourceRef("amocrm", "second"), AmocrmSettings)
    assert (second.url, second.window_days) == ("https://two.amocrm.ru", 7)
    origins = {value.name: (value.value, value.origin) for value in settings.explain()}
    assert origins["currency"] == ("KZT", "environment VORONKA_CURRENCY")
    assert origins["locale"] == ("ru", "default")
    assert origins["source.amocrm.second.window_days"] == ("7", "voronka.toml")
    assert origins["source.amocrm.main.window_days"] == (
        "3",
        "environment VORONKA_AMOCRM_WINDOW_DAYS",
    )


def test_folders_in_the_file_are_relative_to_the_home(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, FILE)).files == (tmp_path / "exports",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("curency = 'RUB'", "curency"),
        ("[source.amocrm.main]\nurll = 'x'", "urll"),
        ("[source.amo.main]\nurl = 'x'", "amo"),
        ("[source.amocrm]\nurl = 'x'", "main"),
        ("sources = ['bitrix']", "bitrix"),
        ("currency = 'rubles'", "rubles"),
        ("timezone = 'Moscow'", "Europe/Moscow"),
        ("locale = 'de'", "locale"),
        ("sources = 'demo', 'x'", "TOML"),
        ("sources = ['demo', 'amocrm']", "demo"),
        ("[source.amocrm.main]\nevents_overlap_seconds = 60", "events_overlap_seconds"),
        ("[source.amocrm.main]\nurl = 'http://company.amocrm.ru'", "https"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_settings(write(tmp_path, text))
    assert "\n" not in str(caught.value).strip() or "TOML" in str(caught.value)


def test_an_unknown_source_option_in_the_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="VORONKA_AMOCRM_ULR"):
        load_settings({"VORONKA_HOME": str(tmp_path), "VORONKA_AMOCRM_ULR": "x"})


@pytest.mark.parametrize("name", ["VORONKA_CURENCY", "VORONKA_AMOCRMURL", "VORONKA_SOURCE_OPTIONS"])
def test_an_unknown_setting_in_the_environment_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        load_settings({"VORONKA_HOME": str(tmp_path), name: "USD"})
    assert "VORONKA_CURRENCY" in str(caught.value)


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    others = ("TRACEBACK", "MEMORY_LIMIT", "DAGSTER_DIR", "SERVE_FOLDER")
    settings = load_settings(
        {"VORONKA_HOME": str(tmp_path), **{f"VORONKA_{name}": "1" for name in others}}
    )
    assert settings.home.root == tmp_path


def test_times_become_naive_utc(tmp_path: Path) -> None:
    settings = load_settings(
        {"VORONKA_HOME": str(tmp_path), "VORONKA_KNOWN_AS_OF_AT": "2026-01-01T03:00:00+03:00"}
    )
    assert str(settings.known_as_of_at) == "2026-01-01 00:00:00"


def test_secrets_come_from_environment_then_home_and_are_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(write(tmp_path, FILE))
    (tmp_path / "secrets.toml").write_text(
        "[sources.amocrm]\ntoken = 'of-the-file'\n[sources.amocrm.second]\ntoken = '007'\n"
    )
    main, second = SourceRef("amocrm"), SourceRef("amocrm", "second")
    assert read_secret(settings.home, main, "token") == "of-the-file"
    assert read_secret(settings.home, second, "token") == "007"
    monkeypatch.setenv("SOURCES__AMOCRM__TOKEN", "of-the-environment")
    assert read_secret(settings.home, main, "token") == "of-the-environment"
    shown = {value.name: (value.value, value.origin) for value in settings.explain()}
    assert shown["source.amocrm.main.token"] == ("***", "environment SOURCES__AMOCRM__TOKEN")
    assert "of-the" not in str(list(shown.values()))


def test_a_missing_secret_says_what_to_set(tmp_path: Path) -> None:
    settings = load_settings({"VORONKA_HOME": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="SOURCES__YANDEX_DIRECT__TOKEN"):
        require_secret(settings.home, SourceRef("yandex_direct"), "token")


def test_blanks_around_a_secret_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"VORONKA_HOME": str(tmp_path)})
    direct = SourceRef("yandex_direct")
    monkeypatch.setenv("SOURCES__YANDEX_DIRECT__TOKEN", " abc\n")
    assert require_secret(settings.home, direct, "token") == "abc"
    monkeypatch.setenv("SOURCES__YANDEX_DIRECT__TOKEN", " \t")
    with pytest.raises(ConfigurationError, match="the secret token is missing"):
        require_secret(settings.home, direct, "token")


@pytest.mark.parametrize("pasted", ["abc\ndef", "abc def", "“abc”", "токен-абв"])
def test_a_badly_pasted_secret_is_named_and_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pasted: str
) -> None:
    settings = load_settings({"VORONKA_HOME": str(tmp_path), "VORONKA_SOURCES": "yandex_direct"})
    monkeypatch.setenv("SOURCES__YANDEX_DIRECT__TOKEN", pasted)
    with pytest.raises(ConfigurationError, match="the secret token") as caught:
        require_secret(settings.home, SourceRef("yandex_direct"), "token")
    told = str(caught.value)
    assert "environment SOURCES__YANDEX_DIRECT__TOKEN" in told
    assert not any(part in told for part in ("abc", "def", "абв", "\n"))
    # What shows the settings still works.
    assert any(value.name.endswith("token") for value in settings.explain())


def test_a_broken_secrets_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    settings = load_settings({"VORONKA_HOME": str(tmp_path)})
    (tmp_path / "secrets.toml").write_text("token = secret-value-without-quotes")
    with pytest.raises(ConfigurationError, match="TOML") as caught:
        read_secret(settings.home, SourceRef("amocrm"), "token")
    assert "secret-value" not in str(caught.value)


def test_dlt_never_reads_the_users_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dlt
    from dlt.common.runtime import anon_tracker

    own = tmp_path / "user" / ".dlt"
    own.mkdir(parents=True)
    (own / "secrets.toml").write_text("[sources.amocrm]\ntoken = 'of-another-company'")
    monkeypatch.setenv("HOME", str(own.parent))
    monkeypatch.chdir(own.parent)
    settings = load_settings({"VORONKA_HOME": str(tmp_path / "home")})
    assert read_secret(settings.home, SourceRef("amocrm"), "token") is None
    with dlt_configured(settings.home):
        assert dlt.secrets.get("sources.amocrm.token") is None
        assert dlt.config["runtime.dlthub_telemetry"] is False
        assert dlt.config["normalize.parquet_normalizer.add_dlt_load_id"] is True
        assert anon_tracker._ANON_TRACKER_ENDPOINT is None
