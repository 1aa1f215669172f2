-- The parts of the annotations that no signature tells.

local M = {}

M.head = [=[
---@meta
-- dmlua's vocabulary, for lua-language-server. Written by `dmlua init`; it may be removed and written again.

---@class dmlua.null SQL NULL, where nil would vanish
null = {}

---@class dmlua.type A type: sa.String(50), or sa.Text without ()
---@field name string
---@field sql string
---@field length? integer
---@field precision? integer
---@field scale? integer
---@field timezone? boolean
---@field labels? string[] an enumeration's
---@field item_type? dmlua.type an array's
local type = {}
---@param variant dmlua.type
---@param ... string dialects
---@return dmlua.type
function type:with_variant(variant, ...) end
---@param bind dmlua.connection
---@param options? boolean|{checkfirst: boolean}
function type:create(bind, options) end
---@param bind dmlua.connection
---@param options? boolean|{checkfirst: boolean}
function type:drop(bind, options) end

---@class dmlua.expression SQL: sa.text("…"), sa.func.now()
---@class dmlua.text: dmlua.expression
local text = {}
---@param ... dmlua.bindparam|table<string, any>
---@return dmlua.text
function text:bindparams(...) end

---@class dmlua.bindparam
---@class dmlua.table_element A column or a constraint of a table
---@class dmlua.column_item What may follow a column's type
---@class dmlua.column: dmlua.table_element
---@field name string
---@class dmlua.check: dmlua.table_element, dmlua.column_item
---@class dmlua.identity: dmlua.column_item
---@class dmlua.computed: dmlua.column_item
---@class dmlua.table_column
---@class dmlua.table What op.bulk_insert writes to

---@class dmlua.result
---@field rowcount integer
---@field returns_rows boolean
---@overload fun(): table|nil
local result = {}
---@return table[]
function result:fetchall() end
---@return table[]
function result:all() end
---@return table|nil
function result:fetchone() end
---@return table|nil
function result:first() end
---@return table
function result:one() end
---@return table|nil
function result:one_or_none() end
---@return any
function result:scalar() end
---@return any
function result:scalar_one() end
---@return any
function result:scalar_one_or_none() end
---@return dmlua.result
function result:scalars() end
---@return dmlua.result
function result:mappings() end
---@return string[]
function result:keys() end
function result:close() end

---@class dmlua.connection
---@field dialect {name: string}
---@field engine {dialect: {name: string}}
local connection = {}
---Waits for all that was sent before, and for this.
---@param sql string|dmlua.text
---@param parameters? table
---@return dmlua.result
function connection:execute(sql, parameters) end
---@param sql string
---@param parameters? table
---@return dmlua.result
function connection:exec_driver_sql(sql, parameters) end
---@param sql string|dmlua.text
---@param parameters? table
---@return any
function connection:scalar(sql, parameters) end
---@param sql string|dmlua.text
---@param parameters? table
---@return dmlua.result
function connection:scalars(sql, parameters) end

---@class dmlua.migration_context
---@field dialect {name: string}
local migration_context = {}
---What fn sends runs outside a transaction.
---@param fn function
function migration_context:autocommit_block(fn) end

---@class sa
---@field func table<string, fun(...): dmlua.expression>
sa = {}
---@type dmlua.expression
sa.true_ = {}
---@type dmlua.expression
sa.false_ = {}
---@type dmlua.expression
sa.null = {}
---@param text string
---@return dmlua.text
function sa.literal_column(text) end
---@param text string the type as PostgreSQL reads it
---@return dmlua.type
function sa.type(text) end

---@class postgresql
postgresql = {}
postgresql.ExcludeConstraint = sa.ExcludeConstraint

---@class inspector The catalogue, asked anew by every call
local inspector = {}

---@class op
op = {}
---@param name string
---@return string
function op.f(name) end
---@param value string|number|boolean|dmlua.null
---@return dmlua.expression
function op.inline_literal(value) end
---@return dmlua.connection
function op.get_bind() end
---@return dmlua.migration_context
function op.get_context() end
---Any number of statements, or one with parameters. Does not wait.
---@param sql string|dmlua.text
---@param parameters? table
---@param options? {execution_options: table}
function op.execute(sql, parameters, options) end
---@param tables (string|{[1]: string, schema: string})[]
---@param fn function
function op.across_tenants(tables, fn) end
---@class op.backup.options
---@field name? string of the copy; backup_TABLE when none is given
---@field schema? string
---@field column? string the tenant column

---@param table_name string
---@param options? op.backup.options
function op.backup_table(table_name, options) end
---@param table_name string
---@param options? op.backup.options
function op.restore_table(table_name, options) end
---@param table_name string
---@param options? op.backup.options
function op.drop_backup(table_name, options) end
---@param name string
---@param fn fun(operations: op, ...)
function op.register_operation(name, fn) end
---@param kind string
---@param fn fun(operations: op, operation: table)
function op.implementation_for(kind, fn) end
---@param operation {kind: string}
function op.invoke(operation) end
---For a downgrade() that cannot be.
---@param why string
function op.irreversible(why) end
]=]

M.batch = [=[
---@class batch_op
local batch_op = {}
batch_op.execute, batch_op.f, batch_op.get_bind = op.execute, op.f, op.get_bind
batch_op.get_context, batch_op.inline_literal, batch_op.invoke = op.get_context, op.inline_literal, op.invoke

---@class op.batch_alter_table.options
---@field schema? string
---@field recreate? "auto"|"always"|"never"
---@param table_name string
---@param options op.batch_alter_table.options
---@param fn fun(batch_op: batch_op)
---@overload fun(table_name: string, fn: fun(batch_op: batch_op))
function op.batch_alter_table(table_name, options, fn) end
]=]

