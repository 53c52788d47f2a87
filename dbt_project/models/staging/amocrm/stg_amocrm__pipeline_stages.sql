with versions as (

    select * from {{ ref("stg_amocrm__pipeline_stages_versions") }}

),

pulls as (

    select * from {{ ref("stg_amocrm__pulls") }}

),

-- Every known version, not the newest alone: the dictionary of stages has no history of its own.
final as (

    select
        versions.*,
        coalesce(pulls.observed_until_at, pulls.finished_at, versions._loaded_at) as observed_at
    from versions
    inner join pulls on versions._pull_id = pulls.pull_id
    where {{ known("versions._loaded_at") }}

)

select * from final
