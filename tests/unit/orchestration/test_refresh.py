import pytest

from tests.unit.orchestration.test_cli import voronka

TOKEN = "secret-of-the-refresh"


@pytest.mark.e2e
def test_failed_refresh_names_every_cause_and_writes_no_secret_anywhere(tmp_path):
    home = tmp_path / "home"
    finished = voronka(
        home,
        "refresh",
        timeout=400,
        VORONKA_SOURCES="amocrm,yandex_direct",
        VORONKA_AMOCRM_URL="http://127.0.0.1:9",
        VORONKA_LOCALE="en",
        SOURCES__AMOCRM__TOKEN=TOKEN,
    )
    assert finished.returncode == 3
    first, *causes, served, log = finished.stderr.splitlines()
    assert first == "The refresh failed:"
    assert len(causes) == 2
    assert causes[0].startswith("amocrm: no connection at 127.0.0.1")
    assert causes[1].startswith("yandex_direct: the secret token is missing. Set SOURCES__")
    assert served == "Nothing is published yet."
    assert log.startswith("Details: ")
    assert not (home / "serve" / "voronka.duckdb").exists()
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in finished.stdout + finished.stderr
