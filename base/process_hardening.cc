#include "base/process_hardening.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace secretfs {

absl::Status HardenProcess() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // With a finite limit, MCL_FUTURE would make later allocations fail instead of leaving them
  // unlocked.
  rlimit locked{};
  getrlimit(RLIMIT_MEMLOCK, &locked);
  if (geteuid() != 0 && locked.rlim_cur != RLIM_INFINITY) {
    return absl::ResourceExhaustedError(
        Format("the limit on locked memory is {} bytes (RLIMIT_MEMLOCK); secret values are locked "
               "one by one "
               "as far as it allows",
               locked.rlim_cur));
  }
  // ONFAULT: lock what is touched; locking whole libraries would triple the resident size.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return absl::ResourceExhaustedError(
        Format("cannot lock all memory ({}); secret values are locked one by one as far as "
               "RLIMIT_MEMLOCK allows",
               std::strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace secretfs
