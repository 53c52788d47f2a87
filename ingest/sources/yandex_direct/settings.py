"""Settings of Yandex Direct: `[source.yandex_direct.<label>]` or VORONKA_YANDEX_DIRECT_<NAME>."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class YandexDirectSettings(BaseModel):
    """One advertiser of Yandex Direct."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(default="https://api.direct.yandex.com", description="scheme and host")
    client_login: str | None = Field(
        default=None,
        description="the advertiser's login; required where the token is an agency's",
    )
    include_vat: Literal["YES", "NO"] = Field(
        default="NO", description="whether Cost is asked for with VAT; stored beside the money"
    )
    currency_code: str | None = Field(
        default=None,
        pattern="^[A-Z]{3}$",
        description="currency of the account; default: what its campaigns say",
    )
    reread_days: int = Field(
        default=3, ge=1, le=90, description="days before today that are read again each time"
    )
    start_date: dt.date | None = Field(
        default=None, description="first day of the first load; default: as far as Direct goes back"
    )
    requests_per_second: float = Field(
        default=2.0, gt=0, description="pace of one advertiser; Direct allows 20 requests in 10 s"
    )
    report_wait_seconds: float = Field(
        default=3600.0, gt=0, description="how long one report may be in the making"
    )
