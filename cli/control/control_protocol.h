#pragma once

// What a command and a mounting process say to each other: one JSON object a line in each
// direction.
//
//   {"protocol":1,"request":"status"}            {"protocol":1,"ok":true,"mount":{…}}
//   {"protocol":1,"request":"refresh","path":""} {"protocol":1,"ok":true}
//   {"protocol":1,"request":"unmount"}           {"protocol":1,"ok":false,"code":5,"error":"…"}
//
// `code` is the canonical code of the failure (absl::StatusCode). A line that is too long, not
// JSON, of another protocol or with a request that does not exist is answered with an error. Free
// functions without state.

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cli/control/mount_report.h"

namespace secretfs::cli {

inline constexpr int kControlProtocol = 1;
inline constexpr size_t kLongestControlRequest = 16 << 10;
// A mount of a hundred thousand files still answers.
inline constexpr size_t kLongestControlResponse = 64 << 20;

struct ControlRequest {
  enum class Kind { kStatus, kRefresh, kUnmount };
  Kind kind = Kind::kStatus;
  std::string path;  // kRefresh: one file, or "" for all that were fetched
  friend bool operator==(const ControlRequest&, const ControlRequest&) = default;
};

struct ControlResponse {
  absl::Status status;
  std::optional<MountReport> report;  // of kStatus
};

// Without the newline.
std::string EncodeRequest(const ControlRequest& request);
std::string EncodeResponse(const ControlResponse& response);

// InvalidArgument naming what is wrong.
absl::StatusOr<ControlRequest> DecodeRequest(std::string_view line);
absl::StatusOr<ControlResponse> DecodeResponse(std::string_view line);

}  // namespace secretfs::cli
