"""Applies that die at a request, and the next apply: the machine behind the crash tests.

One undisturbed apply is watched. At each request that can change something, twice (before it is
carried out, and after, when nobody has been told), the instance and the home's memory are kept as
they are: that is what a process killed there leaves behind. Then an apply starts from each.
"""

from __future__ import annotations

import contextlib
import http.client
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from tests.metabase.fake import Asked, FakeMetabase
from tests.metabase.fake.web import Call, query_of

DIRECT_URL = "http://metabase.test"


@contextlib.contextmanager
def direct(fake: FakeMetabase) -> Iterator[FakeMetabase]:
    """Let the client's requests reach a fake without sockets: five times cheaper.

    What the client does is the same down to the library that would open the connection.
    """

    def send(_adapter: object, request: requests.PreparedRequest, **_: object) -> requests.Response:
        parts = urlsplit(str(request.url))
        assert f"{parts.scheme}://{parts.netloc}" == DIRECT_URL, request.url
        body = request.body or b""
        call = Call(
            method=str(request.method),
            path=parts.path.rstrip("/") or "/",
            query=query_of(parts.query),
            headers={name.lower(): value for name, value in request.headers.items()},
        )
        answer = fake.handle(call, body if isinstance(body, bytes) else body.encode())
        if answer is None:
            raise requests.exceptions.ConnectionError(
                http.client.RemoteDisconnected("Remote end closed connection without response")
            )
        content, content_type = answer.encoded()
        response = requests.Response()
        response.status_code = answer.status
        response._content = content
        response.headers = CaseInsensitiveDict({"content-type": content_type, **answer.headers})
        response.url, response.request, response.encoding = str(request.url), request, "utf-8"
        return response

    fake.url = DIRECT_URL
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.adapters.HTTPAdapter, "send", send)
        # Half of the library's time goes into looking for proxies.
        patch.setattr("requests.sessions.get_environ_proxies", lambda *_, **__: {})
        patch.setattr("requests.sessions.resolve_proxies", lambda *_, **__: {})
        # A killed process loses nothing that it wrote; only a lost machine does.
        patch.setattr("os.fsync", lambda _: None)
        yield fake
    fake.close()


@dataclass(frozen=True)
class Death:
    """What a process killed at a request leaves behind."""

    number: int
    when: str
    asked: Asked
    instance: bytes
    files: dict[Path, bytes]

    @property
    def name(self) -> str:
        """Return where it was."""
        return f"{self.when} {self.number}: {self.asked.method} {self.asked.path}"


class Crashes:
    """Deaths at every request of an apply, and lives after them.

    Attributes:
        fake: The instance; reached directly.
        memory: Files and folders in which the product remembers the instance.
        apply: Runs one apply, as a fresh process would.
        is_settled: Whether a plan made now is empty.
    """

    def __init__(
        self,
        fake: FakeMetabase,
        memory: list[Path],
        apply: Callable[[], object],
        is_settled: Callable[[], bool],
    ) -> None:
        self.fake = fake
        self.deaths: list[Death] = []
        self._memory = memory
        self._apply = apply
        self._is_settled = is_settled
        self._wanted: dict[str, Any] = {}

    def watch(self) -> None:
        """Run the undisturbed apply from the state of now, and keep every death on its way."""
        numbers = iter(range(1, 1_000_000))
        number = 0

        def keep(when: str, asked: Asked) -> None:
            nonlocal number
            if when == "before":
                number = next(numbers)
            with self.fake.lock:
                instance = pickle.dumps(self.fake.state, protocol=pickle.HIGHEST_PROTOCOL)
            self.deaths.append(Death(number, when, asked, instance, self._files()))

        self.fake.watch = keep
        try:
            self._apply()
        finally:
            self.fake.watch = None
        self._wanted = self.fake.dump()

    def life_after(self, death: Death, *, is_memory_lost: bool = False) -> list[str]:
        """Apply again after a death and return what is wrong then.

        Args:
            death: Where the first apply died.
            is_memory_lost: The home's memory is gone as well: markers alone find what is there.
        """
        self.fake.reset()
        with self.fake.lock:
            self.fake.state = pickle.loads(death.instance)
        for path in self._memory_files():
            path.unlink()
        for path, content in {} if is_memory_lost else death.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        wrong = []
        try:
            self._apply()
            wrong += differences(self._wanted, self.fake.dump())
            if not self._is_settled():
                wrong.append("the next plan is not empty")
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
        wrong += self.fake.end_findings()
        return [f"{death.name}: {one}" for one in wrong]

    def _memory_files(self) -> list[Path]:
        found = []
        for place in self._memory:
            if place.is_dir():
                found += [path for path in place.rglob("*") if path.is_file()]
            elif place.exists():
                found.append(place)
        return found

    def _files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self._memory_files()}


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Return where two dumps differ, as lines a person can read."""
    if wanted == found:
        return []
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            line
            for key in sorted({*wanted, *found}, key=str)
            for line in differences(wanted.get(key), found.get(key), f"{path}/{key}")
        ]
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) == len(found):
            pairs = zip(wanted, found, strict=True)
            return [
                line
                for index, (one, other) in enumerate(pairs)
                for line in differences(one, other, f"{path}/{index}")
            ]
        return [f"{path}: {len(wanted)} entries wanted, {len(found)} found: {_names(found)}"]
    return [f"{path}: {wanted!r} wanted, {found!r} found"]


def _names(some: list[Any]) -> list[Any]:
    return [one.get("name", one) if isinstance(one, dict) else one for one in some]
