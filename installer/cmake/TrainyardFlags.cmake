# One interface target carries every compile flag of the project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# No room generates headers for another, so compiling need not wait for other rooms' libraries.
set(CMAKE_OPTIMIZE_DEPENDENCIES ON)
set(CMAKE_AUTOGEN_ORIGIN_DEPENDS OFF)

add_library(trainyard_flags INTERFACE)
target_include_directories(trainyard_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(trainyard_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds  # GCC 12 warns of "text" + std::string and of text = "text" (GCC bugs 105651, 105329).
  -fpch-preprocess -Winvalid-pch
  $<$<BOOL:${TRAINYARD_WERROR}>:-Werror>)
target_compile_definitions(trainyard_flags INTERFACE
  TRAINYARD_VERSION="${PROJECT_VERSION}"
  JSON_USE_IMPLICIT_CONVERSIONS=0
  QT_NO_KEYWORDS QT_NO_CAST_FROM_ASCII QT_NO_CAST_TO_ASCII QT_NO_URL_CAST_FROM_STRING
  QT_NO_NARROWING_CONVERSIONS_IN_CONNECT QT_STRICT_ITERATORS)
if(TRAINYARD_SANITIZE)
  target_compile_options(trainyard_flags INTERFACE -fsanitize=${TRAINYARD_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(trainyard_flags INTERFACE -fsanitize=${TRAINYARD_SANITIZE})
endif()
