"""Which endpoints of amoCRM are read, how far back, and how fast."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# Only what a model reads: an unfiltered feed brings every edit of every field, and leaves some
# kinds out that come only when asked for by name.
EVENT_TYPES = (
    "lead_added",
    "lead_status_changed",
    "entity_responsible_changed",
    "sale_field_changed",
    "lead_deleted",
    "lead_restored",
    "entity_merged",
    "entity_linked",
    "entity_unlinked",
    "task_completed",
    "incoming_call",
    "outgoing_call",
    "incoming_chat_message",
    "outgoing_chat_message",
    "incoming_sms",
    "outgoing_sms",
    "incoming_mail",
    "outgoing_mail",
)

# A limit above the maximum is no error: the server silently falls back to 50 rows.
PAGE_SIZE = 250
EVENTS_PAGE_SIZE = 100

LEAD_PARTS = "contacts,loss_reason,source_id,source,catalog_elements,is_price_modified_by_robot"
CONTACT_PARTS = "leads,customers"
USER_PARTS = "role,group,uuid,amojo_id,user_rank,phone_number"
ACCOUNT_PARTS = (
    "is_api_filter_enabled,datetime_settings,invoices_settings,task_types,users_groups,version"
)
INVOICE_PARTS = "invoice_link,supplier_field_values"


class AmocrmSettings(BaseModel):
    """Options of one amoCRM account, `[source.amocrm.<label>]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    redirect_uri: str = ""
    start_date: date | None = None
    history_days: int = Field(default=1096, ge=1)
    window_days: int = Field(default=30, ge=1)
    overlap_seconds: int = Field(default=600, ge=0)
    events_overlap_seconds: int = Field(default=3600, ge=600)
    event_types: tuple[str, ...] = EVENT_TYPES
    requests_per_second: float = Field(default=7.0, gt=0)
    parallel_windows: int = Field(default=4, ge=1, le=16)
    read_timeout_seconds: float = Field(default=60.0, gt=0)
    filters: Literal["auto", "on", "off"] = "auto"
    allow_limited_token: bool = False

    @field_validator("event_types", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        text = value.strip().rstrip("/")
        if text and not text.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("must look like https://company.amocrm.ru")
        return text.removesuffix("/api/v4")
