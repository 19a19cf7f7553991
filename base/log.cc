#include "base/log.h"

#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/log_line.h"
#include "base/text.h"

namespace secretfs {
namespace {

// One JSON object a line, with the names that log collectors expect. spdlog's pattern cannot escape
// a message for JSON, so the object is made by the JSON library.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(message.time.time_since_epoch());
    const std::string_view level = [&] {
      const auto view = spdlog::level::to_string_view(message.level);
      return std::string_view(view.data(), view.size());
    }();
    const nlohmann::json line = {
        {"ts", static_cast<double>(micros.count()) / 1e6},
        {"level", level},
        {"msg", std::string_view(message.payload.data(), message.payload.size())}};
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

std::shared_ptr<spdlog::logger> MakeLogger() {
  auto logger = std::make_shared<spdlog::logger>("secretfs",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(spdlog::level::warn);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::trace);
  return logger;
}

std::shared_ptr<spdlog::logger>& TheLogger() {
  static auto* logger = new std::shared_ptr<spdlog::logger>(MakeLogger());
  return *logger;
}

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

void LogLineHere(LogLevel level, std::string_view text) {
  TheLogger()->log(LevelOf(level), spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace

void SetUpLogging(const LogOptions& options) {
  SetLogLineSink(&LogLineHere);
  TheLogger()->set_level(options.level);
  if (options.format == LogFormat::kJson) {
    TheLogger()->set_formatter(std::make_unique<JsonFormatter>());
  }
}

absl::Status ParseLogLevel(std::string_view name, spdlog::level::level_enum& level) {
  for (const auto candidate : {spdlog::level::trace, spdlog::level::debug, spdlog::level::info,
                               spdlog::level::warn, spdlog::level::err, spdlog::level::off}) {
    const auto view = spdlog::level::to_string_view(candidate);
    const std::string_view known =
        candidate == spdlog::level::warn ? "warn" : std::string_view(view.data(), view.size());
    if (name == known) {
      level = candidate;
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      Format("unknown log level '{}'; expected trace, debug, info, warn, error or off", name));
}

spdlog::logger& Log() { return *TheLogger(); }

}  // namespace secretfs
