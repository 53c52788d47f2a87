with spend as (

    select * from {{ ref("fct_ad_spend_daily") }}

),

tax_regimes as (

    select * from {{ ref("int_tax_regimes_dated") }}

),

ad_accounts as (

    select * from {{ ref("int_ad_accounts_aged") }}

),

campaigns as (

    select * from {{ ref("dim_campaigns") }}

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
        cast(null as decimal(18, 2)) as spend_amount,
        cast(null as bigint) as impression_count,
        cast(null as bigint) as click_count,
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
        sum(spend_amount) as spend_amount,
        sum(impression_count) as impression_count,
        sum(click_count) as click_count,
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

-- From the first to the last day that an account tells of, a campaign it says nothing of spent
-- nothing, whatever other accounts of the channel tell; what a campaign cost stands in its own
-- channel alone. Where no campaign is known, the accounts that spend for the channel count
-- together; outside, and for all other channels, nobody knows.
told_channels as (

    select
        spend.channel,
        cast(
            {{ dbt.date_trunc("month", "min(ad_accounts.first_spend_date)") }} as date
        ) as first_told_month,
        max(ad_accounts.observed_date) as last_told_date
    from spend
    inner join ad_accounts
        on
            spend.platform = ad_accounts.platform
            and spend.source_account_id = ad_accounts.source_account_id
    group by spend.channel

),

told_campaigns as (

    select
        campaigns.campaign_key,
        nullif(campaigns.channel, 'unknown') as channel,
        cast(
            {{ dbt.date_trunc("month", "ad_accounts.first_spend_date") }} as date
        ) as first_told_month,
        ad_accounts.observed_date as last_told_date
    from campaigns
    inner join ad_accounts
        on
            campaigns.platform = ad_accounts.platform
            and campaigns.source_account_id = ad_accounts.source_account_id

),

told as (

    select
        summed.*,
        summed.spend_amount is not null
        or coalesce(
            coalesce(told_campaigns.first_told_month, told_channels.first_told_month)
            <= summed.month_date
            and coalesce(told_campaigns.last_told_date, told_channels.last_told_date)
            >= summed.month_date
            and coalesce(told_campaigns.channel, summed.channel) = summed.channel,
            false
        ) as has_figures
    from summed
    left join told_channels on summed.channel = told_channels.channel
    left join told_campaigns on summed.campaign_key = told_campaigns.campaign_key

),

-- Whole leads for people to read, by largest remainder, so they add up to the month's leads.
ranked as (

    select
        told.month_date,
        told.attribution_model,
        told.channel,
        told.campaign_key,
        told.lead_weight,
        told.won_weight,
        told.won_amount,
        cast(
            round(told.won_amount / (1 + coalesce(tax_regimes.sales_vat_rate, 0)), 2)
            as decimal(18, 2)
        ) as won_net_amount,
        {%- for figure, type in [
            ("spend_amount", "decimal(18, 2)"),
            ("impression_count", "bigint"),
            ("click_count", "bigint"),
        ] %}
            cast(
                case when told.has_figures then coalesce(told.{{ figure }}, 0) end as {{ type }}
            ) as {{ figure }},
        {%- endfor %}
        cast(floor(told.lead_weight) as bigint) as whole_leads,
        cast(
            sum(told.lead_weight) over (
                partition by
                    told.month_date,
                    told.attribution_model
            ) as bigint
        )
        - sum(cast(floor(told.lead_weight) as bigint)) over (
            partition by
                told.month_date,
                told.attribution_model
        ) as spare_leads,
        row_number() over (
            partition by
                told.month_date,
                told.attribution_model
            order by
                told.lead_weight - floor(told.lead_weight) desc,
                told.channel,
                told.campaign_key asc nulls last
        ) as remainder_rank
    from told
    left join tax_regimes
        on
            told.month_date >= tax_regimes.valid_from_date
            and told.month_date < tax_regimes.valid_to_date

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
        -- without a campaign these cost what stands beside the channel's campaigns, not nothing
        {%- for outcome in ["lead", "won"] %}
            cast(
                case
                    when campaign_key is not null or spend_amount > 0
                        then round(spend_amount / nullif({{ outcome }}_weight, 0), 2)
                end as decimal(18, 2)
            ) as cost_per_{{ outcome }}_amount,
        {%- endfor %}
        cast(won_net_amount as double) / nullif(cast(spend_amount as double), 0)
            as return_on_ad_spend_ratio,
        won_net_amount
    from ranked

)

select * from final
