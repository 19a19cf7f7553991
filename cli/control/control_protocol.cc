#include "cli/control/control_protocol.h"

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {
namespace {

using nlohmann::json;

struct RequestName {
  ControlRequest::Kind kind;
  std::string_view name;
};
constexpr RequestName kRequests[] = {{ControlRequest::Kind::kStatus, "status"},
                                     {ControlRequest::Kind::kRefresh, "refresh"},
                                     {ControlRequest::Kind::kUnmount, "unmount"}};

// Names from a store may hold bytes that are not UTF-8.
std::string Dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<json> ParseObject(std::string_view line) {
  json object = json::parse(line, nullptr, false);
  if (object.is_discarded() || !object.is_object()) {
    return absl::InvalidArgumentError("not a JSON object");
  }
  const auto protocol = object.find("protocol");
  if (protocol == object.end() || !protocol->is_number_integer()) {
    return absl::InvalidArgumentError("no protocol number");
  }
  if (*protocol != kControlProtocol) {
    return absl::InvalidArgumentError(
        Format("protocol {}, but this secretfs ({}) speaks protocol {}", protocol->dump(),
               SECRETFS_VERSION, kControlProtocol));
  }
  return object;
}

absl::StatusOr<std::string> StringField(const json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end()) return std::string();
  if (!field->is_string()) {
    return absl::InvalidArgumentError(Format("'{}' is not a string", name));
  }
  return field->get<std::string>();
}

}  // namespace

std::string EncodeRequest(const ControlRequest& request) {
  json object = {{"protocol", kControlProtocol}};
  for (const RequestName& known : kRequests) {
    if (known.kind == request.kind) object["request"] = known.name;
  }
  if (request.kind == ControlRequest::Kind::kRefresh) object["path"] = request.path;
  return Dump(object);
}

absl::StatusOr<ControlRequest> DecodeRequest(std::string_view line) {
  SECRETFS_ASSIGN_OR_RETURN(const json object, ParseObject(line));
  SECRETFS_ASSIGN_OR_RETURN(const std::string name, StringField(object, "request"));
  for (const RequestName& known : kRequests) {
    if (known.name != name) continue;
    ControlRequest request{.kind = known.kind, .path = {}};
    if (known.kind == ControlRequest::Kind::kRefresh) {
      SECRETFS_ASSIGN_OR_RETURN(request.path, StringField(object, "path"));
    }
    return request;
  }
  return absl::InvalidArgumentError("unknown request; expected status, refresh or unmount");
}

std::string EncodeResponse(const ControlResponse& response) {
  json object = {{"protocol", kControlProtocol}, {"ok", response.status.ok()}};
  if (!response.status.ok()) {
    object["code"] = static_cast<int>(response.status.code());
    object["error"] = MessageOf(response.status);
  }
  if (response.report.has_value()) object["mount"] = ReportToJson(*response.report);
  return Dump(object);
}

absl::StatusOr<ControlResponse> DecodeResponse(std::string_view line) {
  SECRETFS_ASSIGN_OR_RETURN(const json object, ParseObject(line));
  const auto ok = object.find("ok");
  if (ok == object.end() || !ok->is_boolean()) {
    return absl::InvalidArgumentError("no 'ok' in the answer");
  }
  ControlResponse response;
  if (!ok->get<bool>()) {
    SECRETFS_ASSIGN_OR_RETURN(const std::string error, StringField(object, "error"));
    const auto code = object.find("code");
    const int number = code != object.end() && code->is_number_integer() ? code->get<int>() : 0;
    const bool known = number > 0 && number <= static_cast<int>(absl::StatusCode::kUnauthenticated);
    response.status = absl::Status(
        known ? static_cast<absl::StatusCode>(number) : absl::StatusCode::kUnknown, error);
  }
  if (const auto mount = object.find("mount"); mount != object.end()) {
    SECRETFS_ASSIGN_OR_RETURN(response.report, ReportFromJson(*mount));
  }
  return response;
}

}  // namespace secretfs::cli
