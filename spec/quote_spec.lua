local helper = require "spec.helper"
local keywords = require "dmlua.keywords"
local null = require "dmlua.null"
local quote = require "dmlua.quote"

describe("quote", function()
  local connection

  setup(function() connection = helper.connect(helper.database().owner) end)

  local names = { "customers", "Order", "order", "user", "two words", 'a"b', "größe", "a.b", "1st", "_x", "a$b",
    "select", "between", "name", ("x"):rep(63) }

  it("writes names as the server's quote_ident does", function()
    for _, name in ipairs(names) do
      assert.equal(connection:exec("SELECT quote_ident($1) AS q", { name }).rows[1].q, quote.ident(name))
    end
  end)

  it("names what SQLAlchemy makes of a name that is too long", function()
    local _, failure = pcall(quote.ident, "ix_subscription_addon_usage_records_for_each_tenant_subscription_addon_id")
    assert.equal("a database that Alembic made has 'ix_subscription_addon_usage_records_for_each_tenant_sub_0ca0',"
      .. " where `index` made the name or op.f marked it", failure.hint)
    _, failure = pcall(quote.ident, ("é"):rep(40))
    assert.is_nil(failure.hint)
  end)

  it("knows every keyword that the server quotes", function()
    for _, row in ipairs(connection:exec("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'").rows) do
      assert.is_true(keywords[row.word], row.word)
    end
  end)

  it("writes texts that the server reads as they were, whatever standard_conforming_strings says", function()
    for _, setting in ipairs { "on", "off" } do
      connection:exec("SET escape_string_warning = off")
      connection:exec("SET standard_conforming_strings = " .. setting)
      for _, text in ipairs { "", "it's", "a\\b", "\\'", "''", "line\nbreak", "§ü", "$1", "$$", "%s", ":x" } do
        assert.equal(text, connection:exec("SELECT " .. quote.literal(text) .. " AS t").rows[1].t)
      end
    end
    connection:exec("RESET standard_conforming_strings")
  end)

  it("writes a text like the server's quote_literal, but for the blank before E", function()
    for _, text in ipairs { "it's", "a\\b", "plain" } do
      local server = connection:exec("SELECT quote_literal($1) AS q", { text }).rows[1].q
      assert.equal((server:gsub("^ ", "")), quote.literal(text))
    end
  end)

  it("encloses a block in a tag that does not occur in it", function()
    for _, text in ipairs { "x", "$dmlua$", "$dmlua", "$dmlua1_$ $dmlua$", "a$", "$$" } do
      assert.equal(text, connection:exec("SELECT " .. quote.dollar(text) .. " AS t").rows[1].t)
    end
  end)

  it("refuses a name of more than 63 bytes instead of letting the server cut it", function()
    assert.has_error(function() quote.ident(("x"):rep(64)) end)
    assert.has_error(function() quote.ident(("ü"):rep(32)) end)
  end)

  it("refuses NUL, broken UTF-8 and empty names", function()
    for _, name in ipairs { "", "a\0b", "a\xff" } do
      assert.has_error(function() quote.ident(name) end)
    end
    assert.has_error(function() quote.literal("a\0b") end)
    assert.has_error(function() quote.literal("\xc3") end)
  end)

  it("writes numbers, booleans and null as themselves", function()
    assert.equal("3", quote.value(3))
    assert.equal("0.1", quote.value(0.1))
    assert.equal("true", quote.value(true))
    assert.equal("NULL", quote.value(null))
    assert.has_error(function() quote.value(0 / 0) end)
  end)
end)
