with paths as (

    select * from {{ ref("int_deal_paths_grouped") }}

),

stage_steps as (

    select * from {{ ref("int_funnel_steps_ordered") }}

),

cohort_windows as (

    select * from {{ ref("int_cohort_windows_measured") }}

),

transitions as (

    select * from {{ ref("fct_deal_stage_transitions") }}

),

deals as (

    select * from {{ ref("dim_deals") }}

),

accounts as (

    select * from {{ ref("int_accounts_unioned") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

steps as (

    select
        source_system,
        source_account_id,
        pipeline_id,
        step,
        step_position,
        min(step_name) as step_name,
        min(path_mark) as path_mark
    from stage_steps
    where step_position is not null
    group by
        source_system,
        source_account_id,
        pipeline_id,
        step,
        step_position

),

-- A like pattern that fits every path which passes all steps up to this one in their order.
strict_patterns as (

    select
        steps.source_system,
        steps.source_account_id,
        steps.pipeline_id,
        steps.step,
        steps.step_name,
        steps.step_position,
        steps.path_mark,
        {{ dbt.concat([
            "'%'",
            dbt.listagg("earlier_steps.path_mark", "'%'", "order by earlier_steps.step_position"),
            "'%'",
        ]) }} as strict_pattern
    from steps
    inner join steps as earlier_steps
        on
            steps.source_system = earlier_steps.source_system
            and steps.source_account_id = earlier_steps.source_account_id
            and steps.pipeline_id = earlier_steps.pipeline_id
            and steps.step_position >= earlier_steps.step_position
    group by
        steps.source_system,
        steps.source_account_id,
        steps.pipeline_id,
        steps.step,
        steps.step_name,
        steps.step_position,
        steps.path_mark

),

patterns as (

    select
        strict_patterns.*,
        lag(strict_patterns.path_mark) over (
            partition by
                strict_patterns.source_system,
                strict_patterns.source_account_id,
                strict_patterns.pipeline_id
            order by strict_patterns.step_position
        ) as previous_mark,
        lag(strict_patterns.strict_pattern) over (
            partition by
                strict_patterns.source_system,
                strict_patterns.source_account_id,
                strict_patterns.pipeline_id
            order by strict_patterns.step_position
        ) as previous_strict_pattern
    from strict_patterns

),

judged as (

    select
        paths.source_system,
        paths.source_account_id,
        paths.pipeline_id,
        paths.cohort_month_date,
        paths.path,
        paths.deal_count,
        patterns.step,
        patterns.step_name,
        patterns.step_position,
        patterns.path_mark,
        patterns.previous_mark,
        paths.path like patterns.strict_pattern as is_strict,
        paths.path like {{ dbt.concat(["'%'", "patterns.path_mark", "'%'"]) }} as is_any,
        paths.last_position >= patterns.step_position as is_reached,
        coalesce(paths.path like patterns.previous_strict_pattern, true)
            as is_previous_strict,
        coalesce(
            paths.path like {{ dbt.concat(["'%'", "patterns.previous_mark", "'%'"]) }},
            true
        ) as is_previous_any,
        paths.last_position >= patterns.step_position - 1 as is_previous_reached
    from paths
    inner join patterns
        on
            paths.source_system = patterns.source_system
            and paths.source_account_id = patterns.source_account_id
            and paths.pipeline_id = patterns.pipeline_id

),

{%- set cohort_definitions = [
    ("cohort_strict", "strict"),
    ("cohort_any", "any"),
    ("cohort_reached_or_beyond", "reached"),
] %}

cohort_counts as (

    {%- for definition_id, flag in cohort_definitions %}
        {% if not loop.first %}union all{% endif %}
        select
            '{{ definition_id }}' as definition_id,
            source_system,
            source_account_id,
            pipeline_id,
            cohort_month_date,
            'entry' as from_step,
            cast(0 as bigint) as from_step_position,
            step as to_step,
            step_name as to_step_name,
            step_position as to_step_position,
            cast(coalesce(sum(deal_count) filter (where is_{{ flag }}), 0) as bigint)
                as numerator_count,
            cast(sum(deal_count) as bigint) as denominator_count,
            cast(null as double) as given_ratio,
            cast(
                coalesce(
                    sum(deal_count) filter (where is_{{ flag }} and is_previous_{{ flag }}), 0
                ) as bigint
            ) as from_previous_numerator_count,
            cast(
                coalesce(sum(deal_count) filter (where is_previous_{{ flag }}), 0) as bigint
            ) as from_previous_denominator_count,
            cast(
                coalesce(sum(deal_count) filter (where is_{{ flag }} and not is_any), 0)
                as bigint
            ) as imputed_count
        from judged
        group by
            source_system,
            source_account_id,
            pipeline_id,
            cohort_month_date,
            step,
            step_name,
            step_position
    {%- endfor %}

),

direct_rates as (

    select
        source_system,
        source_account_id,
        pipeline_id,
        cohort_month_date,
        step_position,
        cast(
            sum(deal_count * {{ occurrences("path", dbt.concat(["previous_mark", "path_mark"])) }})
            as double
        )
        / nullif(sum(deal_count * {{ occurrences("path", "previous_mark") }}), 0)
            as direct_ratio,
        sum(deal_count) as deal_count
    from judged
    where previous_mark is not null
    group by
        source_system,
        source_account_id,
        pipeline_id,
        cohort_month_date,
        step_position

),

-- The number other tools print as "the" conversion. It is kept to be seen beside the true ones.
products as (

    select
        'product_of_stage_rates' as definition_id,
        source_system,
        source_account_id,
        pipeline_id,
        cohort_month_date,
        '1' as from_step,
        cast(1 as bigint) as from_step_position,
        'won' as to_step,
        'won' as to_step_name,
        cast(max(step_position) as bigint) as to_step_position,
        cast(null as bigint) as numerator_count,
        cast(max(deal_count) as bigint) as denominator_count,
        case
            when count(direct_ratio) = count(*)
                then {{ product("direct_ratio", "step_position") }}
        end as given_ratio,
        cast(null as bigint) as from_previous_numerator_count,
        cast(null as bigint) as from_previous_denominator_count,
        cast(0 as bigint) as imputed_count
    from direct_rates
    group by
        source_system,
        source_account_id,
        pipeline_id,
        cohort_month_date

),

counted_deals as (

    select
        deals.deal_key,
        deals.source_system,
        deals.source_account_id,
        -- A sale does not leave the win rate of its pipeline when its goods are delivered.
        deals.outcome_pipeline_id as pipeline_id,
        deals.outcome,
        {{ local_date("deals.created_at", "settings.time_zone") }} as created_date,
        {{ local_date("deals.closed_at", "settings.time_zone") }} as closed_date
    from deals
    cross join settings
    where
        not deals.is_deleted
        and deals.deal_kind not in ('test', 'duplicate')

),

{%- set win_rates = [
    ("win_rate_closed", "closed", "outcome in ('won', 'lost') and closed_date is not null"),
    ("win_rate_created", "created", "true"),
] %}

win_rates as (

    {%- for definition_id, clock, population in win_rates %}
        {% if not loop.first %}union all{% endif %}
        select
            '{{ definition_id }}' as definition_id,
            source_system,
            source_account_id,
            pipeline_id,
            cast({{ dbt.date_trunc("month", clock ~ "_date") }} as date) as cohort_month_date,
            '{{ clock }}' as from_step,
            cast(0 as bigint) as from_step_position,
            'won' as to_step,
            'won' as to_step_name,
            cast(1 as bigint) as to_step_position,
            count(*) filter (where outcome = 'won') as numerator_count,
            count(*) as denominator_count,
            cast(null as double) as given_ratio,
            cast(null as bigint) as from_previous_numerator_count,
            cast(null as bigint) as from_previous_denominator_count,
            cast(0 as bigint) as imputed_count
        from counted_deals
        where {{ population }}
        group by
            source_system,
            source_account_id,
            pipeline_id,
            cast({{ dbt.date_trunc("month", clock ~ "_date") }} as date)
    {%- endfor %}

),

moves as (

    select
        from_steps.source_system,
        from_steps.source_account_id,
        from_steps.pipeline_id,
        cast(
            {{ dbt.date_trunc(
                "month", local_date("transitions.transitioned_at", "settings.time_zone")
            ) }}
            as date
        ) as cohort_month_date,
        from_steps.step as from_step,
        from_steps.step_position as from_step_position,
        case
            when from_steps.pipeline_id = to_steps.pipeline_id then to_steps.step
            else 'pipeline_move'
        end as to_step,
        case
            when from_steps.pipeline_id = to_steps.pipeline_id then to_steps.step_name
            else 'pipeline_move'
        end as to_step_name,
        case
            when from_steps.pipeline_id = to_steps.pipeline_id then to_steps.step_position
        end as to_step_position
    from transitions
    inner join counted_deals on transitions.deal_key = counted_deals.deal_key
    inner join stage_steps as from_steps on transitions.from_stage_key = from_steps.stage_key
    inner join stage_steps as to_steps on transitions.to_stage_key = to_steps.stage_key
    cross join settings

),

move_counts as (

    select
        source_system,
        source_account_id,
        pipeline_id,
        cohort_month_date,
        from_step,
        min(from_step_position) as from_step_position,
        to_step,
        min(to_step_name) as to_step_name,
        min(to_step_position) as to_step_position,
        count(*) as numerator_count
    from moves
    group by
        source_system,
        source_account_id,
        pipeline_id,
        cohort_month_date,
        from_step,
        to_step

),

transition_probabilities as (

    select
        'transition_probability' as definition_id,
        source_system,
        source_account_id,
        pipeline_id,
        cohort_month_date,
        from_step,
        from_step_position,
        to_step,
        to_step_name,
        to_step_position,
        numerator_count,
        cast(
            sum(numerator_count) over (
                partition by
                    source_system,
                    source_account_id,
                    pipeline_id,
                    cohort_month_date,
                    from_step
            ) as bigint
        ) as denominator_count,
        cast(null as double) as given_ratio,
        cast(null as bigint) as from_previous_numerator_count,
        cast(null as bigint) as from_previous_denominator_count,
        cast(0 as bigint) as imputed_count
    from move_counts

),

all_definitions as (

    select * from cohort_counts
    union all
    select * from products
    union all
    select * from win_rates
    union all
    select * from transition_probabilities

),

step_names as (

    select distinct
        source_system,
        source_account_id,
        pipeline_id,
        step,
        step_name
    from steps

),

final as (

    select
        all_definitions.definition_id,
        all_definitions.cohort_month_date,
        all_definitions.source_system,
        all_definitions.source_account_id,
        all_definitions.pipeline_id,
        all_definitions.from_step,
        all_definitions.to_step,
        coalesce(step_names.step_name, all_definitions.from_step) as from_step_name,
        all_definitions.to_step_name,
        all_definitions.from_step_position,
        all_definitions.to_step_position,
        all_definitions.numerator_count,
        all_definitions.denominator_count,
        coalesce(
            all_definitions.given_ratio,
            cast(all_definitions.numerator_count as double)
            / nullif(all_definitions.denominator_count, 0)
        ) as conversion_ratio,
        case
            when all_definitions.numerator_count is not null
                then
                    {{ wilson_low(
                        "all_definitions.numerator_count",
                        "all_definitions.denominator_count",
                    ) }}
        end as conversion_low_ratio,
        case
            when all_definitions.numerator_count is not null
                then
                    {{ wilson_high(
                        "all_definitions.numerator_count",
                        "all_definitions.denominator_count",
                    ) }}
        end as conversion_high_ratio,
        all_definitions.from_previous_numerator_count,
        all_definitions.from_previous_denominator_count,
        cast(all_definitions.from_previous_numerator_count as double)
        / nullif(all_definitions.from_previous_denominator_count, 0)
            as from_previous_ratio,
        cast(all_definitions.imputed_count as double)
        / nullif(all_definitions.numerator_count, 0) as imputed_ratio,
        cohort_windows.cohort_window_days,
        -- A cohort is mature once its youngest deal has had the whole window.
        coalesce(
            {{ local_date("accounts.observed_until_at", "settings.time_zone") }}
            >= cast(
                {{ dbt.dateadd(
                    "day",
                    "cast(case when all_definitions.definition_id in"
                    ~ " ('win_rate_closed', 'transition_probability')"
                    ~ " then 0 else cohort_windows.cohort_window_days end as integer)",
                    dbt.dateadd("month", 1, "all_definitions.cohort_month_date"),
                ) }} as date
            ),
            false
        ) as is_mature
    from all_definitions
    cross join cohort_windows
    cross join settings
    left join accounts
        on
            all_definitions.source_system = accounts.source_system
            and all_definitions.source_account_id = accounts.source_account_id
    left join step_names
        on
            all_definitions.source_system = step_names.source_system
            and all_definitions.source_account_id = step_names.source_account_id
            and all_definitions.pipeline_id = step_names.pipeline_id
            and all_definitions.from_step = step_names.step

)

select * from final
