#pragma once

// What is done to a mount from outside, through the kernel, so that inotify watchers hear of it;
// and nothing but that: no link and no other mount leads out of it. All of it asks the server and
// waits for its answer. Free functions without state; they return 0 or an errno. Safe from any
// thread, but the mount knows the right one by its thread id.

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace secretfs::fs {

// The root of the mount with that device number, if `directory` shows it; invalid with errno
// otherwise. For a moment only: whoever holds it makes umount fail with EBUSY.
UniqueFd OpenMountRoot(const std::string& directory, dev_t device_number);

// A path that may be touched: relative, without empty parts, "." and "..".
bool IsPathBelowMount(std::string_view path);
// What `..data` may point to: one name.
bool IsNameInMount(std::string_view name);

// symlink("..data_tmp" -> target), rename("..data_tmp", "..data"). EINVAL unless IsNameInMount.
int SwitchDataThroughMount(int root, const std::string& target);

// Opens `path` for writing, gives it the size that it has, closes it: watchers of the file get
// MODIFY and CLOSE_WRITE, nothing changes. Links inside the mount are followed: in the atomic
// layout every path begins with one. EINVAL unless IsPathBelowMount; EXDEV when something else is
// mounted over it.
int TouchThroughMount(int root, const std::string& path, dev_t device_number);

// Makes the kernel ask for the attributes at `path`, so that it walks the path again if the answer
// is ESTALE. EINVAL unless IsPathBelowMount.
int LookUpThroughMount(int root, const std::string& path);

}  // namespace secretfs::fs
