-- What the directives take that Alembic does not have: names first, the rest as options.

local M = {}

local function with(more, ...)
  for _, options in ipairs { ... } do
    for name, kind in pairs(options) do more[name] = kind end
  end
  return more
end

local in_schema = { schema = "name" }
local dropping = { if_exists = "boolean", cascade = "boolean" }

-- Schemas, extensions, sequences

M.create_schema = { { "schema_name", "name" }, options = { if_not_exists = "boolean", authorization = "name" } }
M.drop_schema = { { "schema_name", "name" }, options = with({}, dropping) }

M.create_extension = {
  { "extension_name", "name" },
  options = { if_not_exists = "boolean", schema = "name", version = "string", cascade = "boolean" },
}
M.drop_extension = { { "extension_name", "name" }, options = with({}, dropping) }

local sequence = {
  schema = "name", type_ = "type", start = "signed", increment = "signed", minvalue = "signed", maxvalue = "signed",
  nominvalue = "boolean", nomaxvalue = "boolean", cycle = "boolean", cache = "integer", owned_by = "column_or_none",
}
M.create_sequence = { { "sequence_name", "name" }, options = with({ if_not_exists = "boolean" }, sequence) }
M.alter_sequence = {
  { "sequence_name", "name" }, options = with({ if_exists = "boolean", restart = "restart" }, sequence),
}
M.drop_sequence = { { "sequence_name", "name" }, options = with({}, in_schema, dropping) }

-- Views

M.create_view = {
  { "view_name", "name" }, { "query", "query" },
  options = {
    schema = "name", replace = "boolean", columns = "names", security_invoker = "boolean",
    security_barrier = "boolean", check_option = "check_option",
  },
}
M.drop_view = { { "view_name", "name" }, options = with({}, in_schema, dropping) }

M.create_materialized_view = {
  { "view_name", "name" }, { "query", "query" },
  options = {
    schema = "name", if_not_exists = "boolean", columns = "names", with_data = "boolean",
    postgresql_with = "string_map", postgresql_tablespace = "name",
  },
}
M.refresh_materialized_view = {
  { "view_name", "name" }, options = { schema = "name", concurrently = "boolean", with_data = "boolean" },
}
M.drop_materialized_view = { { "view_name", "name" }, options = with({}, in_schema, dropping) }

-- Functions, procedures, triggers

local routine = {
  schema = "name", replace = "boolean", arguments = "routine_arguments", language = "name",
  security_definer = "boolean", set = "settings_map",
}
M.create_function = {
  { "function_name", "name" }, { "body", "string" },
  options = with({ returns = "string", volatility = "volatility", strict = "boolean", leakproof = "boolean",
    parallel = "parallel", cost = "number", rows = "number" }, routine),
}
M.drop_function = {
  { "function_name", "name" }, options = with({ arguments = "routine_arguments" }, in_schema, dropping),
}
M.create_procedure = { { "procedure_name", "name" }, { "body", "string" }, options = with({}, routine) }
M.drop_procedure = {
  { "procedure_name", "name" }, options = with({ arguments = "routine_arguments" }, in_schema, dropping),
}

M.create_trigger = {
  { "trigger_name", "name" }, { "table_name", "name" }, { "timing", "timing" }, { "events", "events" },
  { "function_name", "name" },
  options = {
    schema = "name", function_schema = "name", for_each = "for_each", update_of = "names", when = "expression",
    arguments = "texts", old_table = "name", new_table = "name", constraint = "boolean", deferrable = "boolean",
    initially = "initially", replace = "boolean", if_not_exists = "boolean",
  },
}
M.drop_trigger = { { "trigger_name", "name" }, { "table_name", "name" }, options = with({}, in_schema, dropping) }

-- Enums

M.create_enum = {
  { "enum_name", "name" }, { "values", "texts" }, options = { schema = "name", if_not_exists = "boolean" },
}
M.drop_enum = { { "enum_name", "name" }, options = with({}, in_schema, dropping) }
M.add_enum_value = {
  { "enum_name", "name" }, { "value", "string" },
  options = { schema = "name", before = "string", after = "string", if_not_exists = "boolean" },
}
M.rename_enum_value = {
  { "enum_name", "name" }, { "old_value", "string" }, { "new_value", "string" },
  options = { schema = "name", if_exists = "boolean" },
}

-- Row security

M.create_policy = {
  { "policy_name", "name" }, { "table_name", "name" },
  options = {
    schema = "name", command = "policy_command", roles = "one_or_more_names", using = "expression",
    with_check = "expression", restrictive = "boolean", replace = "boolean", if_not_exists = "boolean",
  },
}
M.drop_policy = {
  { "policy_name", "name" }, { "table_name", "name" }, options = { schema = "name", if_exists = "boolean" },
}
M.enable_rls = { { "table_name", "name" }, options = { schema = "name", force = "boolean" } }
M.force_rls = { { "table_name", "name" }, options = { schema = "name" } }
M.unforce_rls = M.force_rls
M.disable_rls = M.force_rls

-- Privileges

M.grant = {
  { "privileges", "privileges" }, { "names", "one_or_more_names" }, { "roles", "one_or_more_names" },
  options = {
    on = "privilege_kind", schema = "name", columns = "names", arguments = "routine_arguments",
    with_grant_option = "boolean",
  },
}
M.revoke = {
  { "privileges", "privileges" }, { "names", "one_or_more_names" }, { "roles", "one_or_more_names" },
  options = {
    on = "privilege_kind", schema = "name", columns = "names", arguments = "routine_arguments",
    grant_option_for = "boolean", cascade = "boolean",
  },
}
M.default_privileges = {
  { "privileges", "privileges" }, { "on", "default_kind" }, { "roles", "one_or_more_names" },
  options = {
    schema = "name", for_role = "name", revoke = "boolean", with_grant_option = "boolean", cascade = "boolean",
  },
}

-- Partitions

M.create_partition = {
  { "partition_name", "name" }, { "parent_name", "name" }, { "bounds", "bounds" },
  options = {
    schema = "name", parent_schema = "name", if_not_exists = "boolean", postgresql_partition_by = "string",
    postgresql_tablespace = "name",
  },
}
M.attach_partition = {
  { "parent_name", "name" }, { "partition_name", "name" }, { "bounds", "bounds" },
  options = { schema = "name", partition_schema = "name" },
}
M.detach_partition = {
  { "parent_name", "name" }, { "partition_name", "name" },
  options = { schema = "name", partition_schema = "name", concurrently = "boolean", finalize = "boolean" },
}

-- Constraints, indexes, names, comments

M.validate_constraint = { { "constraint_name", "name" }, { "table_name", "name" }, options = with({}, in_schema) }
M.create_unique_constraint_using_index = {
  { "constraint_name", "name" }, { "table_name", "name" }, { "index_name", "name" },
  options = { schema = "name", deferrable = "boolean", initially = "initially" },
}
M.create_primary_key_using_index = M.create_unique_constraint_using_index
M.rename_index = {
  { "old_index_name", "name" }, { "new_index_name", "name" }, options = { schema = "name", if_exists = "boolean" },
}
M.rename_constraint = {
  { "old_constraint_name", "name" }, { "new_constraint_name", "name" }, { "table_name", "name" },
  options = { schema = "name", if_exists = "boolean" },
}
M.comment_on = {
  { "object", "comment_object" }, { "name", "name" }, { "comment", "string_or_null" },
  options = { schema = "name", table_name = "name", arguments = "routine_arguments" },
}

return M
