# A libtorch in a known folder, without its own CMake files: those look for a whole CUDA toolkit (nvcc too), for gflags and
# protobuf, which a machine with a Python torch seldom has and this engine does not need. Sets what FindTorch sets.
set(_root "${TRAINYARD_TORCH_ROOT}")
find_path(TRAINYARD_TORCH_INCLUDE torch/csrc/api/include/torch/version.h PATHS "${_root}/include" NO_DEFAULT_PATH REQUIRED)
set(_places "${_root}/lib")
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(APPEND _places "${_root}/lib/${CMAKE_LIBRARY_ARCHITECTURE}")
endif()

set(TORCH_LIBRARIES "")
foreach(name c10 torch_cpu torch)
  find_library(TRAINYARD_LIB_${name} ${name} PATHS ${_places} NO_DEFAULT_PATH REQUIRED)
endforeach()
foreach(name c10_cuda torch_cuda)
  find_library(TRAINYARD_LIB_${name} ${name} PATHS ${_places} NO_DEFAULT_PATH)
endforeach()
foreach(name torch torch_cuda torch_cpu c10_cuda c10)
  if(TRAINYARD_LIB_${name})
    add_library(${name} SHARED IMPORTED GLOBAL)
    set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${TRAINYARD_LIB_${name}}")
    list(APPEND TORCH_LIBRARIES ${name})
  endif()
endforeach()
# libtorch_cuda registers itself when it is loaded; no symbol of ours names it. Its own libraries are found by itself.
set_target_properties(torch PROPERTIES INTERFACE_LINK_OPTIONS "LINKER:--no-as-needed;LINKER:--allow-shlib-undefined")

set(TORCH_INCLUDE_DIRS "${TRAINYARD_TORCH_INCLUDE}" "${TRAINYARD_TORCH_INCLUDE}/torch/csrc/api/include")
if(TARGET torch_cuda)
  # CUDA's and NCCL's headers: a toolkit's, or the Python packages beside torch.
  file(GLOB _nvidia LIST_DIRECTORIES ON "${_root}/../nvidia/*/include")
  find_path(TRAINYARD_CUDA_INCLUDE cuda_runtime_api.h
            HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda ${_nvidia} PATH_SUFFIXES include)
  find_path(TRAINYARD_NCCL_INCLUDE nccl.h HINTS ENV NCCL_HOME PATHS ${_nvidia} PATH_SUFFIXES include)
  if(TRAINYARD_CUDA_INCLUDE)
    list(APPEND TORCH_INCLUDE_DIRS "${TRAINYARD_CUDA_INCLUDE}" ${_nvidia})
  endif()
endif()

# How this libtorch was compiled, in its own words: the C++ ABI of strings, and which parts of its headers count.
find_file(TRAINYARD_TORCH_CONFIG TorchConfig.cmake PATHS "${_root}/share/cmake/Torch" "${_root}/lib/${CMAKE_LIBRARY_ARCHITECTURE}/cmake/Torch"
          NO_DEFAULT_PATH)
find_file(TRAINYARD_TORCH_TARGETS Caffe2Targets.cmake PATHS "${_root}/share/cmake/Caffe2"
          "${_root}/lib/${CMAKE_LIBRARY_ARCHITECTURE}/cmake/Caffe2" NO_DEFAULT_PATH)
set(TORCH_CXX_FLAGS "")
if(TRAINYARD_TORCH_CONFIG)
  file(STRINGS "${TRAINYARD_TORCH_CONFIG}" _abi REGEX "GLIBCXX_USE_CXX11_ABI=[01]")
  if(_abi MATCHES "(GLIBCXX_USE_CXX11_ABI=[01])")
    set(TORCH_CXX_FLAGS "-D_${CMAKE_MATCH_1}")
  endif()
endif()
set(_definitions USE_DISTRIBUTED USE_C10D_GLOO USE_RPC USE_TENSORPIPE)
if(TRAINYARD_TORCH_TARGETS)
  file(STRINGS "${TRAINYARD_TORCH_TARGETS}" _lines REGEX "INTERFACE_COMPILE_DEFINITIONS \"USE_")
  if(_lines MATCHES "INTERFACE_COMPILE_DEFINITIONS \"([^\"]*)\"")
    set(_definitions ${CMAKE_MATCH_1})
  endif()
endif()
set_target_properties(torch PROPERTIES INTERFACE_COMPILE_DEFINITIONS "${_definitions}")
