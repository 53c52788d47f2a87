"""Errors of Metabase; each message is for a person and holds no token."""

from __future__ import annotations

import re
import unicodedata

from orchestration.lib.errors import OrchestrationError

_SHOWN_CHARACTERS = 400


class MetabaseError(OrchestrationError):
    """Metabase could not be read or changed."""


class MetabaseUnreachableError(MetabaseError):
    """No answer came, and nothing was changed by the request."""


class MetabaseUncertainError(MetabaseError):
    """The request left, no answer came: it may have been carried out."""


class MetabaseAuthenticationError(MetabaseError):
    """Metabase refuses the key or the session, or their owner lacks the right."""


class MetabaseNotFoundError(MetabaseError):
    """The object or the route is not there."""


class MetabaseRefusedError(MetabaseError):
    """Metabase understood the request and does not carry it out."""


class MetabaseConflictError(MetabaseRefusedError):
    """The graph was changed by somebody since it was read."""


class MetabaseServerError(MetabaseError):
    """Metabase failed itself, or answered something that is no answer of Metabase."""


class MetabaseQueryError(MetabaseError):
    """A query was accepted and failed; Metabase answers 202 to it all the same."""


class MetabaseAmbiguousError(MetabaseError):
    """Two objects claim to be the same one of ours."""


class MetabaseForeignError(MetabaseError):
    """What stands under our name belongs to somebody else."""


class MetabaseStateError(MetabaseError):
    """The file of remembered ids cannot be read."""


class MetabaseSyncError(MetabaseError):
    """Metabase did not see the tables of the published file in time."""


class MetabaseCardsError(MetabaseError):
    """Cards fail on the published file, or return other than they must."""


def shown(value: object, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return text of an instance as one line that cannot disturb a terminal.

    Names and messages come from whoever may write into Metabase: control characters, line breaks
    and marks that turn the direction of text are written out.

    Args:
        value: What to show.
        limit: Characters after which it is cut.
    """
    text = str(value)
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    return "".join(_visible(character) for character in cut)


def _visible(character: str) -> str:
    if character in "\n\t":
        return " "
    # C* are control, format (direction marks), surrogate and unassigned characters; Zl, Zp lines.
    if unicodedata.category(character)[0] == "C" or character in "\u2028\u2029":
        return f"\\u{ord(character):04x}"
    return character


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` without secrets, whoever put them there."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    # A key of another configuration, quoted back by a proxy or by Metabase itself.
    return re.sub(r"\bmb_[A-Za-z0-9+/=]{8,}", "mb_***", text)
