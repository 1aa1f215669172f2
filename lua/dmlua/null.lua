-- SQL NULL where Lua's nil would vanish: `{ server_default = null }` drops a default, a parameter may be `null`. It
-- is the value that JSON's null is read as, so that one name serves for both.

return require("dmlua.pq").null
