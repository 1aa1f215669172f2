# Writes OUTPUT, a C file with the text of every Lua module in MODULES, so that the program needs no file at run time.
# Called at build time: cmake -DOUTPUT=… -DMODULES="name=path;name=path" -P embed.cmake
# A module's chunk name is "=dmlua/FILE": it shows a real path in tracebacks, and its "=" tells our frames from an
# author's, whose chunk names begin with "@".
set(text "/* Made by scripts/embed.cmake. */\n#include \"host/embedded.h\"\n\n")
set(rows "")
set(number 0)
foreach(module IN LISTS MODULES)
  string(REGEX MATCH "^([^=]+)=(.+)$" _ "${module}")
  set(name "${CMAKE_MATCH_1}")
  set(path "${CMAKE_MATCH_2}")
  string(REPLACE "." "/" file "${name}")
  file(READ "${path}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(APPEND text "static const unsigned char module_${number}[] = {\n${bytes}0};\n\n")
  string(APPEND rows "    {\"${name}\", \"=${file}.lua\", module_${number}, sizeof module_${number} - 1},\n")
  math(EXPR number "${number} + 1")
endforeach()
string(APPEND text "const struct embedded embedded_modules[] = {\n${rows}    {0, 0, 0, 0},\n};\n")
file(WRITE "${OUTPUT}" "${text}")
