{#
  The text of this model's file, as a short hash. A row of a versions table keeps the hash of the
  text that parsed it. `parsing_macros` counts up when a macro that parses changes meaning.
#}
{% macro parser_version() -%}
    {%- set parsing_macros = 1 -%}
    {{- parsing_macros ~ "-" ~ model.checksum.checksum[:12] -}}
{%- endmacro %}


{# Rows that an older text of the model parsed; their loads are then read from raw again. #}
{% macro forget_other_parsers() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where _parser <> '{{ parser_version() }}'
    {%- endif -%}
{%- endmacro %}


{#
  The rows of loads that dlt has committed (status 0: a killed load leaves visible rows) and that
  this versions table has not parsed yet.
#}
{% macro new_records(source_name, table_name) %}
    select
        records.*,
        cast(loads.inserted_at as timestamp) as _loaded_at
    from {{ source(source_name, table_name) }} as records
    inner join {{ source(source_name, "_dlt_loads") }} as loads
        on records._dlt_load_id = loads.load_id and loads.status = 0
    {%- if is_incremental() %}
    where records._dlt_load_id not in (select distinct parsed._load_id from {{ this }} as parsed)
    {%- endif %}
{% endmacro %}


{# The columns every versions table ends with. #}
{% macro version_metadata(failed_casts) %}
    -- load metadata
    records.is_deleted as _is_tombstone,
    records.pull_id as _pull_id,
    records._dlt_load_id as _load_id,
    records._loaded_at,
    -- as a number: it only breaks ties, and as text it is a third of an event's bytes on disk
    hash(records.payload_hash) as _payload_hash,
    {{ failed_casts }} as _failed_casts,
    '{{ parser_version() }}' as _parser
{% endmacro %}


{#
  Names of the columns whose given value did not become a value of its type, or null. `casts`
  lists (column, given text, cast value); `shapes` lists (field, payload, what was read) of nested
  fields.
#}
{% macro failed_casts(casts, shapes=[]) %}
    nullif(concat_ws(
        ',',
        {%- for column, given, cast_value in casts %}
        case when {{ given }} is not null and {{ cast_value }} is null then '{{ column }}' end
        {{- "," if not loop.last or shapes }}
        {%- endfor %}
        {%- for field, payload, read_value in shapes %}
        case when {{ misshaped(payload, "$." ~ field, read_value) }} then '{{ field }}' end
        {{- "," if not loop.last }}
        {%- endfor %}
    ), '')
{%- endmacro %}


{#
  The filter of the time machine on a load time. Read with its offset where it has one: a plain cast to
  timestamp would drop it. Without one it is UTC, the session's zone.
#}
{% macro known(loaded_at="_loaded_at") -%}
    {%- if var("known_as_of_at") -%}
        {{ loaded_at }}
        <= cast(cast('{{ var("known_as_of_at") }}' as timestamp with time zone) as timestamp)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{#
  One row per record: its newest live version known, with `_is_deleted` when a newer version says
  that it is gone. Only rows of complete pulls count.

  Most records of a versions table have one version (events never change), so a window function
  over everything would sort ten million rows to find nothing. Counting 64-bit hashes of the ids
  is enough to tell the records that need it; a collision only sends a single row through the
  window.
#}
{% macro known_records(versions, pulls) %}
with pulls as (

    select * from {{ pulls }}

),

known as not materialized (

    select
        versions.*,
        pulls.finished_at as _pulled_at,
        hash(versions.source_account_id, versions.record_id) as _record_hash
    from {{ versions }} as versions
    inner join pulls on versions._pull_id = pulls.pull_id
    where {{ known("versions._loaded_at") }}

),

repeated as (

    select known._record_hash
    from known
    group by known._record_hash
    having count(*) > 1

),

single as (

    select known.*, false as _is_deleted
    from known
    anti join repeated on known._record_hash = repeated._record_hash
    where not known._is_tombstone

),

newest as (

    select
        known.*,
        first_value(known._is_tombstone) over (
            partition by known.source_account_id, known.record_id
            order by
                known._loaded_at desc,
                known.cursor_at desc nulls first,
                known._pulled_at desc,
                known._payload_hash desc nulls first
        ) as _is_deleted
    from known
    semi join repeated on known._record_hash = repeated._record_hash
    qualify row_number() over (
        partition by known.source_account_id, known.record_id
        order by
            known._is_tombstone,
            known._loaded_at desc,
            known.cursor_at desc nulls first,
            known._pulled_at desc,
            known._payload_hash desc nulls first
    ) = 1

),

final as (

    select * from single
    union all
    select * from newest where not _is_tombstone

)

select * exclude (_record_hash, _is_tombstone)
from final
{% endmacro %}


{# One row per record, as `id`, and value of `name` that any live version of a complete pull shows. #}
{% macro known_names(versions, pulls, id, name) %}
with pulls as (

    select * from {{ pulls }}

),

final as (

    select distinct
        versions.source_account_id,
        versions.record_id as {{ id }},
        versions.{{ name }}
    from {{ versions }} as versions
    inner join pulls on versions._pull_id = pulls.pull_id
    where
        {{ known("versions._loaded_at") }}
        and not versions._is_tombstone
        and versions.{{ name }} is not null

)

select * from final
{% endmacro %}


{# Complete pulls that are known; `raw_<source>._pulls`. #}
{% macro known_pulls(source_name) %}
select
    pulls.pull_id,
    pulls.source_account_id,
    pulls.resource,
    pulls.kind,
    pulls.content_hash,
    pulls.row_count,
    pulls.stored_count,
    cast(pulls.window_start_at as timestamp) as window_start_at,
    cast(pulls.window_end_at as timestamp) as window_end_at,
    cast(pulls.started_at as timestamp) as started_at,
    cast(pulls.finished_at as timestamp) as finished_at,
    cast(pulls.observed_until_at as timestamp) as observed_until_at,
    pulls._dlt_load_id as _load_id,
    cast(loads.inserted_at as timestamp) as _loaded_at
from {{ source(source_name, "_pulls") }} as pulls
inner join {{ source(source_name, "_dlt_loads") }} as loads
    on pulls._dlt_load_id = loads.load_id and loads.status = 0
where
    pulls.is_complete
    and {{ known("cast(loads.inserted_at as timestamp)") }}
{% endmacro %}


{#
  The rows of the newest complete import of a table, for sources whose import is a snapshot.
  `current_pulls` is stg_<source>__current_pulls.
#}
{% macro snapshot_rows(current_pulls, source_name, table_name) %}
    select
        records.*,
        pulls._loaded_at
    from {{ source(source_name, table_name) }} as records
    inner join {{ current_pulls }} as pulls
        on records.pull_id = pulls.pull_id and pulls.resource = '{{ table_name }}'
    inner join {{ source(source_name, "_dlt_loads") }} as loads
        on records._dlt_load_id = loads.load_id and loads.status = 0
{% endmacro %}


{# The pull that decides about each table: the newest known complete one that brought its rows. #}
{% macro newest_pulls(pulls) %}
select *
from {{ pulls }}
-- A pull that found an unchanged file stores nothing; the rows stay those of the pull before.
where not (coalesce(row_count, 0) > 0 and coalesce(stored_count, 0) = 0)
qualify row_number() over (
    partition by source_account_id, resource
    order by _loaded_at desc, finished_at desc nulls last, pull_id desc
) = 1
{% endmacro %}


{#
  Whether a nested field is given in the payload in another shape than the one that was read. The
  payload is opened a second time only where nothing was read.
#}
{% macro misshaped(payload, path, read_value) -%}
    {{ read_value }} is null
    and case
        when {{ read_value }} is null then json_type({{ payload }}, '{{ path }}') <> 'NULL'
    end
{%- endmacro %}


{#
  First value of the first of these amoCRM custom fields that is filled; a field is found by its
  code, else by its name. For stg_amocrm__leads_versions, which prepares the lists.
#}
{% macro custom_field(names) -%}
    nullif(coalesce(
        {%- for name in names %}
        records.field_values[coalesce(
            list_position(records.field_codes, '{{ name }}'),
            list_position(records.field_names, '{{ name }}')
        )]
        {{- "," if not loop.last }}
        {%- endfor %}
    ), '')
{%- endmacro %}
