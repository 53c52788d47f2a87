"""From a Dagster run's events to the lines a person reads: what failed and what to do."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterEvent

# Exit codes of every command; README and `voronka --help` list them.
EXIT_OK = 0
EXIT_FAILED = 1
EXIT_SETTINGS = 2
EXIT_SOURCE = 3
EXIT_TESTS = 4
EXIT_LOCKED = 5
EXIT_STORAGE = 6
EXIT_INTERRUPTED = 130

EXIT_CODES: Mapping[str, int] = {
    "ConfigurationError": EXIT_SETTINGS,
    "InputDataError": EXIT_SETTINGS,
    "HomeError": EXIT_SETTINGS,
    "AuthenticationError": EXIT_SOURCE,
    "RateLimitError": EXIT_SOURCE,
    "UnreachableError": EXIT_SOURCE,
    "SourceContractError": EXIT_SOURCE,
    "DbtBuildError": EXIT_TESTS,
    "DbtProjectError": EXIT_TESTS,
    "PublishError": EXIT_TESTS,
    "PostgresError": EXIT_SOURCE,
    "PostgresStorageError": EXIT_STORAGE,
    "LockHeldError": EXIT_LOCKED,
    "StorageError": EXIT_STORAGE,
    "DiskSpaceError": EXIT_STORAGE,
    "MetabaseUnreachableError": EXIT_SOURCE,
    "MetabaseUncertainError": EXIT_SOURCE,
    "MetabaseAuthenticationError": EXIT_SOURCE,
    "MetabaseServerError": EXIT_SOURCE,
    "MetabaseCardsError": EXIT_TESTS,
    "MetabaseForeignError": EXIT_SETTINGS,
    "MetabaseAmbiguousError": EXIT_FAILED,
    "MetabaseNotFoundError": EXIT_FAILED,
    "MetabaseRefusedError": EXIT_FAILED,
    "MetabaseConflictError": EXIT_FAILED,
    "MetabaseQueryError": EXIT_FAILED,
    "MetabaseStateError": EXIT_FAILED,
    "MetabaseSyncError": EXIT_FAILED,
    "NothingPublishedError": EXIT_FAILED,
    "RollbackError": EXIT_FAILED,
    "OtherVersionError": EXIT_FAILED,
    # What Dagster makes of Ctrl+C.
    "DagsterExecutionInterruptedError": EXIT_INTERRUPTED,
    "BenchmarkError": EXIT_FAILED,
}

_FULL_DISK = re.compile(r"No space left on device|Disk quota exceeded|\bENOSPC\b", re.IGNORECASE)
_FULL_DISK_LINE = (
    "The disk is full: free some space and run `voronka refresh` again; "
    "nothing was published, yesterday's file keeps serving."
)


class Cause:
    """One reason a run failed."""

    def __init__(self, class_name: str, message: str) -> None:
        self.is_known = class_name in EXIT_CODES
        self.exit_code = EXIT_CODES.get(class_name, EXIT_FAILED)
        if _FULL_DISK.search(message):
            self.is_known, self.exit_code = True, EXIT_STORAGE
            self.text = _FULL_DISK_LINE
        elif self.is_known:
            self.text = message
        else:
            self.text = f"{class_name}: {in_one_line(message)}"

    @property
    def is_interrupt(self) -> bool:
        """Return whether a person stopped the run."""
        return self.exit_code == EXIT_INTERRUPTED

    @classmethod
    def of_interrupt(cls) -> "Cause":
        """Return the cause of a run that a person stopped before Dagster took over."""
        return cls("DagsterExecutionInterruptedError", "")

    @classmethod
    def of(cls, error: BaseException) -> "Cause":
        """Return the cause an exception is."""
        inner = error
        while type(inner).__name__ not in EXIT_CODES and inner.__cause__ is not None:
            inner = inner.__cause__
        if type(inner).__name__ not in EXIT_CODES:
            inner = error
        return cls(type(inner).__name__, str(inner))


def in_one_line(message: str) -> str:
    """Return the reason of a message of several lines.

    Args:
        message: What an exception says.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    # A first line that ends with a colon announces the reason, which stands below it.
    shown = lines if lines and lines[0].endswith(":") else lines[:1]
    return " ".join(shown)[:400] or "no message"


def causes_of(events: "Iterable[DagsterEvent]") -> list[Cause]:
    """Return the reasons in a run's events, in the order they happened, without repeats."""
    found: dict[str, Cause] = {}
    for event in events:
        error = None
        if event.is_step_failure:
            error = event.step_failure_data.error
        elif event.event_type_value in {"PIPELINE_INIT_FAILURE", "PIPELINE_FAILURE"}:
            error = getattr(event.event_specific_data, "error", None)
        if error is None:
            continue
        cause = _cause_of_info(error)
        found.setdefault(cause.text, cause)
    return list(found.values())


def _cause_of_info(error: Any) -> Cause:
    """Return the innermost known cause of Dagster's serialized error, else the innermost."""
    chain = [error]
    while chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    chosen = next((one for one in chain if one.cls_name in EXIT_CODES), chain[-1])
    class_name = chosen.cls_name or "Error"
    message = chosen.message.strip()
    # Dagster writes "package.module.ClassName: text".
    prefix = re.match(rf"[\w.]*{re.escape(class_name)}: ?", message)
    return Cause(class_name, message[prefix.end() :] if prefix else message)
