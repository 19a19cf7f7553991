#include "cli/served_mount.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/control/control_path.h"
#include "cli/control/control_server.h"
#include "cli/exit_codes.h"
#include "cli/manifest_values.h"
#include "cli/mount_plan.h"
#include "cli/runtime.h"
#include "cli/signal_events.h"

namespace secretfs::cli {
namespace {

constexpr absl::Duration kFirstRetry = absl::Seconds(1);
constexpr absl::Duration kLongestRetry = absl::Minutes(1);

// Destroyed in the opposite order of the members: the control socket's connections close first,
// which tells a waiting `secretfs umount` that all is done.
class ServedMount {
 public:
  ServedMount(ServedMountOptions options, SignalEvents events)
      : options_(std::move(options)), events_(std::move(events)) {}

  absl::Status Start(const Environment& environment) {
    runtime_ = std::make_unique<Runtime>();
    SECRETFS_ASSIGN_OR_RETURN(plan_, MountPlan::Make(options_.manifest, *runtime_));
    SECRETFS_ASSIGN_OR_RETURN(service_,
                              fs::MountService::Start(runtime_->cache(), runtime_->clock()));
    SECRETFS_RETURN_IF_ERROR(MountNow());
    if (!plan_->missing().empty()) {
      completing_ = std::thread([this, missing = plan_->missing()] { AskForMissing(missing); });
    }
    return StartControl(environment);
  }

  // Until the mount has ended; nothing when it could not be ended as somebody wanted.
  std::optional<fs::StopReason> Serve() {
    std::thread unmounting;
    while (!stop_reason_.load().has_value() && !failed_) {
      const SignalEvents::Event event = events_.Wait();
      if (names_arrived_.exchange(false) && !unmounting.joinable()) MountAnew();
      if (!event.signal.has_value()) continue;
      const auto signal = static_cast<int>(event.signal->ssi_signo);
      if (signal == SIGHUP && options_.ignore_hangup) continue;
      if (unmounting.joinable()) EndByForce(signal);
      Log().info("signal {}: unmounting {}", signal, options_.mount.directory);
      unmounting = std::thread([this] { Unmount(); });
    }
    if (unmounting.joinable()) unmounting.join();
    return stop_reason_.load();
  }

  void Finish() {
    if (control_ != nullptr) control_->FinishRequests();
    service_.reset();
    plan_.reset();
    ending_.Notify();
    if (runtime_ != nullptr) runtime_->Shutdown();
    if (completing_.joinable()) completing_.join();
    control_.reset();
    runtime_.reset();
  }

 private:
  absl::Status MountNow() {
    const uint64_t number = ++mount_number_;
    return service_->Mount(options_.mount, plan_->spec(), [this, number](fs::StopReason reason) {
      if (number != mount_number_) return;  // it made room for the next
      stop_reason_ = reason;
      events_.Notify();
    });
  }

  // On a thread of its own, until the store gives the names or the mount ends.
  void AskForMissing(const std::vector<Expansion>& missing) {
    absl::Duration pause = kFirstRetry;
    while (!ending_.WaitForNotificationWithTimeout(pause)) {
      absl::StatusOr<ExpandedFiles> files = ExpandAndWait(*runtime_, missing);
      if (files.ok()) {
        late_files_ = *std::move(files);
        names_arrived_ = true;
        events_.Notify();
        return;
      }
      Log().debug("the names of dataFrom are still missing: {}", MessageOf(files.status()));
      pause = std::min(2 * pause, kLongestRetry);
    }
  }

  // The set of files of an atomic mount is fixed, so the complete one is a mount of its own.
  void MountAnew() {
    ++mount_number_;
    absl::Status status = service_->Unmount(options_.mount.directory);
    status.Update(plan_->Complete(late_files_));
    if (status.ok()) status = MountNow();
    if (status.ok()) {
      Log().info("the files of dataFrom are there now");
      return;
    }
    Log().error("mounting with the files of dataFrom failed: {}", MessageOf(status));
    failed_ = true;
  }

  // A mount without its control socket still works: it can be ended by a signal and by umount(8).
  absl::Status StartControl(const Environment& environment) {
    const absl::StatusOr<std::string> place = MakeControlDirectory(environment);
    if (!place.ok()) {
      Log().warn("'secretfs status' and 'secretfs umount' will not find this mount: {}",
                 MessageOf(place.status()));
      return absl::OkStatus();
    }
    SECRETFS_ASSIGN_OR_RETURN(
        control_, ControlServer::Start(
                      runtime_->io(), *place + "/" + ControlSocketName(options_.mount.directory),
                      [this](const ControlRequest& request) { return Handle(request); }));
    return absl::OkStatus();
  }

