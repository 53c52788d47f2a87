{#- Checks whose limit is what the source itself says: anything but equality fails. -#}
{%- set compared_checks = [
    "crm_new_deals",
    "crm_won_deals",
    "crm_won_amount",
    "deal_count",
    "spend_amount",
] -%}
{#- Check, relation below, what the marts say, what the source itself says (its own limit, where
    the check is no comparison), rows it is about. -#}
{%- set measures = [
    ("freshness", "account_ages", "hours_behind", "null", "0"),
    ("crm_new_deals", "list_pairs", "new_deal_count", "own_new_deal_count", "own_new_deal_count"),
    ("crm_won_deals", "list_pairs", "won_deal_count", "own_won_deal_count", "own_won_deal_count"),
    ("crm_won_amount", "list_pairs", "won_amount", "own_won_amount", "own_won_deal_count"),
    ("deal_count", "deal_totals", "deal_count", "loaded_count", "loaded_count"),
    ("log_state_mismatch", "deal_totals", share_of("mismatch_count", "logged_count"), "null", "mismatch_count"),
    ("log_gaps", "deal_totals", share_of("gap_count", "logged_count"), "null", "gap_count"),
    ("stage_outcome_conflicts", "deal_totals", share_of("conflict_count", "live_count"), "null", "conflict_count"),
    ("unmapped_stages", "unmapped_counts", "unmapped_count", "null", "unmapped_count"),
    ("unattributed_leads", "deal_totals", share_of("unattributed_count", "request_count"), "null", "unattributed_count"),
    ("deals_without_person", "deal_totals", share_of("personless_count", "live_count"), "null", "personless_count"),
    ("duplicates", "deal_totals", share_of("duplicate_count", "live_count"), "null", "duplicate_count"),
    ("closed_before_created", "deal_totals", "closed_early_count", "null", "closed_early_count"),
    ("left_truncated", "deal_totals", share_of("truncated_count", "logged_count"), "null", "truncated_count"),
    ("missing_loss_reason", "rejection_counts", share_of("unreasoned_count", "rejection_count"), "null", "unreasoned_count"),
    ("invoices_connected", "deal_totals", "case when money_row_count > 0 then 1 end", "null", "money_row_count"),
    ("unmatched_payments", "payment_counts", share_of("dealless_count", "payment_count"), "null", "dealless_count"),
    ("spend_amount", "spend_pairs", "native_amount", "loaded_native_amount", "row_count"),
    ("spend_vat_unknown", "spend_pairs", share_of("vat_unknown_amount", "native_amount"), "null", "vat_unknown_count"),
    ("quarantined_rows", "quarantine_counts", "row_count", "null", "row_count"),
    ("ad_days_missing", "ad_ages", "hours_silent", "usual_hours_silent", "0"),
    ("part_payments_unknown", "bill_counts", "part_unknown_amount", "null", "part_unknown_count"),
    ("ad_figures_begin", "ad_ages", "untold_days", "null", "0"),
    ("payments_beside_bills", "payment_counts", "beside_bill_amount", "null", "beside_bill_count"),
    ("exchange_rate_age", "rate_ages", "hours_old", "null", "row_count"),
] -%}
with checks as (

    select * from {{ ref("trust_checks") }}

),

accounts as (

    select * from {{ ref("int_accounts_unioned") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

crm_lists as (

    select * from {{ ref("int_crm_lists_counted") }}

),

loaded_deals as (

    select * from {{ ref("int_deals_unioned") }}

),

moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}
    where
        inference = 'state'
        or is_after_gap
        -- One row per deal of an account that keeps a log, to know which do.
        or (transition_number = 1 and is_log_kept)

),

deals as (

    select * from {{ ref("dim_deals") }}

),

stages as (

    select * from {{ ref("dim_pipeline_stages") }}
    where is_current

),

rejections as (

    select * from {{ ref("fct_deal_rejections") }}

),

loaded_spend as (

    select * from {{ ref("int_ad_spend_unioned") }}

),

spend as (

    select * from {{ ref("fct_ad_spend_daily") }}

),

invoices as (

    select * from {{ ref("fct_invoices") }}

),

payments as (

    select * from {{ ref("fct_payments") }}

),

ad_accounts as (

    select * from {{ ref("int_ad_accounts_aged") }}

),

quarantined_rows as (

    select * from {{ ref("stg_files__quarantined_rows") }}

),

concluded_deals as (

    select * from {{ ref("int_deals_concluded") }}

),

-- The newest rate of each currency, which holds until somebody writes the next one.
newest_rates as (

    select * from {{ ref("int_exchange_rates_dated") }}
    where valid_to_date = cast('9999-12-31' as date)

),

account_ages as (

    select
        accounts.source_system,
        accounts.source_account_id,
        cast(
            {{ seconds_between("accounts.observed_until_at", "settings.observed_until_at") }}
            as double
        )
        / 3600 as hours_behind
    from accounts
    cross join settings

),

deal_counts as (

    select
        source_system,
        source_account_id,
        count(*) as deal_count,
        count(*) filter (where not is_deleted) as live_count,
        count(*) filter (where not is_deleted and customer_key like 'deal:%')
            as personless_count,
        count(*) filter (where not is_deleted and deal_kind = 'duplicate') as duplicate_count,
        count(*) filter (where not is_deleted and is_closed_before_created)
            as closed_early_count,
        count(*) filter (where not is_deleted and is_left_truncated) as truncated_count,
        count(*) filter (where not is_deleted and deal_kind in ('new', 'repeat'))
            as request_count,
        count(*) filter (
            where
            not is_deleted
            and deal_kind in ('new', 'repeat')
            and channel = 'unattributed'
        ) as unattributed_count
    from deals
    group by
        source_system,
        source_account_id

),

loaded_deal_counts as (

    select
        source_system,
        source_account_id,
        count(*) as deal_count
    from loaded_deals
    group by
        source_system,
        source_account_id

),

-- The CRM's list shows a deal where it is now: one that was sold and went on to fulfilment is in no
-- list of won deals of the pipelines that sell.
mart_lists as (

    select
        crm_lists.source_system,
        crm_lists.source_account_id,
        count(*) filter (
            where
            {{ local_date("deals.created_at", "settings.time_zone") }}
            >= crm_lists.month_start_date
            and {{ local_date("deals.created_at", "settings.time_zone") }}
            < crm_lists.month_end_date
        ) as new_deal_count,
        count(*) filter (
            where
            deals.outcome = 'won'
            and coalesce(stages.pipeline_role, 'sales') in ('sales', 'repeat')
            and {{ local_date("deals.closed_at", "settings.time_zone") }}
            >= crm_lists.month_start_date
            and {{ local_date("deals.closed_at", "settings.time_zone") }}
            < crm_lists.month_end_date
        ) as won_deal_count,
        coalesce(
            sum(deals.deal_amount) filter (
                where
                deals.outcome = 'won'
                and coalesce(stages.pipeline_role, 'sales') in ('sales', 'repeat')
                and {{ local_date("deals.closed_at", "settings.time_zone") }}
                >= crm_lists.month_start_date
                and {{ local_date("deals.closed_at", "settings.time_zone") }}
                < crm_lists.month_end_date
            ),
            0
        ) as won_amount
    from deals
    inner join crm_lists
        on
            deals.source_system = crm_lists.source_system
            and deals.source_account_id = crm_lists.source_account_id
    left join stages on deals.stage_key = stages.stage_key
    cross join settings
    where
        not deals.is_deleted
        and not deals.is_unsorted
    group by
        crm_lists.source_system,
        crm_lists.source_account_id

),

log_counts as (

    select
        loaded_deals.source_system,
        loaded_deals.source_account_id,
        count(distinct moves.deal_key) filter (where moves.inference = 'state')
            as mismatch_count,
        count(distinct moves.deal_key) filter (where moves.is_after_gap) as gap_count,
        count(*) filter (where moves.transition_number = 1) as logged_count
    from moves
    inner join loaded_deals on moves.deal_key = loaded_deals.deal_key
    where not loaded_deals.is_deleted
    group by
        loaded_deals.source_system,
        loaded_deals.source_account_id

),

conflict_counts as (

    select
        loaded_deals.source_system,
        loaded_deals.source_account_id,
        count(*) as conflict_count
    from loaded_deals
    inner join stages on loaded_deals.stage_key = stages.stage_key
    where
        not loaded_deals.is_deleted
        and loaded_deals.declared_outcome <> stages.stage_category
    group by
        loaded_deals.source_system,
        loaded_deals.source_account_id

),

unmapped_counts as (

    select
        source_system,
        source_account_id,
        count(*) filter (where not is_mapped) as unmapped_count
    from stages
    group by
        source_system,
        source_account_id

),

rejection_counts as (

    select
        deals.source_system,
        deals.source_account_id,
        count(*) as rejection_count,
        count(*) filter (where rejections.reason = 'not_given') as unreasoned_count
    from rejections
    inner join deals on rejections.deal_key = deals.deal_key
    where
        not deals.is_deleted
        and deals.deal_kind <> 'test'
        and not rejections.is_superseded
    group by
        deals.source_system,
        deals.source_account_id

),

spend_counts as (

    select
        platform,
        source_account_id,
        currency_code,
        count(*) as row_count,
        sum(spend_native_amount) as native_amount,
        count(*) filter (where vat_mode = 'unknown') as vat_unknown_count,
        coalesce(sum(spend_native_amount) filter (where vat_mode = 'unknown'), 0)
            as vat_unknown_amount
    from spend
    group by
        platform,
        source_account_id,
        currency_code

),

loaded_spend_counts as (

    select
        loaded_spend.platform,
        loaded_spend.source_account_id,
        coalesce(loaded_spend.currency_code, settings.currency_code) as currency_code,
        sum(loaded_spend.spend_native_amount) as native_amount
    from loaded_spend
    cross join settings
    group by
        loaded_spend.platform,
        loaded_spend.source_account_id,
        coalesce(loaded_spend.currency_code, settings.currency_code)

),

declared_deals as (

    select distinct deal_key
    from payments
    where match_method = 'invoice_status'

),

-- Receipts without a bill, of a deal whose bills the CRM calls paid: perhaps the same money.
judged_payments as (

    select
        payments.deal_key,
        payments.payment_amount,
        payments.invoice_key is null
        and payments.payment_amount > 0
        and declared_deals.deal_key is not null as is_beside_bill
    from payments
    left join declared_deals on payments.deal_key = declared_deals.deal_key

),

paid_counts as (

    select
        count(*) as payment_count,
        count(*) filter (where deal_key is null) as dealless_count,
        count(*) filter (where is_beside_bill) as beside_bill_count,
        coalesce(sum(payment_amount) filter (where is_beside_bill), 0) as beside_bill_amount
    from judged_payments

),

billed_counts as (

    select
        count(*) as invoice_count,
        count(*) filter (where balance_amount is not null) as told_count,
        count(*) filter (where is_balance_upper_bound) as part_unknown_count,
        coalesce(sum(balance_amount) filter (where is_balance_upper_bound), 0)
            as part_unknown_amount
    from invoices

),

deal_totals as (

    select
        deal_counts.*,
        coalesce(loaded_deal_counts.deal_count, 0) as loaded_count,
        coalesce(log_counts.mismatch_count, 0) as mismatch_count,
        coalesce(log_counts.gap_count, 0) as gap_count,
        -- An account without a log of moves has no hole in it, which proves nothing.
        coalesce(log_counts.logged_count, 0) as logged_count,
        coalesce(conflict_counts.conflict_count, 0) as conflict_count,
        paid_counts.payment_count + billed_counts.told_count as money_row_count
    from deal_counts
    cross join paid_counts
    cross join billed_counts
    left join loaded_deal_counts
        on
            deal_counts.source_system = loaded_deal_counts.source_system
            and deal_counts.source_account_id = loaded_deal_counts.source_account_id
    left join log_counts
        on
            deal_counts.source_system = log_counts.source_system
            and deal_counts.source_account_id = log_counts.source_account_id
    left join conflict_counts
        on
            deal_counts.source_system = conflict_counts.source_system
            and deal_counts.source_account_id = conflict_counts.source_account_id

),

list_pairs as (

    select
        crm_lists.source_system,
        crm_lists.source_account_id,
        coalesce(mart_lists.new_deal_count, 0) as new_deal_count,
        coalesce(mart_lists.won_deal_count, 0) as won_deal_count,
        coalesce(mart_lists.won_amount, 0) as won_amount,
        crm_lists.new_deal_count as own_new_deal_count,
        crm_lists.won_deal_count as own_won_deal_count,
        -- The CRM adds sums of different currencies; nobody can compare that.
        case when crm_lists.foreign_deal_count = 0 then crm_lists.won_native_amount end
            as own_won_amount
    from crm_lists
    left join mart_lists
        on
            crm_lists.source_system = mart_lists.source_system
            and crm_lists.source_account_id = mart_lists.source_account_id

),

-- Sums of one currency each: native money of different currencies is never added.
spend_pairs as (

    select
        spend_counts.platform as source_system,
        {{ dbt.concat([
            "spend_counts.source_account_id",
            "' '",
            "spend_counts.currency_code",
        ]) }} as source_account_id,
        spend_counts.row_count,
        spend_counts.native_amount,
        spend_counts.vat_unknown_count,
        spend_counts.vat_unknown_amount,
        coalesce(loaded_spend_counts.native_amount, 0) as loaded_native_amount
    from spend_counts
    left join loaded_spend_counts
        on
            spend_counts.platform = loaded_spend_counts.platform
            and spend_counts.source_account_id = loaded_spend_counts.source_account_id
            and spend_counts.currency_code = loaded_spend_counts.currency_code

),

-- Payments of every source are judged together: any of them may pay a deal of any CRM.
payment_counts as (

    select
        'company' as source_system,
        'payments' as source_account_id,
        payment_count,
        dealless_count,
        beside_bill_count,
        beside_bill_amount
    from paid_counts
    where payment_count > 0

),

bill_counts as (

    select
        'company' as source_system,
        'invoices' as source_account_id,
        part_unknown_count,
        part_unknown_amount
    from billed_counts
    where invoice_count > 0

),

-- An account with too few days to have a habit cannot be judged by it.
ad_ages as (

    select
        platform as source_system,
        source_account_id,
        case when usual_silent_days is not null then 24 * silent_days end as hours_silent,
        24 * usual_silent_days as usual_hours_silent,
        untold_days,
        cast(first_spend_date as {{ dbt.type_string() }}) as first_spend_day
    from ad_accounts

),

quarantine_counts as (

    select
        'files' as source_system,
        source_account_id,
        count(*) as row_count
    from quarantined_rows
    group by source_account_id

),

foreign_money as (

    select
        amount_currency_code as currency_code,
        rate_date as money_date
    from concluded_deals
    where deal_amount <> 0
    union all
    select
        currency_code,
        spend_date as money_date
    from spend
    union all
    select
        invoices.currency_code,
        {{ local_date("invoices.issued_at", "settings.time_zone") }} as money_date
    from invoices
    cross join settings
    union all
    select
        payments.currency_code,
        {{ local_date("payments.paid_at", "settings.time_zone") }} as money_date
    from payments
    cross join settings

),

-- How old the rate was on the newest day whose money it turned into the reporting currency.
rate_ages as (

    select
        'company' as source_system,
        {{ dbt.concat(["'exchange_rates '", "foreign_money.currency_code"]) }}
            as source_account_id,
        24 * max({{ days_between("newest_rates.valid_from_date", "foreign_money.money_date") }})
            as hours_old,
        count(*) as row_count
    from foreign_money
    inner join newest_rates
        on
            foreign_money.currency_code = newest_rates.currency_code
            and foreign_money.money_date >= newest_rates.valid_from_date
    cross join settings
    where foreign_money.currency_code <> settings.currency_code
    group by foreign_money.currency_code

),

measured as (

    {%- for check_id, relation, value, own_value, row_count in measures %}
        {% if not loop.first %}union all{% endif %}
        select
            source_system,
            source_account_id,
            '{{ check_id }}' as check_id,
            cast({{ value }} as double) as value,
            cast({{ own_value }} as double) as own_value,
            cast({{ row_count }} as bigint) as row_count
        from {{ relation }}
    {%- endfor %}

),

judged as (

    select
        measured.*,
        checks.check_position,
        checks.check_name_en,
        checks.check_name_ru,
        checks.unit,
        checks.what_to_do_en,
        checks.what_to_do_ru,
        coalesce(measured.own_value, checks.warn_limit) as limit_value,
        case
            when measured.value is null then 'not_measurable'
            when measured.check_id in ({{ "'" ~ compared_checks | join("', '") ~ "'" }})
                then
                    case
                        when measured.own_value is null then 'not_measurable'
                        when measured.value = measured.own_value then 'ok'
                        else 'fail'
                    end
            when measured.value > checks.fail_limit then 'fail'
            when measured.value > coalesce(measured.own_value, checks.warn_limit) then 'warn'
            else 'ok'
        end as status
    from measured
    inner join checks on measured.check_id = checks.check_id

),

-- An advice may name the day that the account's figures begin.
dated as (

    select
        judged.*,
        coalesce(ad_ages.first_spend_day, '') as since_en,
        coalesce(
            {{ dbt.concat([
                "substr(ad_ages.first_spend_day, 9, 2)",
                "'.'",
                "substr(ad_ages.first_spend_day, 6, 2)",
                "'.'",
                "substr(ad_ages.first_spend_day, 1, 4)",
            ]) }},
            ''
        ) as since_ru
    from judged
    left join ad_ages
        on
            judged.source_system = ad_ages.source_system
            and judged.source_account_id = ad_ages.source_account_id

),

final as (

    select
        source_system,
        source_account_id,
        check_id,
        cast(check_position as bigint) as check_position,
        check_name_en,
        check_name_ru,
        status,
        value,
        limit_value,
        unit,
        row_count,
        case when status <> 'ok' then check_id end as what_to_do,
        case when status <> 'ok' then replace(what_to_do_en, '{date}', since_en) end
            as what_to_do_en,
        case when status <> 'ok' then replace(what_to_do_ru, '{date}', since_ru) end
            as what_to_do_ru
    from dated

)

select * from final
