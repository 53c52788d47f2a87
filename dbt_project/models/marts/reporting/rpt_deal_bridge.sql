with deals as (

    select * from {{ ref("dim_deals") }}

),

days as (

    select * from {{ ref("dim_dates") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

dated as (

    select
        deals.deal_key,
        deals.customer_key,
        {{ local_date("deals.created_at", "settings.time_zone") }} as created_date,
        case
            when deals.is_deleted then 'deleted'
            else deals.deal_kind
        end as step
    from deals
    cross join settings

),

placed as (

    {%- for period_type in ["week", "month"] %}
        {% if not loop.first %}union all{% endif %}
        select
            '{{ period_type }}' as period_type,
            cast({{ dbt.date_trunc(period_type, "created_date") }} as date) as period_start_date,
            customer_key,
            step
        from dated
    {%- endfor %}

),

-- Each person counts once, by the best of their deals in the period.
people as (

    select
        period_type,
        period_start_date,
        customer_key,
        min(
            case step
                when 'new' then 1
                when 'repeat' then 2
                when 'continuation' then 3
                else 4
            end
        ) as person_rank
    from placed
    where step in ('new', 'repeat', 'continuation', 'duplicate')
    group by
        period_type,
        period_start_date,
        customer_key

),

person_counts as (

    select
        period_type,
        period_start_date,
        count(*) as people_count,
        count(*) filter (where person_rank <= 2) as requesting_count,
        count(*) filter (where person_rank = 3) as continuation_count,
        count(*) filter (where person_rank = 4) as duplicate_count
    from people
    group by
        period_type,
        period_start_date

),

deal_counts as (

    select
        period_type,
        period_start_date,
        count(*) as deal_count,
        count(*) filter (where step = 'new') as new_count,
        count(*) filter (where step = 'repeat') as repeat_count,
        count(*) filter (where step = 'continuation') as continuation_count,
        count(*) filter (where step = 'duplicate') as duplicate_count,
        count(*) filter (where step = 'service') as service_count,
        count(*) filter (where step = 'test') as test_count,
        count(*) filter (where step = 'deleted') as deleted_count
    from placed
    group by
        period_type,
        period_start_date

),

observed as (

    select
        min(dated.created_date) as first_date,
        greatest(
            max(dated.created_date),
            max({{ local_date("settings.observed_until_at", "settings.time_zone") }})
        ) as last_date
    from dated
    cross join settings

),

periods as (

    {%- for period_type in ["week", "month"] %}
        {% if not loop.first %}union all{% endif %}
        select distinct
            '{{ period_type }}' as period_type,
            cast({{ dbt.date_trunc(period_type, "days.date_day") }} as date) as period_start_date
        from days
        inner join observed
            on days.date_day between observed.first_date and observed.last_date
    {%- endfor %}

),

counted as (

    select
        periods.period_type,
        periods.period_start_date,
        coalesce(deal_counts.deal_count, 0) as deal_count,
        coalesce(deal_counts.new_count, 0) as new_count,
        coalesce(deal_counts.repeat_count, 0) as repeat_count,
        coalesce(deal_counts.continuation_count, 0) as continuation_count,
        coalesce(deal_counts.duplicate_count, 0) as duplicate_count,
        coalesce(deal_counts.service_count, 0) as service_count,
        coalesce(deal_counts.test_count, 0) as test_count,
        coalesce(deal_counts.deleted_count, 0) as deleted_count,
        coalesce(person_counts.people_count, 0) as people_count,
        coalesce(person_counts.requesting_count, 0) as requesting_count,
        coalesce(person_counts.continuation_count, 0) as continuing_count,
        coalesce(person_counts.duplicate_count, 0) as duplicated_count
    from periods
    left join deal_counts
        on
            periods.period_type = deal_counts.period_type
            and periods.period_start_date = deal_counts.period_start_date
    left join person_counts
        on
            periods.period_type = person_counts.period_type
            and periods.period_start_date = person_counts.period_start_date

),

-- deal_count: deals beyond the one that stands for its person; kind_deal_count: all of the kind.
{%- set steps = [
    ("deals", "deal_count", "deal_count"),
    ("repeat", "new_count + repeat_count - requesting_count", "repeat_count"),
    ("continuation", "continuation_count - continuing_count", "continuation_count"),
    ("duplicate", "duplicate_count - duplicated_count", "duplicate_count"),
    ("service", "service_count", "service_count"),
    ("test", "test_count", "test_count"),
    ("deleted", "deleted_count", "deleted_count"),
    ("people", "people_count", "new_count"),
] %}
final as (

    {%- for step, count, kind_count in steps %}
        {% if not loop.first %}union all{% endif %}
        select
            period_type,
            period_start_date,
            '{{ step }}' as step,
            {{ loop.index }} as step_position,
            cast({{ count }} as bigint) as deal_count,
            cast({{ kind_count }} as bigint) as kind_deal_count
        from counted
    {%- endfor %}

)

select * from final
