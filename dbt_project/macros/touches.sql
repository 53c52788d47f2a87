{#
  What says where a visit came from: `named` by a channel or utm word; else by its referrer: `search`, `site`, or
  `none`, which a page of the company's own site is too.
#}
{% macro visit_origin(visits) -%}
    case
        when
            {{ visits }}.declared_channel <> ''
            or {{ visits }}.utm_source <> ''
            or {{ visits }}.utm_medium <> ''
            or {{ visits }}.utm_campaign <> ''
            then 'named'
        when coalesce({{ visits }}.referrer, '') = '' then 'none'
        when
            {{ url_host(visits ~ ".referrer") }}
            = {{ url_host("coalesce(" ~ visits ~ ".landing_url, '')") }}
            then 'none'
        when
            regexp_extract(
                {{ url_host(visits ~ ".referrer") }},
                '^(.*[.])?(google|yandex|ya|bing|duckduckgo|mail|rambler|yahoo|ecosia|baidu)([.][a-z]{2,3})+$',
                2
            ) <> ''
            then 'search'
        else 'site'
    end
{%- endmacro %}


{% macro url_host(url) -%}
    replace(regexp_extract(lower({{ url }}), '^([a-z]+://)?([^/:?#]+)', 2), 'www.', '')
{%- endmacro %}


{# The outcome that a payment belongs to: its deal, or itself where it names none. #}
{% macro paid_outcome_key() -%}
    coalesce(deal_key, {{ dbt.concat(["'payment:'", "payment_key"]) }})
{%- endmacro %}


{# The models of fct_attribution_credits; int_deal_touches_weighted has a <model>_weight for each. #}
{% macro attribution_models() -%}
    {{ return(["first", "last", "last_non_direct", "linear", "position", "time_decay"]) }}
{%- endmacro %}
