#pragma once

// Landlock (https://docs.kernel.org/userspace-api/landlock.html): the part of the sandbox that
// bounds files. A free function without state.

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace secretfs {

// From now on this thread and those it starts open nothing but `readable` (files, or folders with
// all that is below), change no file, listen on no TCP port, and signal no process outside. False
// when the kernel has no Landlock. Of what the kernel has no more than `most_abi` is used.
// REQUIRES: no_new_privs is set.
absl::StatusOr<bool> RestrictFiles(const std::vector<std::string>& readable, int most_abi);

}  // namespace secretfs
