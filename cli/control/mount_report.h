#pragma once

// What a mounting process tells about its mount, as `secretfs status --json` prints it. The names
// of the fields are a contract with scripts: they are added to, never changed. No value is in it.
// Free functions without state.

#include <sys/types.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "fs/mount_status.h"

namespace secretfs::cli {

struct MountReport {
  fs::MountStatus status;
  pid_t pid = 0;         // of the holder: the process to signal
  std::string version;   // of the secretfs that serves the mount
  pid_t server_pid = 0;  // of the process that serves
  uint64_t server_generation = 0;
  uint64_t server_restarts = 0;  // after a death
};

nlohmann::json ReportToJson(const MountReport& report);
// InvalidArgument when a field that is needed is missing or of another type; unknown fields are
// passed over.
absl::StatusOr<MountReport> ReportFromJson(const nlohmann::json& json);

// "2026-11-24T15:04:05.123Z", as ReportToJson writes times; nothing for any other text.
std::optional<WallTime> ParseTime(const std::string& text);

}  // namespace secretfs::cli
