# Compiler, warnings, sanitizers, ccache. Everything a target inherits through lambdad_flags.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "g++ below 14 destroys aggregates and owning lambdas twice when they are temporaries beside "
                      "co_await. Use clang 19: cmake --preset release.")
endif()

set(LD_SANITIZE "" CACHE STRING "sanitizers to build with, as for -fsanitize=")
option(LD_FUZZ "build the libFuzzer targets" OFF)

find_program(CCACHE ccache)
if(CCACHE)
  # Precompiled headers and several checkouts of the same tree share one cache.
  set(LD_CCACHE_ENV CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
                    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env ${LD_CCACHE_ENV} ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env ${LD_CCACHE_ENV} ${CCACHE})
endif()

# -fPIC here and not by CMAKE_POSITION_INDEPENDENT_CODE, which says -fPIE for programs: they could not share the
# precompiled header of the libraries then.
add_library(lambdad_flags INTERFACE)
target_compile_options(lambdad_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wconversion -Wno-sign-conversion
  -Wno-missing-field-initializers -Wno-gnu-zero-variadic-macro-arguments -Wno-c99-designator
  -Wimplicit-fallthrough -Wunused -Werror
  -fPIC -pthread -fstack-protector-strong -fcf-protection -fno-omit-frame-pointer
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
target_compile_definitions(lambdad_flags INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_HEADER_ONLY BOOST_ASIO_DISABLE_BOOST_COROUTINE
  # Asio's own cache of two blocks costs more than the allocator that the daemon links.
  $<$<CONFIG:Release>:BOOST_ASIO_DISABLE_SMALL_BLOCK_RECYCLING>
  $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS> $<$<CONFIG:Release>:_FORTIFY_SOURCE=3>)
target_link_options(lambdad_flags INTERFACE -fuse-ld=lld -pthread -pie -Wl,-z,relro,-z,now)
target_include_directories(lambdad_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g1")

if(LD_SANITIZE)
  target_compile_options(lambdad_flags INTERFACE -fsanitize=${LD_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(lambdad_flags INTERFACE -fsanitize=${LD_SANITIZE})
endif()
if(LD_FUZZ)
  target_compile_options(lambdad_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# One precompiled header for the whole tree: the standard library, fmt and Asio, which nearly every file sees.
file(WRITE ${CMAKE_BINARY_DIR}/lambdad_pch.cc "")
add_library(lambdad_pch STATIC ${CMAKE_BINARY_DIR}/lambdad_pch.cc)
target_link_libraries(lambdad_pch PUBLIC lambdad_flags)
target_precompile_headers(lambdad_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)
