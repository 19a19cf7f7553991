#include "cli/command.h"

#include <cstdio>

#include "base/text.h"
#include "cli/exit_codes.h"

namespace secretfs::cli {

std::string HelpFooter(std::string_view example) {
  return Format(
      "\nExample:\n{}\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, "
      "5 the local store is corrupted.\n",
      example);
}

int Fail(const absl::Status& status) {
  const std::string message(MessageOf(status));
  fprintf(stderr, "secretfs: %s\n", message.c_str());
  return ExitCodeFor(status);
}

int FailUsage(std::string_view message) {
  fprintf(stderr, "secretfs: %.*s\n", static_cast<int>(message.size()), message.data());
  return kExitUsage;
}

}  // namespace secretfs::cli
