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

-- One table of amounts and one join on two keys: a join condition on the outcome alone would turn
-- the hash join into a nested loop.
outcome_amounts as (

    select
        deal_key as outcome_key,
        'won' as outcome,
        deal_amount as outcome_amount
    from won_deals
    union all
    select
        {{ paid_outcome_key() }} as outcome_key,
        'paid' as outcome,
        cast(sum(payment_amount) as decimal(18, 2)) as outcome_amount
    from payments
    group by {{ paid_outcome_key() }}

),

valued_paths as (

    select
        money_paths.*,
        outcome_amounts.outcome_amount
    from money_paths
    left join outcome_amounts
        on
            money_paths.outcome_key = outcome_amounts.outcome_key
            and money_paths.outcome = outcome_amounts.outcome

),

-- One branch per model, not a cross join with a list of models: DuckDB turns the filter on the
-- weight into a nested loop over millions of rows then (more than 8 minutes instead of 62 seconds).
lead_credits as (

    {%- for attribution_model in attribution_models() %}
        {% if not loop.first %}union all{% endif %}
        select
            lead_paths.*,
            '{{ attribution_model }}' as attribution_model,
            lead_paths.{{ attribution_model }}_weight as credit_weight,
            cast(null as decimal(18, 2)) as credit_amount
        from lead_paths
        where lead_paths.{{ attribution_model }}_weight > 0
    {%- endfor %}

),

money_credits as (

    {%- for attribution_model in attribution_models() %}
        {% if not loop.first %}union all{% endif %}
        select
            valued_paths.*,
            '{{ attribution_model }}' as attribution_model,
            valued_paths.{{ attribution_model }}_weight as credit_weight
        from valued_paths
        where valued_paths.{{ attribution_model }}_weight > 0
    {%- endfor %}

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
    where money_credits.credit_weight < 1

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
        {% if not loop.first %}union all{% endif %}
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

)

select * from final
