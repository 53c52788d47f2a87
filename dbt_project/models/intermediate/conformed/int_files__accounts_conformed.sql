with source_accounts as (

    select * from {{ ref("stg_files__source_accounts") }}

),

final as (

    select
        {{ entity_key(["'files'", "source_accounts.source_account_id"]) }} as account_key,
        'files' as source_system,
        source_accounts.source_account_id,
        source_accounts.source_account_id as account_name,
        -- a folder has no address
        cast(null as varchar) as account_url,
        source_accounts.time_zone,
        source_accounts.currency_code,
        source_accounts.observed_until_at
    from source_accounts

)

select * from final
