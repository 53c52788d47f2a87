{#
  Native money in the reporting currency, to two places. DuckDB multiplies two decimals of 18 digits
  within 18 digits, so the 8 places of a rate would leave room for sums below 100,000,000 only.
#}
{% macro at_rate(amount, rate) -%}
    cast(round(cast({{ amount }} as decimal(38, 2)) * {{ rate }}, 2) as decimal(18, 2))
{%- endmacro %}
