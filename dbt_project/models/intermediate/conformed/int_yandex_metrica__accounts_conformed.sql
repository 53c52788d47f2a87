with pulls as (

    select * from {{ ref("stg_yandex_metrica__pulls") }}

),

counters as (

    select * from {{ ref("stg_yandex_metrica__counters") }}

),

observed as (

    select
        pulls.source_account_id,
        max(pulls.observed_until_at) as observed_until_at
    from pulls
    -- the counter's own record says nothing of how far its visits are read
    where pulls.resource = 'visits'
    group by pulls.source_account_id

),

final as (

    select
        {{ entity_key(["'yandex_metrica'", "observed.source_account_id"]) }} as account_key,
        'yandex_metrica' as source_system,
        observed.source_account_id,
        coalesce(counters.counter_name, observed.source_account_id) as account_name,
        {{ dbt.concat([
            "'https://metrika.yandex.ru/dashboard?id='", "observed.source_account_id"
        ]) }} as account_url,
        counters.time_zone,
        -- a counter counts no money
        cast(null as varchar) as currency_code,
        observed.observed_until_at
    from observed
    left join counters on observed.source_account_id = counters.source_account_id

)

select * from final
