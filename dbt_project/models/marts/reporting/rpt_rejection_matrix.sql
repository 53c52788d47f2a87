with rejections as (

    select * from {{ ref("fct_deal_rejections") }}

),

stages as (

    select * from {{ ref("dim_pipeline_stages") }}
    where is_current

),

deals as (

    select * from {{ ref("dim_deals") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

placed as (

    select
        cast(
            {{ dbt.date_trunc(
                "month", local_date("rejections.rejected_at", "settings.time_zone")
            ) }}
            as date
        ) as month_date,
        rejections.from_stage_key,
        stages.pipeline_id,
        stages.stage_name,
        coalesce(rejections.reason_category, 'unknown') as reason_category,
        coalesce(rejections.reason, 'unknown') as reason,
        coalesce(rejections.channel, 'unattributed') as channel,
        rejections.deal_amount,
        rejections.is_superseded
    from rejections
    inner join deals on rejections.deal_key = deals.deal_key
    left join stages on rejections.from_stage_key = stages.stage_key
    cross join settings
    where
        not deals.is_deleted
        and deals.deal_kind <> 'test'

),

final as (

    select
        month_date,
        pipeline_id,
        from_stage_key,
        stage_name,
        reason_category,
        reason,
        channel,
        count(*) as rejection_count,
        count(*) filter (where is_superseded) as superseded_count,
        cast(coalesce(sum(deal_amount), 0) as decimal(18, 2)) as deal_amount
    from placed
    group by
        month_date,
        pipeline_id,
        from_stage_key,
        stage_name,
        reason_category,
        reason,
        channel

)

select * from final
