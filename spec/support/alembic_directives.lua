-- Alembic's directives and their arguments, as its documentation has them.
return {
  add_column = "table_name column schema if_not_exists inline_references inline_primary_key",
  drop_column = "table_name column_name schema if_exists",
  alter_column = "table_name column_name nullable comment server_default new_column_name type_ existing_type"
    .. " existing_server_default existing_nullable existing_comment schema postgresql_using autoincrement",
  create_table = "table_name if_not_exists schema comment prefixes info postgresql_inherits postgresql_partition_by"
    .. " postgresql_tablespace postgresql_on_commit postgresql_with_oids postgresql_ignore_search_path",
  drop_table = "table_name schema if_exists",
  rename_table = "old_table_name new_table_name schema",
  create_index = "index_name table_name columns schema unique if_not_exists postgresql_using postgresql_include"
    .. " postgresql_where postgresql_ops postgresql_concurrently postgresql_with postgresql_tablespace"
    .. " postgresql_nulls_not_distinct",
  drop_index = "index_name table_name schema if_exists postgresql_concurrently",
  create_primary_key = "constraint_name table_name columns schema",
  create_unique_constraint = "constraint_name table_name columns schema deferrable initially"
    .. " postgresql_nulls_not_distinct",
  create_check_constraint = "constraint_name table_name condition schema deferrable initially postgresql_not_valid",
  create_foreign_key = "constraint_name source_table referent_table local_cols remote_cols onupdate ondelete deferrable"
    .. " initially match source_schema referent_schema postgresql_not_valid",
  create_exclude_constraint = "constraint_name table_name where using deferrable initially schema ops",
  drop_constraint = "constraint_name table_name type_ schema if_exists",
  create_table_comment = "table_name comment existing_comment schema",
  drop_table_comment = "table_name existing_comment schema",
  execute = "sqltext execution_options",
  bulk_insert = "table rows multiinsert",
  batch_alter_table = "table_name schema recreate partial_reordering copy_from table_args table_kwargs reflect_args"
    .. " reflect_kwargs naming_convention",
  inline_literal = "value", f = "name", get_bind = "", get_context = "", invoke = "operation",
  register_operation = "name", implementation_for = "kind",
}
