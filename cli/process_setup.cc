#include "cli/process_setup.h"

#include "base/log.h"
#include "base/process_hardening.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {

absl::Status SetUpProcess(const LogFlags& flags) {
  const absl::Status hardened = HardenProcess();
  SECRETFS_RETURN_IF_ERROR(ApplyLogFlags(flags));
  // Usual for a normal user, so not worth a line at each start.
  if (!hardened.ok()) Log().debug("{}", MessageOf(hardened));
  return absl::OkStatus();
}

}  // namespace secretfs::cli
