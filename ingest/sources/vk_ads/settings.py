"""Settings of VK Ads: `[source.vk_ads.<label>]` or VORONKA_VK_ADS_<NAME>."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# Without `fields` a list holds ids and little else.
LIST_FIELDS = {
    "ad_plans": (
        "id,name,status,created,updated,objective,autobidding_mode,budget_limit,budget_limit_day,"
        "date_start,date_end"
    ),
    "ad_groups": (
        "id,name,status,created,updated,last_updated,ad_plan_id,package_id,objective,"
        "autobidding_mode,budget_limit,budget_limit_day,date_start,date_end,delivery,price,"
        "max_price,enable_utm,utm"
    ),
    "banners": (
        "id,name,status,created,updated,ad_group_id,delivery,moderation_status,ord_marker,urls"
    ),
}
# What is left out here comes only to those who ask for it: without it deleted plans are missing.
LIST_STATUSES = "active,blocked,deleted"


class VkAdsSettings(BaseModel):
    """One advertiser of VK Ads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(default="https://ads.vk.com", description="scheme and host")
    account_name: str | None = Field(
        default=None, description="name of the account in all keys; default: the label"
    )
    agency_client_name: str | None = Field(
        default=None, description="login of the advertiser, where the API client is an agency's"
    )
    agency_client_id: str | None = Field(
        default=None, description="the same by number; one of the two is enough"
    )
    includes_vat: bool = Field(
        default=False, description="whether `spent` holds VAT; compare with an invoice"
    )
    currency_code: str = Field(
        default="RUB", pattern="^[A-Z]{3}$", description="currency of the account"
    )
    reread_days: int = Field(
        default=7, ge=1, le=90, description="days before today that are read again each time"
    )
    start_date: dt.date | None = Field(
        default=None, description="first day of the first load; default: as far as VK goes back"
    )
    overlap_seconds: int = Field(
        default=3600, ge=0, description="how far changes of groups and banners are read again"
    )
    full_list_days: int = Field(
        default=7, ge=1, description="groups and banners are read in full once in so many days"
    )
    page_size: int = Field(default=50, ge=1, description="rows of a list; VK gives 50 at most")
    requests_per_second: float | None = Field(
        default=None, gt=0, description="highest pace; default: what VK's answers allow"
    )
    when_tokens_run_out: Literal["stop", "delete"] = Field(
        default="stop",
        description="what to do when five tokens exist; `delete` makes other programs of the same "
        "API client lose theirs",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        text = value.strip().rstrip("/")
        if not text.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("must look like https://ads.vk.com")
        return text.removesuffix("/api/v2")

    @field_validator("agency_client_id", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
