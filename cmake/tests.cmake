# One executable per *_test.cc; it exits non-zero and names the seed when a check fails.
file(GLOB TEST_SOURCES CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/kernels/*/*_test.cc ${PROJECT_SOURCE_DIR}/scheduler/core/*_test.cc)
foreach(source ${TEST_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_compile_options(${name} PRIVATE ${COEXEC_FLAGS})
  if(source MATCHES "/scheduler/")
    target_link_libraries(${name} PRIVATE coexec_core)
  else()
    target_link_libraries(${name} PRIVATE coexec_kernels)
  endif()
  add_test(NAME ${name} COMMAND ${name})
endforeach()
