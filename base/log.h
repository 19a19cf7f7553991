#pragma once

// Logging: the only door to spdlog. One line an event on stderr, either as text or as JSON. A
// secret value cannot be logged: SecretBytes has no formatter, and a SecretString's is deleted
// below. Safe to use from any thread. Until SetUpLogging is called, warnings and errors go to
// stderr.

#include <spdlog/spdlog.h>

#include <string_view>

#include "absl/status/status.h"
#include "base/secret_bytes.h"

template <>
struct fmt::formatter<secretfs::SecretBytes> {
  formatter() = delete;
};
template <>
struct fmt::formatter<secretfs::SecretString> {
  formatter() = delete;
};

template <>
struct fmt::formatter<absl::Status> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const absl::Status& status, Context& context) const {
    return fmt::formatter<std::string_view>::format(status.ToString(), context);
  }
};

namespace secretfs {

enum class LogFormat { kText, kJson };

struct LogOptions {
  spdlog::level::level_enum level = spdlog::level::info;
  LogFormat format = LogFormat::kText;
};

void SetUpLogging(const LogOptions& options);

// The level named by `name` (trace, debug, info, warn, error, off), or InvalidArgument.
absl::Status ParseLogLevel(std::string_view name, spdlog::level::level_enum& level);

spdlog::logger& Log();

}  // namespace secretfs
