#include "tests/fakes/gcp_http.h"

#include <cstdlib>
#include <ctime>

namespace secretfs::fakes {
namespace {

std::string Decode(std::string_view text, bool plus_is_space) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      result += static_cast<char>(strtol(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
      i += 2;
    } else {
      result += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return result;
}

std::map<std::string, std::string> ParsePairs(std::string_view text) {
  std::map<std::string, std::string> pairs;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const size_t equal = pair.find('=');
    const std::string_view value =
        equal == std::string_view::npos ? std::string_view() : pair.substr(equal + 1);
    pairs[Decode(pair.substr(0, equal), true)] = Decode(value, true);
  }
  return pairs;
}

std::string FormatTime(int64_t seconds, const char* format) {
  const time_t time = seconds;
  struct tm parts;
  gmtime_r(&time, &parts);
  char text[64];
  strftime(text, sizeof text, format, &parts);
  return text;
}

}  // namespace

std::string Target::value(const std::string& name) const {
  const auto found = query.find(name);
  return found == query.end() ? "" : found->second;
}

Target ParseTarget(std::string_view target) {
  const size_t question = target.find('?');
  Target result;
  result.path = Decode(target.substr(0, question), false);
  if (question != std::string_view::npos) result.query = ParsePairs(target.substr(question + 1));
  return result;
}

std::map<std::string, std::string> ParseForm(std::string_view body) {
  if (!body.starts_with('{')) return ParsePairs(body);
  std::map<std::string, std::string> fields;
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return fields;
  for (const auto& [name, value] : json.items()) {
    if (value.is_string()) fields[name] = value;
  }
  return fields;
}

std::optional<std::string> BearerOf(const HttpTestServer::Request& request) {
  const std::string value = request.header("authorization");
  constexpr std::string_view kScheme = "Bearer ";
  if (!value.starts_with(kScheme)) return std::nullopt;
  return value.substr(kScheme.size());
}

HttpTestServer::Response JsonAnswer(const nlohmann::json& body, int status) {
  HttpTestServer::Response response;
  response.status = status;
  response.body = body.dump(2) + "\n";
  response.headers = {{"Content-Type", "application/json; charset=UTF-8"}};
  return response;
}

HttpTestServer::Response GoogleError(int code, const std::string& status,
                                     const std::string& message, const std::string& reason) {
  nlohmann::json error = {{"code", code}, {"message", message}, {"status", status}};
  if (!reason.empty()) {
    error["details"] = {{{"@type", "type.googleapis.com/google.rpc.ErrorInfo"},
                         {"reason", reason},
                         {"domain", "googleapis.com"}}};
  }
  return JsonAnswer({{"error", error}}, code);
}

HttpTestServer::Response OAuthRefusal(int code, const std::string& error,
                                      const std::string& description) {
  return JsonAnswer({{"error", error}, {"error_description", description}}, code);
}

std::string Rfc3339(int64_t seconds) { return FormatTime(seconds, "%Y-%m-%dT%H:%M:%SZ"); }
std::string HttpDate(int64_t seconds) { return FormatTime(seconds, "%a, %d %b %Y %H:%M:%S GMT"); }

}  // namespace secretfs::fakes
