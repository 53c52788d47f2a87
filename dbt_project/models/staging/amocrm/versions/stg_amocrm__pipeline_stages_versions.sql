{%- set shape -%}
{
    "name": "VARCHAR", "sort": "VARCHAR", "is_main": "VARCHAR", "is_archive": "VARCHAR",
    "_embedded": {
        "statuses": [{"id": "VARCHAR", "name": "VARCHAR", "sort": "VARCHAR", "type": "VARCHAR"}]
    }
}
{%- endset -%}
with records as (

    {{ new_records("raw_amocrm", "pipelines") }}

),

parsed as (

    select
        records.*,
        from_json(records.payload, '{{ shape }}') as pipeline
    from records

),

-- A pipeline without stages, and one that is gone, keep one row: its absence is a fact too.
statuses as (

    select
        parsed.*,
        unnest(
            case
                when len(parsed.pipeline._embedded.statuses) > 0
                    then parsed.pipeline._embedded.statuses
                else [null]
            end
        ) as status
    from parsed

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        records.status.id as status_id,
        -- attributes
        records.pipeline.name as pipeline_name,
        records.status.name as status_name,
        {{ try_cast("records.status.sort", "integer") }} as status_sort,
        {{ try_cast("records.status.type", "integer") }} as status_type,
        {{ version_metadata(failed_casts([
            ("sort", "records.status.sort", try_cast("records.status.sort", "integer")),
            ("type", "records.status.type", try_cast("records.status.type", "integer")),
        ], [
            ("_embedded.statuses", "records.payload", "records.pipeline._embedded.statuses"),
        ])) }}
    from statuses as records

)

select * from final
