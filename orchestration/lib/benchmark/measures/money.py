"""Invoices: what is owed."""

from orchestration.lib.benchmark.measure import Measure, Way

_INVOICES = ("invoice_key", "balance_amount", "is_deleted")
_RAW_INVOICES = ("record_id", "status_code", "price", "is_deleted")

MEASURES = (
    Measure(
        truth_id="unpaid_invoice",
        measure_id="unpaid_invoice",
        title="invoices not paid in full",
        kind="found",
        true="""
            select invoice_id
            from truth.invoices
            where not is_deleted and paid_amount < invoice_amount
        """,
        ours=Way(
            """
            select split_part(invoice_key, ':', 3)
            from marts.fct_invoices
            where balance_amount > 0 and not is_deleted
            """,
            {"marts.fct_invoices": _INVOICES},
        ),
        naive=Way(
            """
            select record_id
            from staging.stg_amocrm__invoices
            where status_code = 'created' and not coalesce(is_deleted, false)
            """,
            {"staging.stg_amocrm__invoices": _RAW_INVOICES},
        ),
        naive_title="no payment noted, by the status word",
        naive_source="five status types, PAID when none is sent: Yandex Metrica [R6, R7]",
    ),
    Measure(
        truth_id="unpaid_invoice",
        measure_id="owed",
        title="money owed by clients",
        kind="number",
        true="""
            select sum(invoice_amount - paid_amount), count(*)
            from truth.invoices
            where not is_deleted and paid_amount < invoice_amount
        """,
        ours=Way(
            """
            select sum(balance_amount)
            from marts.fct_invoices
            where balance_amount > 0 and not is_deleted
            """,
            {"marts.fct_invoices": _INVOICES},
        ),
        naive=Way(
            """
            select sum(price)
            from staging.stg_amocrm__invoices
            where status_code = 'created' and not coalesce(is_deleted, false)
            """,
            {"staging.stg_amocrm__invoices": _RAW_INVOICES},
        ),
        naive_title="sums of invoices without a payment",
        naive_source="statuses collapse into groups: Roistat [K], Yandex Metrica [R6]",
    ),
)
