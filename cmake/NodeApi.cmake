# Node-API headers as the target rlt::node_api. cmake-js names their folders in CMAKE_JS_INC.

if(NOT CMAKE_JS_INC)
  message(FATAL_ERROR "CMAKE_JS_INC is not set: this build runs under cmake-js. Use `npm run build:native`.")
endif()

add_library(rlt_node_api INTERFACE)
add_library(rlt::node_api ALIAS rlt_node_api)
target_include_directories(rlt_node_api SYSTEM INTERFACE ${CMAKE_JS_INC})
target_compile_definitions(rlt_node_api INTERFACE
  NAPI_VERSION=9 NODE_ADDON_API_DISABLE_DEPRECATED NODE_ADDON_API_CPP_EXCEPTIONS)
