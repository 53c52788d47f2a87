{#
  Whether a text meets a pattern of a company table: '*' is anything, absent included; else a
  case-insensitive SQL like pattern. An empty pattern means "absent".
#}
{% macro pattern_match(expression, pattern) -%}
    ({{ pattern }} = '*' or lower(coalesce({{ expression }}, '')) like lower({{ pattern }}))
{%- endmacro %}


{#
  Whether a rule of stg_company__channel_map fits a record. The record needs declared_channel,
  utm_source, utm_medium and utm_campaign. Several rules may fit: the lowest `priority` wins. Join
  distinct combinations of these four, not the records: every rule is tried against every
  combination.
#}
{% macro channel_match(record, rule="channel_map") -%}
    (
        {{ pattern_match(record ~ ".declared_channel", rule ~ ".declared_channel") }}
        and {{ pattern_match(record ~ ".utm_source", rule ~ ".utm_source") }}
        and {{ pattern_match(record ~ ".utm_medium", rule ~ ".utm_medium") }}
        and {{ pattern_match(record ~ ".utm_campaign", rule ~ ".utm_campaign") }}
    )
{%- endmacro %}


{#
  The rule of the channel map that decides about each set of words: one row per values of `by`, sets no
  rule fits left out. `words` is a relation with declared_channel ('' = none), utm_source, utm_medium and
  utm_campaign. What the company declares passes as it is; only a rule that names it may rename it.
#}
{% macro channels_of_words(words, by, rules="channel_map") -%}
    select
        {%- for column in by %}
        {{ words }}.{{ column }},
        {%- endfor %}
        {{ rules }}.channel,
        {{ rules }}.is_paid
    from {{ words }}
    inner join {{ rules }}
        on
            {{ channel_match(words, rules) }}
            and (
                {{ words }}.declared_channel = ''
                or {{ rules }}.declared_channel <> '*'
            )
    qualify row_number() over (
        partition by
            {%- for column in by %}
            {{ words }}.{{ column }}{{ "," if not loop.last }}
            {%- endfor %}
        order by
            {{ rules }}.priority asc nulls last,
            {{ rules }}.channel asc
    ) = 1
{%- endmacro %}


{# The words of a record that may say where it came from, each '' where it is missing. #}
{% macro origin_words(records) -%}
    {%- for column in origin_word_columns() %}
        coalesce({{ records }}.{{ column }}, '') as {{ column }}{{ "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#
  A UTM word as it was meant: without blanks around it, and read where a form passed it on percent-encoded. Text that
  only looks encoded, such as half a letter, stays as it is.
#}
{% macro utm_word(word) -%}
    nullif(
        trim(
            case
                when regexp_matches({{ word }}, '%[0-9A-Fa-f][0-9A-Fa-f]')
                    then coalesce(try(url_decode(replace({{ word }}, '+', ' '))), {{ word }})
                else {{ word }}
            end,
            ' ' || chr(9) || chr(10) || chr(13) || chr(160)
        ),
        ''
    )
{%- endmacro %}


{# Whether two relations carry the same words, a missing one being ''. #}
{% macro same_origin_words(records, sets) -%}
    {%- for column in origin_word_columns() %}
        {{ "and " if not loop.first }}coalesce({{ records }}.{{ column }}, '') = {{ sets }}.{{ column }}
    {%- endfor %}
{%- endmacro %}


{% macro origin_word_columns() -%}
    {{ return(["declared_channel", "utm_source", "utm_medium", "utm_campaign"]) }}
{%- endmacro %}


{# Whether a rule of stg_company__loss_reason_map fits a reason; the lowest `priority` wins. #}
{% macro loss_reason_match(reason, rule="loss_reason_map") -%}
    {{ pattern_match(reason, rule ~ ".reason") }}
{%- endmacro %}


{#
  Whether a rule of stg_company__stage_map or stg_company__pipeline_roles fits a record with
  source_system, source_account_id, pipeline_id and, for stages, stage_id. The lowest `priority`
  wins.
#}
{% macro stage_match(record, rule="stage_map") -%}
    (
        {{ rule }}.source_system in ('*', {{ record }}.source_system)
        and {{ rule }}.source_account_id in ('*', {{ record }}.source_account_id)
        and {{ rule }}.pipeline_id in ('*', {{ record }}.pipeline_id)
        and {{ rule }}.stage_id in ('*', {{ record }}.stage_id)
    )
{%- endmacro %}


{% macro pipeline_match(record, rule="pipeline_roles") -%}
    (
        {{ rule }}.source_system in ('*', {{ record }}.source_system)
        and {{ rule }}.source_account_id in ('*', {{ record }}.source_account_id)
        and {{ rule }}.pipeline_id in ('*', {{ record }}.pipeline_id)
    )
{%- endmacro %}


{#
  Which advertising platform the words of a record name: a platform, `none` for words of another way to come (mail, a
  messenger, a map), or '' where they do not say. Only a campaign's name needs it: two platforms, and a newsletter, may
  all call theirs "Sale".
#}
{% macro told_platform(record) -%}
    {%- set source = "lower(coalesce(" ~ record ~ ".utm_source, ''))" -%}
    {%- set medium = "lower(coalesce(" ~ record ~ ".utm_medium, ''))" -%}
    case
        {%- for platform, pattern in platform_sources().items() %}
        when regexp_matches({{ source }}, '^({{ pattern }})') then '{{ platform }}'
        {%- endfor %}
        when
            regexp_matches(
                {{ source }}, '^(e-?mail|newsletter|unisender|sendpulse|whatsapp|viber|avito|2gis|youtube|dzen|ok[.]ru)'
            )
            or regexp_matches(
                {{ medium }}, '^(e-?mail|newsletter|sms|push|messenger|organic|referral|social|smm|qr|offline)'
            )
            then 'none'
        else ''
    end
{%- endmacro %}


{# What utm_source begins with in the advertisements of a platform. #}
{% macro platform_sources() -%}
    {{ return({
        "yandex_direct": "yandex|ya([.]|$)|яндекс",
        "google_ads": "google|adwords",
        "vk_ads": "vk|mytarget|my[.]target",
        "meta_ads": "facebook|fb|instagram|ig$",
        "telegram_ads": "telegram|tg",
    }) }}
{%- endmacro %}
