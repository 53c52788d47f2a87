with spend as (

    select * from {{ ref("fct_ad_spend_daily") }}

),

credits as (

    select * from {{ ref("fct_attribution_credits") }}
    where outcome in ('lead', 'won')

),

attribution_models as (

    {%- for attribution_model in attribution_models() %}
        {% if not loop.first %}union all{% endif %}
        select '{{ attribution_model }}' as attribution_model
    {%- endfor %}

),

monthly_spend as (

    select
        cast({{ dbt.date_trunc("month", "spend_date") }} as date) as month_date,
        channel,
        campaign_key,
        sum(spend_amount) as spend_amount,
        sum(impression_count) as impression_count,
        sum(click_count) as click_count
    from spend
    group by
        cast({{ dbt.date_trunc("month", "spend_date") }} as date),
        channel,
        campaign_key

),

monthly_credits as (

    select
        cast({{ dbt.date_trunc("month", "outcome_date") }} as date) as month_date,
        attribution_model,
        channel,
        campaign_key,
        coalesce(sum(credit_weight) filter (where outcome = 'lead'), 0) as lead_weight,
        coalesce(sum(credit_weight) filter (where outcome = 'won'), 0) as won_weight,
        coalesce(sum(credit_amount) filter (where outcome = 'won'), 0) as won_amount
    from credits
    group by
        cast({{ dbt.date_trunc("month", "outcome_date") }} as date),
        attribution_model,
        channel,
        campaign_key

),

-- Both sides are sums of one grain before they meet, and every row of both stays: spend that
-- brought nothing and sales without a touch are what the owner looks for.
together as (

    select
        monthly_spend.month_date,
        attribution_models.attribution_model,
        monthly_spend.channel,
        monthly_spend.campaign_key,
        monthly_spend.spend_amount,
        monthly_spend.impression_count,
        monthly_spend.click_count,
        0 as lead_weight,
        0 as won_weight,
        0 as won_amount
    from monthly_spend
    cross join attribution_models
    union all
    select
        month_date,
        attribution_model,
        channel,
        campaign_key,
        0 as spend_amount,
        0 as impression_count,
        0 as click_count,
        lead_weight,
        won_weight,
        won_amount
    from monthly_credits

),

summed as (

    select
        month_date,
        attribution_model,
        channel,
        campaign_key,
        cast(coalesce(sum(spend_amount), 0) as decimal(18, 2)) as spend_amount,
        cast(coalesce(sum(impression_count), 0) as bigint) as impression_count,
        cast(coalesce(sum(click_count), 0) as bigint) as click_count,
        cast(sum(lead_weight) as decimal(18, 12)) as lead_weight,
        cast(sum(won_weight) as decimal(18, 12)) as won_weight,
        cast(sum(won_amount) as decimal(18, 2)) as won_amount
    from together
    group by
        month_date,
        attribution_model,
        channel,
        campaign_key

),

-- Whole leads for people to read, by largest remainder, so they add up to the month's leads.
ranked as (

    select
        summed.*,
        cast(floor(summed.lead_weight) as bigint) as whole_leads,
        cast(
            sum(summed.lead_weight) over (
                partition by
                    summed.month_date,
                    summed.attribution_model
            ) as bigint
        )
        - sum(cast(floor(summed.lead_weight) as bigint)) over (
            partition by
                summed.month_date,
                summed.attribution_model
        ) as spare_leads,
        row_number() over (
            partition by
                summed.month_date,
                summed.attribution_model
            order by
                summed.lead_weight - floor(summed.lead_weight) desc,
                summed.channel,
                summed.campaign_key asc nulls last
        ) as remainder_rank
    from summed

),

final as (

    select
        month_date,
        attribution_model,
        channel,
        campaign_key,
        spend_amount,
        impression_count,
        click_count,
        cast(
            whole_leads + case when remainder_rank <= spare_leads then 1 else 0 end
            as bigint
        ) as lead_count,
        lead_weight,
        won_weight,
        won_amount,
        cast(round(spend_amount / nullif(lead_weight, 0), 2) as decimal(18, 2))
            as cost_per_lead_amount,
        cast(round(spend_amount / nullif(won_weight, 0), 2) as decimal(18, 2))
            as cost_per_won_amount,
        cast(won_amount as double) / nullif(cast(spend_amount as double), 0)
            as return_on_ad_spend_ratio
    from ranked

)

select * from final
