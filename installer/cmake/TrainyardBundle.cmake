# What a target gets of the engine: the CPU bundle, and the sources from which it is built there against another libtorch.
# Both lie in bundles/ of the build folder and in lib/trainyard of an installation.
find_program(TRAINYARD_PATCHELF patchelf)
find_program(TRAINYARD_ZSTD zstd)
if(TRAINYARD_PATCHELF AND TRAINYARD_ZSTD AND NOT TRAINYARD_SANITIZE)
  set(_bundle_default ON)
else()
  set(_bundle_default OFF)
endif()
option(TRAINYARD_BUNDLE "Make the engine's CPU bundle (needs patchelf and zstd; a minute the first time)" ${_bundle_default})

set(_targets "${PROJECT_SOURCE_DIR}/installer/targets")
set(_bundles "${PROJECT_BINARY_DIR}/bundles")
if(TRAINYARD_BUNDLE AND TRAINYARD_WORKBENCH AND TARGET trainyard-engine)
  set(_bundle "${_bundles}/trainyard-engine-cpu.tar.zst")
  add_custom_command(OUTPUT "${_bundle}" "${_bundle}.sha256"
    # The compressed libraries are the same for every build folder.
    COMMAND "${_targets}/bundle" "$<TARGET_FILE:trainyard-engine>" "${_bundle}" "${PROJECT_SOURCE_DIR}/build/bundle-libraries"
    DEPENDS trainyard-engine "${_targets}/bundle" "${_targets}/engine-launcher.sh"
    COMMENT "Making the engine's CPU bundle" VERBATIM)
  add_custom_target(trainyard_engine_bundle ALL DEPENDS "${_bundle}" "${_bundle}.sha256")
  install(FILES "${_bundle}" "${_bundle}.sha256" DESTINATION "${TRAINYARD_PRIVATE_DIR}")
endif()

if(TRAINYARD_WORKBENCH)
  set(_sources "${_bundles}/trainyard-engine-src.tar.gz")
  file(GLOB_RECURSE _engine_files CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/core/base/*" "${PROJECT_SOURCE_DIR}/core/spec/*" "${PROJECT_SOURCE_DIR}/core/wire/*"
    "${PROJECT_SOURCE_DIR}/core/engine/*" "${PROJECT_SOURCE_DIR}/app/engine/*"
    "${PROJECT_SOURCE_DIR}/installer/cmake/*" "${_targets}/engine/*")
  find_path(TRAINYARD_JSON_INCLUDE nlohmann/json.hpp REQUIRED)
  add_custom_command(OUTPUT "${_sources}" "${_sources}.sha256"
    COMMAND "${_targets}/sources" "${PROJECT_SOURCE_DIR}" "${PROJECT_VERSION}" "${TRAINYARD_JSON_INCLUDE}" "${_sources}"
    DEPENDS ${_engine_files} "${_targets}/sources" "${PROJECT_SOURCE_DIR}/LICENSE"
    COMMENT "Packing the engine's sources" VERBATIM)
  add_custom_target(trainyard_engine_sources ALL DEPENDS "${_sources}" "${_sources}.sha256")
  install(FILES "${_sources}" "${_sources}.sha256" DESTINATION "${TRAINYARD_PRIVATE_DIR}")
endif()
