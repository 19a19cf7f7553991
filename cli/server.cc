#include "cli/server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/file_access.h"
#include "base/kept_values.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/stack_scrub.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/control/control_server.h"
#include "cli/exit_codes.h"
#include "cli/expansion_note.h"
#include "cli/manifest_values.h"
#include "cli/mount_plan.h"
#include "cli/mount_request.h"
#include "cli/process_setup.h"
#include "cli/runtime.h"
#include "fs/holder/holder_client.h"
#include "fs/mount_service.h"
#include "fs/request_journal.h"
#include "providers/content_version.h"

namespace secretfs::cli {
namespace {

constexpr absl::Duration kFirstRetry = absl::Seconds(1);
constexpr absl::Duration kLongestRetry = absl::Minutes(1);
// Giving back leases takes up to six seconds; whatever hangs longer must not stay for ever.
constexpr unsigned kSecondsToFinish = 10;
// Commands wait for a server that is taking over; they give up themselves after 10 s.
constexpr absl::Duration kTakeOverPatience = absl::Seconds(9);
// Servers in a row.
constexpr uint32_t kCrashesUntilDistrust = 4;
constexpr uint32_t kFailuresUntilDistrust = 3;

// Files that the server may not open itself.
class HolderBroker final : public FileBroker {
 public:
  explicit HolderBroker(fs::HolderClient& holder) : holder_(holder) {}
  absl::StatusOr<UniqueFd> OpenFile(const std::string& path) override {
    return holder_.OpenFile(path);
  }
  absl::StatusOr<UniqueFd> WatchFile(const std::string& path) override {
    return holder_.WatchFile(path);
  }

 private:
  fs::HolderClient& holder_;
};

// What the main thread does next: the holder's events come on another thread, and most of them wait
// for answers of the holder.
class WorkQueue {
 public:
  void Post(std::function<void()> work) {
    absl::MutexLock lock(&mutex_);
    work_.push_back(std::move(work));
    changed_.Signal();
  }
  std::function<void()> Wait() {
    absl::MutexLock lock(&mutex_);
    while (work_.empty()) changed_.Wait(&mutex_);
    std::function<void()> next = std::move(work_.front());
    work_.pop_front();
    return next;
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
};

// Members are destroyed in the opposite order of their making.
class Server final : public fs::HolderClient::Events {
 public:
  explicit Server(std::unique_ptr<fs::HolderClient> holder)
      : holder_(std::move(holder)), broker_(*holder_), setup_(holder_->TakeSetup()) {}
  ~Server() override { SetFileBroker(nullptr); }

  // Everything up to the point where mounts can be served.
  absl::Status Start(const Environment& environment) {
    SECRETFS_ASSIGN_OR_RETURN(const MountRequest request, ReadMountRequest(setup_.payload.get()));
    SECRETFS_RETURN_IF_ERROR(
        SetUpProcess({.level = request.log_level, .format = request.log_format}));
    SECRETFS_RETURN_IF_ERROR(EnterWalls(setup_));
    SECRETFS_RETURN_IF_ERROR(AttachJournal());
    AttachValues();
    SetFileBroker(&broker_);
    holder_->Start(*this);
    source_ = request.source;
    SECRETFS_ASSIGN_OR_RETURN(const k8s::Manifest manifest, ManifestOf(request, environment));
    runtime_ = std::make_unique<Runtime>(values_.get());
    SECRETFS_ASSIGN_OR_RETURN(plan_, MountPlan::Make(manifest, *runtime_));
    SECRETFS_ASSIGN_OR_RETURN(service_,
                              fs::MountService::StartHeld(runtime_->cache(), runtime_->clock(),
                                                          {.holder = holder_.get(),
                                                           .journal = journal_.get(),
                                                           .values = values_.get(),
                                                           .generation = setup_.generation,
                                                           .hands_thread = setup_.hands_thread,
                                                           .holder_user = setup_.holder_user,
                                                           .use_resend = setup_.use_resend,
                                                           .distrusts = distrusts(),
                                                           .must_agree = must_agree()}));
    if (setup_.control.valid()) {
      SECRETFS_ASSIGN_OR_RETURN(
          control_,
          ControlServer::Serve(runtime_->io(), std::move(setup_.control), setup_.holder_user,
                               [this](const ControlRequest& wanted) { return Handle(wanted); }));
    }
    return absl::OkStatus();
  }

  int Serve() {
    holder_->Prepared();
    if (!plan_->missing().empty()) {
      completing_ = std::thread([this, missing = plan_->missing()] { AskForMissing(missing); });
    }
    // What a manifest, a file of credentials or kept values left there.
    for (ScrubStack(); !exit_code_; ScrubStack()) queue_.Wait()();
    return *exit_code_;
  }

  void Failed(int exit_code, const std::string& text) { holder_->Failed(exit_code, text); }

