local step = require "spec.step"

describe("the vocabulary", function()
  local function recorder()
    local bind = step.recorder()
    bind.loops = {}
    function bind:each(fn, options)
      self.loops[#self.loops + 1] = options
      fn({ id = "a" })
    end
    return bind
  end

  local function failure(script)
    local message = step.error_of(recorder(), script)
    return message and message.message
  end

  it("is made anew for each step and cannot be written into", function()
    assert.equal("op.create_table cannot be set: op belongs to dmlua", failure "op.create_table = nil")
    assert.equal("sa.x cannot be set: sa belongs to dmlua", failure "sa.x = 1")
    assert.has_error(function() step.run(recorder(), "setmetatable(op, {})") end)
  end)

  it("names the right one of which a name is the beginning, or the other way round", function()
    assert.equal("context.is_offline does not exist (did you mean 'is_offline_mode'?)", failure "context.is_offline()")
    assert.equal("op.create_table: has no option 'comments_on' (did you mean 'comment'?)",
      failure [[op.create_table("t", { comments_on = "x" })]])
    assert.equal("op.dro does not exist", failure "op.dro()")
  end)

  it("lists its names to pairs", function()
    assert.is_true(step.run(recorder(), [[
      local found = {}
      for _, names in ipairs { op, sa, guards, tenants, postgresql, json, log, context } do
        for name in pairs(names) do found[name] = true end
      end
      return found.create_table and found.Column and found.ensure_tenant_column and found.each and found.JSONB
        and found.encode and found.info and found.elapsed ]]))
  end)

  describe("tenants.each", function()
    it("hands the function and its options to the loop", function()
      local bind = recorder()
      local id = step.run(bind, [[
        local id
        tenants.each(function(tenant) id = tenant.id end, { from = "SELECT id FROM t", allow_empty = true })
        return id]])
      assert.equal("a", id)
      assert.same({ "SELECT id FROM t", true }, { bind.loops[1].from, bind.loops[1].allow_empty })
    end)

    it("takes ids as they are, each once, and never as SQL", function()
      local bind = recorder()
      step.run(bind, [[
        local function nothing() end
        tenants.each(nothing, { from = { "it's", 7, "it's" } })
        tenants.with("a\\b", nothing)]])
      assert.same({ "it's", "7" }, bind.loops[1].ids)
      assert.same({ "a\\b" }, bind.loops[2].ids)
      for _, call in ipairs { 'tenants.with("", print)', 'tenants.with("a\\0b", print)',
        'tenants.each(print, { from = { "a", "" } })', "tenants.each(print, { from = { 1.5 } })",
        "tenants.each(print, { from = { null } })", "tenants.with(null, print)" } do
        assert.truthy(failure(call):find("id", 1, true), call)
      end
    end)

    it("refuses options that it does not know", function()
      assert.equal("tenants.each: has no option 'form' (did you mean 'from'?)",
        failure "tenants.each(print, { form = {} })")
      assert.equal("tenants.each: fn must be a function, got a string", failure "tenants.each('x')")
      assert.truthy(failure("tenants.each(print, { max_failures = 0 })"):find("1 or more", 1, true))
      assert.truthy(failure("tenants.each(print, { mode = 'x' })"):find('mode must be "atomic"', 1, true))
      assert.equal("tenants.each: fn is missing (a function)", failure "tenants.each()")
    end)
  end)

  it("logs in order with the statements, formatted or as it is", function()
    local bind = recorder()
    step.run(bind, [[log.info("%d rows of %s", 3, "t") log.warn("100%") log.debug(nil) ]])
    assert.same({ { level = "info", text = "3 rows of t" }, { level = "warn", text = "100%" },
      { level = "debug", text = "nil" } }, bind.logged)
    assert.truthy(failure([[log.info("%d", "x")]]):find("log.info: argument #2", 1, true))
    assert.equal("log.inof does not exist (did you mean 'info'?)", failure "log.inof('x')")
  end)

  it("tells the context of the step", function()
    assert.same({ false, 0.5 }, { step.run(recorder(), "return context.is_offline_mode(), context.elapsed()") })
    assert.equal("postgresql", step.run(recorder(), "return op.get_context().dialect.name"))
  end)

  it("marks values as JSON, and reads JSON's null as null", function()
    local bind = recorder()
    step.run(bind, [[
      assert(json.decode('{"a":null}').a == null)
      op.execute("INSERT INTO t VALUES (:j)", { j = json { a = { 1, 2 } } })]])
    assert.same({ '{"a":[1,2]}' }, bind.sent[1].params)
  end)

  describe("sa", function()
    local function type_of(text)
      return step.run(recorder(), ("return sa.Column('c', %s).type.sql"):format(text))
    end

    it("takes types with and without ()", function()
      for _, name in ipairs { "UUID", "String", "Integer", "DateTime", "JSON" } do
        assert.equal(type_of("sa." .. name), type_of("sa." .. name .. "()"))
      end
    end)

    it("writes a type that it does not know as the author wrote it", function()
      assert.equal("geometry(Point,4326)", type_of 'sa.type("geometry(Point,4326)")')
    end)

    it("has the guide's sa.Decimal", function()
      assert.equal("NUMERIC", type_of "sa.Decimal()")
      assert.equal("NUMERIC(10, 2)", type_of "sa.Decimal(10, 2)")
    end)

    it("takes precision and scale by name, and refuses a misspelt one", function()
      assert.equal("NUMERIC(10, 2)", type_of "sa.Numeric { precision = 10, scale = 2 }")
      assert.equal("sa.Numeric: has no option 'persision' (did you mean 'precision'?)",
        failure "sa.Numeric { persision = 10 }")
      assert.truthy(failure("sa.UUID { as_uid = true }"):find("did you mean 'as_uuid'", 1, true))
    end)

    it("writes calls of functions with literals and expressions", function()
      assert.truthy(step.statements([[op.add_column("t", sa.Column("a", sa.Text, {
        server_default = sa.func.coalesce(null, 'x', 2, true, sa.func.now(), sa.text("y")) }))]])[1]
        :find("DEFAULT coalesce(NULL, 'x', 2, true, now(), y)", 1, true))
      assert.truthy(failure([[op.add_column("t", sa.Column("a", sa.Text, { server_default = sa.func["a b"]() }))]])
        :find("'a b' is no name of a function", 1, true))
      assert.truthy(failure([[op.add_column("t", sa.Column("a", sa.Text, { server_default = sa.func.f({}) }))]])
        :find("a table cannot be an argument", 1, true))
      assert.truthy(failure([[op.create_index("i", "t", { sa.func.lower(sa.Text) })]])
        :find("a type cannot be an argument", 1, true))
    end)

    it("calls without parentheses what PostgreSQL calls so, and nothing else; and functions of a schema", function()
      local function default(call)
        return step.statements(('op.add_column("t", sa.Column("a", sa.Text, { server_default = %s }))'):format(call))[1]
          :match "DEFAULT (.*)$"
      end
      for _, name in ipairs { "current_date", "localtimestamp", "localtime", "session_user", "user", "current_user" } do
        assert.equal(name:upper(), default("sa.func." .. name .. "()"))
      end
      assert.equal("current_database()", default "sa.func.current_database()")
      assert.equal("current_timestamp(3)", default "sa.func.current_timestamp(3)")
      assert.equal("billing.next_number(1)", default "sa.func.billing.next_number(1)")
    end)

    it("takes each of SQLAlchemy's options of a column, also those that have no effect", function()
      assert.equal("ALTER TABLE t ADD COLUMN a TEXT", step.statements(
        [[op.add_column("t", sa.Column("a", sa.Text, { key = "b", doc = "d", info = { x = 1 }, quote = true,
          system = false, server_onupdate = sa.FetchedValue() }))]])[1])
    end)

    it("takes sa.column where an expression stands, and quotes it", function()
      assert.equal('CREATE INDEX i ON t (lower("Name"), "order") WHERE active', step.statements(
        [[op.create_index("i", "t", { sa.func.lower(sa.column("Name")), sa.column("order") },
          { postgresql_where = sa.column("active") })]])[1])
    end)

    it("says of SQLAlchemy's operators that they are SQL here", function()
      assert.truthy(failure([[op.create_index("i", "t", { sa.column("a"):desc() })]])
        :find("sa.column has no 'desc': write SQL", 1, true))
      assert.truthy(failure([[op.create_index("i", "t", { "a" }, { postgresql_where = sa.func.lower("x"):is_(null) })]])
        :find("sa.func has no 'is_': write SQL", 1, true))
    end)

    it("names the nearest of a few words, and that a name may be null", function()
      assert.truthy(failure([[op.create_foreign_key("f", "t", "p", { "a" }, { "id" }, { ondelete = "CASCAD" })]])
        :find("(did you mean 'CASCADE'?)", 1, true))
      assert.equal("op.create_unique_constraint: constraint_name is missing (a name, or null for one that is made)",
        failure([[op.create_unique_constraint(nil, "t", { "a" })]]))
    end)
  end)
end)
