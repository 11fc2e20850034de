include(${CMAKE_CURRENT_LIST_DIR}/ClmMigrations.cmake)

# The whole build vocabulary: clm_library, clm_binary, clm_test, clm_fuzz.
option(CLM_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
# Half of what it costs to compile one of our files is reading and instantiating what its neighbours
# read and instantiate too. So what ships is compiled by several files at a time, few enough that an
# edit stays cheap; the other presets, and tools/check tidy, prove that each file compiles alone.
# A file whose names meet a neighbour's keeps out: SKIP_UNITY_BUILD_INCLUSION.
option(CLM_UNITY "Compile several files of a library at a time" OFF)
set(CLM_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, empty for none")

find_program(CLM_CCACHE ccache)
if(CLM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # base_dir and no hash_dir let clones and build folders share results; the sloppiness values are
  # the ones ccache asks for when precompiled headers are in use.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CLM_CCACHE})
endif()

# How code is made, generated code too; then how ours is judged. Threads and large files are what
# some of the libraries ask for: asked for everywhere, headers compiled ahead serve all targets.
add_library(clm_code_flags INTERFACE)
target_compile_options(clm_code_flags INTERFACE -pthread -fno-omit-frame-pointer
  -fstack-protector-strong)
target_compile_definitions(clm_code_flags INTERFACE _FILE_OFFSET_BITS=64
  $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
add_library(clm_flags INTERFACE)
target_compile_options(clm_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers)
target_link_libraries(clm_flags INTERFACE clm_code_flags)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports false positives from inlined standard library code under optimisation.
  target_compile_options(clm_flags INTERFACE -Wno-restrict -Wno-stringop-overflow)
  # Of files compiled together it takes all but the outermost for headers.
  target_compile_options(clm_flags INTERFACE $<$<BOOL:${CLM_UNITY}>:-Wno-subobject-linkage>)
  target_compile_options(clm_code_flags INTERFACE -fpch-preprocess)
endif()
if(CLM_SANITIZE)
  add_compile_options(-fsanitize=${CLM_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CLM_SANITIZE})
endif()
if(CLM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Headers that many files read, compiled ahead: once for each kind of target, not once for each
# target. None that is generated or ours: compiled ahead and cached, they may be those of another
# state of the tree. gRPC's have objects with constructors, so only what links gRPC gets them.
set(_clm_headers <algorithm> <chrono> <cstdint> <functional> <map> <memory> <mutex> <optional>
    <set> <string> <string_view> <unordered_map> <utility> <vector>
    <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h> <absl/status/status.h>
    <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/synchronization/mutex.h>
    <absl/time/time.h>)
set(_clm_grpc_headers <google/protobuf/duration.pb.h> <google/protobuf/map.h>
    <google/protobuf/message.h> <google/protobuf/timestamp.pb.h> <grpcpp/grpcpp.h>
    <grpcpp/support/server_callback.h>)
set(_clm_test_headers <gmock/gmock.h> <gtest/gtest.h>)

function(_clm_precompile kind)
  set(source ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc)
  if(NOT EXISTS ${source})
    file(WRITE ${source} "")
  endif()
  add_library(clm_precompiled_${kind} OBJECT ${source})
  target_link_libraries(clm_precompiled_${kind} PRIVATE clm_flags)
  target_precompile_headers(clm_precompiled_${kind} PRIVATE ${ARGN})
endfunction()
set(_clm_plain_set ${_clm_headers})
set(_clm_grpc_set ${_clm_headers} ${_clm_grpc_headers})
_clm_precompile(plain ${_clm_plain_set})
_clm_precompile(grpc ${_clm_grpc_set})
_clm_precompile(test ${_clm_plain_set} ${_clm_test_headers})
_clm_precompile(test_grpc ${_clm_grpc_set} ${_clm_test_headers})
# What is tested is built as shipped; the cases themselves are run once and compiled often. Without
# optimisation there is no fortified source either.
set(_clm_case_flags $<$<CONFIG:Release>:-O0> $<$<CONFIG:Release>:-U_FORTIFY_SOURCE>)
foreach(kind test test_grpc)
  target_link_libraries(clm_precompiled_${kind} PRIVATE GTest::gmock)
  target_compile_options(clm_precompiled_${kind} PRIVATE ${_clm_case_flags})
endforeach()

# _clm_links_grpc(out DEPS...): whether one of them is gRPC or links it, as far as is known yet.
function(_clm_links_grpc out)
  set(${out} FALSE PARENT_SCOPE)
  get_property(with_grpc GLOBAL PROPERTY CLM_WITH_GRPC)
  foreach(dep IN LISTS ARGN)
    if(dep STREQUAL "gRPC::grpc++" OR dep IN_LIST with_grpc)
      set(${out} TRUE PARENT_SCOPE)
    endif()
  endforeach()
endfunction()
set_property(GLOBAL PROPERTY CLM_WITH_GRPC clm::protos)

# _clm_unity(target SOURCES...): in batches of equal size, of no more files than this.
set(_clm_unity_files 6)
function(_clm_unity target)
  list(LENGTH ARGN files)
  math(EXPR batches "(${files} + ${_clm_unity_files} - 1) / ${_clm_unity_files}")
  math(EXPR size "(${files} + ${batches} - 1) / ${batches}")
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CLM_UNITY} UNITY_BUILD_BATCH_SIZE ${size})
endfunction()

# clm_library(name SRCS a.cc ... DEPS clm::x ...): a static library, alias clm::name.
function(clm_library name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  set(kind plain)
  _clm_links_grpc(grpc ${arg_DEPS})
  if(grpc)
    set(kind grpc)
    set_property(GLOBAL APPEND PROPERTY CLM_WITH_GRPC clm::${name})
  endif()
  if(arg_SRCS)
    add_library(clm_${name} STATIC ${arg_SRCS})
    target_include_directories(clm_${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(clm_${name} PUBLIC ${arg_DEPS} PRIVATE clm_flags)
    target_precompile_headers(clm_${name} REUSE_FROM clm_precompiled_${kind})
    _clm_unity(clm_${name} ${arg_SRCS})
  else()
    add_library(clm_${name} INTERFACE)
    target_include_directories(clm_${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(clm_${name} INTERFACE ${arg_DEPS})
  endif()
  add_library(clm::${name} ALIAS clm_${name})
endfunction()

# A call's messages are made on one thread and freed on another, which glibc's allocator pays for
# with locks and consolidation: an eighth of a server's time. Sanitizers bring their own.
add_library(clm_allocator INTERFACE)
if(NOT CLM_SANITIZE)
  target_link_libraries(clm_allocator INTERFACE
    -Wl,--push-state,--no-as-needed PkgConfig::JEMALLOC -Wl,--pop-state)
endif()

# _clm_reuse(name kind): headers compiled ahead, for an executable. They come from those of
# libraries, so it is compiled as these are.
function(_clm_reuse name kind)
  target_precompile_headers(${name} REUSE_FROM clm_precompiled_${kind})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
endfunction()

# clm_binary(name SRCS main.cc DEPS clm::x ...): an executable in bin/.
function(clm_binary name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} clm_flags clm_allocator)
  set(kind plain)
  _clm_links_grpc(grpc ${arg_DEPS})
  if(grpc)
    set(kind grpc)
  endif()
  _clm_reuse(${name} ${kind})
endfunction()

# clm_test(name SRCS a_test.cc ... DEPS clm::x ... LABELS unit|integration|...): one gtest binary,
# one ctest entry; the binary reports its own cases.
function(clm_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main clm_flags)
  target_compile_options(${name} PRIVATE ${_clm_case_flags})
  set(kind test)
  _clm_links_grpc(grpc ${arg_DEPS})
  if(grpc)
    set(kind test_grpc)
  endif()
  _clm_reuse(${name} ${kind})
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
endfunction()

# clm_fuzz(name SRCS a_fuzz.cc DEPS clm::x ...): a libFuzzer target, and its smoke run in ctest.
function(clm_fuzz name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  if(CLM_FUZZ)
    add_executable(${name} ${arg_SRCS})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE ${arg_DEPS} clm_flags)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${name} COMMAND ${name} -runs=20000 -max_total_time=20)
    set_tests_properties(${name} PROPERTIES LABELS "fuzz" TIMEOUT 120)
  endif()
endfunction()