  void Finish() {
    alarm(kSecondsToFinish);  // its signal ends the process
    LetCommandsIn();
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
  // Servers that were killed one after the other before they served: what is left to this one may
  // be what kills them, so it believes nothing of it.
  bool distrusts() const { return setup_.crashed_starts >= kCrashesUntilDistrust; }
  // A program that agreed on something else may be followed by the one before it, which goes on; if
  // that refuses too, what was written down is wrong.
  bool must_agree() const {
    return setup_.is_upgrade || setup_.failed_starts < kFailuresUntilDistrust;
  }

  absl::Status AttachJournal() {
    absl::StatusOr<std::unique_ptr<fs::RequestJournal>> journal =
        fs::RequestJournal::Attach(setup_.journal.get(), distrusts());
    if (absl::IsDataLoss(journal.status())) {
      Log().error("requests that were in flight are lost: {}", MessageOf(journal.status()));
      journal = fs::RequestJournal::Attach(setup_.journal.get(), /*afresh=*/true);
    }
    SECRETFS_ASSIGN_OR_RETURN(journal_, std::move(journal));
    return absl::OkStatus();
  }

  // During an upgrade the old server still writes: they are opened when it has stopped.
  void AttachValues() {
    if (!setup_.kept_values.valid()) return;
    values_ = KeptValues::AttachLater(setup_.kept_values.get());
    if (!setup_.is_upgrade) OpenKept();
  }

  // Values that cannot be kept are fetched again: no reason not to serve.
  void OpenKept() {
    values_are_open_ = true;
    absl::Status opened = distrusts() ? absl::DataLossError("what earlier servers left is not used")
                                      : values_->Open();
    if (!opened.ok()) {
      Log().warn("values are fetched again, because those of the last server are lost: {}",
                 MessageOf(opened));
    }
    // For the servers after this one. Memory of another version stays as it is.
    if (absl::IsDataLoss(opened)) opened = values_->OpenAfresh();
    if (opened.ok()) providers::UseKeptContentVersionKey(*values_);
  }

  void OpenValues() {
    if (values_ == nullptr || values_are_open_) return;
    OpenKept();
    const absl::Status completed = plan_->CompleteFromNote(*runtime_);
    if (!completed.ok()) Log().error("{}", MessageOf(completed));
  }

  // What binds the server is the holder's word, never the request's.
  static absl::Status EnterWalls(const fs::ServerSetup& setup) {
    if (!setup.use_sandbox) return absl::OkStatus();
    SECRETFS_ASSIGN_OR_RETURN(const SandboxResult walls,
                              EnterSandbox({.readable = setup.readable}));
    if (!walls.files_are_bounded) {
      Log().debug("the kernel has no Landlock: which files the server may read is up to its user");
    }
    return absl::OkStatus();
  }

  // --- HolderClient::Events, on the client's thread ---

  void OnMount(fs::GivenMount mount) override {
    auto given = std::make_shared<fs::GivenMount>(std::move(mount));
    ++mounts_to_take_;
    queue_.Post([this, given] { TakeMount(std::move(*given)); });
  }
  void OnEndMount(fs::MountId mount) override {
    queue_.Post([this, mount] { service_->EndServing(mount); });
  }
  void OnHandOver() override {
    queue_.Post([this] { HandOver(); });
  }
  void OnExit() override {
    queue_.Post([this] { exit_code_ = kExitOk; });
  }
  void OnHolderGone() override {
    queue_.Post([this] {
      Log().error(
          "the holder of the mounts has ended; nobody can unmount them any more but "
          "'secretfs umount'");
      exit_code_ = kExitFailure;
    });
  }

  // --- on the main thread ---

  void TakeMount(fs::GivenMount given) {
    const absl::Cleanup taken = [this] { LetCommandsIn(); };
    OpenValues();
    const fs::MountId id = given.id;
    const std::string directory = given.directory;
    const absl::Status status = service_->Take(std::move(given), plan_->spec(), nullptr);
    mount_ = id;
    if (absl::IsDataLoss(status)) {
      ReplaceMount(id, directory, status);
    } else if (!status.ok()) {
      Log().error("serving {} failed: {}", directory, MessageOf(status));
      holder_->Failed(kExitFailure, std::string(MessageOf(status)));
      exit_code_ = kExitFailure;
      return;
    }
    if (status.ok()) Log().info("server {} serves {} on {}", setup_.generation, source_, directory);
    taken_.push_back(id);
    if (--mounts_to_take_ != 0) return;
    journal_->EraseAllBut(taken_);
    holder_->Ready();
    runtime_->cache().ForgetUnclaimed();
  }

  // What is left of the mount is no use to this server, nor to any after it: open files are lost,
  // the mount is not.
  void ReplaceMount(fs::MountId id, const std::string& directory, const absl::Status& why) {
    Log().error("mounting {} anew, because the last server left it damaged: {}", directory,
                MessageOf(why));
    holder_->MountAnew(id);
    holder_->MountEnded(id, "unmounted because its state was damaged");
  }

  [[noreturn]] void HandOver() {
    runtime_->HandOver();
    service_->Freeze();
    holder_->HandedOver();
    // Nothing may be taken down any more: it belongs to the next server.
    _exit(kExitOk);
  }

  // On a thread of its own, until the store gives the names or the mount ends.
  void AskForMissing(const std::vector<Expansion>& missing) {
    absl::Duration pause = kFirstRetry;
    while (!ending_.WaitForNotificationWithTimeout(pause)) {
      absl::StatusOr<ExpandedFiles> files = ExpandAndWait(*runtime_, missing);
      if (files.ok()) {
        queue_.Post([this, files = *std::move(files)] { MountAnew(files); });
        return;
      }
      Log().debug("the names of dataFrom are still missing: {}", MessageOf(files.status()));
      pause = std::min(2 * pause, kLongestRetry);
    }
  }

  // The set of files of an atomic mount is fixed, so the complete one is a mount of its own.
  void MountAnew(const ExpandedFiles& files) {
    if (plan_->missing().empty()) return;  // an earlier server had noted them
    NoteExpandedFiles(files, values_.get());
    const absl::Status status = plan_->Complete(files);
    if (!status.ok()) {
      Log().error("mounting with the files of dataFrom failed: {}", MessageOf(status));
      return;
    }
    Log().info("the files of dataFrom are there now");
    if (mount_) holder_->MountAnew(*mount_);
  }

  void LetCommandsIn() {
    absl::MutexLock lock(&commands_mutex_);
    commands_are_let_in_ = true;
  }

  // --- on the threads of the control server ---

  ControlResponse Handle(const ControlRequest& request) {
    ControlResponse response;
    {
      // Who asks while one server follows another means the mount, which is there all the time.
      absl::MutexLock lock(&commands_mutex_);
      commands_mutex_.AwaitWithTimeout(absl::Condition(&commands_are_let_in_), kTakeOverPatience);
    }
    const std::vector<std::string> directories = service_->Directories();
    if (directories.empty()) {
      response.status = absl::UnavailableError("the mount has ended, or is not served yet");
      return response;
    }
    const std::string& directory = directories.front();
    switch (request.kind) {
      case ControlRequest::Kind::kStatus: {
        absl::StatusOr<fs::MountStatus> status = service_->Status(directory);
        response.status = status.status();
        if (status.ok()) response.report = ReportOf(*std::move(status));
        break;
      }
      case ControlRequest::Kind::kRefresh:
        response.status = Refresh(directory, request.path);
        break;
      case ControlRequest::Kind::kUnmount:
        response.status = service_->Unmount(directory);
        break;
    }
    return response;
  }

  MountReport ReportOf(fs::MountStatus status) const {
    return {.status = std::move(status),
            .pid = getppid(),
            .version = SECRETFS_VERSION,
            .server_pid = getpid(),
            .server_generation = setup_.generation,
            .server_restarts = setup_.restarts};
  }

  absl::Status Refresh(const std::string& directory, const std::string& path) {
    absl::Status status;
    if (plan_->expansions() != nullptr) status = plan_->expansions()->Refresh();
    status.Update(service_->Refresh(directory, path));
    return status;
  }

  WorkQueue queue_;
  std::unique_ptr<fs::HolderClient> holder_;
  HolderBroker broker_;
  fs::ServerSetup setup_;
  std::string source_;
  std::unique_ptr<fs::RequestJournal> journal_;
  std::unique_ptr<KeptValues> values_;
  bool values_are_open_ = false;
  std::unique_ptr<Runtime> runtime_;
  std::optional<MountPlan> plan_;
  std::unique_ptr<fs::MountService> service_;
  std::unique_ptr<ControlServer> control_;
  std::thread completing_;
  absl::Notification ending_;
  absl::Mutex commands_mutex_;
  bool commands_are_let_in_ ABSL_GUARDED_BY(commands_mutex_) = false;
  std::atomic<int> mounts_to_take_ = 0;
  // Of the main thread:
  std::optional<fs::MountId> mount_;
  std::vector<fs::MountId> taken_;
  std::optional<int> exit_code_;
};

// The terminal's signals are for the holder, which is in the same process group; and where it has
// died, so has the pipe that the log goes to.
void LeaveSignalsToTheHolder() {
  for (const int number : {SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) signal(number, SIG_IGN);
}

}  // namespace

int RunServer(UniqueFd socket, const Environment& environment) {
  LeaveSignalsToTheHolder();
  absl::StatusOr<std::unique_ptr<fs::HolderClient>> holder =
      fs::HolderClient::Connect(std::move(socket));
  if (!holder.ok()) return Fail(holder.status());
  Server server(*std::move(holder));
  const absl::Status started = server.Start(environment);
  int code = kExitFailure;
  if (started.ok()) {
    code = server.Serve();
  } else {
    code = Fail(started);
    server.Failed(code, std::string(MessageOf(started)));
  }
  server.Finish();
  return code;
}

}  // namespace secretfs::cli
