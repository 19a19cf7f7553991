#pragma once

// What `secretfs` exits with. One table for every command; --help of each prints it. Free functions
// without state.

#include "absl/status/status.h"

namespace secretfs::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotFound = 3;
inline constexpr int kExitDenied = 4;
inline constexpr int kExitCorrupted = 5;  // the local store is damaged

// The exit code for `status`: data loss is a damaged store; denied and not logged in are denied.
inline int ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitDenied;
    case absl::StatusCode::kDataLoss:
      return kExitCorrupted;
    default:
      return kExitFailure;
  }
}

}  // namespace secretfs::cli
