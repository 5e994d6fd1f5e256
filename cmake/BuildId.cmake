# Writes OUTPUT, a header with CEDANA_VERSION and CEDANA_BUILD_ID: a hash of the text of every
# source below ROOT/src and ROOT/proto, and of SEED (compiler, build type, sanitizers), so that two
# builds with the same id have the same C++ interface. The file is touched only when it changes.
#
#   cmake -DROOT=… -DOUTPUT=… -DVERSION=… -DSEED=… -P BuildId.cmake
cmake_minimum_required(VERSION 3.25)
file(GLOB_RECURSE sources RELATIVE ${ROOT} LIST_DIRECTORIES false
     ${ROOT}/src/*.h ${ROOT}/src/*.cc ${ROOT}/src/*.txt ${ROOT}/src/*.map ${ROOT}/proto/*.proto)
# What only tests are made of does not change the programs.
list(FILTER sources EXCLUDE REGEX "(_test\\.cc$|/testing/)")
list(SORT sources)
set(text "${VERSION} ${SEED}")
foreach(source ${sources})
  file(SHA256 ${ROOT}/${source} hash)
  string(APPEND text " ${source} ${hash}")
endforeach()
string(SHA256 id "${text}")
string(SUBSTRING ${id} 0 16 id)
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"// Generated at build time.
#pragma once
#define CEDANA_VERSION \"@VERSION@\"
#define CEDANA_BUILD_ID \"@id@\"
" @ONLY)
