#include "fs/mount_service.h"

#include <sys/random.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/channel_pool.h"
#include "fs/fuse_channel.h"
#include "fs/mount.h"
#include "fs/mount_hands.h"
#include "fs/mount_state.h"
#include "fs/operations.h"
#include "fs/publisher.h"
#include "fs/request_journal.h"
#include "fs/service_thread.h"

namespace secretfs::fs {
namespace {

constexpr absl::Duration kInitTimeout = absl::Seconds(10);

// Hands a status to whoever waits for it, once: the first that is set counts. Also set when the
// mount ends, and when the callback that would set it is dropped.
class Answer {
 public:
  void Set(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    if (!status_) status_ = std::move(status);
    set_.SignalAll();
  }
  absl::Status Wait() {
    absl::MutexLock lock(&mutex_);
    while (!status_) set_.Wait(&mutex_);
    return *status_;
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar set_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

absl::Status EndedMeanwhile(const std::string& directory) {
  return absl::CancelledError(Format("{} was unmounted meanwhile", directory));
}

// One mount from Mount to its end. The parts are taken down in the opposite order of their making;
// who takes it down is decided by who takes it out of the service's table.
struct ServedMount {
  std::string directory;
  dev_t device_number = 0;
  Layout layout = Layout::kFlat;
  WallTime mounted_at;
  std::function<void(StopReason)> stopped;
  AutoUnmountHelper auto_unmount;
  // Of a holder's mount; 0: our own.
  MountId id;
  std::unique_ptr<MountState> state;

  // Set once, before the mount stands in the table.
  std::unique_ptr<MountPublisher> publisher;
  std::shared_ptr<FuseChannel> channel;

  absl::Mutex mutex;
  // Readers call it; the writer takes it away.
  std::unique_ptr<Operations> operations ABSL_GUARDED_BY(mutex);
  // Of Refresh calls that wait.
  std::vector<std::weak_ptr<Answer>> answers ABSL_GUARDED_BY(mutex);
};

// What the publisher does through a holder's mount.
class HolderHands final : public MountHands {
 public:
  HolderHands(HolderClient& holder, MountId mount) : holder_(holder), mount_(mount) {}
  bool Reach() override { return true; }
  void Release() override {}
  int SwitchData(const std::string& target) override { return holder_.SwitchData(mount_, target); }
  int Touch(const std::string& path) override { return holder_.Touch(mount_, path); }
  int LookUpAgain(const std::string& path) override { return holder_.LookUpAgain(mount_, path); }

 private:
  HolderClient& holder_;
  const MountId mount_;
};

class Service final : public MountService {
 public:
  Service(cache::Cache& cache, const Clock& clock, std::unique_ptr<ChannelPool> pool, HeldBy held)
      : cache_(cache), clock_(clock), held_(held), pool_(std::move(pool)) {
    reaper_ = StartServiceThread("secretfs-reaper", [this] { Reap(); });
  }

  ~Service() override {
    for (const std::string& directory : Directories()) {
      const MountPtr mount = Find(directory);
      if (mount != nullptr && Take(*mount) != nullptr) {
        TakeDown(*mount, StopReason::kUnmountRequested).IgnoreError();
      }
    }
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
      changed_.SignalAll();
    }
    reaper_.join();
  }

  absl::Status Mount(MountOptions options, MountSpec spec,
                     std::function<void(StopReason)> stopped) override;
  absl::Status Take(GivenMount given, MountSpec spec,
                    std::function<void(StopReason)> stopped) override;
  void EndServing(MountId mount) override;
  void Freeze() override;
  absl::Status Unmount(const std::string& directory) override;
  absl::StatusOr<MountStatus> Status(const std::string& directory) override;
  std::vector<std::string> Directories() override;
  absl::Status Refresh(const std::string& directory, const std::string& path) override;

 private:
  using MountPtr = std::shared_ptr<ServedMount>;
  struct Ended {
    std::weak_ptr<ServedMount> mount;
    // Unmounted from outside, and its directory mounted again before the reaper came to it: it is
    // out of the table already.
    MountPtr replaced;
    StopReason reason;
  };

  bool is_held() const { return held_.holder != nullptr; }
  FuseChannelOptions ChannelOptionsFor(const MountPtr& mount);
  absl::Status TakeOver(ServedMount& mount);
  // From the channel to a mount that answers and publishes.
  absl::Status StartServing(const MountPtr& mount, std::shared_ptr<MountHands> hands);
  MountPtr Find(const std::string& directory);
  // Takes the mount out of the table; null if somebody else did.
  MountPtr Take(const ServedMount& mount);
  absl::Status TakeDown(ServedMount& mount, StopReason reason);
  void ReportStopped(std::weak_ptr<ServedMount> mount, StopReason reason);
  // Takes the mount of `ended` out of the table, and says more exactly why it ended; null if
  // somebody else took it.
  MountPtr TakeEnded(Ended& ended);
  void Reap();

  cache::Cache& cache_;
  const Clock& clock_;
  const HeldBy held_;
  Publisher publisher_;
  std::unique_ptr<ChannelPool> pool_;

  absl::Mutex mutex_;
  absl::CondVar changed_;  // ended_ or stop_
  // mutex_ protects the following state.
  std::map<std::string, MountPtr> mounts_ ABSL_GUARDED_BY(mutex_);
  std::deque<Ended> ended_ ABSL_GUARDED_BY(mutex_);
  int mounting_ ABSL_GUARDED_BY(mutex_) = 0;  // calls of Mount under way
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread reaper_;
};

// A number that no earlier server could name: each has a range of its own, and begins somewhere in
// it that cannot be guessed.
uint64_t UnknownNumber(uint64_t generation) {
  constexpr uint64_t kMostRanges = uint64_t{1} << 17;
  constexpr int kRangeBits = 44;
  uint64_t random = 0;
  // Without randomness the range alone has to do.
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) random = 0;
  return (std::min(generation, kMostRanges) << kRangeBits) + (random & ((uint64_t{1} << 40) - 1));
}

absl::Status NotMounted(const std::string& directory) {
  return absl::NotFoundError(Format("{} is not mounted by this process", directory));
}

FuseChannelOptions Service::ChannelOptionsFor(const MountPtr& mount) {
  FuseChannelOptions options;
  options.publisher_thread = is_held() ? held_.hands_thread : publisher_.thread();
  options.on_stopped = [this, weak = std::weak_ptr(mount)](StopReason reason) {
    ReportStopped(weak, reason);
  };
  if (!is_held()) return options;
  options.journal = held_.journal;
  options.mount = mount->id;
  options.first_listing = held_.generation << 32;
  options.save_init = [state = mount->state.get()](const InitExchange& agreed) {
    const absl::Status saved = state->SaveInit(agreed.request, agreed.reply);
    if (!saved.ok()) Log().error("{}", MessageOf(saved));
  };
  return options;
}

absl::Status Service::Mount(MountOptions options, MountSpec spec,
                            std::function<void(StopReason)> stopped) {
  if (is_held()) return absl::FailedPreconditionError("the holder mounts");
  SECRETFS_RETURN_IF_ERROR(ValidateMountSpec(spec));
  // fusermount3 mounts for a user who has no override of permissions: the publisher then needs the
  // write bits that it works through.
  spec.publisher_needs_write_bit = geteuid() != 0;
  auto mount = std::make_shared<ServedMount>();
  mount->layout = spec.layout;
  mount->stopped = std::move(stopped);
  mount->publisher = publisher_.NewMount();
  mount->operations = Operations::Make(std::move(spec), cache_, clock_, *mount->publisher);

  const auto count_mounting = [this](int change) {
    absl::MutexLock lock(&mutex_);
    mounting_ += change;
  };
  count_mounting(+1);
  const absl::Cleanup no_longer_mounting = [&] { count_mounting(-1); };
  SECRETFS_ASSIGN_OR_RETURN(MountedFuse mounted, MountFuse(options));
  mount->directory = mounted.directory;
  mount->device_number = mounted.device_number;
  mount->auto_unmount = std::move(mounted.auto_unmount);
  mount->mounted_at = clock_.WallNow();
  auto channel =
      FuseChannel::Make(std::move(mounted.device), *mount->operations, ChannelOptionsFor(mount));
  if (!channel.ok()) {
    UnmountFuse(mount->directory, mount->device_number).IgnoreError();
    return channel.status();
  }
  mount->channel = *std::move(channel);
  return StartServing(mount, MakeLocalHands(mount->directory, mount->device_number));
}

absl::Status Service::Take(GivenMount given, MountSpec spec,
                           std::function<void(StopReason)> stopped) {
  if (!is_held()) return absl::FailedPreconditionError("there is no holder");
  SECRETFS_RETURN_IF_ERROR(ValidateMountSpec(spec));
  spec.publisher_needs_write_bit = held_.holder_user != 0;
  auto mount = std::make_shared<ServedMount>();
  mount->id = given.id;
  mount->directory = given.directory;
  mount->device_number = given.device_number;
  mount->mounted_at = given.mounted_at;
  mount->layout = spec.layout;
  mount->stopped = std::move(stopped);
  mount->publisher = publisher_.NewMount();
  SECRETFS_ASSIGN_OR_RETURN(mount->state, MountState::Attach(given.state.get()));
  // What the kernel knows was agreed by somebody; without that nobody can speak to it.
  if (given.taken_over && held_.distrusts) {
    return absl::DataLossError("what earlier servers left is not used");
  }
  MountMemory memory{.state = mount->state.get(),
                     .values = held_.values,
                     .values_prefix = Format("f/{}/", given.id.value()),
                     .first_number = given.taken_over ? UnknownNumber(held_.generation) : 0};
  GroupsOf groups_of = [holder = held_.holder](pid_t process) { return holder->GroupsOf(process); };
  mount->operations = Operations::Make(std::move(spec), cache_, clock_, *mount->publisher,
                                       std::move(groups_of), std::move(memory));
  SECRETFS_ASSIGN_OR_RETURN(
      mount->channel,
      FuseChannel::Make(std::move(given.device), *mount->operations, ChannelOptionsFor(mount)));
  if (given.taken_over) SECRETFS_RETURN_IF_ERROR(TakeOver(*mount));
  return StartServing(mount, std::make_shared<HolderHands>(*held_.holder, mount->id));
}

absl::Status Service::TakeOver(ServedMount& mount) {
  const std::optional<MountState::Init> init = mount.state->init();
  // Nothing was agreed yet: INIT itself is in flight.
  if (!init) return mount.channel->TakeOver(std::nullopt, held_.use_resend);
  const absl::Status taken = mount.channel->TakeOver(
      InitExchange{.request = init->request, .reply = init->reply}, held_.use_resend);
  if (absl::IsFailedPrecondition(taken) && !held_.must_agree) {
    return absl::DataLossError(ToAbsl(MessageOf(taken)));
  }
  return taken;
}

absl::Status Service::StartServing(const MountPtr& mount, std::shared_ptr<MountHands> hands) {
  const std::shared_ptr<FuseChannel> channel = mount->channel;
  {
    absl::MutexLock lock(&mutex_);
    MountPtr before = std::exchange(mounts_[mount->directory], mount);
    if (before != nullptr) {
      ended_.push_back(
          {.mount = {}, .replaced = std::move(before), .reason = StopReason::kUnmountedByKernel});
      changed_.SignalAll();
    }
  }
  // From here on the reaper may take the mount down at any moment.
  channel->ServeLeft();
  absl::Status status = pool_->Add(channel);
  if (status.ok()) status = channel->WaitForInit(kInitTimeout);
  if (!status.ok()) {
    if (Take(*mount)) {
      mount->stopped = nullptr;  // our own result says it
      TakeDown(*mount, StopReason::kInitRefused).IgnoreError();
    }
    return status;
  }
  absl::MutexLock lock(&mount->mutex);
  if (mount->operations == nullptr) {
    return absl::UnavailableError(Format("{} was unmounted at once", mount->directory));
  }
  mount->publisher->Attach({.channel = channel,
                            .operations = mount->operations.get(),
                            .hands = std::move(hands),
                            .directory = mount->directory});
  mount->operations->Resume();
  return absl::OkStatus();
}

void Service::EndServing(MountId id) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [directory, mount] : mounts_) {
    if (mount->id != id) continue;
    ended_.push_back(
        {.mount = mount, .replaced = nullptr, .reason = StopReason::kUnmountRequested});
    changed_.SignalAll();
    return;
  }
  // It has ended by itself, and the holder was told.
}

