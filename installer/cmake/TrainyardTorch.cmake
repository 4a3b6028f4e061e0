# libtorch and its optional companions. 1.13 (Debian 12), 2.6 (Debian 13) and 2.11 are all supported.
set(TRAINYARD_TORCH_ROOT "" CACHE PATH
    "Folder with libtorch's include/ and lib/ (unpacked, or a Python's torch); empty: found by its own CMake files")
if(TRAINYARD_TORCH_ROOT)
  include(TrainyardTorchAt)
else()
  find_package(Torch REQUIRED)
endif()
find_path(TRAINYARD_GLOO_INCLUDE gloo/algorithm.h PATHS ${TORCH_INCLUDE_DIRS})
find_path(TRAINYARD_ONNX_INCLUDE onnx/onnx_pb.h)
find_library(TRAINYARD_ONNX_LIB onnx)
find_library(TRAINYARD_ONNX_PROTO_LIB onnx_proto)
find_package(Protobuf QUIET)
