{#
  The rows of a company table: the company's own, if it supplied any, else the defaults of the
  seed. Never a mixture: a half-overridden table is one that nobody can read.
#}
{% macro company_rows(table_name, columns, default_columns=[]) %}
with own_rows as (

    {{ snapshot_rows(ref("stg_company__current_pulls"), "raw_company", table_name) }}

),

own as (

    select
        {%- for column in columns %}
        own_rows.{{ column }},
        {%- endfor %}
        {%- for column in default_columns %}
        cast(null as varchar) as {{ column }},
        {%- endfor %}
        own_rows.row_number,
        own_rows._loaded_at
    from own_rows

),

{% set default_relation = kwargs.get("default") -%}
{%- if default_relation -%}
defaults as (

    select
        {%- for column in columns + default_columns %}
        defaults.{{ column }},
        {%- endfor %}
        cast(null as bigint) as row_number,
        cast(null as timestamp) as _loaded_at
    from {{ default_relation }} as defaults
    where not exists (select 1 from own_rows)

),

{% endif -%}
rules as (

    select * from own
    {%- if default_relation %}
    union all
    select * from defaults
    {%- endif %}

)
{%- endmacro %}
