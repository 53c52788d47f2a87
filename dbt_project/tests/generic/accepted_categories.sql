{#
  A returned row is a value outside the closed set of its column. Null passes; where it is wrong the
  contract says not null. `categories` maps a column to its values.
#}
{% test accepted_categories(model, categories) %}

{%- for column, accepted in categories.items() %}
{{ "union all" if not loop.first }}
select
    '{{ column }}' as category,
    cast({{ column }} as {{ dbt.type_string() }}) as unexpected_value,
    count(*) as row_count
from {{ model }}
where {{ column }} not in ('{{ accepted | join("', '") }}')
group by {{ column }}
{%- endfor %}

{% endtest %}
