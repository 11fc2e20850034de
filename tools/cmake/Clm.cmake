include(${CMAKE_CURRENT_LIST_DIR}/ClmMigrations.cmake)

# The whole build vocabulary: clm_library, clm_binary, clm_test, clm_fuzz.
option(CLM_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
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

add_library(clm_flags INTERFACE)
target_compile_options(clm_flags INTERFACE
  -Wall -Wextra -Werror -Wno-missing-field-initializers -fno-omit-frame-pointer
  -fstack-protector-strong)
target_compile_definitions(clm_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports false positives from inlined standard library code under optimisation.
  target_compile_options(clm_flags INTERFACE -Wno-restrict -Wno-stringop-overflow -fpch-preprocess)
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

set(CLM_PCH <algorithm> <chrono> <cstdint> <functional> <map> <memory> <mutex> <optional> <set>
    <string> <string_view> <unordered_map> <utility> <vector>
    <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h> <absl/status/status.h>
    <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/synchronization/mutex.h>
    <absl/time/time.h>)

# clm_library(name SRCS a.cc ... DEPS clm::x ...): a static library, alias clm::name.
function(clm_library name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  if(arg_SRCS)
    add_library(clm_${name} STATIC ${arg_SRCS})
    target_include_directories(clm_${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(clm_${name} PUBLIC ${arg_DEPS} PRIVATE clm_flags)
    target_precompile_headers(clm_${name} PRIVATE ${CLM_PCH})
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

# clm_binary(name SRCS main.cc DEPS clm::x ...): an executable in bin/.
function(clm_binary name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} clm_flags clm_allocator)
endfunction()

# clm_test(name SRCS a_test.cc ... DEPS clm::x ... LABELS unit|integration|...): one gtest binary,
# one ctest entry; the binary reports its own cases.
function(clm_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main clm_flags)
  # What is tested is built as shipped; the cases themselves need no more.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
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
