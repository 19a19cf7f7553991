#pragma once

// How a directory is mounted: a plain value, for whoever calls mount(2).

#include <string>

namespace secretfs::fs {

struct MountOptions {
  std::string directory;            // absolute; exists; its own type is a directory
  std::string source = "secretfs";  // shown by mount(8)
  bool allow_other = false;
  // The kernel unmounts when the process dies (fusermount3's auto_unmount).
  bool auto_unmount = false;
};

}  // namespace secretfs::fs
