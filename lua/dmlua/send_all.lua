-- What an operation comes to, sent from the author's line.

local errors = require "dmlua.errors"

--- Sends the texts in their order; a failure of one of them names the line that called the vocabulary.
return function(bind, texts)
  local file, line = errors.where()
  for _, text in ipairs(texts) do bind:send(text, nil, file, line) end
end
