with metric_definitions as (

    select * from {{ ref("metric_definitions") }}

),

final as (

    select
        metric_definitions.metric_id,
        metric_definitions.version,
        metric_definitions.name_en,
        metric_definitions.name_ru,
        metric_definitions.definition_en,
        metric_definitions.definition_ru,
        metric_definitions.valid_from_date
    from metric_definitions

)

select * from final
