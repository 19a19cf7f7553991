#pragma once

// What the parts of the fake of Google Cloud share about HTTP: targets and forms taken apart, and
// answers in Google's shapes. Free functions without state.

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tests/fakes/http_test_server.h"

namespace secretfs::fakes {

struct Target {
  std::string path;                          // decoded
  std::map<std::string, std::string> query;  // decoded
  std::string value(const std::string& name) const;
};
Target ParseTarget(std::string_view target);
// application/x-www-form-urlencoded, or a JSON object of strings where the server takes both.
std::map<std::string, std::string> ParseForm(std::string_view body);

// The token of "Authorization: Bearer TOKEN".
std::optional<std::string> BearerOf(const HttpTestServer::Request& request);

HttpTestServer::Response JsonAnswer(const nlohmann::json& body, int status = 200);
// {"error": {"code", "message", "status", "details"}}; `reason` goes into an ErrorInfo.
HttpTestServer::Response GoogleError(int code, const std::string& status,
                                     const std::string& message, const std::string& reason = "");
// {"error", "error_description"}
HttpTestServer::Response OAuthRefusal(int code, const std::string& error,
                                      const std::string& description);

// 2026-11-24T18:00:00Z of seconds since 1970, and "Tue, 24 Nov 2026 18:00:00 GMT".
std::string Rfc3339(int64_t seconds);
std::string HttpDate(int64_t seconds);

}  // namespace secretfs::fakes
