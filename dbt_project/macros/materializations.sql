{#
  Models are replaced in place, by one statement, where dbt-duckdb builds beside, renames twice and drops: a
  third of the time of a small company's build. Nobody reads the warehouse during a run and the marts' file is
  new in every run, so no reader could see the difference; what fails rolls back.

  One statement is a transaction of its own. BEGIN and COMMIT around it, two more statements and six events of
  dbt's, are only for models of several statements: tables under a contract and models with hooks.

  Left out because no model has them: grants, persisted docs, indexes, hooks outside of the transaction.
#}
{% materialization view, adapter="duckdb" %}
    {%- set target_relation = this.incorporate(type="view") -%}
    {%- set has_hooks = pre_hooks or post_hooks -%}
    {%- do drop_other_kind(target_relation) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if config.get("contract").enforced -%}
        {%- do assert_contract(compiled_code) -%}
    {%- endif -%}
    {% call statement("main", auto_begin=has_hooks) -%}
        create or replace view {{ target_relation }} as (
        {{ compiled_code }}
        )
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {%- if has_hooks -%} {%- do adapter.commit() -%} {%- endif -%}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}


{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
    {%- set target_relation = this.incorporate(type="table") -%}
    {%- set in_transaction = pre_hooks or post_hooks or config.get("contract").enforced -%}
    {%- do drop_other_kind(target_relation) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if model.language == "python" -%}
        {#- dbt-duckdb writes the frame with a plain create. -#}
        {%- do drop_relation_if_exists(load_cached_relation(this)) -%}
        {% call statement("main", language="python", auto_begin=in_transaction) -%}
            {{- create_table_as(False, target_relation, compiled_code, "python") -}}
        {%- endcall %}
    {%- else -%}
        {%- if config.get("contract").enforced -%}
            {%- do assert_contract(compiled_code) -%}
        {%- endif -%}
        {% call statement("main", auto_begin=in_transaction) -%}
            {{ replace_table(target_relation, compiled_code) }}
        {%- endcall %}
    {%- endif -%}
    {{ run_hooks(post_hooks) }}
    {%- if in_transaction -%} {%- do adapter.commit() -%} {%- endif -%}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}


{#
  Incremental means append: new rows go straight into the table. A table whose columns are no longer those of
  the model is filled anew from all loads; raw keeps them all.
#}
{% materialization incremental, adapter="duckdb" %}
    {%- set target_relation = this.incorporate(type="table") -%}
    {%- set appends = is_incremental() -%}
    {%- do drop_other_kind(target_relation) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if appends -%}
        {%- set old_columns = adapter.get_column_schema_from_query("from " ~ target_relation) -%}
        {%- set new_columns = adapter.get_column_schema_from_query(compiled_code ~ "\n") -%}
        {%- set appends = column_types(old_columns) == column_types(new_columns) -%}
    {%- endif -%}
    {% call statement("main") -%}
        {%- if appends -%}
            insert into {{ target_relation }} by name
            {{ compiled_code }}
        {%- else -%}
            {#- The compiled text of an existing table skips the loads that it holds. -#}
            {%- if is_incremental() -%} delete from {{ target_relation }}; {% endif -%}
            {{ replace_table(target_relation, compiled_code) }}
        {%- endif -%}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}


{# A table cannot replace a view, nor a view a table: the other kind goes first. #}
{% macro drop_other_kind(target_relation) -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- if existing_relation is not none and existing_relation.type != target_relation.type -%}
        {%- do adapter.drop_relation(existing_relation) -%}
    {%- endif -%}
{%- endmacro %}


{# A table under a contract is created with its not-null constraints and filled by column name. #}
{% macro replace_table(relation, sql) -%}
    create or replace table {{ relation }}
    {%- if config.get("contract").enforced %}
        {{ get_table_columns_and_constraints() }};
        insert into {{ relation }} {{ get_column_names() }}
        (
        {{ get_select_subquery(sql) }}
        )
    {%- else %} as (
        {{ sql }}
        )
    {%- endif %}
{%- endmacro %}


{#
  The names and types of the contract, exactly. dbt asks the engine for the types of the contract too, to know
  that `text` is `varchar`; that is needed only where the words differ, and decides there.
#}
{% macro assert_contract(sql) -%}
    {%- set declared = {} -%}
    {%- for column in model.columns.values() -%}
        {%- do declared.update({
            column.name | lower: column.data_type | upper | replace(" ", "")
        }) -%}
    {%- endfor -%}
    {%- set given = column_types(adapter.get_column_schema_from_query(sql ~ "\n")) -%}
    {%- if given | length != model.columns | length or dict(given) != declared -%}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
{%- endmacro %}


{# [(name, type)] of columns that the adapter read, in their order. #}
{% macro column_types(columns) -%}
    {%- set types = [] -%}
    {%- for column in columns -%}
        {%- do types.append((column.name | lower, column.dtype | upper | replace(" ", ""))) -%}
    {%- endfor -%}
    {{ return(types) }}
{%- endmacro %}
