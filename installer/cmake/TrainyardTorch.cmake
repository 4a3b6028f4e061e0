# libtorch and its optional companions. 1.13 (Debian 12), 2.6 (Debian 13) and 2.11 are all supported.
find_package(Torch REQUIRED)
find_path(TRAINYARD_GLOO_INCLUDE gloo/algorithm.h)
find_path(TRAINYARD_ONNX_INCLUDE onnx/onnx_pb.h)
find_library(TRAINYARD_ONNX_LIB onnx)
find_library(TRAINYARD_ONNX_PROTO_LIB onnx_proto)
find_package(Protobuf QUIET)
