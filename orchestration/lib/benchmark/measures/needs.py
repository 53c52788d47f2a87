"""Columns of staged and raw tables that naive ways read."""

from orchestration.lib.benchmark.measure import Columns

LEADS: Columns = {
    "staging.stg_amocrm__leads": (
        "record_id",
        "pipeline_id",
        "status_id",
        "main_contact_id",
        "loss_reason_id",
        "utm_source",
        "utm_medium",
        "price",
        "created_at",
        "closed_at",
        "is_deleted",
    )
}
EVENTS: Columns = {
    "staging.stg_amocrm__events": (
        "record_id",
        "entity_id",
        "event_type",
        "created_by",
        "before_status_id",
        "after_status_id",
        "created_at",
    )
}
LOSS_REASONS: Columns = {"staging.stg_amocrm__loss_reasons": ("record_id", "loss_reason")}
NOTES: Columns = {
    "raw_amocrm.lead_notes": ("payload",),
    "raw_amocrm.contact_notes": ("payload",),
}
