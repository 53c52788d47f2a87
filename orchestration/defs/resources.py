"""The resource that makes a Dagster run a refresh: the lock, the environment, the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource, InitResourceContext
from pydantic import PrivateAttr

from orchestration.lib.session import Session, refresh_session


class RefreshRun(ConfigurableResource[Any]):
    """Holds the home's lock from the first step of a run to its last.

    The executor is in-process, so Dagster opens the resource once per run. A run started in the UI
    while another one works fails here, with the name of the holder.
    """

    _session: Session | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["RefreshRun"]:
        """Open the session of this run."""
        run_id = context.run_id or "no-run"
        with refresh_session(run_id, context.instance) as session:
            self._session = session
            try:
                yield self
            finally:
                self._session = None

    @property
    def session(self) -> Session:
        """Return the open session."""
        if self._session is None:
            raise RuntimeError("the refresh session is open only during a run")
        return self._session
