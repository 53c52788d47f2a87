"""The one tree of errors that ingest raises; each message is one line for a person."""

from collections.abc import Sequence
from dataclasses import dataclass


class IngestError(Exception):
    """Base of every failure that ingest can name: what failed, for which account, what to do."""

    def __init__(self, what: str, *, account: str | None = None, action: str | None = None) -> None:
        """Keep the parts, so that a caller may print them apart.

        Args:
            what: What failed, without a full stop.
            account: Source and account label, such as `amocrm:main`.
            action: What the reader should do about it.
        """
        self.what = what
        self.account = account
        self.action = action
        line = f"{account}: {what}" if account else what
        super().__init__(f"{line}. {action}" if action else line)


class ConfigurationError(IngestError):
    """A setting is missing, unknown or does not parse."""


class AuthenticationError(IngestError):
    """The source refuses the credentials, or the rights of their owner."""


class RateLimitError(IngestError):
    """The source still refuses requests after slowing down and waiting."""


class UnreachableError(IngestError):
    """No answer came: name, connection, time-out, or the server's own failure."""


class SourceContractError(IngestError):
    """The source answered something that its documentation does not allow."""


class StorageError(IngestError):
    """The home folder or the warehouse could not be read or written."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a given file, exactly where it stands."""

    reason: str
    file: str
    line: int | None = None
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        if self.column is not None:
            place = f"{place} [{self.column}]"
        shown = "" if self.value is None else f" (value {self.value!r})"
        return f"{place}: {self.reason}{shown}"


class InputDataError(IngestError):
    """Files given by the company break their documented layout; nothing of them was loaded."""

    def __init__(
        self,
        what: str,
        *,
        findings: Sequence[Finding] = (),
        account: str | None = None,
        action: str | None = None,
    ) -> None:
        """Keep the findings and print each on a line of its own.

        Args:
            what: What failed, without a full stop.
            findings: Places and reasons, the first five of a kind.
            account: Source and account label.
            action: What the reader should do about it.
        """
        super().__init__(what, account=account, action=action)
        self.findings = tuple(findings)

    def __str__(self) -> str:
        head = super().__str__()
        return "\n".join([head, *(f"  {finding}" for finding in self.findings)])
