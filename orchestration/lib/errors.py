"""Errors of orchestration; each message is one line: what failed and what to do."""

from __future__ import annotations


class OrchestrationError(Exception):
    """A refresh, a publish or a command could not do its work."""


class LockHeldError(OrchestrationError):
    """Another process refreshes this home."""


class DiskSpaceError(OrchestrationError):
    """Too little free disk for the next build."""


class DbtProjectError(OrchestrationError):
    """The dbt project cannot be parsed or dbt itself did not start."""


class DbtBuildError(OrchestrationError):
    """A model could not be built or a data test of severity error returned rows."""


class PublishError(OrchestrationError):
    """The built file did not pass the audit; yesterday's file keeps serving."""


class NothingPublishedError(OrchestrationError):
    """There is no published file yet to make a page or a dashboard of."""


class RollbackError(OrchestrationError):
    """There is no earlier published file to point back to."""


class OtherVersionError(OrchestrationError):
    """A build was made by another version of the product, which the dashboards do not fit."""


class PostgresError(OrchestrationError):
    """PostgreSQL cannot be reached or refuses; it goes on showing the build it has."""


class PostgresStorageError(PostgresError):
    """The disk of the PostgreSQL server is full."""


class HomeError(OrchestrationError):
    """The home folder mixes what must not be mixed."""


class BenchmarkError(OrchestrationError):
    """The benchmark could not be run or a query of it failed."""
