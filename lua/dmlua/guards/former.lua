-- Guards that Python's helpers have under other names: told, not taken, since most of them say "validate" where they
-- change something.

local errors = require "dmlua.errors"

local M = {}

local isolation, setup = "guards.ensure_tenant_isolation", "guards.setup_tenant_isolation"
local no_need = "nothing: every step is one transaction, and watched"

local now = {
  enable_rls_policies = isolation,
  enable_rls_on_table = isolation,
  enable_tenant_isolation_on_model = "guards.enable_tenant_isolation_on",
  enable_audit_triggers = "guards.ensure_audit_trigger",
  validate_foreign_key_constraints = "guards.ensure_tenant_foreign_key",
  validate_unique_constraints = "guards.ensure_tenant_indexes, with the option unique",
  create_tenant_indexes = "guards.ensure_tenant_indexes",
  migration_safety_check = setup,
  tenant_aware_migration = no_need,
  TenantSafeMigration = no_need,
  set_tenant_context = "tenants.each, or tenants.with",
}

--- Raises for one of these names: what it is here. Returns nothing for any other.
function M.tell(name)
  if not now[name] then return end
  errors.raise { kind = "migration", message = ("guards.%s does not exist"):format(name),
    hint = "here it is " .. now[name] }
end

return M
