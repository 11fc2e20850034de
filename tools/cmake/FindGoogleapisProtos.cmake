# Finds the .proto sources of google/api and google/rpc that the distribution ships.
#
#   GoogleapisProtos_INCLUDE_DIR  folder that holds google/api/annotations.proto
#
# Looked for in -DGOOGLEAPIS_PROTO_DIR, then in python3-googleapis-common-protos (where it exists),
# then in golang-github-gogo-googleapis-dev.
set(_candidates
    ${GOOGLEAPIS_PROTO_DIR}
    /usr/lib/python3/dist-packages
    /usr/share/gocode/src/github.com/gogo/googleapis)
foreach(_dir IN LISTS _candidates)
  if(NOT GoogleapisProtos_INCLUDE_DIR AND EXISTS "${_dir}/google/api/annotations.proto"
     AND EXISTS "${_dir}/google/rpc/error_details.proto")
    set(GoogleapisProtos_INCLUDE_DIR "${_dir}" CACHE PATH "google/api and google/rpc protos")
    message(STATUS "googleapis protos: ${_dir}")
  endif()
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(GoogleapisProtos
  REQUIRED_VARS GoogleapisProtos_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "apt install golang-github-gogo-googleapis-dev, or pass -DGOOGLEAPIS_PROTO_DIR")
