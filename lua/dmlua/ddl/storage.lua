-- Storage parameters, as they stand in WITH ( … ). Pure.

--- "fillfactor = 70, …", in the order of the names.
return function(parameters)
  local names, parts = {}, {}
  for name in pairs(parameters) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = name .. " = " .. tostring(parameters[name]) end
  return table.concat(parts, ", ")
end
