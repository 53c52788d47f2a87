with lead_paths as (

    select * from {{ ref("int_deal_touches_weighted") }}
    where outcome = 'lead'

),

money_paths as (

    select * from {{ ref("int_deal_touches_weighted") }}
    where outcome <> 'lead'

),

won_deals as (

    select * from {{ ref("dim_deals") }}
    where outcome = 'won'

),

payments as (

    select * from {{ ref("int_payments_matched") }}

),

attribution_models as (

    {%- for attribution_model in attribution_models() %}
    {{ "union all" if not loop.first }}
    select '{{ attribution_model }}' as attribution_model
    {%- endfor %}

),

lead_credits as (

    select
        lead_paths.*,
        attribution_models.attribution_model,
        {{ attribution_weight("lead_paths") }} as credit_weight,
        cast(null as decimal(18, 2)) as credit_amount
    from lead_paths
    cross join attribution_models

),

paid_amounts as (

    select
        {{ paid_outcome_key() }} as outcome_key,
        sum(payment_amount) as outcome_amount
    from payments
    group by {{ paid_outcome_key() }}

),

valued_paths as (

    select
        money_paths.*,
        cast(
            case money_paths.outcome
                when 'won' then won_deals.deal_amount
                else paid_amounts.outcome_amount
            end as decimal(18, 2)
        ) as outcome_amount
    from money_paths
    left join won_deals
        on
            money_paths.outcome = 'won'
            and money_paths.deal_key = won_deals.deal_key
    left join paid_amounts
        on
            money_paths.outcome = 'paid'
            and money_paths.outcome_key = paid_amounts.outcome_key

),

money_credits as (

    select
        valued_paths.*,
        attribution_models.attribution_model,
        {{ attribution_weight("valued_paths") }} as credit_weight
    from valued_paths
    cross join attribution_models

),

whole_credits as (

    select
        money_credits.*,
        money_credits.outcome_amount as credit_amount
    from money_credits
    where money_credits.credit_weight = 1

),

shares as (

    select
        money_credits.*,
        cast(money_credits.outcome_amount * 100 as decimal(20, 0))
        * money_credits.credit_weight as exact_cents
    from money_credits
    where
        money_credits.credit_weight > 0
        and money_credits.credit_weight < 1

),

ranked_shares as (

    select
        shares.*,
        cast(shares.outcome_amount * 100 as bigint)
        - sum(cast(floor(shares.exact_cents) as bigint)) over (
            partition by
                shares.outcome_key,
                shares.outcome,
                shares.attribution_model
        ) as spare_cents,
        row_number() over (
            partition by
                shares.outcome_key,
                shares.outcome,
                shares.attribution_model
            order by
                shares.exact_cents - floor(shares.exact_cents) desc,
                shares.touch_number desc
        ) as remainder_rank
    from shares

),

-- The kopecks that rounding down leaves go, one each, to the parts that lost most by it.
share_credits as (

    select
        ranked_shares.*,
        cast(
            (
                cast(floor(ranked_shares.exact_cents) as bigint)
                + case
                    when ranked_shares.remainder_rank <= ranked_shares.spare_cents then 1
                    else 0
                end
            )
            * 0.01 as decimal(18, 2)
        ) as credit_amount
    from ranked_shares

),

credits as (

    {%- for part in ["lead_credits", "whole_credits", "share_credits"] %}
    {{ "union all" if not loop.first }}
    select
        outcome_key,
        deal_key,
        outcome,
        outcome_at,
        outcome_date,
        attribution_model,
        touch_key,
        touch_number,
        touch_count,
        channel,
        campaign_key,
        has_only_direct_touches,
        credit_weight,
        credit_amount
    from {{ part }}
    {%- endfor %}

),

final as (

    select
        {{ dbt.concat([
            "outcome_key",
            "':'",
            "outcome",
            "':'",
            "attribution_model",
            "':'",
            "cast(touch_number as " ~ dbt.type_string() ~ ")",
        ]) }} as credit_key,
        deal_key,
        outcome,
        attribution_model,
        touch_key,
        coalesce(channel, 'unattributed') as channel,
        campaign_key,
        credit_weight,
        credit_amount,
        outcome_at,
        outcome_date,
        touch_number,
        touch_count,
        has_only_direct_touches
        and attribution_model = 'last_non_direct' as is_fallback
    from credits
    where credit_weight > 0

)

select * from final
