{#
  A returned row is a value of a foreign key that the referenced column does not have. Null
  references nothing and passes. `references` lists {column, to, field}.
#}
{% test known_references(model, references) %}

{%- for reference in references %}
{{ "union all" if not loop.first }}
select
    '{{ reference.column }}' as broken_reference,
    cast(children.{{ reference.column }} as {{ dbt.type_string() }}) as missing_value,
    count(*) as row_count
from {{ model }} as children
left join {{ reference.to }} as parents
    on children.{{ reference.column }} = parents.{{ reference.field }}
where
    children.{{ reference.column }} is not null
    and parents.{{ reference.field }} is null
group by children.{{ reference.column }}
{%- endfor %}

{% endtest %}
