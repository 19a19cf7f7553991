#pragma once

// The walls around a server: what it may still ask of the kernel once it has its descriptors. A
// filter of system calls (seccomp, an allow-list), and, where the kernel has it, a list of files
// that may be read (Landlock, Linux 5.13). There is no way back out. docs/security.md says what is
// left.
//
// Call once, before other threads exist: Landlock holds for the calling thread and those that it
// starts. Programs built with sanitizers stay outside, because their runtimes need more.

#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace secretfs {

struct SandboxOptions {
  // Files, and folders with all that is below, that may be opened for reading, besides what name
  // resolution and TLS need of the system. What does not exist is passed over.
  std::vector<std::string> readable;
  // For tests, which try what older kernels have: of Landlock no more than this; 0: none of it.
  int most_landlock_abi = std::numeric_limits<int>::max();
};

struct SandboxResult {
  // False where the kernel has no Landlock: files are then bounded by the user's rights alone.
  bool files_are_bounded = false;
};

// PermissionDenied or Unavailable, saying which part the kernel refused.
absl::StatusOr<SandboxResult> EnterSandbox(const SandboxOptions& options);

}  // namespace secretfs
