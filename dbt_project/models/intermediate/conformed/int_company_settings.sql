with accounts as (

    select * from {{ ref("int_accounts_unioned") }}

),

deal_counts as (

    select
        deals.source_system,
        deals.source_account_id,
        count(*) as deal_count
    from {{ ref("int_deals_unioned") }} as deals
    group by
        deals.source_system,
        deals.source_account_id

),

-- An ad account's zone and currency count only where no account with deals gives one.
weighted as (

    select
        accounts.account_key,
        accounts.time_zone,
        accounts.currency_code,
        accounts.observed_until_at,
        coalesce(deal_counts.deal_count, 0) as deal_count
    from accounts
    left join deal_counts
        on
            accounts.source_system = deal_counts.source_system
            and accounts.source_account_id = deal_counts.source_account_id

),

zones as (

    select weighted.time_zone
    from weighted
    where weighted.time_zone is not null
    qualify row_number() over (order by weighted.deal_count desc, weighted.account_key asc) = 1

),

currencies as (

    select weighted.currency_code
    from weighted
    where weighted.currency_code is not null
    qualify row_number() over (order by weighted.deal_count desc, weighted.account_key asc) = 1

),

observed as (

    select max(weighted.observed_until_at) as observed_until_at
    from weighted

),

-- One row always, in an empty warehouse too: every model above joins it.
final as (

    select
        coalesce(
            nullif('{{ var("time_zone") }}', ''),
            (select zones.time_zone from zones),
            'UTC'
        ) as time_zone,
        coalesce(
            nullif('{{ var("reporting_currency") }}', ''),
            (select currencies.currency_code from currencies),
            'RUB'
        ) as currency_code,
        coalesce(observed.observed_until_at, cast('1970-01-01' as timestamp)) as observed_until_at
    from observed

)

select * from final
