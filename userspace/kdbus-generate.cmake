# SPDX-License-Identifier: LGPL-2.1-or-later
#
# kdbus_generate(TARGET target XML file... [PROXY] [ADAPTOR] [NAMESPACE name])
#
# Makes typed classes of D-Bus introspection data with kdbus-xml2cpp(1) for the sources of a target.
# Each FILE.xml gives FILE-proxy.hpp and FILE-adaptor.hpp, or one of them with PROXY or ADAPTOR.
include_guard()

function(kdbus_generate)
  cmake_parse_arguments(PARSE_ARGV 0 arg "PROXY;ADAPTOR" "TARGET;NAMESPACE" "XML")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kdbus_generate: what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if(NOT TARGET "${arg_TARGET}")
    message(FATAL_ERROR "kdbus_generate: there is no target \"${arg_TARGET}\"")
  endif()
  if(NOT arg_XML)
    message(FATAL_ERROR "kdbus_generate: XML is missing")
  endif()
  if(NOT arg_PROXY AND NOT arg_ADAPTOR)
    set(arg_PROXY ON)
    set(arg_ADAPTOR ON)
  endif()
  if(arg_NAMESPACE)
    set(namespace --namespace=${arg_NAMESPACE})
  endif()

  set(directory ${CMAKE_CURRENT_BINARY_DIR}/kdbus-generated/${arg_TARGET})
  file(MAKE_DIRECTORY ${directory})
  foreach(xml IN LISTS arg_XML)
    cmake_path(ABSOLUTE_PATH xml BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    cmake_path(GET xml STEM LAST_ONLY stem)
    set(options ${namespace})
    set(headers)
    foreach(kind IN ITEMS proxy adaptor)
      string(TOUPPER ${kind} KIND)
      if(arg_${KIND})
        list(APPEND options --${kind}=${directory}/${stem}-${kind}.hpp)
        list(APPEND headers ${directory}/${stem}-${kind}.hpp)
      endif()
    endforeach()
    add_custom_command(OUTPUT ${headers}
      COMMAND kdbus::kdbus-xml2cpp ${options} ${xml}
      DEPENDS ${xml} kdbus::kdbus-xml2cpp
      COMMENT "Generating ${stem} for ${arg_TARGET}"
      VERBATIM)
    target_sources(${arg_TARGET} PRIVATE ${headers})
  endforeach()
  target_include_directories(${arg_TARGET} PRIVATE ${directory})
endfunction()
