with invoices as (

    select * from {{ ref("stg_amocrm__invoices_versions") }}

),

pulls as (

    select * from {{ ref("stg_amocrm__pulls") }}

),

known as (

    select
        invoices.source_account_id,
        invoices.record_id,
        invoices.updated_at,
        coalesce(invoices.status_code in ('paid', 'paid_in_advance'), false) as is_paid
    from invoices
    inner join pulls on invoices._pull_id = pulls.pull_id
    where not invoices._is_tombstone and {{ known("invoices._loaded_at") }}

),

unpaid as (

    select
        known.source_account_id,
        known.record_id,
        max(known.updated_at) as last_unpaid_at
    from known
    where not known.is_paid
    group by
        known.source_account_id,
        known.record_id

),

-- Edits of a paid invoice move its time of change, not the day it was paid.
final as (

    select
        known.source_account_id,
        known.record_id as invoice_id,
        min(known.updated_at) as seen_paid_at
    from known
    left join unpaid
        on
            known.source_account_id = unpaid.source_account_id
            and known.record_id = unpaid.record_id
    where
        known.is_paid
        and (unpaid.last_unpaid_at is null or known.updated_at > unpaid.last_unpaid_at)
    group by
        known.source_account_id,
        known.record_id

)

select * from final
