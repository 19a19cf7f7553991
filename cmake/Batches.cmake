# Compiles the sources of a target in batches of one folder: most of a file's time goes into the
# headers of Asio, JSON and the standard library, and a batch pays for them once (measured with clang's
# -ftime-trace and by CPU seconds: cache/ takes 26 s instead of 118; precompiled headers on top of it
# save another 3 %, and were left out). A batch never holds files of two folders or targets. So files of
# a folder share one anonymous namespace: a name that stands in two of them is the same helper twice,
# to be merged, or needs a name that says more. `tidy` and the package build compile file by file, so
# every file still includes what it needs.
option(SECRETFS_BATCHES "Compile the files of a folder in batches" ON)
set(SECRETFS_BATCH_SIZE 12)
if(SECRETFS_BATCHES)
  # g++ takes a file that is included for a header, in which an anonymous namespace would be a mistake.
  target_compile_options(secretfs_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()

function(secretfs_batch_target target)
  get_target_property(type ${target} TYPE)
  if(NOT type MATCHES "^(STATIC_LIBRARY|OBJECT_LIBRARY|EXECUTABLE)$")
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  get_target_property(target_folder ${target} SOURCE_DIR)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  foreach(source ${sources})
    get_filename_component(folder "${source}" DIRECTORY)
    string(MAKE_C_IDENTIFIER "x${folder}" group)
    if(NOT DEFINED count_${group})
      set(count_${group} 0)
    endif()
    math(EXPR batch "${count_${group}} / ${SECRETFS_BATCH_SIZE}")
    math(EXPR count_${group} "${count_${group}} + 1")
    get_filename_component(path "${source}" ABSOLUTE BASE_DIR ${target_folder})
    set_source_files_properties(${path} TARGET_DIRECTORY ${target}
      PROPERTIES UNITY_GROUP ${target}_${group}_${batch})
  endforeach()
endfunction()

# Every target below `folder`.
function(secretfs_batch_folder folder)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    secretfs_batch_target(${target})
  endforeach()
  get_property(subfolders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(subfolder ${subfolders})
    secretfs_batch_folder(${subfolder})
  endforeach()
endfunction()
