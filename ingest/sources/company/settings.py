"""Settings of the company source: there are none, the tables themselves are the settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class CompanySettings(BaseModel):
    """The company's own tables need no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)
