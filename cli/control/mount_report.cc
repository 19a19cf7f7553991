#include "cli/control/mount_report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "base/text.h"
#include "fs/names.h"

namespace secretfs::cli {
namespace {

using nlohmann::json;

constexpr cache::EntryState kStates[] = {cache::EntryState::kAbsent,  cache::EntryState::kFetching,
                                         cache::EntryState::kFresh,   cache::EntryState::kStale,
                                         cache::EntryState::kExpired, cache::EntryState::kGone};

json TimeOrNull(const std::optional<WallTime>& time) {
  return time.has_value() ? json(fs::FormatTime(*time)) : json(nullptr);
}

std::optional<WallTime> TimeOf(const json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end() || !field->is_string()) return std::nullopt;
  return ParseTime(field->get<std::string>());
}

std::string TextOf(const json& object, const char* name) {
  const auto field = object.find(name);
  return field != object.end() && field->is_string() ? field->get<std::string>() : "";
}

uint64_t NumberOf(const json& object, const char* name) {
  const auto field = object.find(name);
  return field != object.end() && field->is_number_unsigned() ? field->get<uint64_t>() : 0;
}

json InFlightToJson(const std::vector<fs::RequestStatus>& requests) {
  json list = json::array();
  for (const fs::RequestStatus& request : requests) {
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(request.age);
    list.push_back({{"operation", request.operation},
                    {"ageMilliseconds", static_cast<uint64_t>(std::max<int64_t>(0, age.count()))}});
  }
  return list;
}

json FileToJson(const fs::FileStatus& file) {
  return {{"path", file.path},
          {"store", file.store},
          {"key", file.key},
          {"version", file.version},
          {"state", cache::EntryStateName(file.state)},
          {"error", file.error},
          {"fetchedAt", TimeOrNull(file.fetched_at)},
          {"expiresAt", TimeOrNull(file.expires_at)},
          {"nextRefreshAt", TimeOrNull(file.next_refresh_at)}};
}

absl::StatusOr<fs::FileStatus> FileFromJson(const json& object) {
  if (!object.is_object()) return absl::InvalidArgumentError("a file is not an object");
  fs::FileStatus file;
  file.path = TextOf(object, "path");
  file.store = TextOf(object, "store");
  file.key = TextOf(object, "key");
  file.version = TextOf(object, "version");
  file.error = TextOf(object, "error");
  file.fetched_at = TimeOf(object, "fetchedAt");
  file.expires_at = TimeOf(object, "expiresAt");
  file.next_refresh_at = TimeOf(object, "nextRefreshAt");
  const std::string state = TextOf(object, "state");
  for (const cache::EntryState known : kStates) {
    if (cache::EntryStateName(known) == state) {
      file.state = known;
      return file;
    }
  }
  return absl::InvalidArgumentError("a file has an unknown state");
}

}  // namespace

json ReportToJson(const MountReport& report) {
  const fs::MountStatus& status = report.status;
  json files = json::array();
  for (const fs::FileStatus& file : status.files) files.push_back(FileToJson(file));
  return {{"directory", status.directory},
          {"layout", status.layout == fs::Layout::kAtomic ? "atomic" : "flat"},
          {"mountedAt", fs::FormatTime(status.mounted_at)},
          {"generation", status.generation},
          {"requests", status.requests},
          {"parkedRequests", status.parked_requests},
          {"inFlight", InFlightToJson(status.in_flight)},
          {"pid", report.pid},
          {"serverPid", report.server_pid},
          {"serverGeneration", report.server_generation},
          {"serverRestarts", report.server_restarts},
          {"version", report.version},
          {"files", std::move(files)}};
}

absl::StatusOr<MountReport> ReportFromJson(const json& object) {
  if (!object.is_object()) return absl::InvalidArgumentError("the mount is not an object");
  MountReport report;
  report.status.directory = TextOf(object, "directory");
  if (report.status.directory.empty()) return absl::InvalidArgumentError("no 'directory'");
  report.status.layout =
      TextOf(object, "layout") == "atomic" ? fs::Layout::kAtomic : fs::Layout::kFlat;
  report.status.mounted_at = TimeOf(object, "mountedAt").value_or(WallTime());
  report.status.generation = NumberOf(object, "generation");
  report.status.requests = NumberOf(object, "requests");
  report.status.parked_requests = NumberOf(object, "parkedRequests");
  report.pid = static_cast<pid_t>(NumberOf(object, "pid"));
  report.server_pid = static_cast<pid_t>(NumberOf(object, "serverPid"));
  report.server_generation = NumberOf(object, "serverGeneration");
  report.server_restarts = NumberOf(object, "serverRestarts");
  if (const auto requests = object.find("inFlight");
      requests != object.end() && requests->is_array()) {
    for (const json& request : *requests) {
      if (!request.is_object()) continue;
      report.status.in_flight.push_back(
          {.operation = TextOf(request, "operation"),
           .age = std::chrono::milliseconds(NumberOf(request, "ageMilliseconds"))});
    }
  }
  report.version = TextOf(object, "version");
  const auto files = object.find("files");
  if (files == object.end() || !files->is_array()) return absl::InvalidArgumentError("no 'files'");
  for (const json& entry : *files) {
    SECRETFS_ASSIGN_OR_RETURN(fs::FileStatus file, FileFromJson(entry));
    report.status.files.push_back(std::move(file));
  }
  return report;
}

std::optional<WallTime> ParseTime(const std::string& text) {
  std::tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  int milliseconds = 0;
  int used = 0;
  if (sscanf(rest, ".%3dZ%n", &milliseconds, &used) != 1 || used == 0 || rest[used] != '\0') {
    return std::nullopt;
  }
  return WallTime(std::chrono::seconds(timegm(&parts)) + std::chrono::milliseconds(milliseconds));
}

}  // namespace secretfs::cli
