with payments as (

    select * from {{ ref("stg_files__payments") }}

),

source_accounts as (

    select * from {{ ref("stg_files__source_accounts") }}

),

final as (

    select
        {{ entity_key(["'files'", "payments.source_account_id", "payments.payment_id"]) }}
            as payment_key,
        'files' as source_system,
        payments.source_account_id,
        payments.payment_id,
        {{ entity_key(["'files'", "payments.source_account_id", "payments.invoice_id"]) }}
            as invoice_key,
        payments.invoice_number,
        {{ entity_key([
            "coalesce(payments.deal_source_system, 'files')",
            "coalesce(payments.deal_source_account_id, payments.source_account_id)",
            "payments.deal_id",
        ]) }} as deal_key,
        payments.paid_at,
        payments.payment_native_amount,
        coalesce(payments.currency_code, source_accounts.currency_code) as currency_code,
        case
            when payments.invoice_id is not null then 'invoice_id'
            when payments.deal_id is not null then 'deal_id'
            when payments.invoice_number is not null then 'invoice_number'
            else 'unmatched'
        end as match_method
    from payments
    left join source_accounts
        on payments.source_account_id = source_accounts.source_account_id

)

select * from final
