"""What we remember of an instance: ids of what is ours, and how it looked when we left it.

The file is written after every request that made or changed something, whole or not at all, so a
killed apply leaves it at most one request behind; what that request made is found by its marker.

An id counts only together with the `entity_id` Metabase gave the object: an instance that was set
up anew hands out the same small numbers to other people's objects.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from orchestration.lib.metabase.errors import MetabaseStateError

_FORMAT = 1


@dataclass
class Remembered:
    """One object of ours.

    Attributes:
        id: Metabase's number.
        entity_id: Metabase's name for it, never reused.
        sent: Digest per key of what we last sent.
        seen: Digest per key of what Metabase then answered; where it differs from `sent`, Metabase
            rewrote the value, and sending it again would change nothing.
        parts: Ids of tabs and dashcards by our keys.
    """

    id: int
    entity_id: str | None = None
    sent: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class MetabaseState:
    """The memory of one instance.

    Attributes:
        url: The instance it belongs to.
        objects: Remembered objects by "kind:key", such as "card:owner/came".
        schema_hash: Columns of the published file at the last finished sync.
        served_file: The file the database points at, as we last set it.
    """

    path: Path
    url: str
    objects: dict[str, Remembered] = field(default_factory=dict)
    schema_hash: str | None = None
    served_file: str | None = None

    @classmethod
    def load(cls, path: Path, url: str) -> MetabaseState:
        """Return the memory of the instance at `url`, empty when there is none.

        Raises:
            MetabaseStateError: The file is there and cannot be read.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["format"] != _FORMAT:
                raise ValueError(f"format {stored['format']}")
            if stored["url"] != url:
                # Ids of another instance mean other objects here.
                return cls(path, url)
            return cls(
                path,
                url,
                {name: Remembered(**one) for name, one in stored["objects"].items()},
                stored["schema_hash"],
                stored["served_file"],
            )
        except FileNotFoundError:
            return cls(path, url)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MetabaseStateError(
                f"{path} cannot be read ({type(error).__name__}); move it away and apply again: "
                "objects are then found by the marker in their description."
            ) from None

    def save(self) -> None:
        """Write the file, whole or not at all."""
        content = {
            "format": _FORMAT,
            "url": self.url,
            "schema_hash": self.schema_hash,
            "served_file": self.served_file,
            "objects": {name: vars(one) for name, one in sorted(self.objects.items())},
        }
        # Written after every request: json's indented writer took half of an apply's own time.
        text = orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()
        write_atomically(self.path, text, 0o644)

    def remembered(self, kind: str, key: str) -> Remembered | None:
        """Return what is remembered of an object."""
        return self.objects.get(f"{kind}:{key}")

    def keys(self, kind: str) -> list[str]:
        """Return the keys remembered of a kind."""
        prefix = f"{kind}:"
        return [name.removeprefix(prefix) for name in self.objects if name.startswith(prefix)]

    def remember(
        self,
        kind: str,
        key: str,
        answer: Mapping[str, Any],
        sent: Mapping[str, Any],
        seen: Mapping[str, Any],
        *,
        is_saved: bool = True,
    ) -> Remembered:
        """Keep an object's id and how it looked after our request, and save.

        Args:
            kind: "card", "dashboard", "collection", ...
            key: Our key.
            answer: The object as Metabase answered it.
            sent: What we wanted, by key; values are compared by digest.
            seen: What Metabase made of it.
            is_saved: Whether to write the file now; the caller does it otherwise.
        """
        known = self.remembered(kind, key)
        number = int(answer["id"])
        if known is None or known.id != number:
            known = Remembered(number)
            self.objects[f"{kind}:{key}"] = known
        known.entity_id = answer.get("entity_id") or known.entity_id
        known.sent.update(digests(sent))
        known.seen.update(digests(seen))
        if is_saved:
            self.save()
        return known

    def forget(self, kind: str, key: str) -> None:
        """Drop an object from memory and save."""
        self.objects.pop(f"{kind}:{key}", None)
        self.save()


def digests(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a short digest of each value."""
    return {name: digest(value) for name, value in values.items()}


def digest(value: Any) -> str:
    """Return a short digest of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def schema_hash(columns: Iterable[tuple[str, str, str]]) -> str:
    """Return a digest of the published tables' columns: (table, column, type)."""
    return digest(sorted(columns))


def write_atomically(path: Path, text: str, mode: int) -> None:
    """Write a file beside its place and move it there; readers see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