void Service::Freeze() {
  pool_->Stop();
  publisher_.Freeze();
  absl::MutexLock lock(&mutex_);
  for (const auto& [directory, mount] : mounts_) {
    absl::MutexLock mount_lock(&mount->mutex);
    if (mount->operations != nullptr) mount->operations->Freeze();
  }
}

Service::MountPtr Service::Find(const std::string& directory) {
  absl::MutexLock lock(&mutex_);
  const auto found = mounts_.find(directory);
  return found == mounts_.end() ? nullptr : found->second;
}

Service::MountPtr Service::Take(const ServedMount& mount) {
  absl::MutexLock lock(&mutex_);
  const auto found = mounts_.find(mount.directory);
  if (found == mounts_.end() || found->second.get() != &mount) return nullptr;
  return mounts_.extract(found).mapped();
}

// After an unmount from outside nothing is left to unmount, and the directory may show a new mount
// already, even under the same device number.
absl::Status Service::TakeDown(ServedMount& mount, StopReason reason) {
  // The publisher first: the plan that it is at wants answers.
  mount.publisher->Detach();
  mount.channel->Close();
  std::unique_ptr<Operations> operations;
  std::vector<std::weak_ptr<Answer>> answers;
  {
    absl::MutexLock lock(&mount.mutex);
    operations = std::move(mount.operations);
    answers.swap(mount.answers);
  }
  operations.reset();  // answers what was parked, so that those readers let go of the mount
  for (const auto& weak : answers) {
    if (const auto answer = weak.lock()) answer->Set(EndedMeanwhile(mount.directory));
  }
  absl::Status status;
  if (is_held()) {
    // The holder unmounts. Until then requests are refused; afterwards the pool lets the channel
    // go.
    held_.holder->MountEnded(mount.id, std::string(StopReasonName(reason)));
  } else {
    if (reason != StopReason::kUnmountedByKernel) {
      status = UnmountFuse(mount.directory, mount.device_number);
    }
    if (!status.ok()) Log().warn("{}", MessageOf(status));
    // Closes the device: whoever still has a file open gets ENOTCONN from the kernel from now on.
    pool_->Remove(*mount.channel);
  }
  mount.channel.reset();
  mount.auto_unmount = AutoUnmountHelper();
  if (mount.stopped) mount.stopped(reason);
  return status;
}

