"""Settings of Yandex Metrica: `[source.yandex_metrica.<label>]`, VORONKA_YANDEX_METRICA_<NAME>."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class YandexMetricaSettings(BaseModel):
    """The counters that one token reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(default="https://api-metrika.yandex.net", description="scheme and host")
    counter_id: tuple[str, ...] = Field(
        default=(), description="number of the counter, or several: a list, or with commas"
    )
    start_date: dt.date | None = Field(
        default=None, description="first day of the first load; default: three years back"
    )
    reread_days: int = Field(
        default=3,
        ge=3,
        le=90,
        description="closed days that are read again each time; a visit is complete after three",
    )
    days_per_request: int = Field(
        default=31, ge=1, le=365, description="days of one log at most; Metrica allows a year"
    )
    requests_per_second: float = Field(
        default=10.0, gt=0, description="pace; Metrica allows 10 a second from one address"
    )
    requests_per_five_minutes: int = Field(
        default=200, ge=1, description="what Metrica allows one user in five minutes"
    )
    log_wait_seconds: float = Field(
        default=7200.0, gt=0, description="how long one log may be in the making"
    )
    poll_seconds: float = Field(
        default=1.0, gt=0, le=60, description="first pause between two looks at a log"
    )

    @field_validator("counter_id", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list | tuple):
            return value
        listed = tuple(str(item).strip() for item in value if str(item).strip())
        wrong = [item for item in listed if not (item.isascii() and item.isdigit())]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not the number of a counter")
        return tuple(dict.fromkeys(listed))
