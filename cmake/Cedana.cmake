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
  set_property(GLOBAL APPEND PROPERTY CEDANA_CORE_LEAVES core_${ARG_NAME})
endfunction()

function(cedana_library)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LINK" ${ARGN})
  add_library(${ARG_NAME} STATIC ${ARG_SOURCES})
  target_link_libraries(${ARG_NAME} PUBLIC cedana_options ${ARG_LINK} Threads::Threads)
endfunction()

function(cedana_test)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;CORE;LINK;LABELS" ${ARGN})
  _cedana_core_targets(deps ${ARG_CORE})
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  target_link_libraries(${ARG_NAME} PRIVATE ${deps} ${ARG_LINK} cedana_options GTest::gmock GTest::gtest
                        GTest::gtest_main)
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 120)
endfunction()
