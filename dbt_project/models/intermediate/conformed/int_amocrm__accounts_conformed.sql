with accounts as (

    select * from {{ ref("stg_amocrm__account") }}

),

observed as (

    select
        pulls.source_account_id,
        max(pulls.observed_until_at) as observed_until_at
    from {{ ref("stg_amocrm__pulls") }} as pulls
    group by pulls.source_account_id

),

-- The address a person opens, not the one the API was asked at.
addressed as (

    select
        accounts.*,
        regexp_extract(
            accounts.self_url,
            '^https://([a-z0-9-]+[.](amocrm[.](ru|com)|kommo[.]com))/',
            1
        ) as host_name
    from accounts

),

final as (

    select
        {{ entity_key(["'amocrm'", "addressed.source_account_id"]) }} as account_key,
        'amocrm' as source_system,
        addressed.source_account_id,
        addressed.account_name,
        'https://' || coalesce(
            nullif(addressed.host_name, ''), addressed.subdomain || '.amocrm.ru'
        ) as account_url,
        addressed.time_zone,
        addressed.currency_code,
        observed.observed_until_at
    from addressed
    left join observed on addressed.source_account_id = observed.source_account_id

)

select * from final
