"""Answers that no counter gives on a good day."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from ingest.demo.http import Reply

_NONE: Mapping[str, str] = MappingProxyType({})


def refusal(status: int, kind: str, text: str, headers: Mapping[str, str] = _NONE) -> Reply:
    """Return an error in the vendor's shape."""
    body = {"errors": [{"error_type": kind, "message": text}], "code": status, "message": text}
    return Reply(
        status, orjson.dumps(body), headers={n.replace("_", "-"): v for n, v in headers.items()}
    )


REFUSED = refusal(400, "invalid_parameter", "Something is wrong")
BACKEND_ERROR = refusal(503, "backend_error", "Backend error")
PAGE = Reply(502, b"<html><body>Bad gateway</body></html>", "text/html")
PROXY_PAGE = Reply(200, b"<html><body>Please log in</body></html>", "text/html")
