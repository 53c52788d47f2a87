import http.server
import threading
import time
from contextlib import contextmanager

import pytest
import requests

from orchestration.lib.metabase import client as client_module
from orchestration.lib.metabase.client import Credentials, MetabaseClient
from orchestration.lib.metabase.errors import (
    MetabaseAuthenticationError,
    MetabaseConflictError,
    MetabaseError,
    MetabaseNotFoundError,
    MetabaseQueryError,
    MetabaseRefusedError,
    MetabaseServerError,
    MetabaseUncertainError,
    MetabaseUnreachableError,
    redacted,
    shown,
)

KEY = "mb_verysecretkeyofthistest="
JSON = {"Content-Type": "application/json"}


class Script:
    """Answers of a server, one per request; the last one repeats."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.seen = []

    def next(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def server(*answers):
    script = Script(*answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.seen.append((self.command, self.path, dict(self.headers)))
            status, headers, body = script.next()
            if status == "cut":
                self.connection.close()
                return
            if status == "wait":
                time.sleep(float(body))
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *arguments):
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    try:
        script.url = f"http://127.0.0.1:{listening.server_port}"
        yield script
    finally:
        listening.shutdown()
        listening.server_close()


def a_client(url, **options):
    pauses = []
    made = MetabaseClient(url, Credentials(api_key=KEY), sleep=pauses.append, **options)
    made.pauses = pauses
    return made


CUT = ("cut", {}, "")
FINE = (200, JSON, '{"id": 7}')
STARTING = (503, {"Content-Type": "text/html"}, "<html>starting</html>")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, '{"errors": {"name": "value must be a non-blank string."}}', MetabaseRefusedError,
         "name: value must be a non-blank string."),
        (401, "Unauthenticated", MetabaseAuthenticationError, "METABASE__API_KEY"),
        (403, "You don't have permissions to do that.", MetabaseAuthenticationError, "HTTP 403"),
        (404, '"Not found."', MetabaseNotFoundError, "Not found."),
        (409, "stale", MetabaseConflictError, "HTTP 409"),
        (500, '{"message": "boom"}', MetabaseServerError, "boom"),
    ],
)  # fmt: skip
def test_anything_but_success_is_an_error_with_the_reason(status, body, kind, words):
    with server((status, {}, body)) as script, pytest.raises(kind) as caught:
        a_client(script.url).get("/api/card/7")
    assert words in str(caught.value)
    assert len(script.seen) == 1


def test_accepted_query_that_failed_is_a_failure():
    body = '{"status": "failed", "error": "Catalog Error: no such table"}'
    with (
        server((202, JSON, body)) as script,
        pytest.raises(MetabaseQueryError, match="no such table"),
    ):
        a_client(script.url).post("/api/card/7/query", {"parameters": []}, reads=True)


def test_creation_is_sent_once_when_the_answer_is_lost():
    with server(CUT, FINE) as script:
        with pytest.raises(MetabaseUncertainError, match="looks before it makes"):
            a_client(script.url).post("/api/card", {"name": "a"})
        assert len(script.seen) == 1


def test_creation_is_sent_once_when_a_proxy_gives_up():
    with server((504, {}, "gateway"), FINE) as script:
        with pytest.raises(MetabaseUncertainError):
            a_client(script.url).post("/api/card", {"name": "a"})
        assert len(script.seen) == 1


def test_creation_is_sent_again_when_it_was_refused_for_haste():
    with server((429, {"Retry-After": "2"}, "slow down"), FINE) as script:
        client = a_client(script.url)
        assert client.post("/api/card", {"name": "a"}) == {"id": 7}
        assert client.pauses == [2.0]


@pytest.mark.parametrize("verb", ["get", "put", "reading post"])
def test_reading_and_replacing_are_sent_again(verb):
    with server(CUT, STARTING, FINE) as script:
        client = a_client(script.url)
        answer = {
            "get": lambda: client.get("/api/card/7"),
            "put": lambda: client.put("/api/card/7", {}),
            "reading post": lambda: client.post("/api/card/7/query", {}, reads=True),
        }[verb]()
        assert answer == {"id": 7}
        assert client.request_count == len(script.seen) == 3


def test_server_that_never_answers_ends_in_time_and_in_words():
    with server(("wait", {}, "0.5")) as script:
        started = time.monotonic()
        with pytest.raises(MetabaseUnreachableError, match="did not answer GET /api/card/7"):
            a_client(script.url, timeout=(1.0, 0.05)).get("/api/card/7")
        assert time.monotonic() - started < 2


def test_creation_without_an_answer_in_time_is_uncertain():
    with server(("wait", {}, "0.3")) as script, pytest.raises(MetabaseUncertainError):
        a_client(script.url, timeout=(1.0, 0.05)).post("/api/card", {})


def test_nobody_listening_is_told_with_the_setting_to_check():
    with pytest.raises(MetabaseUnreachableError, match="VORONKA_METABASE_URL"):
        a_client("http://127.0.0.1:9").post("/api/card", {})


def test_redirect_is_not_followed_with_the_key():
    with server((302, {"Location": "https://elsewhere.test/login"}, "")) as script:
        with pytest.raises(MetabaseServerError, match=r"elsewhere\.test"):
            a_client(script.url).get("/api/card/7")
        assert len(script.seen) == 1


def test_page_of_somebody_else_is_no_answer():
    page = (200, {"Content-Type": "text/html"}, "<html>sign in</html>")
    with server(page) as script, pytest.raises(MetabaseServerError, match="sign-in page"):
        a_client(script.url).get("/api/card/7")


def test_every_request_has_both_time_outs_and_no_second_request(monkeypatch):
    calls = []
    real = requests.sessions.Session.send

    def send(self, request, **options):
        calls.append((request.method, options.get("timeout"), request.headers.get("X-API-Key")))
        return real(self, request, **options)

    monkeypatch.setattr(requests.sessions.Session, "send", send)
    with server(FINE) as script:
        client = a_client(script.url)
        client.get("/api/a")
        client.post("/api/b", {})
        client.put("/api/c", {})
        client.delete("/api/d")
    expected = (client_module.CONNECT_SECONDS, client_module.READ_SECONDS)
    assert calls == [(verb, expected, KEY) for verb in ("GET", "POST", "PUT", "DELETE")]


def test_password_file_of_the_user_is_not_sent_along(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password of-another\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with server(FINE) as script:
        a_client(script.url).get("/api/a")
    assert "Authorization" not in script.seen[0][2]


def test_proxy_of_the_environment_never_sees_the_key_of_this_machines_metabase(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with server(FINE) as proxy, server(FINE) as script:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        a_client(script.url).get("/api/a")
        assert (len(script.seen), proxy.seen) == (1, [])
        a_client("http://metabase.test:3000").get("/api/a")
        assert len(proxy.seen) == 1


def test_key_is_in_no_error_and_no_repr():
    quoting = (400, {}, f"the key {KEY} and mb_anotherkeyofsomebody= do not fit")
    with server(quoting) as script, pytest.raises(MetabaseError) as caught:
        a_client(script.url).post("/api/card", {})
    said = (
        f"{caught.value} {caught.value!r} {caught.value.__context__} {Credentials(api_key=KEY)!r}"
    )
    assert KEY not in said
    assert "mb_anotherkey" not in said
    assert "the key *** and mb_***" in said


def test_key_that_no_header_carries_is_not_quoted():
    client = MetabaseClient("http://127.0.0.1:9", Credentials(api_key=f"{KEY}\nX: y"))
    with pytest.raises(MetabaseAuthenticationError) as caught:
        client.get("/api/card")
    assert KEY not in str(caught.value)


def test_text_of_an_instance_cannot_disturb_a_terminal():
    hostile = "a\x1b[2Jb\nc\u202ed" + "x" * 1000
    line = shown(hostile, 50)
    assert line.isprintable()
    assert "\x1b" not in line
    assert len(line) < 80
    assert redacted("session abc", ("abc", "")) == "session ***"
