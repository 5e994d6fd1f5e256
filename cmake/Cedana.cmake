# One target per leaf folder.
#
#   cedana_core_library(NAME base SOURCES a.cc b.cc CORE <other core leaves> LINK <libraries>)
#     an object library `core_base`; all of them together make the shared library cedana-core.
#   cedana_library(NAME cedana_criu SOURCES ... LINK ...)
#     a static library of one of the two programs.
#   cedana_test(NAME base_test SOURCES a_test.cc CORE base LINK ... [LABELS unit])
#     a GoogleTest program, registered with ctest under the label `unit` unless told otherwise.

add_library(cedana_options INTERFACE)
target_include_directories(cedana_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(cedana_options INTERFACE -Wall -Wextra -Wno-unused-parameter -Werror=return-type
                       -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CEDANA_ASAN)
  target_compile_options(cedana_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(cedana_options INTERFACE -fsanitize=address,undefined)
endif()
if(CEDANA_TSAN)
  target_compile_options(cedana_options INTERFACE -fsanitize=thread -Wno-tsan)
  target_link_options(cedana_options INTERFACE -fsanitize=thread)
endif()

# Third-party headers are most of what the compiler reads. Parsed once: for tests here, for the
# command line (CLI11 and gRPC) in its own folder. A header of ours is never in such a set, so that
# every file still says itself what it needs of us. Tests are compiled without optimisation: what
# they test is in libraries of its own, and a clean build takes minutes less.
set(CEDANA_TEST_OPTIONS -O0)

function(cedana_test_headers)
  add_executable(cedana_test_headers ${CMAKE_SOURCE_DIR}/cmake/test_headers.cc)
  target_link_libraries(cedana_test_headers PRIVATE cedana_options absl::status absl::statusor
                        absl::strings absl::time absl::synchronization nlohmann_json::nlohmann_json
                        spdlog::spdlog GTest::gmock GTest::gtest Threads::Threads)
  target_compile_options(cedana_test_headers PRIVATE ${CEDANA_TEST_OPTIONS})
  target_precompile_headers(cedana_test_headers PRIVATE
    <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp> <absl/status/statusor.h>
    <absl/strings/str_cat.h> <absl/synchronization/mutex.h> <absl/time/clock.h> <functional> <map>
    <memory> <string> <vector>)
endfunction()

# Most of what is left is templates that each file instantiates again, so the files of a library are
# compiled a few at a time. -DCEDANA_UNITY=OFF compiles each by itself, as the linters want it.
option(CEDANA_UNITY "compile the files of a library a few at a time" ON)
function(_cedana_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CEDANA_UNITY} UNITY_BUILD_BATCH_SIZE 5)
endfunction()
# cedana_alone(FILES…): these use names that others of their library use as well.
function(cedana_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

function(_cedana_core_targets out)
  set(result)
  foreach(leaf ${ARGN})
    list(APPEND result core_${leaf})
  endforeach()
  set(${out} ${result} PARENT_SCOPE)
endfunction()

function(cedana_core_library)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;CORE;LINK" ${ARGN})
  _cedana_core_targets(deps ${ARG_CORE})
  add_library(core_${ARG_NAME} OBJECT ${ARG_SOURCES})
  target_link_libraries(core_${ARG_NAME} PUBLIC cedana_options ${deps} ${ARG_LINK} Threads::Threads)
  _cedana_unity(core_${ARG_NAME})
  set_property(GLOBAL APPEND PROPERTY CEDANA_CORE_LEAVES core_${ARG_NAME})
endfunction()

function(cedana_library)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LINK" ${ARGN})
  add_library(${ARG_NAME} STATIC ${ARG_SOURCES})
  _cedana_unity(${ARG_NAME})
  target_link_libraries(${ARG_NAME} PUBLIC cedana_options ${ARG_LINK} Threads::Threads)
endfunction()

function(cedana_test)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;CORE;LINK;LABELS" ${ARGN})
  _cedana_core_targets(deps ${ARG_CORE})
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  target_link_libraries(${ARG_NAME} PRIVATE ${deps} ${ARG_LINK} cedana_options GTest::gmock GTest::gtest
                        GTest::gtest_main)
  target_compile_options(${ARG_NAME} PRIVATE ${CEDANA_TEST_OPTIONS})
  target_precompile_headers(${ARG_NAME} REUSE_FROM cedana_test_headers)
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 120)
endfunction()
