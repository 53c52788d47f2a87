with moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}

),

deals as (

    select * from {{ ref("int_deals_concluded") }}

),

business_days as (

    select * from {{ ref("int_business_days_clocked") }}

),

spans as (

    select * from {{ ref("int_pipeline_stages_ranked") }}

),

stays as (

    select
        moves.*,
        deals.deal_amount,
        -- A stay that begins after the end of observation has lasted no time yet.
        greatest(
            coalesce(
                moves.next_at, deals.observed_until_at, moves.transitioned_at
            ),
            moves.transitioned_at
        ) as measured_until_at
    from moves
    inner join deals on moves.deal_key = deals.deal_key

),

final as (

    select
        {{ dbt.concat([
            "stays.deal_key",
            "':'",
            "cast(stays.transition_number as " ~ dbt.type_string() ~ ")",
        ]) }} as visit_key,
        stays.deal_key,
        stays.transition_number as visit_number,
        stays.to_stage_key as stage_key,
        spans.stage_version_key,
        stays.transitioned_at as entered_at,
        stays.next_at as exited_at,
        stays.sales_rep_key as entered_by_sales_rep_key,
        stays.change_channel,
        stays.deal_amount as deal_entry_amount,
        {{ seconds_between("stays.transitioned_at", "stays.measured_until_at") }}
            as dwell_seconds,
        cast(
            {{ business_clock("stays.measured_until_at", "until_days") }}
            - {{ business_clock("stays.transitioned_at", "from_days") }}
            as decimal(18, 6)
        ) as dwell_business_seconds,
        stays.next_at is null as is_censored,
        stays.is_left_truncated,
        stays.is_inferred,
        stays.is_dwell_measured,
        case
            when stays.next_at is null and stays.is_log_kept
                then {{ seconds_between("stays.transitioned_at", "stays.measured_until_at") }}
        end as standing_seconds
    from stays
    left join spans on stays.to_span_number = spans.span_number
    left join business_days as from_days
        on cast(stays.transitioned_at as date) = from_days.utc_date
    left join business_days as until_days
        on cast(stays.measured_until_at as date) = until_days.utc_date

)

select * from final
