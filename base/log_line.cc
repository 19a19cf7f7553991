#include "base/log_line.h"

#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>

#include "base/text.h"

namespace secretfs {
namespace {

constexpr std::array<std::string_view, 6> kNames{"trace",   "debug", "info",
                                                 "warning", "error", "off"};

std::atomic<LogLineSink> the_sink = nullptr;
std::atomic<LogLevel> lowest_level = LogLevel::kWarning;
std::atomic<bool> as_json = false;

std::string EscapedForJson(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20) {
      result += Format("\\u{:04x}", byte);
    } else {
      result += c;
    }
  }
  return result;
}

std::string TextLine(LogLevel level, std::string_view text, const timespec& now) {
  tm parts{};
  localtime_r(&now.tv_sec, &parts);
  return Format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03} {} {}\n", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                now.tv_nsec / 1'000'000, kNames[static_cast<size_t>(level)], text);
}

std::string JsonLine(LogLevel level, std::string_view text, const timespec& now) {
  return Format("{{\"level\":\"{}\",\"msg\":\"{}\",\"ts\":{}.{:06}}}\n",
                kNames[static_cast<size_t>(level)], EscapedForJson(text), now.tv_sec,
                now.tv_nsec / 1000);
}

}  // namespace

void LogLine(LogLevel level, std::string_view text) {
  if (const LogLineSink sink = the_sink; sink != nullptr) {
    sink(level, text);
    return;
  }
  if (level < lowest_level.load() || level == LogLevel::kOff) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::string line = as_json ? JsonLine(level, text, now) : TextLine(level, text, now);
  // One write, so that lines of several processes do not mix. A full disk loses the line.
  [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, line.data(), line.size());
}

void SetUpPlainLog(const PlainLogOptions& options) {
  lowest_level = options.level;
  as_json = options.json;
}

absl::Status ParsePlainLogLevel(std::string_view name, LogLevel& level) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames[i] && !(name == "warn" && kNames[i] == "warning")) continue;
    level = static_cast<LogLevel>(i);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      Format("unknown log level '{}'; expected trace, debug, info, warn, error or off", name));
}

void SetLogLineSink(LogLineSink sink) { the_sink = sink; }

}  // namespace secretfs
