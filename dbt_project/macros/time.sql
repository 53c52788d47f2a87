{# The calendar day of a UTC instant in a time zone (a name such as Europe/Moscow). #}
{% macro local_date(timestamp_utc, time_zone) -%}
    {{ return(adapter.dispatch("local_date", "voronka")(timestamp_utc, time_zone)) }}
{%- endmacro %}

{% macro duckdb__local_date(timestamp_utc, time_zone) -%}
    cast(timezone({{ time_zone }}, timezone('UTC', {{ timestamp_utc }})) as date)
{%- endmacro %}

{% macro spark__local_date(timestamp_utc, time_zone) -%}
    cast(from_utc_timestamp({{ timestamp_utc }}, {{ time_zone }}) as date)
{%- endmacro %}


{# The wall clock of a UTC instant in a time zone, as a timestamp without zone. #}
{% macro local_timestamp_of(timestamp_utc, time_zone) -%}
    {{ return(adapter.dispatch("local_timestamp_of", "voronka")(timestamp_utc, time_zone)) }}
{%- endmacro %}

{% macro duckdb__local_timestamp_of(timestamp_utc, time_zone) -%}
    timezone({{ time_zone }}, timezone('UTC', {{ timestamp_utc }}))
{%- endmacro %}

{% macro spark__local_timestamp_of(timestamp_utc, time_zone) -%}
    from_utc_timestamp({{ timestamp_utc }}, {{ time_zone }})
{%- endmacro %}


{# The UTC instant of a wall clock in a time zone: the reverse of local_timestamp_of. #}
{% macro utc_timestamp_of(local_timestamp, time_zone) -%}
    {{ return(adapter.dispatch("utc_timestamp_of", "voronka")(local_timestamp, time_zone)) }}
{%- endmacro %}

{% macro duckdb__utc_timestamp_of(local_timestamp, time_zone) -%}
    timezone('UTC', timezone({{ time_zone }}, {{ local_timestamp }}))
{%- endmacro %}

{% macro spark__utc_timestamp_of(local_timestamp, time_zone) -%}
    to_utc_timestamp({{ local_timestamp }}, {{ time_zone }})
{%- endmacro %}


{# Seconds since 1970 with microseconds, decimal(18, 6). #}
{% macro epoch_seconds(timestamp_utc) -%}
    {{ return(adapter.dispatch("epoch_seconds", "voronka")(timestamp_utc)) }}
{%- endmacro %}

{# A double holds every whole microsecond count below 2^53 (285 years), so this is exact. #}
{% macro duckdb__epoch_seconds(timestamp_utc) -%}
    cast(epoch_us({{ timestamp_utc }}) / 1e6 as decimal(18, 6))
{%- endmacro %}

{% macro spark__epoch_seconds(timestamp_utc) -%}
    cast(unix_micros({{ timestamp_utc }}) / 1e6 as decimal(18, 6))
{%- endmacro %}


{# Seconds from one instant to another, decimal(18, 6), negative when the second is earlier. #}
{% macro seconds_between(from_at, to_at) -%}
    {{ return(adapter.dispatch("seconds_between", "voronka")(from_at, to_at)) }}
{%- endmacro %}

{% macro duckdb__seconds_between(from_at, to_at) -%}
    cast((epoch_us({{ to_at }}) - epoch_us({{ from_at }})) / 1e6 as decimal(18, 6))
{%- endmacro %}

{% macro spark__seconds_between(from_at, to_at) -%}
    cast((unix_micros({{ to_at }}) - unix_micros({{ from_at }})) / 1e6 as decimal(18, 6))
{%- endmacro %}


{# Whole days from one calendar day to another, bigint. #}
{% macro days_between(from_date, to_date) -%}
    {{ return(adapter.dispatch("days_between", "voronka")(from_date, to_date)) }}
{%- endmacro %}

{% macro duckdb__days_between(from_date, to_date) -%}
    (cast({{ to_date }} as date) - cast({{ from_date }} as date))
{%- endmacro %}

{% macro spark__days_between(from_date, to_date) -%}
    cast(datediff({{ to_date }}, {{ from_date }}) as bigint)
{%- endmacro %}


{# Unix seconds, given as text, to a timestamp without zone in UTC; null when not a number. #}
{% macro unix_to_timestamp(expression) -%}
    {{ return(adapter.dispatch("unix_to_timestamp", "voronka")(expression)) }}
{%- endmacro %}

{% macro duckdb__unix_to_timestamp(expression) -%}
    make_timestamp(try_cast({{ expression }} as bigint) * 1000000)
{%- endmacro %}

{% macro spark__unix_to_timestamp(expression) -%}
    timestamp_seconds(try_cast({{ expression }} as bigint))
{%- endmacro %}
