-- SQLAlchemy's names for what only PostgreSQL has.

local sa = require "dmlua.sa"
local types = require "dmlua.types"

local M = {}
types.dialect(M, sa)
M.ExcludeConstraint = sa.ExcludeConstraint

return M
