with economics as (

    select * from {{ ref("rpt_channel_economics_monthly") }}
    where attribution_model = 'last_non_direct'

),

spend as (

    select * from {{ ref("fct_ad_spend_daily") }}

),

campaigns as (

    select * from {{ ref("dim_campaigns") }}

),

span as (

    select cast({{ dbt.dateadd("month", -3, "max(month_date)") }} as date) as from_date
    from economics

),

recent as (

    select
        economics.channel,
        economics.campaign_key,
        economics.spend_amount,
        economics.click_count,
        economics.lead_count,
        economics.won_weight
    from economics
    cross join span
    where economics.month_date >= span.from_date

),

recent_spend as (

    select
        spend.channel,
        spend.campaign_key,
        spend.spend_date
    from spend
    cross join span
    where
        spend.spend_date >= span.from_date
        and spend.spend_amount > 0

),

first_days as (

    select
        {{ dbt.concat(["'channel:'", "channel"]) }} as spender_key,
        min(spend_date) as since_date
    from recent_spend
    group by channel
    union all
    select
        {{ dbt.concat(["'nameless:'", "channel"]) }} as spender_key,
        min(spend_date) as since_date
    from recent_spend
    where campaign_key is null
    group by channel
    union all
    select
        {{ dbt.concat(["'campaign:'", "campaign_key"]) }} as spender_key,
        min(spend_date) as since_date
    from recent_spend
    where campaign_key is not null
    group by campaign_key

),

-- A campaign's sale is its own whatever channel the deal names.
campaign_totals as (

    select
        recent.campaign_key,
        coalesce(
            max(campaigns.channel),
            min(recent.channel) filter (where recent.spend_amount > 0)
        ) as channel,
        sum(recent.spend_amount) as spend_amount,
        sum(recent.click_count) as click_count,
        sum(recent.lead_count) as lead_count,
        sum(recent.won_weight) as won_weight
    from recent
    left join campaigns on recent.campaign_key = campaigns.campaign_key
    where recent.campaign_key is not null
    group by recent.campaign_key

),

channel_totals as (

    select
        recent.channel,
        sum(recent.spend_amount) as spend_amount,
        sum(recent.click_count) as click_count,
        sum(recent.lead_count) as lead_count,
        sum(recent.won_weight) as won_weight,
        sum(recent.spend_amount) filter (where recent.campaign_key is null)
            as nameless_spend_amount,
        sum(recent.click_count) filter (where recent.campaign_key is null)
            as nameless_click_count,
        coalesce(sum(recent.lead_count) filter (where recent.campaign_key is null), 0)
            as nameless_lead_count,
        coalesce(sum(recent.won_weight) filter (where recent.campaign_key is null), 0)
            as nameless_won_weight,
        coalesce(sum(recent.lead_count) filter (where recent.campaign_key is not null), 0)
            as named_lead_count
    from recent
    group by recent.channel

),

paid_campaigns as (

    select
        channel,
        sum(won_weight) as won_weight
    from campaign_totals
    where spend_amount > 0
    group by channel

),

-- Without a lead or a sale of a known source nobody can say what advertising brought.
known as (

    select
        count(*) filter (where channel <> 'unattributed' and lead_count + won_weight > 0) > 0
            as has_sources,
        coalesce(sum(won_weight) filter (where channel = 'unattributed'), 0)
            as unattributed_won_weight
    from channel_totals

),

spenders as (

    select
        {{ dbt.concat(["'channel:'", "channel_totals.channel"]) }} as spender_key,
        'channel' as spender,
        channel_totals.channel,
        cast(null as {{ dbt.type_string() }}) as campaign_key,
        channel_totals.spend_amount,
        channel_totals.click_count,
        channel_totals.lead_count,
        channel_totals.won_weight + coalesce(paid_campaigns.won_weight, 0) as won_weight,
        cast(0 as {{ dbt.type_bigint() }}) as candidate_won_weight,
        true as is_told_by_leads
    from channel_totals
    left join paid_campaigns on channel_totals.channel = paid_campaigns.channel
    union all
    select
        {{ dbt.concat(["'nameless:'", "channel_totals.channel"]) }} as spender_key,
        'campaign' as spender,
        channel_totals.channel,
        cast(null as {{ dbt.type_string() }}) as campaign_key,
        channel_totals.nameless_spend_amount as spend_amount,
        channel_totals.nameless_click_count as click_count,
        channel_totals.nameless_lead_count as lead_count,
        channel_totals.nameless_won_weight as won_weight,
        0 as candidate_won_weight,
        true as is_told_by_leads
    from channel_totals
    union all
    select
        {{ dbt.concat(["'campaign:'", "campaign_totals.campaign_key"]) }} as spender_key,
        'campaign' as spender,
        campaign_totals.channel,
        campaign_totals.campaign_key,
        campaign_totals.spend_amount,
        campaign_totals.click_count,
        campaign_totals.lead_count,
        campaign_totals.won_weight,
        channel_totals.nameless_won_weight as candidate_won_weight,
        -- Sales that name no campaign may be anybody's: all of them in a channel whose leads never
        -- name one, else as many as are a campaign's by its share of the spend.
        channel_totals.nameless_won_weight = 0
        or (
            channel_totals.named_lead_count > 0
            and channel_totals.nameless_won_weight * campaign_totals.spend_amount
            < channel_totals.spend_amount
        ) as is_told_by_leads
    from campaign_totals
    left join channel_totals on campaign_totals.channel = channel_totals.channel

),

final as (

    select
        spenders.spender_key,
        spenders.spender,
        spenders.channel,
        spenders.campaign_key,
        case
            when spenders.won_weight > 0 then 'yes'
            when known.has_sources and spenders.is_told_by_leads then 'no'
            else 'not_measurable'
        end as has_sales,
        first_days.since_date,
        cast(spenders.spend_amount as decimal(18, 2)) as spend_amount,
        cast(spenders.click_count as {{ dbt.type_bigint() }}) as click_count,
        cast(spenders.lead_count as {{ dbt.type_bigint() }}) as lead_count,
        cast(
            round(spenders.candidate_won_weight + known.unattributed_won_weight)
            as {{ dbt.type_bigint() }}
        ) as unplaced_won_count
    from spenders
    cross join known
    left join first_days on spenders.spender_key = first_days.spender_key
    where spenders.spend_amount > 0

)

select * from final
