-- DROP of anything: DROP what [IF EXISTS] name [CASCADE]. Pure.

--- A renderer; `name_of(record)` is the object's name as SQL.
return function(what, name_of)
  return function(record)
    return { "DROP " .. what .. (record.if_exists and " IF EXISTS " or " ") .. name_of(record)
      .. (record.cascade and " CASCADE" or "") }
  end
end
