with invoices as (

    select * from {{ ref("stg_amocrm__invoices") }}

),

accounts as (

    select * from {{ ref("int_amocrm__accounts_conformed") }}

),

deals as (

    select * from {{ ref("int_amocrm__deals_conformed") }}

),

seen_paid as (

    select * from {{ ref("stg_amocrm__invoices_seen_paid") }}

),

-- An invoice attached to several deals belongs to the first of them that is not gone: a lead that
-- was merged into another keeps in its last version what the other one holds now.
invoice_leads as (

    select
        elements.source_account_id,
        elements.catalog_id,
        elements.element_id,
        elements.lead_id
    from {{ ref("stg_amocrm__lead_catalog_elements") }} as elements
    left join deals
        on
            elements.source_account_id = deals.source_account_id
            and elements.lead_id = deals.deal_id
    qualify row_number() over (
        partition by elements.source_account_id, elements.catalog_id, elements.element_id
        order by
            coalesce(deals.is_deleted, false),
            elements.lead_created_at,
            elements.lead_id
    ) = 1

),

final as (

    select
        {{ entity_key(["'amocrm'", "invoices.source_account_id", "invoices.record_id"]) }}
            as invoice_key,
        'amocrm' as source_system,
        invoices.source_account_id,
        invoices.record_id as invoice_id,
        invoices.invoice_name as invoice_number,
        {{ entity_key(["'amocrm'", "invoice_leads.source_account_id", "invoice_leads.lead_id"]) }}
            as deal_key,
        {{ entity_key(["'amocrm'", "invoices.source_account_id", "invoices.payer_id"]) }}
            as payer_key,
        invoices.created_at as issued_at,
        -- amoCRM invoices have no due date
        cast(null as timestamp) as due_at,
        case
            when invoices.status_code in ('paid', 'paid_in_advance')
                then coalesce(invoices.paid_at, seen_paid.seen_paid_at, invoices.updated_at)
        end as paid_at,
        case
            when invoices.status_code in ('created', 'partially_paid', 'paid', 'paid_in_advance')
                then invoices.status_code
            else 'unknown'
        end as status,
        invoices.price as invoice_native_amount,
        accounts.currency_code,
        invoices.is_deleted or invoices._is_deleted as is_deleted
    from invoices
    left join accounts on invoices.source_account_id = accounts.source_account_id
    left join seen_paid
        on
            invoices.source_account_id = seen_paid.source_account_id
            and invoices.record_id = seen_paid.invoice_id
    left join invoice_leads
        on
            invoices.source_account_id = invoice_leads.source_account_id
            and invoices.catalog_id = invoice_leads.catalog_id
            and invoices.record_id = invoice_leads.element_id

)

select * from final
