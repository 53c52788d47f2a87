{#
  Whole numbers 0 .. 10^digits - 1 as a relation with column `number`: a spine that needs no
  engine's own series function.
#}
{% macro numbers(digits) -%}
    select
        {% for digit in range(digits) -%}
        digit_{{ digit }}.digit * {{ 10 ** digit }}{{ " + " if not loop.last }}
        {%- endfor %} as number
    from
        {% for digit in range(digits) -%}
        {{ "cross join " if not loop.first }}(
            {% for value in range(10) -%}
            select {{ value }} as digit{{ " union all " if not loop.last }}
            {%- endfor %}
        ) as digit_{{ digit }}
        {% endfor %}
{%- endmacro %}


{#
  Working seconds of the company from the start of its calendar up to an instant, decimal(18, 6).
  `days` is the alias of int_business_days_clocked joined on utc_date = cast(instant as date).
  Working time between two instants is the difference.
#}
{% macro business_clock(instant, days) -%}
    (
        {{ days }}.seconds_before
        {%- for piece in ("first", "second") %}
        + case
            when {{ days }}.{{ piece }}_opens_at is null then 0
            when {{ instant }} <= {{ days }}.{{ piece }}_opens_at then 0
            when {{ instant }} >= {{ days }}.{{ piece }}_closes_at
                then {{ days }}.{{ piece }}_seconds
            else {{ seconds_between(days ~ "." ~ piece ~ "_opens_at", instant) }}
        end
        {%- endfor %}
    )
{%- endmacro %}


{# The wall clock 'HH:MM' of a day as a timestamp; '24:00' is the midnight that ends the day. #}
{% macro clock_time(date_day, clock) -%}
    {%- set minutes -%}
        cast(substring({{ clock }}, 1, 2) as integer) * 60
        + cast(substring({{ clock }}, 4, 2) as integer)
    {%- endset -%}
    {{ dbt.dateadd("minute", minutes, "cast(" ~ date_day ~ " as timestamp)") }}
{%- endmacro %}
