{#- How far behind the newest an account of the same kind may be and still be of the same refresh;
    rpt_data_trust warns from here on. -#}
{%- set late_after_hours = 36 %}
{#- Who was not read for longer has been replaced by another account. -#}
{%- set left_after_days = 60 %}
with deals as (

    select * from {{ ref("dim_deals") }}
    where
        not is_deleted
        and deal_kind not in ('test', 'service')

),

payments as (

    select * from {{ ref("fct_payments") }}

),

invoices as (

    select * from {{ ref("fct_invoices") }}
    where not is_deleted

),

spend as (

    select * from {{ ref("fct_ad_spend_daily") }}

),

days as (

    select * from {{ ref("dim_dates") }}

),

ad_accounts as (

    select * from {{ ref("int_ad_accounts_aged") }}

),

loaded_payments as (

    select * from {{ ref("int_payments_unioned") }}

),

loaded_invoices as (

    select * from {{ ref("int_invoices_unioned") }}

),

sales_plans as (

    select * from {{ ref("stg_company__sales_plans") }}

),

accounts as (

    select * from {{ ref("int_accounts_unioned") }}

),

tax_regimes as (

    select * from {{ ref("int_tax_regimes_dated") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

created as (

    select
        deals.customer_key,
        {{ local_timestamp_of("deals.created_at", "settings.time_zone") }} as local_at
    from deals
    cross join settings

),

won as (

    select
        deals.customer_key,
        deals.deal_amount,
        {{ local_timestamp_of("deals.closed_at", "settings.time_zone") }} as local_at
    from deals
    cross join settings
    where
        deals.outcome = 'won'
        and deals.closed_at is not null

),

-- Advertising costs a company that pays VAT its net price, so its sales are taken net beside it.
won_net as (

    select
        won.customer_key,
        won.deal_amount / (1 + coalesce(tax_regimes.sales_vat_rate, 0)) as net_amount,
        won.local_at
    from won
    left join tax_regimes
        on
            cast(won.local_at as date) >= tax_regimes.valid_from_date
            and cast(won.local_at as date) < tax_regimes.valid_to_date

),

first_wins as (

    select
        customer_key,
        min(local_at) as local_at
    from won
    group by customer_key

),

received as (

    select
        payments.payment_amount,
        {{ local_timestamp_of("payments.paid_at", "settings.time_zone") }} as local_at
    from payments
    cross join settings

),

billed as (

    select {{ local_timestamp_of("invoices.issued_at", "settings.time_zone") }} as local_at
    from invoices
    cross join settings
    -- a list of bills of which nobody tells what is paid connects no payments
    where invoices.balance_amount is not null

),

events as (

    select
        'came' as event,
        customer_key,
        cast(null as decimal(18, 2)) as amount,
        local_at
    from created
    union all
    select
        'won' as event,
        customer_key,
        deal_amount as amount,
        local_at
    from won
    union all
    select
        'cost_won' as event,
        customer_key,
        cast(round(net_amount, 2) as decimal(18, 2)) as amount,
        local_at
    from won_net
    union all
    select
        'new_client' as event,
        customer_key,
        cast(null as decimal(18, 2)) as amount,
        local_at
    from first_wins
    union all
    select
        'paid' as event,
        cast(null as {{ dbt.type_string() }}) as customer_key,
        payment_amount as amount,
        local_at
    from received
    union all
    select
        'spend' as event,
        cast(null as {{ dbt.type_string() }}) as customer_key,
        spend_amount as amount,
        cast(spend_date as timestamp) as local_at
    from spend

),

-- Up to when each kind of event is known.
telling_accounts as (

    select distinct
        'deals' as told_by,
        source_system,
        source_account_id
    from deals
    union
    select
        'paid' as told_by,
        source_system,
        source_account_id
    from loaded_payments
    union
    select
        'paid' as told_by,
        source_system,
        source_account_id
    from loaded_invoices

),

account_times as (

    select
        telling_accounts.told_by,
        accounts.observed_until_at
    from accounts
    inner join telling_accounts
        on
            accounts.source_system = telling_accounts.source_system
            and accounts.source_account_id = telling_accounts.source_account_id
    union all
    select
        'spend' as told_by,
        observed_until_at
    from ad_accounts
    where not is_closed

),

aged_accounts as (

    select
        account_times.*,
        {{ seconds_between(
            "account_times.observed_until_at",
            "max(account_times.observed_until_at) over (partition by account_times.told_by)",
        ) }} as late_seconds
    from account_times

),

-- An account that nobody has read for long is not in use any more and holds nobody back.
used_accounts as (

    select * from aged_accounts
    where late_seconds <= 86400 * {{ left_after_days }}

),

-- Counts and sums go on without an account that is late, and are called partial. Cost is compared
-- with sales: without a part of it the number is wrong, so it is known as far as all accounts are.
fresh_times as (

    select
        max(observed_until_at) filter (where told_by = 'deals') as deals_until_at,
        max(observed_until_at) filter (where told_by = 'paid') as paid_until_at,
        min(observed_until_at) filter (where told_by = 'spend') as spend_until_at,
        min(observed_until_at) filter (
            where told_by = 'deals' and late_seconds > 3600 * {{ late_after_hours }}
        ) as all_deals_until_at,
        min(observed_until_at) filter (
            where told_by = 'paid' and late_seconds > 3600 * {{ late_after_hours }}
        ) as all_paid_until_at
    from used_accounts

),

clocks as (

    select
        coalesce(fresh_times.deals_until_at, settings.observed_until_at) as deals_until_at,
        coalesce(fresh_times.paid_until_at, settings.observed_until_at) as paid_until_at,
        least(
            coalesce(fresh_times.deals_until_at, settings.observed_until_at),
            coalesce(fresh_times.spend_until_at, settings.observed_until_at)
        ) as both_until_at,
        fresh_times.all_deals_until_at,
        fresh_times.all_paid_until_at
    from settings
    cross join fresh_times

),

-- Since when money received can be known at all: the first payment or bill.
first_times as (

    select
        event,
        min(local_at) as first_local_at,
        max(local_at) as last_local_at
    from events
    group by event
    union all
    select
        'billed' as event,
        min(local_at) as first_local_at,
        cast(null as timestamp) as last_local_at
    from billed

),

first_money as (

    select
        min(first_local_at) filter (where event = 'came') as first_deals_at,
        min(first_local_at) filter (where event in ('paid', 'billed')) as first_paid_at,
        min(first_local_at) filter (where event = 'spend') as first_spend_at,
        greatest(
            min(first_local_at) filter (where event = 'came'),
            min(first_local_at) filter (where event = 'spend')
        ) as first_both_at,
        min(first_local_at) as first_local_at,
        max(last_local_at) as last_local_at
    from first_times

),

-- Up to when each kind of event is known, and since when: no sale of a week that the CRM does not
-- reach back to is unknown, not zero.
event_clocks as (

    {%- for event, clock in [
        ("came", "deals"),
        ("won", "deals"),
        ("paid", "paid"),
        ("cost_won", "both"),
        ("new_client", "both"),
        ("spend", "both"),
    ] %}
        {% if not loop.first %}union all{% endif %}
        select
            '{{ event }}' as event,
            {{ local_timestamp_of("clocks." ~ clock ~ "_until_at", "settings.time_zone") }}
                as fresh_local_at,
            cast(first_money.first_{{ clock }}_at as date) as first_known_date
        from clocks
        cross join settings
        cross join first_money
    {%- endfor %}

),

periods as (

    {%- for period_type in ["week", "month"] %}
        {% if not loop.first %}union all{% endif %}
        select distinct
            '{{ period_type }}' as period_type,
            cast({{ dbt.date_trunc(period_type, "days.date_day") }} as date) as period_start_date,
            cast(
                {{ dbt.dateadd(period_type, 1, dbt.date_trunc(period_type, "days.date_day")) }}
                as date
            ) as period_end_date
        from days
        cross join settings
        cross join first_money
        where
            days.date_day >= cast(first_money.first_local_at as date)
            and days.date_day <= greatest(
                {{ local_date("settings.observed_until_at", "settings.time_zone") }},
                cast(first_money.last_local_at as date)
            )
    {%- endfor %}

),

placed as (

    {%- for period_type in ["week", "month"] %}
        {% if not loop.first %}union all{% endif %}
        select
            '{{ period_type }}' as period_type,
            cast({{ dbt.date_trunc(period_type, "events.local_at") }} as date) as period_start_date,
            events.event,
            events.customer_key,
            events.amount,
        {{ seconds_between(
            dbt.date_trunc(period_type, "events.local_at"), "events.local_at"
        ) }}
            < {{ seconds_between(
            dbt.date_trunc(period_type, "event_clocks.fresh_local_at"),
            "event_clocks.fresh_local_at",
        ) }} as is_by_now
        from events
        inner join event_clocks on events.event = event_clocks.event
        -- what is compared with cost ends where cost ends
        where
            events.event not in ('cost_won', 'new_client', 'spend')
            or events.local_at < event_clocks.fresh_local_at
    {%- endfor %}

),

-- "By now" = as far into its period as the running period has come, for a fair comparison.
totals as (

    select
        period_type,
        period_start_date,
        event,
        count(*) as row_count,
        count(distinct customer_key) as people_count,
        sum(amount) as amount,
        count(*) filter (where is_by_now) as row_count_by_now,
        count(distinct customer_key) filter (where is_by_now) as people_count_by_now,
        sum(amount) filter (where is_by_now) as amount_by_now
    from placed
    group by
        period_type,
        period_start_date,
        event

),

-- Campaigns brought people before their account tells of cost. A week is no matter: a first
-- reading always begins in the middle of something.
untold as (

    select
        min(ad_accounts.advertised_from_date) as untold_from_date,
        max(ad_accounts.first_spend_date) as untold_until_date
    from ad_accounts
    where ad_accounts.untold_days > 7

),

dense as (

    select
        periods.period_type,
        periods.period_start_date,
        periods.period_end_date,
        event_clocks.event,
        cast(periods.period_end_date as timestamp) <= event_clocks.fresh_local_at
            as is_complete,
        -- A period that its source began in, or whose cost is told in part, is no yardstick.
        coalesce(periods.period_start_date >= event_clocks.first_known_date, false)
        and not coalesce(
            event_clocks.event = 'spend'
            and periods.period_end_date > untold.untold_from_date
            and periods.period_start_date < untold.untold_until_date,
            false
        ) as is_whole,
    {%- for measure in ["row_count", "people_count", "amount"] %}
        coalesce(totals.{{ measure }}, 0) as {{ measure }},
        coalesce(totals.{{ measure }}_by_now, 0) as {{ measure }}_by_now
        {{- "," if not loop.last }}
    {%- endfor %}
    from periods
    cross join event_clocks
    cross join untold
    left join totals
        on
            periods.period_type = totals.period_type
            and periods.period_start_date = totals.period_start_date
            and event_clocks.event = totals.event

),

compared as (

    select
        dense.*,
        {%- for measure in ["row_count", "people_count", "amount"] %}
            case
                when dense.is_complete then sum(dense.{{ measure }}) over four_before
                else sum(dense.{{ measure }}_by_now) over four_before
            end as previous_{{ measure }},
        {%- endfor %}
        sum(case when dense.is_whole then 1 else 0 end) over four_before
            as previous_whole_count
    from dense
    window
        four_before as (
            partition by
                dense.period_type,
                dense.event
            order by dense.period_start_date
            rows between 4 preceding and 1 preceding
        )

),

wide as (

    select
        period_type,
        period_start_date,
        period_end_date,
        {%- for event, measure in [
            ("came", "people_count"),
            ("won", "people_count"),
            ("won", "row_count"),
            ("won", "amount"),
            ("cost_won", "row_count"),
            ("cost_won", "amount"),
            ("new_client", "people_count"),
            ("paid", "row_count"),
            ("paid", "amount"),
            ("spend", "row_count"),
            ("spend", "amount"),
        ] %}
            sum({{ measure }}) filter (where event = '{{ event }}') as {{ event }}_{{ measure }},
            sum(previous_{{ measure }}) filter (where event = '{{ event }}')
                as previous_{{ event }}_{{ measure }},
        {%- endfor %}
        max(previous_whole_count) filter (where event = 'came') as deals_previous_count,
        max(previous_whole_count) filter (where event = 'paid') as paid_previous_count,
        max(previous_whole_count) filter (where event = 'spend') as both_previous_count
    from compared
    group by
        period_type,
        period_start_date,
        period_end_date

),

-- An account that answers but tells no new days: from the first of them its cost is not known.
silence as (

    select min({{ dbt.dateadd("day", 1, "ad_accounts.newest_spend_date") }}) as silent_from_date
    from ad_accounts
    where ad_accounts.is_silent

),

connected as (

    select
        wide.*,
        coalesce(
            wide.period_end_date > untold.untold_from_date
            and wide.period_start_date < untold.untold_until_date,
            false
        ) as has_untold_spend,
        coalesce(wide.period_end_date > silence.silent_from_date, false) as has_silent_spend,
        coalesce(
            first_money.first_deals_at > {{ dbt.dateadd("day", 7, "first_money.first_spend_at") }}
            and cast(wide.period_start_date as timestamp) < first_money.first_deals_at,
            false
        ) as has_untold_sales,
        coalesce(cast(wide.period_end_date as timestamp) > first_money.first_deals_at, false)
            as has_deals,
        coalesce(cast(wide.period_end_date as timestamp) > first_money.first_paid_at, false)
            as has_payments,
        coalesce(cast(wide.period_start_date as timestamp) >= first_money.first_paid_at, false)
            as has_all_payments,
        coalesce(cast(wide.period_end_date as timestamp) > first_money.first_spend_at, false)
            as has_spend,
        clocks.deals_until_at,
        clocks.paid_until_at,
        clocks.both_until_at,
        clocks.all_deals_until_at,
        clocks.all_paid_until_at,
        clocks.all_deals_until_at as all_both_until_at
    from wide
    cross join clocks
    cross join first_money
    cross join silence
    cross join untold

),

metrics as (

    {%- for metric in panel_metrics() %}
        {% if not loop.first %}union all{% endif %}
        select
            period_type,
            period_start_date,
            period_end_date,
            '{{ metric.metric_id }}' as metric_id,
            {{ metric.value }} as value,
            {{ metric.n }} as n,
            {{ metric.previous }} as previous_mean_value,
            {{ metric.state }} as state,
            {{ metric.missing }} as missing,
            {{ metric.clock }}_until_at as fresh_until_at,
            all_{{ metric.clock }}_until_at as all_until_at,
            {{ metric.clock }}_previous_count as previous_whole_count
        from connected
    {%- endfor %}

),

dated as (

    select
        metrics.*,
        {{ local_timestamp_of("metrics.fresh_until_at", "settings.time_zone") }}
            as fresh_local_at,
        cast(metrics.period_end_date as timestamp)
        > {{ local_timestamp_of("metrics.all_until_at", "settings.time_zone") }} as lacks_account
    from metrics
    cross join settings

),

-- A period that begins after the source was last read is unknown, not zero.
aged as (

    select
        dated.*,
        cast(dated.period_end_date as timestamp) <= dated.fresh_local_at as is_complete,
        greatest(
            0e0,
            least(
                1e0,
                cast(
                    {{ seconds_between("cast(period_start_date as timestamp)", "fresh_local_at") }}
                    as double
                )
                / cast(
                    {{ seconds_between(
                        "cast(period_start_date as timestamp)",
                        "cast(period_end_date as timestamp)",
                    ) }} as double
                )
            )
        ) as elapsed_ratio
    from dated

),

stated as (

    select
        aged.*,
        case
            when aged.state <> 'not_connected' and aged.elapsed_ratio > 0 then aged.value
        end as known_value,
        case
            when aged.state = 'not_connected' then aged.state
            when aged.elapsed_ratio = 0 or aged.lacks_account then 'partial'
            else aged.state
        end as known_state,
        case
            when aged.state = 'not_connected' then aged.missing
            when aged.elapsed_ratio = 0 or aged.lacks_account then 'newer_data'
            else aged.missing
        end as known_missing
    from aged

),

final as (

    select
        stated.period_type,
        stated.period_start_date,
        stated.metric_id,
        cast(round(stated.known_value, 2) as decimal(18, 2)) as value,
        -- Clients are counted, so their number has the interval of a Poisson count (Byar).
        cast(
            round(
                case
                    when stated.metric_id = 'acquisition_cost'
                        then stated.known_value * stated.n / {{ poisson_high("stated.n") }}
                end,
                2
            ) as decimal(18, 2)
        ) as value_low,
        cast(
            round(
                case
                    when stated.metric_id = 'acquisition_cost'
                        then
                            stated.known_value * stated.n
                            / nullif({{ poisson_low("stated.n") }}, 0)
                end,
                2
            ) as decimal(18, 2)
        ) as value_high,
        cast(stated.n as bigint) as n,
        cast(sales_plans.plan_value as decimal(18, 2)) as plan_value,
        cast(
            round(
                case
                    when
                        stated.previous_whole_count = 4
                        and stated.state <> 'not_connected'
                        -- of a period that has not begun for this source nothing is comparable
                        and stated.elapsed_ratio > 0
                        then stated.previous_mean_value
                end,
                2
            ) as decimal(18, 2)
        ) as previous_mean_value,
        stated.known_state as state,
        stated.known_missing as missing,
        {{ missing_words("stated.known_missing", "en") }} as missing_en,
        {{ missing_words("stated.known_missing", "ru") }} as missing_ru,
        stated.fresh_until_at,
        stated.period_end_date,
        stated.is_complete,
        stated.elapsed_ratio,
        -- In the first tenth of a period a run-rate says more about the hour than about sales.
        cast(
            round(
                case
                    when stated.is_complete or stated.metric_id = 'acquisition_cost'
                        then stated.known_value
                    when stated.elapsed_ratio >= 0.1
                        then cast(stated.known_value as double) / stated.elapsed_ratio
                end,
                2
            ) as decimal(18, 2)
        ) as run_rate_value,
        settings.currency_code,
        settings.time_zone
    from stated
    cross join settings
    left join sales_plans
        on
            stated.period_type = sales_plans.period_type
            and stated.period_start_date = sales_plans.period_start_date
            and stated.metric_id = sales_plans.metric_id

)

select * from final
