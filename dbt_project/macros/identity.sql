{#
  What two records must share to be one person. Ingest lands an e-mail as
  em_<hash>:<p|f>:<domain>, where f marks a mailbox that many use; only the hash identifies. Where
  personal data is kept, the value itself does.
#}
{% macro identifier_value(kind, value) -%}
    case
        when {{ kind }} = 'email' and {{ value }} like 'em\_%:%' escape '\'
            then split_part({{ value }}, ':', 1)
        -- the counter's own id, compared as it is
        when {{ kind }} = 'client_id' then {{ value }}
        else lower(trim({{ value }}))
    end
{%- endmacro %}


{% macro is_functional_mailbox(kind, value) -%}
    case
        when {{ kind }} <> 'email' then false
        when {{ value }} like 'em\_%:%' escape '\'
            then split_part({{ value }}, ':', 2) = 'f'
        else split_part(lower(trim({{ value }})), '@', 1) in (
            'info', 'sales', 'office', 'mail', 'contact', 'contacts', 'support', 'help', 'admin',
            'hello', 'zakaz', 'order', 'orders', 'shop', 'noreply', 'no-reply', 'buh', 'accounting',
            'hr', 'reception', 'zakupki', 'snab'
        )
    end
{%- endmacro %}
