# Every kernel source, found by folder. A file's ISA flags come from its name, as the
# `needs` column of its variant row does, so neither can be wider than the other.
file(GLOB KERNEL_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*/*.cc)
list(FILTER KERNEL_SOURCES EXCLUDE REGEX "(/bindings/|_test\\.cc$)")
# The architecture decides which files there are, by their prefix, and with them which rows the
# tables keep: COEXEC_BUILT_ISA holds names of kernels/base/isa.h.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(FILTER KERNEL_SOURCES EXCLUDE REGEX "/(arm|other)_[^/]*$")
  set(COEXEC_BUILT_ISA "kAvx2Fma|kAvx512|kVnni|kAmx|kBf16")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  list(FILTER KERNEL_SOURCES EXCLUDE REGEX "/(x86|other)_[^/]*$")
  set(COEXEC_BUILT_ISA "kNeon")
else()
  list(FILTER KERNEL_SOURCES EXCLUDE REGEX "/(arm|x86)_[^/]*$")
  set(COEXEC_BUILT_ISA "kBaseline")
endif()
# GCC 12 takes the deliberately undefined operand inside its own intrinsics for a mistake.
set(AVX512_FLAGS "-Wno-maybe-uninitialized;-Wno-uninitialized;-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mavx2;-mfma;-mf16c;-mprefer-vector-width=512")
foreach(source ${KERNEL_SOURCES})
  if(source MATCHES "/x86_avx2[^/]*$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
  elseif(source MATCHES "/x86_avx512[^/]*$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${AVX512_FLAGS}")
  elseif(source MATCHES "/x86_vnni[^/]*$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
      "${AVX512_FLAGS};-mavx512vnni")
  elseif(source MATCHES "/x86_bf16[^/]*$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
      "${AVX512_FLAGS};-mavx512vnni;-mavx512bf16")
  elseif(source MATCHES "/x86_amx[^/]*$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
      "${AVX512_FLAGS};-mavx512vnni;-mavx512bf16;-mamx-tile;-mamx-int8;-mamx-bf16")
  endif()
endforeach()
add_library(coexec_kernels STATIC ${KERNEL_SOURCES})
target_include_directories(coexec_kernels PUBLIC ${PROJECT_SOURCE_DIR})
target_compile_options(coexec_kernels PRIVATE ${COEXEC_FLAGS})
target_compile_definitions(coexec_kernels PRIVATE "COEXEC_BUILT_ISA=${COEXEC_BUILT_ISA}")
target_link_libraries(coexec_kernels PUBLIC Threads::Threads)

file(GLOB CORE_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/scheduler/core/*.cc)
list(FILTER CORE_SOURCES EXCLUDE REGEX "_test\\.cc$")
if(CORE_SOURCES)
  add_library(coexec_core STATIC ${CORE_SOURCES})
  target_compile_options(coexec_core PRIVATE ${COEXEC_FLAGS})
  target_link_libraries(coexec_core PUBLIC coexec_kernels)
endif()