absl::Status Service::Unmount(const std::string& directory) {
  const MountPtr found = Find(directory);
  if (is_held() && found != nullptr) {
    held_.holder->Unmount(found->id);
    return absl::OkStatus();
  }
  if (found == nullptr || Take(*found) == nullptr) return NotMounted(directory);
  return TakeDown(*found, StopReason::kUnmountRequested);
}

absl::StatusOr<MountStatus> Service::Status(const std::string& directory) {
  const MountPtr mount = Find(directory);
  if (mount == nullptr) return NotMounted(directory);
  absl::ReaderMutexLock lock(&mount->mutex);
  if (mount->operations == nullptr) return NotMounted(directory);
  MountStatus status;
  status.directory = mount->directory;
  status.layout = mount->layout;
  status.mounted_at = mount->mounted_at;
  status.generation = mount->operations->generation();
  status.parked_requests = mount->operations->parked_requests();
  status.requests = mount->channel->requests();
  status.in_flight = mount->channel->Waiting();
  status.files = mount->operations->Files();
  return status;
}

std::vector<std::string> Service::Directories() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> directories;
  for (const auto& [directory, mount] : mounts_) directories.push_back(directory);
  return directories;
}

absl::Status Service::Refresh(const std::string& directory, const std::string& path) {
  const MountPtr mount = Find(directory);
  if (mount == nullptr) return NotMounted(directory);
  auto answer = std::make_shared<Answer>();
  {
    absl::MutexLock lock(&mount->mutex);
    if (mount->operations == nullptr) return NotMounted(directory);
    std::erase_if(mount->answers, [](const auto& weak) { return weak.expired(); });
    mount->answers.push_back(answer);
  }
  {
    absl::ReaderMutexLock lock(&mount->mutex);
    if (mount->operations == nullptr) return EndedMeanwhile(directory);
    // The last copy of `done` says so when it goes without having been called.
    std::shared_ptr<void> dropped(
        nullptr, [answer, directory](void*) { answer->Set(EndedMeanwhile(directory)); });
    mount->operations->Refresh(path, [answer, dropped = std::move(dropped)](absl::Status status) {
      answer->Set(std::move(status));
    });
  }
  return answer->Wait();
}

