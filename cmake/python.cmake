# The two extension modules, and the Python code generated from protos/.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
  OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nanobind_ROOT COMMAND_ERROR_IS_FATAL ANY)
find_package(nanobind CONFIG REQUIRED)

file(GLOB KERNELS_BINDINGS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/bindings/*.cc)
nanobind_add_module(_kernels NB_STATIC ${KERNELS_BINDINGS})
target_compile_options(_kernels PRIVATE -Wall -Wextra -Wundef -Werror)
target_link_libraries(_kernels PRIVATE coexec_kernels)
install(TARGETS _kernels LIBRARY DESTINATION coexec/kernels)

file(GLOB CORE_BINDINGS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/scheduler/bindings/*.cc)
if(CORE_BINDINGS)
  nanobind_add_module(_core NB_STATIC ${CORE_BINDINGS})
  target_compile_options(_core PRIVATE -Wall -Wextra -Wundef -Werror)
  target_link_libraries(_core PRIVATE coexec_core)
  install(TARGETS _core LIBRARY DESTINATION coexec/scheduler)
endif()

file(GLOB PROTOS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/protos/*.proto)
set(PROTO_DIR ${CMAKE_BINARY_DIR}/generated/coexec/protos)
add_custom_command(
  OUTPUT ${PROTO_DIR}/generated.stamp
  COMMAND ${Python_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/generate_protos.py
    ${PROJECT_SOURCE_DIR}/protos ${CMAKE_BINARY_DIR}/generated
  COMMAND ${CMAKE_COMMAND} -E touch ${PROTO_DIR}/generated.stamp
  DEPENDS ${PROTOS} ${PROJECT_SOURCE_DIR}/cmake/generate_protos.py VERBATIM)
add_custom_target(protos ALL DEPENDS ${PROTO_DIR}/generated.stamp)
install(DIRECTORY ${PROTO_DIR}/ DESTINATION coexec/protos
  FILES_MATCHING PATTERN "*.py" PATTERN "*.pyi" PATTERN "__pycache__" EXCLUDE)
