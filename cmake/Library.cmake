# secretfs_library(NAME SOURCES ... DEPENDS ...): one static library with our options.
function(secretfs_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC secretfs_options ${ARG_DEPENDS})
endfunction()