void Service::ReportStopped(std::weak_ptr<ServedMount> mount, StopReason reason) {
  absl::MutexLock lock(&mutex_);
  ended_.push_back({.mount = std::move(mount), .replaced = nullptr, .reason = reason});
  changed_.SignalAll();
}

Service::MountPtr Service::TakeEnded(Ended& ended) {
  if (ended.replaced != nullptr) return std::move(ended.replaced);
  const MountPtr mount = ended.mount.lock();
  absl::MutexLock lock(&mutex_);
  if (mount == nullptr) return nullptr;
  const auto found = mounts_.find(mount->directory);
  if (found == mounts_.end() || found->second != mount) return nullptr;
  // The kernel says the same for umount and for umount -f of a busy mount, after which the mount is
  // still there. While anything is being mounted, it may be the next one that is seen there.
  if (ended.reason == StopReason::kUnmountedByKernel && mounting_ == 0 && !is_held() &&
      IsMounted(mount->directory, mount->device_number)) {
    ended.reason = StopReason::kConnectionAborted;
  }
  mounts_.erase(found);
  return mount;
}

void Service::Reap() {
  while (true) {
    Ended ended;
    {
      absl::MutexLock lock(&mutex_);
      while (!stop_ && ended_.empty()) changed_.Wait(&mutex_);
      if (ended_.empty()) return;
      ended = std::move(ended_.front());
      ended_.pop_front();
    }
    const MountPtr mount = TakeEnded(ended);
    if (mount == nullptr) continue;
    Log().info("the mount on {} ended: {}", mount->directory, StopReasonName(ended.reason));
    TakeDown(*mount, ended.reason).IgnoreError();
  }
}

}  // namespace

std::string_view StopReasonName(StopReason reason) {
  switch (reason) {
    case StopReason::kUnmountRequested:
      return "unmount requested";
    case StopReason::kUnmountedByKernel:
      return "unmounted from outside";
    case StopReason::kConnectionAborted:
      return "connection aborted";
    case StopReason::kReadFailed:
      return "reading /dev/fuse failed";
    case StopReason::kInitRefused:
      return "the kernel's FUSE version cannot be served";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<MountService>> MountService::Start(cache::Cache& cache,
                                                                  const Clock& clock, int workers) {
  SECRETFS_ASSIGN_OR_RETURN(std::unique_ptr<ChannelPool> pool, ChannelPool::Start(workers));
  return std::make_unique<Service>(cache, clock, std::move(pool), HeldBy{});
}

absl::StatusOr<std::unique_ptr<MountService>> MountService::StartHeld(cache::Cache& cache,
                                                                      const Clock& clock,
                                                                      HeldBy held, int workers) {
  SECRETFS_ASSIGN_OR_RETURN(std::unique_ptr<ChannelPool> pool,
                            ChannelPool::Start(workers, held.journal));
  return std::make_unique<Service>(cache, clock, std::move(pool), held);
}

}  // namespace secretfs::fs
