// secretfs-holder: started by `secretfs mount` (or a node plugin), never by hand. Its only argument
// is the number of the descriptor that holds its launch (fs/holder/holder_launch.h).

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/descriptors.h"
#include "base/log_line.h"
#include "base/process_hardening.h"
#include "base/text.h"
#include "fs/holder/holder_launch.h"
#include "fs/holder/holder_loop.h"

namespace secretfs::fs {
namespace {

constexpr int kExitUsage = 2;

int Fail(int exit_code, std::string_view text) {
  const std::string line = Format("secretfs-holder: {}\n", text);
  [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, line.data(), line.size());
  return exit_code;
}

// A mount is one descriptor for the device and one for its state.
void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(int argc, char** argv) {
  int descriptor = -1;
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    const std::string_view version = "secretfs-holder " SECRETFS_VERSION "\n";
    [[maybe_unused]] const ssize_t count = write(STDOUT_FILENO, version.data(), version.size());
    return 0;
  }
  if (argc != 2 ||
      std::from_chars(argv[1], argv[1] + strlen(argv[1]), descriptor).ptr !=
          argv[1] + strlen(argv[1]) ||
      descriptor < 3) {
    return Fail(kExitUsage,
                "started by 'secretfs mount', with the descriptor of its launch; not "
                "meant to be started by hand");
  }
  signal(SIGPIPE, SIG_IGN);
  // One heap for three threads that hardly allocate.
  mallopt(M_ARENA_MAX, 1);
  const absl::Status hardened = HardenProcess();
  absl::StatusOr<HolderLaunch> launch = ReadHolderLaunch(descriptor);
  if (!launch.ok()) return Fail(1, MessageOf(launch.status()));
  // What the caller left open by mistake must not stay open for the life of the mount (a lock, the
  // end of a pipe), nor reach a server.
  const int passed[] = {launch->payload, launch->control, launch->report, launch->log};
  CloseDescriptorsExcept(passed);
  PlainLogOptions log{.level = LogLevel::kInfo, .json = launch->log_json};
  if (const absl::Status status = ParsePlainLogLevel(launch->log_level, log.level); !status.ok()) {
    return Fail(kExitUsage, MessageOf(status));
  }
  SetUpPlainLog(log);
  if (!hardened.ok()) LogLine(LogLevel::kDebug, MessageOf(hardened));
  RaiseDescriptorLimit();
  absl::StatusOr<std::unique_ptr<HolderLoop>> loop = HolderLoop::Make(*std::move(launch));
  if (!loop.ok()) {
    const std::string line = Format("secretfs: {}\n", MessageOf(loop.status()));
    [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, line.data(), line.size());
    return 1;
  }
  return (*loop)->Run();
}

}  // namespace
}  // namespace secretfs::fs

int main(int argc, char** argv) {
  // Without the destructors: a thread may wait for a mount for as long as its server likes.
  _exit(secretfs::fs::Main(argc, argv));
}
