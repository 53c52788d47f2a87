-- A returned row is a month and model whose channels do not add up to all spend, leads and sales.
with channels as (

    select
        month_date,
        attribution_model,
        sum(spend_amount) as spend_amount,
        sum(lead_count) as lead_count,
        sum(lead_weight) as lead_weight,
        sum(won_amount) as won_amount
    from {{ ref("rpt_channel_economics_monthly") }}
    group by
        month_date,
        attribution_model

),

sold as (

    select
        cast(
            {{ dbt.date_trunc("month", local_date("deals.closed_at", "settings.time_zone")) }}
            as date
        ) as month_date,
        coalesce(sum(deals.deal_amount), 0) as won_amount
    from {{ ref("dim_deals") }} as deals
    cross join {{ ref("int_company_settings") }} as settings
    where
        deals.outcome = 'won'
        and deals.closed_at is not null
        and not deals.is_deleted
        and deals.deal_kind <> 'test'
    group by
        cast(
            {{ dbt.date_trunc("month", local_date("deals.closed_at", "settings.time_zone")) }}
            as date
        )

),

spend as (

    select
        cast({{ dbt.date_trunc("month", "spend_date") }} as date) as month_date,
        sum(spend_amount) as spend_amount
    from {{ ref("fct_ad_spend_daily") }}
    group by cast({{ dbt.date_trunc("month", "spend_date") }} as date)

),

leads as (

    select
        cast({{ dbt.date_trunc("month", "outcome_date") }} as date) as month_date,
        count(distinct deal_key) as lead_count
    from {{ ref("int_deal_touches_weighted") }}
    where outcome = 'lead'
    group by cast({{ dbt.date_trunc("month", "outcome_date") }} as date)

),

months as (

    select month_date from sold
    union distinct
    select month_date from spend
    union distinct
    select month_date from leads

)

select
    months.month_date,
    channels.attribution_model,
    channels.spend_amount as channel_spend_amount,
    spend.spend_amount,
    channels.won_amount as channel_won_amount,
    sold.won_amount,
    channels.lead_count as channel_lead_count,
    leads.lead_count
from months
left join channels on months.month_date = channels.month_date
left join sold on months.month_date = sold.month_date
left join spend on months.month_date = spend.month_date
left join leads on months.month_date = leads.month_date
where
    coalesce(channels.spend_amount, 0) <> coalesce(spend.spend_amount, 0)
    or coalesce(channels.won_amount, 0) <> coalesce(sold.won_amount, 0)
    or coalesce(channels.lead_count, 0) <> coalesce(leads.lead_count, 0)
    or coalesce(channels.lead_weight, 0) <> coalesce(leads.lead_count, 0)