  ControlResponse Handle(const ControlRequest& request) {
    const std::string& directory = options_.mount.directory;
    ControlResponse response;
    switch (request.kind) {
      case ControlRequest::Kind::kStatus: {
        absl::StatusOr<fs::MountStatus> status = service_->Status(directory);
        response.status = status.status();
        if (status.ok()) {
          response.report = MountReport{
              .status = *std::move(status), .pid = getpid(), .version = SECRETFS_VERSION};
        }
        break;
      }
      case ControlRequest::Kind::kRefresh:
        response.status = Refresh(request.path);
        break;
      case ControlRequest::Kind::kUnmount:
        response.status = service_->Unmount(directory);
        break;
    }
    return response;
  }

  absl::Status Refresh(const std::string& path) {
    absl::Status status;
    if (plan_->expansions() != nullptr) status = plan_->expansions()->Refresh();
    status.Update(service_->Refresh(options_.mount.directory, path));
    return status;
  }

  void Unmount() {
    const absl::Status status = service_->Unmount(options_.mount.directory);
    // Not found: it ended by itself in this moment, and says so by its own callback.
    if (status.ok() || absl::IsNotFound(status)) return;
    Log().error("{}", MessageOf(status));
    failed_ = true;
    events_.Notify();
  }

  // The second signal: somebody does not want to wait any longer.
  [[noreturn]] void EndByForce(int signal) {
    Log().warn("second signal: ending at once");
    std::string directory = options_.mount.directory;
    if (umount2(directory.c_str(), MNT_DETACH) != 0) {
      // A normal user needs the helper for it.
      std::string words[] = {"fusermount3", "-u", "-z", "-q", "--"};
      char* arguments[] = {words[0].data(), words[1].data(),  words[2].data(), words[3].data(),
                           words[4].data(), directory.data(), nullptr};
      pid_t helper = 0;
      if (posix_spawnp(&helper, "fusermount3", nullptr, nullptr, arguments, environ) == 0) {
        waitpid(helper, nullptr, 0);
      }
    }
    _exit(128 + signal);
  }

  ServedMountOptions options_;
  SignalEvents events_;
  std::atomic<std::optional<fs::StopReason>> stop_reason_{};
  std::atomic<bool> failed_ = false;
  // Counts mounts of this process: an end is the end of all only if it is the newest one's.
  std::atomic<uint64_t> mount_number_ = 0;
  std::thread completing_;
  absl::Notification ending_;
  ExpandedFiles late_files_;  // written before names_arrived_ is set, read after
  std::atomic<bool> names_arrived_ = false;
  std::unique_ptr<Runtime> runtime_;
  std::optional<MountPlan> plan_;
  std::unique_ptr<fs::MountService> service_;
  std::unique_ptr<ControlServer> control_;
};

int ExitCodeOf(std::optional<fs::StopReason> reason, const std::string& directory) {
  if (!reason.has_value()) return kExitFailure;
  if (reason == fs::StopReason::kUnmountRequested || reason == fs::StopReason::kUnmountedByKernel) {
    Log().info("unmounted {}", directory);
    return kExitOk;
  }
  Log().error("the mount on {} ended: {}", directory, fs::StopReasonName(*reason));
  return kExitFailure;
}

}  // namespace

int ServeMount(ServedMountOptions options, const Environment& environment, ReadyReport report) {
  const std::string directory = options.mount.directory;
  const std::string source = options.source;
  UniqueFd log_file = std::move(options.log_file);
  absl::StatusOr<SignalEvents> events = SignalEvents::Make({SIGINT, SIGTERM, SIGHUP});
  int code = kExitFailure;
  if (events.ok()) {
    ServedMount mount(std::move(options), *std::move(events));
    const absl::Status started = mount.Start(environment);
    if (started.ok()) {
      report.Succeed(std::move(log_file));
      Log().info("mounted {} on {}", source, directory);
      code = ExitCodeOf(mount.Serve(), directory);
    } else {
      code = Fail(started);
    }
    mount.Finish();
    if (!started.ok()) report.Fail(code);
  } else {
    code = Fail(events.status());
    report.Fail(code);
  }
  return code;
}

}  // namespace secretfs::cli