M.tail = [=[
---@class guards.options
---@field schema? string
---@field column? string the tenant column

guards = {}
---@class guards.column.options: guards.options
---@field type? dmlua.type
---@field backfill? string|dmlua.expression what rows without a tenant get
---@field references? string "table.column"
---@field online? boolean in parts that hold no lock over a scan
---@field batch_size? integer of online

---@param table_name string
---@param options? guards.column.options|string the options, or the column's name and then the options
function guards.ensure_tenant_column(table_name, options, ...) end
---@param table_name string
---@param options? {schema?: string, column?: string, type?: dmlua.type}
function guards.assert_tenant_column(table_name, options) end
---@param table_name string
---@param additional_columns? (string|string[])[]
---@param options? {schema?: string, column?: string, unique?: boolean|(string|string[])[], online?: boolean}
function guards.ensure_tenant_indexes(table_name, additional_columns, options) end
---@param table_name string
---@param additional_columns? (string|string[])[]
---@param options? {schema?: string, column?: string, unique?: boolean|(string|string[])[]}
function guards.assert_tenant_indexes(table_name, additional_columns, options) end
---@param table_name string
---@param options? guards.options
function guards.ensure_tenant_isolation(table_name, options) end
---@param table_name string
---@param options? guards.options
function guards.validate_tenant_isolation(table_name, options) end
---@param table_name string
---@param options? guards.options
function guards.assert_tenant_isolation(table_name, options) end
---@param table_name string
---@param options? guards.options
function guards.drop_tenant_isolation(table_name, options) end
---@param options? {strategy?: string}
function guards.setup_tenant_isolation(options) end
---@param table_name string
---@param options? {schema?: string, column?: string, strategy?: string}
function guards.enable_tenant_isolation_on(table_name, options) end
---The elements of op.create_table, then its options with column and type.
---@param table_name string
---@param ... any
function guards.create_tenant_aware_table(table_name, ...) end
---@param table_name string
---@param new_column any a sa.Column; or a name, a type and options
---@param ... any
function guards.add_tenant_aware_column(table_name, new_column, ...) end
---@class guards.foreign_key.options: guards.options
---@field referent_schema? string
---@field name? string
---@field ondelete? string
---@field onupdate? string
---@field deferrable? boolean
---@field initially? string

---@param table_name string
---@param referent_table string
---@param local_cols string|string[]
---@param remote_cols string|string[]
---@param options? guards.foreign_key.options
function guards.ensure_tenant_foreign_key(table_name, referent_table, local_cols, remote_cols, options) end
---@param table_name string
---@param new_name string
---@param options? {schema?: string}
function guards.rename_tenant_aware_table(table_name, new_name, options) end
---@param table_name string
---@param options? guards.options
function guards.ensure_audit_trigger(table_name, options) end
---@param table_name string
---@param options? {schema?: string, reason?: string}
function guards.declare_global(table_name, options) end

tenants = {}
---@class tenant The row that lists it
---@field id string
---@field [string] any

---@class tenants.batch
---@field size integer how many rows; with batch = NUMBER, that number
---@field first any the key of the first row
---@field last any the key of the last row
---@field after any the last key of the batch before it
---@field cursor? string with batch = NUMBER: what the call before this one has returned

---@class tenants.options
---@field from? string|dmlua.text|(string|integer)[] a query, or ids
---@field mode? "atomic"|"resumable"
---@field allow_empty? boolean
---@field retries? integer
---@field max_failures? integer
---@field covers? string|table tables, of which the rows that no tenant reaches are counted
---@field workers? integer connections
---@field batch? integer|{table: string, key?: string, size?: integer, schema?: string}

---Calls fn for every tenant, in the tenant's own context.
---@param fn fun(tenant: tenant, batch?: tenants.batch): string|integer|nil
---@param options? tenants.options
function tenants.each(fn, options) end
---The tenants' ids, each once, in the list's order.
---@param options? {from?: string|dmlua.text|(string|integer)[], allow_empty?: boolean}
---@return string[]
function tenants.ids(options) end
---@param id string|integer
---@param fn fun(tenant: tenant)
function tenants.with(id, fn) end

context = {}
---@return dmlua.migration_context
function context.get_context() end
---@param fn function
function context.autocommit_block(fn) end
---@return boolean
function context.is_offline_mode() end
---What -x gave on the command line.
---@param options? {as_dictionary: boolean}
---@return table
function context.get_x_argument(options) end
---Wall seconds since the step began; waits for all that was sent before.
---@return number
function context.elapsed() end

---@class json
---@overload fun(value: any): any marks a parameter as JSON
json = {}
---@param value any
---@return string
function json.encode(value) end
---@param text string
---@return any
function json.decode(text) end
---@param list any[]
---@return any[]
function json.array(list) end

log = {}
---@param format any
function log.debug(format, ...) end
---@param format any
function log.info(format, ...) end
---@param format any
function log.warn(format, ...) end
log.warning = log.warn
---@param format any
function log.error(format, ...) end

-- What a revision's file sets itself.
---@type string
revision = nil
---@type string|string[]|nil
down_revision = nil
---@type string|string[]|nil
branch_labels = nil
---@type string|string[]|nil
depends_on = nil

-- What a fix's file sets itself.
---@type string
description = nil
---@type string[]
tables = nil
---@type integer
max_rows = nil
]=]

return M
