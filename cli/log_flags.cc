#include "cli/log_flags.h"

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {

void AddLogFlags(CLI::App& command, LogFlags& flags) {
  command.add_option("--log-level", flags.level, "trace, debug, info, warn, error or off")
      ->capture_default_str();
  command.add_option("--log-format", flags.format, "text, or json: one object a line")
      ->capture_default_str();
}

absl::Status ApplyLogFlags(const LogFlags& flags) {
  LogOptions options;
  SECRETFS_RETURN_IF_ERROR(ParseLogLevel(flags.level, options.level));
  if (flags.format == "json") {
    options.format = LogFormat::kJson;
  } else if (flags.format != "text") {
    return absl::InvalidArgumentError(
        Format("unknown log format '{}'; expected text or json", flags.format));
  }
  SetUpLogging(options);
  return absl::OkStatus();
}

}  // namespace secretfs::cli
