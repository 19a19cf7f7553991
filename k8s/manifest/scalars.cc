#include "k8s/manifest/scalars.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/text.h"

namespace secretfs::k8s {
namespace {

constexpr size_t kLongestComponent = 255;
constexpr size_t kLongestPath = 4095;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<double> UnitInSeconds(std::string_view unit) {
  static constexpr std::array<std::pair<std::string_view, double>, 7> kUnits{
      {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}}};
  for (const auto& [name, seconds] : kUnits) {
    if (name == unit) return seconds;
  }
  return std::nullopt;
}

// Calls `visit` with each '/'-separated component; stops when it returns false.
template <typename Visitor>
void ForEachComponent(std::string_view path, Visitor visit) {
  while (true) {
    const size_t end = path.find('/');
    if (!visit(path.substr(0, end)) || end == std::string_view::npos) return;
    path.remove_prefix(end + 1);
  }
}

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration::zero();
  if (text.empty()) return std::nullopt;
  double seconds = 0;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && (IsDigit(text[digits]) || text[digits] == '.')) ++digits;
    size_t end = digits;
    while (end < text.size() && text[end] >= 'a' && text[end] <= 'z') ++end;
    double number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + digits, number);
    const std::optional<double> unit = UnitInSeconds(text.substr(digits, end - digits));
    if (digits == 0 || parsed.ec != std::errc() || parsed.ptr != text.data() + digits || !unit) {
      return std::nullopt;
    }
    seconds += number * *unit;
    text.remove_prefix(end);
  }
  const double longest = std::chrono::duration<double>(kLongestDuration).count();
  if (seconds > longest) return std::nullopt;
  return std::chrono::round<Duration>(std::chrono::duration<double>(seconds));
}

std::optional<mode_t> ParseOctalMode(std::string_view text) {
  if (text.starts_with("0o")) text.remove_prefix(2);
  unsigned value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
      value > 0777) {
    return std::nullopt;
  }
  return static_cast<mode_t>(value);
}

bool LooksLikeOctalMode(std::string_view text) {
  static constexpr std::array<std::string_view, 16> kUsual{"400", "440", "444", "500", "550", "555",
                                                           "600", "640", "644", "660", "664", "666",
                                                           "700", "750", "755", "777"};
  return std::find(kUsual.begin(), kUsual.end(), text) != kUsual.end();
}

std::optional<std::string> PathProblem(std::string_view path) {
  if (path.empty()) return "is empty; expected a path below the mount";
  if (path.front() == '/')
    return "is absolute; expected a path below the mount, without a '/' in front";
  if (path.size() > kLongestPath) {
    return Format("is {} bytes long; expected at most {}", path.size(), kLongestPath);
  }
  if (path.find('\0') != std::string_view::npos) return "holds a zero byte; no file name can";
  std::optional<std::string> problem;
  ForEachComponent(path, [&](std::string_view component) {
    if (component == "..") {
      problem = "leads out of the mount; expected a path without '..'";
    } else if (component == ".") {
      problem = "has the component '.'; expected names only";
    } else if (component.starts_with("..")) {
      problem = "has a name that starts with '..', which is kept for ..data; expected another name";
    } else if (component.empty()) {
      problem = "has an empty component; expected one '/' between names and none at the end";
    } else if (component.size() > kLongestComponent) {
      problem = Format("has a component of {} bytes; expected at most {}", component.size(),
                       kLongestComponent);
    }
    return !problem.has_value();
  });
  return problem;
}

}  // namespace secretfs::k8s
