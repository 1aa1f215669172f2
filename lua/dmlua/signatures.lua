-- What each directive of `op` takes: Alembic's names, in its order; options are the keyword arguments.

local function options(names, more)
  for name, kind in pairs(more) do names[name] = kind end
  return names
end

local function deferrable(more)
  return options({ deferrable = "boolean", initially = "initially" }, more)
end

local M = {}

M.create_table = {
  { "table_name", "name" },
  list = "table_element",
  options = {
    schema = "name", comment = "string", if_not_exists = "boolean", prefixes = "texts", info = "any",
    postgresql_inherits = "one_or_more_names", postgresql_partition_by = "string", postgresql_tablespace = "name",
    tenant = "string", postgresql_on_commit = "on_commit", postgresql_with_oids = "boolean",
    postgresql_ignore_search_path = "any",
  },
}

M.drop_table = {
  { "table_name", "name" }, options = { schema = "name", if_exists = "boolean", cascade = "boolean" },
}

M.rename_table = { { "old_table_name", "name" }, { "new_table_name", "name" }, options = { schema = "name" } }

M.add_column = {
  { "table_name", "name" }, { "column", "column" },
  options = {
    schema = "name", if_not_exists = "boolean", inline_references = "boolean", inline_primary_key = "boolean",
  },
}

M.drop_column = {
  { "table_name", "name" }, { "column_name", "name" },
  options = { schema = "name", if_exists = "boolean", cascade = "boolean" },
}

M.alter_column = {
  { "table_name", "name" }, { "column_name", "name" },
  options = {
    nullable = "boolean", comment = "string_or_null", server_default = "default", new_column_name = "name",
    type_ = "type", existing_type = "any", existing_server_default = "any", existing_nullable = "any",
    existing_comment = "any", schema = "name", postgresql_using = "expression", autoincrement = "any",
  },
}

M.create_index = {
  { "index_name", "nameless" }, { "table_name", "name" }, { "columns", "columns" },
  options = {
    schema = "name", unique = "boolean", if_not_exists = "boolean", postgresql_using = "word",
    postgresql_include = "names", postgresql_where = "expression", postgresql_ops = "string_map",
    postgresql_concurrently = "boolean", postgresql_with = "string_map", postgresql_tablespace = "name",
    postgresql_nulls_not_distinct = "boolean",
  },
}

M.drop_index = {
  { "index_name", "name" }, { "table_name", "name", optional = true },
  options = { schema = "name", if_exists = "boolean", cascade = "boolean", postgresql_concurrently = "boolean" },
}

M.create_primary_key = {
  { "constraint_name", "nameless" }, { "table_name", "name" }, { "columns", "names" }, options = { schema = "name" },
}

M.create_unique_constraint = {
  { "constraint_name", "nameless" }, { "table_name", "name" }, { "columns", "names" },
  options = deferrable {
    schema = "name", postgresql_nulls_not_distinct = "boolean", postgresql_include = "names",
  },
}

M.create_check_constraint = {
  { "constraint_name", "nameless" }, { "table_name", "name" }, { "condition", "expression" },
  options = deferrable { schema = "name", postgresql_not_valid = "boolean" },
}

M.create_foreign_key = {
  { "constraint_name", "nameless" }, { "source_table", "name" }, { "referent_table", "name" },
  { "local_cols", "names" }, { "remote_cols", "names" },
  options = deferrable {
    onupdate = "action", ondelete = "action", match = "match", source_schema = "name", referent_schema = "name",
    postgresql_not_valid = "boolean",
  },
}

M.create_exclude_constraint = {
  { "constraint_name", "nameless" }, { "table_name", "name" },
  list = "exclude_element",
  options = deferrable { schema = "name", where = "expression", using = "word", ops = "string_map" },
}

M.create_table_comment = {
  { "table_name", "name" }, { "comment", "string_or_null" }, { "existing_comment", "string_or_null", optional = true },
  options = { schema = "name" },
}

M.drop_table_comment = {
  { "table_name", "name" }, { "existing_comment", "string_or_null", optional = true }, options = { schema = "name" },
}

M.drop_constraint = {
  { "constraint_name", "name" }, { "table_name", "name" }, { "type_", "constraint_type", optional = true },
  options = { schema = "name", if_exists = "boolean", cascade = "boolean" },
}

return M
