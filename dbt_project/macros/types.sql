{# A cast that gives null instead of an error. Always beside a test that counts what it lost. #}
{% macro try_cast(expression, type) -%}
    {{ return(adapter.dispatch("try_cast", "voronka")(expression, type)) }}
{%- endmacro %}

{% macro default__try_cast(expression, type) -%}
    try_cast({{ expression }} as {{ type }})
{%- endmacro %}


{# Text at a path of a JSON text; null when absent. #}
{% macro json_text(expression, path) -%}
    {{ return(adapter.dispatch("json_text", "voronka")(expression, path)) }}
{%- endmacro %}

{% macro duckdb__json_text(expression, path) -%}
    json_extract_string({{ expression }}, '{{ path }}')
{%- endmacro %}

{% macro spark__json_text(expression, path) -%}
    get_json_object({{ expression }}, '{{ path }}')
{%- endmacro %}
