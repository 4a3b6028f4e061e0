# What is installed where, and the Debian package.
include(GNUInstallDirs)

set(TRAINYARD_PRIVATE_DIR "lib/trainyard")
foreach(program trainyard trainyard-cli)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endforeach()
# Programs that other programs start, not people: found as ../lib/trainyard beside bin/.
foreach(program trainyard-engine trainyard-agent trainyard-onnx-opencv)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION "${TRAINYARD_PRIVATE_DIR}")
  endif()
endforeach()

if(TRAINYARD_WORKBENCH)
  set(_id org.trainyard.Trainyard)
  install(FILES "${PROJECT_SOURCE_DIR}/installer/linux/${_id}.desktop" DESTINATION "${CMAKE_INSTALL_DATADIR}/applications")
  install(FILES "${PROJECT_SOURCE_DIR}/installer/linux/${_id}.metainfo.xml" DESTINATION "${CMAKE_INSTALL_DATADIR}/metainfo")
  install(FILES "${PROJECT_SOURCE_DIR}/installer/linux/${_id}.svg"
          DESTINATION "${CMAKE_INSTALL_DATADIR}/icons/hicolor/scalable/apps")
  install(FILES "${PROJECT_SOURCE_DIR}/installer/linux/copyright" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/trainyard")
  # The guide links to the protocols beside it.
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/resources/docs/guide" "${PROJECT_SOURCE_DIR}/resources/docs/protocol"
          DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/trainyard" FILES_MATCHING PATTERN "*.md" PATTERN "*.png" PATTERN "*.json")
  # Debian keeps manual pages compressed; -n leaves the time out, so that two builds are equal.
  find_program(TRAINYARD_GZIP gzip REQUIRED)
  foreach(page trainyard.1 trainyard-cli.1)
    execute_process(COMMAND ${TRAINYARD_GZIP} -9nc "${PROJECT_SOURCE_DIR}/installer/linux/${page}"
                    OUTPUT_FILE "${PROJECT_BINARY_DIR}/${page}.gz" COMMAND_ERROR_IS_FATAL ANY)
    install(FILES "${PROJECT_BINARY_DIR}/${page}.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
  endforeach()
  install(FILES "${PROJECT_SOURCE_DIR}/installer/linux/lintian-overrides"
          DESTINATION "${CMAKE_INSTALL_DATADIR}/lintian/overrides" RENAME trainyard)

  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGE_NAME trainyard)
  set(CPACK_PACKAGE_VENDOR "Trainyard")
  set(CPACK_PACKAGE_CONTACT "The Trainyard developers <maintainers@trainyard.invalid>")
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "workbench for training PyTorch models")
  set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
      "Fill in a form, launch a training run on this machine, watch it live, keep its
 history, register the model and export it to ONNX with proof that the export
 computes the same. The trainer is C++ on libtorch; no Python is needed.")
  set(CPACK_PACKAGE_INSTALL_DIRECTORY trainyard)
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  set(CPACK_STRIP_FILES ON)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SECTION science)
  set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  # Loaded at run time, so no program names them: the window's platforms and icons, and the fast BLAS.
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "qt6-qpa-plugins, libqt6svg6, libopenblas0-pthread")
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "dataset-fashion-mnist, fonts-inter, fonts-jetbrains-mono, nodejs")
  include(CPack)
endif()
