with deals as (

    select * from {{ ref("stg_files__deals") }}

),

source_accounts as (

    select * from {{ ref("stg_files__source_accounts") }}

),

placed as (

    select
        deals.*,
        coalesce(deals.pipeline_id, 'default') as known_pipeline_id,
        coalesce(deals.currency_code, source_accounts.currency_code) as known_currency_code
    from deals
    left join source_accounts
        on deals.source_account_id = source_accounts.source_account_id

),

final as (

    select
        {{ entity_key(["'files'", "placed.source_account_id", "placed.deal_id"]) }} as deal_key,
        'files' as source_system,
        placed.source_account_id,
        placed.deal_id,
        placed.deal_url,
        placed.deal_name,
        placed.known_pipeline_id as pipeline_id,
        placed.stage_id,
        {{ entity_key([
            "'files'",
            "placed.source_account_id",
            "placed.known_pipeline_id",
            "placed.stage_id",
        ]) }} as stage_key,
        placed.declared_outcome,
        placed.created_at,
        placed.updated_at,
        placed.closed_at,
        placed.deal_native_amount,
        placed.known_currency_code as currency_code,
        {{ entity_key(["'files'", "placed.source_account_id", "placed.sales_rep_id"]) }}
            as sales_rep_key,
        {{ entity_key(["'files'", "placed.source_account_id", "placed.person_id"]) }}
            as person_key,
        {{ entity_key(["'files'", "placed.source_account_id", "placed.company_id"]) }}
            as company_key,
        placed.declared_segment,
        placed.declared_channel,
        {{ utm_word("placed.utm_source") }} as utm_source,
        {{ utm_word("placed.utm_medium") }} as utm_medium,
        {{ utm_word("placed.utm_campaign") }} as utm_campaign,
        {{ utm_word("placed.utm_content") }} as utm_content,
        {{ utm_word("placed.utm_term") }} as utm_term,
        placed.client_id,
        -- the layout has no click id
        cast(null as varchar) as click_id,
        placed.loss_reason,
        placed.loss_text,
        -- the layout has no tags
        cast(null as varchar) as tags,
        -- the layout has no requests that wait for acceptance
        false as is_unsorted,
        coalesce(placed.is_deleted, false) as is_deleted
    from placed

)

select * from final
