# What is built. The presets in CMakePresets.json set these; nothing else should have to.
option(TRAINYARD_ENGINE "Build trainyard-engine (needs libtorch)" ON)
option(TRAINYARD_WORKBENCH "Build trainyard and trainyard-cli (needs Qt 6 and SQLite)" ON)
option(TRAINYARD_TESTS "Build the tests (needs Qt 6)" OFF)
# Reading headers is most of the work: eight sources a compiler run build three times as fast as each alone. So names in
# anonymous namespaces are unique in their room.
option(TRAINYARD_UNITY "Compile a room's sources in groups" ON)
option(TRAINYARD_WERROR "Treat warnings as errors (CI)" OFF)
set(TRAINYARD_SANITIZE "" CACHE STRING "Sanitizers for every target, for example address,undefined")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(TRAINYARD_CCACHE ccache)
if(TRAINYARD_CCACHE)
  # Precompiled headers hash by content, so their time stamps and macros must not spoil the cache.
  set(_ccache ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${TRAINYARD_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${_ccache})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${_ccache})
endif()
