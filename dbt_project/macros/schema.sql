{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}


{% macro generate_database_name(custom_database_name, node) -%}
    {{ custom_database_name | trim if custom_database_name else target.database }}
{%- endmacro %}
