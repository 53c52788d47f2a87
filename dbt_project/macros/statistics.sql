{# A part of a whole as a double 0..1, null where there is no whole. #}
{% macro share_of(part, whole) -%}
    cast({{ part }} as double) / nullif({{ whole }}, 0)
{%- endmacro %}


{#
  Product of a column, as an aggregate or a window function. Never exp(sum(ln())): a factor may be
  0.
#}
{% macro product(expression, order_by) -%}
    {{ return(adapter.dispatch("product", "voronka")(expression, order_by)) }}
{%- endmacro %}

{# In a stated order: the last bit of a product of doubles depends on it, and two builds must be equal. #}
{% macro duckdb__product(expression, order_by) -%}
    product({{ expression }} order by {{ order_by }})
{%- endmacro %}

{# Valid inside a window too: a zero anywhere in the frame makes the smallest factor 0. #}
{% macro spark__product(expression, order_by) -%}
    min(case when {{ expression }} = 0 then 0 else 1 end)
    * exp(sum(ln(nullif({{ expression }}, 0))))
{%- endmacro %}


{# Wilson 95 % interval of a share, 0..1, null where the denominator is 0. #}
{% macro wilson_low(numerator, denominator) -%}
    {{ wilson_bound(numerator, denominator, "-") }}
{%- endmacro %}

{% macro wilson_high(numerator, denominator) -%}
    {{ wilson_bound(numerator, denominator, "+") }}
{%- endmacro %}

{% macro wilson_bound(numerator, denominator, sign) -%}
    {%- set z = "1.959963984540054e0" -%}
    {%- set k = "cast(" ~ numerator ~ " as double)" -%}
    {%- set n = "cast(nullif(" ~ denominator ~ ", 0) as double)" -%}
    least(1e0, greatest(0e0, (
        {{ k }} + {{ z }} * {{ z }} / 2e0
        {{ sign }} {{ z }} * sqrt(
            greatest(0e0, {{ k }} * ({{ n }} - {{ k }}) / {{ n }})
            + {{ z }} * {{ z }} / 4e0
        )
    ) / ({{ n }} + {{ z }} * {{ z }})))
{%- endmacro %}


{# How often a text holds a word; the word must not overlap itself. #}
{% macro occurrences(expression, word) -%}
    cast(
        (length({{ expression }}) - length(replace({{ expression }}, {{ word }}, '')))
        / length({{ word }}) as bigint
    )
{%- endmacro %}


{# Limits of the 95 % interval of a Poisson count by Byar's approximation. #}
{% macro poisson_low(count) -%}
    {%- set k = "cast(nullif(" ~ count ~ ", 0) as double)" -%}
    coalesce(
        {{ k }} * power(
            1e0 - 1e0 / (9e0 * {{ k }}) - 1.959963984540054e0 / (3e0 * sqrt({{ k }})), 3
        ),
        0e0
    )
{%- endmacro %}

{% macro poisson_high(count) -%}
    {%- set k = "(cast(" ~ count ~ " as double) + 1e0)" -%}
    (
        {{ k }} * power(
            1e0 - 1e0 / (9e0 * {{ k }}) + 1.959963984540054e0 / (3e0 * sqrt({{ k }})), 3
        )
    )
{%- endmacro %}


{# Aggregate: the value of the row that comes last by these columns. Rows whose value is null do not count. #}
{% macro value_of_last(expression, order_columns) -%}
    {{ return(adapter.dispatch("value_of_last", "voronka")(expression, order_columns)) }}
{%- endmacro %}

{% macro duckdb__value_of_last(expression, order_columns) -%}
    arg_max({{ expression }}, ({{ order_columns | join(", ") }}))
{%- endmacro %}

{% macro spark__value_of_last(expression, order_columns) -%}
    max_by({{ expression }}, struct({{ order_columns | join(", ") }}))
{%- endmacro %}
