with invoices as (

    select * from {{ ref("stg_files__invoices") }}

),

source_accounts as (

    select * from {{ ref("stg_files__source_accounts") }}

),

-- A tax id that two companies share (branches) names the first of them.
payers as (

    select
        companies.source_account_id,
        companies.tax_id,
        min(companies.company_id) as company_id
    from {{ ref("stg_files__companies") }} as companies
    where companies.tax_id is not null
    group by
        companies.source_account_id,
        companies.tax_id

),

final as (

    select
        {{ entity_key(["'files'", "invoices.source_account_id", "invoices.invoice_id"]) }}
            as invoice_key,
        'files' as source_system,
        invoices.source_account_id,
        invoices.invoice_id,
        invoices.invoice_number,
        {{ entity_key([
            "coalesce(invoices.deal_source_system, 'files')",
            "coalesce(invoices.deal_source_account_id, invoices.source_account_id)",
            "invoices.deal_id",
        ]) }} as deal_key,
        {{ entity_key(["'files'", "payers.source_account_id", "payers.company_id"]) }}
            as payer_key,
        invoices.issued_at,
        invoices.due_at,
        -- payments are a table of their own
        cast(null as timestamp) as paid_at,
        case
            when
                lower(invoices.status) in (
                    'created', 'partially_paid', 'paid', 'paid_in_advance', 'cancelled', 'replaced'
                )
                then lower(invoices.status)
            else 'unknown'
        end as status,
        invoices.invoice_native_amount,
        coalesce(invoices.currency_code, source_accounts.currency_code) as currency_code,
        false as is_deleted
    from invoices
    left join source_accounts
        on invoices.source_account_id = source_accounts.source_account_id
    left join payers
        on
            invoices.source_account_id = payers.source_account_id
            and invoices.payer_tax_id = payers.tax_id

)

select * from final
