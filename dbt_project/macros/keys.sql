{#
  One readable key from its parts, SQL expressions: amocrm:900:1001. A ":" inside a part becomes
  %3A and a "%" becomes %25, so two different records never share a key. A quoted literal is
  escaped when the model is compiled. The key is null as soon as one part is null.
#}
{% macro entity_key(parts) -%}
    {%- set escaped = [] -%}
    {%- for part in parts -%}
        {%- set text = part | string | trim -%}
        {%- if text.startswith("'") -%}
            {%- set _ = escaped.append(
                "'" ~ text[1:-1].replace("%", "%25").replace(":", "%3A") ~ "'"
            ) -%}
        {%- else -%}
            {%- set _ = escaped.append(escaped_key_part(text)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ escaped | join(" || ':' || ") }}
{%- endmacro %}


{% macro escaped_key_part(expression) -%}
    replace(replace(cast({{ expression }} as {{ dbt.type_string() }}), '%', '%25'), ':', '%3A')
{%- endmacro %}
