# cmake -D ROOT=resources/clients -D OUT=ClientFiles.cpp -P EmbedClients.cmake: the files below ROOT as one C++ source.
file(GLOB_RECURSE files RELATIVE "${ROOT}" "${ROOT}/*.py" "${ROOT}/*.h")
list(SORT files)
set(rows "")
set(count 0)
foreach(name IN LISTS files)
  file(READ "${ROOT}/${name}" bytes HEX)
  file(SIZE "${ROOT}/${name}" size)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
  string(APPEND rows "    {\"${name}\", \"${bytes}\", ${size}},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE "${OUT}" "#include \"core/agent/Clients.h\"\n\nnamespace trainyard::agent {\n\nconst ClientFile kClientFiles[] = {\n${rows}};\n"
     "const std::size_t kClientFileCount = ${count};\n\n}  // namespace trainyard::agent\n")
