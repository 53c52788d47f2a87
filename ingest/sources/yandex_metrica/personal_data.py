"""Take phones and mail addresses out of the addresses of pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from ingest.privacy import Privacy

# Names of clicks: they tie a visit to a deal, and no phone has so many digits.
_CLICK_IDS = frozenset({"yclid", "ysclid", "ymclid", "gclid", "gbraid", "wbraid", "fbclid",
"rb_clickid"})  # fmt: skip
_MARKS = r"[\s().\-+\u00a0\u2010-\u2015]"
# Cheap first look, also at what is packed as %40 or %2520: most addresses hold neither.
_SUSPECT = re.compile(rf"@|%(?:25)*40|\d(?:\d|{_MARKS}|%(?:25)*[0-9A-Fa-f]{{2}}){{5,}}?\d")
_PARTS = re.compile(r"([&;?#])")
_PACKED_SPACE = re.compile(r"(?<=[\d)])\+(?=[\d(])")
_LAYERS = 3
_CACHED = 50_000


def url_masker(privacy: Privacy) -> Callable[[str], str]:
    """Return a function that replaces phones and mail addresses in a URL by their tokens.

    They stand in paths, in values, in addresses inside values; plain or packed, even twice. What
    holds none comes back as it was, sign by sign.

    Args:
        privacy: The key of this home, and whether anything is masked at all.
    """
    if privacy.keeps:
        return lambda url: url

    def mask_url(url: str) -> str:
        if _SUSPECT.search(url) is None:
            return url
        pieces = _PARTS.split(url)
        return "".join([mask_piece(piece) for piece in pieces])

    # Marks and pages come again and again, only the names of clicks do not.
    @lru_cache(_CACHED)
    def mask_piece(piece: str) -> str:
        if _SUSPECT.search(piece) is None:
            return piece
        name, equals, value = piece.partition("=")
        if not equals:
            return "/".join([mask_value(step, only_plain=False) for step in piece.split("/")])
        if name.lower() in _CLICK_IDS:
            return piece
        is_tag = name.lower().startswith("utm_")
        return f"{mask_value(name, only_plain=False)}={mask_value(value, only_plain=is_tag)}"

    def mask_value(value: str, *, only_plain: bool) -> str:
        text = value
        for _ in range(_LAYERS):
            # Between digits a "+" is a packed space, before them it begins the number.
            for candidate in (_PACKED_SPACE.sub(" ", text), text):
                masked = privacy.mask_text(candidate, only_plain=only_plain)
                if masked != candidate:
                    return quote(masked, safe=":/@ ").replace(" ", "+")
            unpacked = unquote(text)
            if unpacked == text:
                break
            text = unpacked
        return value

    return mask_url
