-- A returned row is a stage in use that nobody said the meaning of; it counts as open.
{{ config(severity="warn") }}
-- The company's CRM owner reads it, in rpt_data_trust too: one line in stage_map settles it.
with stages as (

    select * from {{ ref("dim_pipeline_stages") }}

),

deals as (

    select * from {{ ref("dim_deals") }}

),

final as (

    select
        stages.stage_key,
        stages.stage_name,
        count(*) as deal_count
    from stages
    inner join deals on stages.stage_key = deals.stage_key
    where stages.is_current and not stages.is_mapped
    group by stages.stage_key, stages.stage_name

)

select * from final
