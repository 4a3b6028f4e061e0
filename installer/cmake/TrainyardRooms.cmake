# A room is a folder and a static library of the same name: core/store is trainyard_store.
# Sources are globbed, so a new file needs no edit here.

# trainyard_room(NAME [DIR folder] [USES target...])
function(trainyard_room name)
  cmake_parse_arguments(ROOM "" "DIR" "USES" ${ARGN})
  if(NOT ROOM_DIR)
    set(ROOM_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${ROOM_DIR}/*.cpp" "${ROOM_DIR}/*.h" "${ROOM_DIR}/*.qrc")
  if(NOT sources)
    add_library(trainyard_${name} INTERFACE)
    target_link_libraries(trainyard_${name} INTERFACE trainyard_flags ${ROOM_USES})
    return()
  endif()
  add_library(trainyard_${name} STATIC ${sources})
  target_link_libraries(trainyard_${name} PUBLIC trainyard_flags ${ROOM_USES})
  set_target_properties(trainyard_${name} PROPERTIES LINKER_LANGUAGE CXX TRAINYARD_ROOM ${name}
    UNITY_BUILD ${TRAINYARD_UNITY} UNITY_BUILD_BATCH_SIZE 8)
  set_property(GLOBAL APPEND PROPERTY TRAINYARD_ROOMS trainyard_${name})
endfunction()

# trainyard_part(VARIABLE HEADER LIBRARIES): a part of the agent that needs a header and the static libraries that the variable named
# LIBRARIES lists. With the workbench it has to be there. Without (engine-only) what is absent is left out: VARIABLE is 0, LIBRARIES
# becomes empty, and the agent says what it lacks.
function(trainyard_part variable header listed)
  set(found 1)
  if(NOT TRAINYARD_WORKBENCH)
    find_path(${variable}_INCLUDE ${header})
    set(needed ${variable}_INCLUDE)
    foreach(library IN LISTS ${listed})
      find_library(${variable}_${library} lib${library}.a)
      list(APPEND needed ${variable}_${library})
    endforeach()
    foreach(one IN LISTS needed)
      if(NOT ${one})
        set(found 0)
      endif()
    endforeach()
  endif()
  if(NOT found)
    message(STATUS "${header} or a static library of ${${listed}} is not there: left out of the agent")
    set(${listed} "" PARENT_SCOPE)
  endif()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# trainyard_program(NAME [USES target...])
function(trainyard_program name)
  cmake_parse_arguments(PROGRAM "" "" "USES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp" "${CMAKE_CURRENT_SOURCE_DIR}/*.h"
       "${CMAKE_CURRENT_SOURCE_DIR}/*.qrc")
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${PROGRAM_USES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  set_property(GLOBAL APPEND PROPERTY TRAINYARD_PROGRAMS ${name})
endfunction()

set(TRAINYARD_GLUE_OPTIONS -O1)

# trainyard_glue(TARGET): code that waits for files, processes and other rooms. -O1 and precompiled headers take a third off
# its compile time, and nothing that it does is bound by the processor. Its sources still include what they use.
function(trainyard_glue target)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    return()
  endif()
  target_compile_options(${target} PRIVATE ${TRAINYARD_GLUE_OPTIONS})
  target_precompile_headers(${target} PRIVATE ${TRAINYARD_PCH})
endfunction()
set(TRAINYARD_PCH <QtCore> <nlohmann/json.hpp> <filesystem> <functional> <map> <optional> <regex> <string> <variant> <vector>)
