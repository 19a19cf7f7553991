#include "fs/holder/holder_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "base/log_line.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/holder/socket_place.h"

namespace secretfs::fs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kJournalBytes = 16 << 20;
constexpr size_t kLongestPayload = 64 << 20;
constexpr Duration kRefreshKept = seconds(5);
// How often what a server did not take is offered again.
constexpr Duration kFlush = milliseconds(10);
// Killed servers have no business but to be collected.
constexpr Duration kCollectPatience = seconds(2);

UniqueFd Inherited(int descriptor) {
  if (descriptor >= 0) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return UniqueFd(descriptor);
}

StatusMessage MessageFor(HolderStatus status) {
  StatusMessage message;
  message.holder = getpid();
  message.server = status.server;
  message.server_is_ready = status.server_is_ready;
  message.generation = status.generation;
  message.restarts = status.restarts;
  message.server_started_at = status.server_started_at;
  message.last_death = std::move(status.last_death);
  // As many as fit into a packet; who has thousands of mounts asks for them by name.
  size_t bytes = 0;
  for (std::string& directory : status.directories) {
    bytes += directory.size() + 8;
    if (bytes > kLongestPacket - 4096) break;
    message.directories.push_back(std::move(directory));
  }
  return message;
}

}  // namespace

HolderLoop::HolderLoop(HolderLaunch launch)
    : launch_(std::move(launch)),
      payload_(Inherited(launch_.payload)),
      control_(Inherited(launch_.control)),
      report_(Inherited(launch_.report)),
      log_(Inherited(launch_.log)) {}

HolderLoop::~HolderLoop() = default;

absl::StatusOr<std::unique_ptr<HolderLoop>> HolderLoop::Make(HolderLaunch launch) {
  std::unique_ptr<HolderLoop> loop(new HolderLoop(std::move(launch)));
  const absl::Status status = loop->SetUp();
  if (status.ok()) return loop;
  if (loop->report_.valid()) {
    const unsigned char code = 1;
    [[maybe_unused]] const ssize_t count = write(loop->report_.get(), &code, 1);
  }
  return status;
}

absl::Status HolderLoop::BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
  if (sigprocmask(SIG_BLOCK, &set, &original_signals_) == 0) {
    signals_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  posted_event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  null_.Reset(open("/dev/null", O_RDWR | O_CLOEXEC));
  // Without /dev/null there is no /dev/fuse either, which mounting says better.
  if (signals_.valid() && posted_event_.valid()) return absl::OkStatus();
  return absl::FailedPreconditionError(Format("cannot wait for signals ({})", strerror(errno)));
}

// Every server gets the same one, so none may change it. Kept mapped and locked: it may hold the
// credentials of a manifest's Secrets.
absl::Status HolderLoop::TakePayload() {
  if (!payload_.valid()) {
    SECRETFS_ASSIGN_OR_RETURN(payload_, MakeSealedMemory("secretfs-payload", {}));
  }
  absl::StatusOr<SealedView> view = SealedView::Of(payload_.get(), kLongestPayload);
  if (!view.ok()) return WithContext(view.status(), "the request to mount");
  payload_view_ = *std::move(view);
  if (!payload_view_.locked()) {
    LogLine(LogLevel::kWarning,
            Format("cannot lock the request to mount in memory ({} bytes): RLIMIT_MEMLOCK",
                   payload_view_.size()));
  }
  return absl::OkStatus();
}

absl::Status HolderLoop::SetUp() {
  SECRETFS_RETURN_IF_ERROR(BlockSignals());
  SECRETFS_ASSIGN_OR_RETURN(journal_, MakeFixedSizeMemory("secretfs-journal", kJournalBytes));
  SECRETFS_RETURN_IF_ERROR(TakePayload());
  if (launch_.keep_values) {
    absl::StatusOr<std::unique_ptr<KeptMemory>> kept =
        KeptMemory::Make(launch_.kept_bytes, payload_view_.size());
    if (kept.ok()) {
      kept_ = *std::move(kept);
    } else {
      LogLine(LogLevel::kWarning,
              Format("values are not kept for the next server: {}", MessageOf(kept.status())));
    }
  }
  if (!launch_.holder_path.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(
        commands_, ControlListener::Make(
                       launch_.holder_path, poll_,
                       [this](const ControlAsk& question, const ControlListener::Answer& answer) {
                         OnCommand(question, answer);
                       }));
  }
  requests_ = std::make_unique<ServerRequests>(launch_.openable, poll_);
  starter_ =
      std::make_unique<ServerStarter>(ServerStarter::Options{.arguments = launch_.server_arguments,
                                                             .user = launch_.server_user,
                                                             .group = launch_.server_group,
                                                             .signal_mask = original_signals_});
  holder_ =
      std::make_unique<Holder>(Holder::Options{.mounts = launch_.mounts,
                                               .server_timeout = launch_.server_timeout,
                                               .ends_without_mounts = launch_.ends_without_mounts},
                               clock_, *this);
  poll_.Watch(signals_.get(), POLLIN, [this](short) { OnSignals(); });
  poll_.Watch(posted_event_.get(), POLLIN, [this](short) { RunPosted(); });
  return absl::OkStatus();
}

int HolderLoop::Run() {
  holder_->Start();
  while (!holder_->exit_code().has_value()) {
    poll_.RunOnce(TimeToWait());
    FlushServers();
    if (kept_ != nullptr && clock_.Now() >= refresh_kept_at_) {
      kept_->Refresh();
      refresh_kept_at_ = clock_.Now() + kRefreshKept;
    }
    const std::optional<MonotonicTime> deadline = holder_->next_deadline();
    if (deadline.has_value() && *deadline <= clock_.Now()) holder_->OnTime();
  }
  const int exit_code = *holder_->exit_code();
  Finish(exit_code);
  return exit_code;
}

std::optional<Duration> HolderLoop::TimeToWait() {
  std::optional<MonotonicTime> until = holder_->next_deadline();
  const auto at_most = [&until](MonotonicTime time) {
    until = until.has_value() ? std::min(*until, time) : time;
  };
  if (kept_ != nullptr) at_most(refresh_kept_at_);
  for (const auto& [number, link] : servers_) {
    if (link.has_unsent()) at_most(clock_.Now() + kFlush);
  }
  if (!until.has_value()) return std::nullopt;
  return std::max(Duration::zero(), *until - clock_.Now());
}

void HolderLoop::Finish(int exit_code) {
  const MonotonicTime end = clock_.Now() + kCollectPatience;
  for (const auto& [number, link] : servers_) kill(link.process(), SIGKILL);
  while (!servers_.empty() && clock_.Now() < end) {
    CollectServers();
    if (!servers_.empty()) std::this_thread::sleep_for(milliseconds(2));
  }
  if (kept_ != nullptr) kept_->WipeAll();
  if (!launch_.control_path.empty()) RemoveSocket(launch_.control_path);
  if (!succeeded_ && report_.valid()) {
    const auto code = static_cast<unsigned char>(exit_code == 0 ? 1 : exit_code);
    [[maybe_unused]] const ssize_t count = write(report_.get(), &code, 1);
  }
  commands_.reset();
}

void HolderLoop::Post(std::function<void(Holder&)> function) {
  const uint64_t one = 1;
  absl::MutexLock lock(&mutex_);
  posted_.push_back(std::move(function));
  [[maybe_unused]] const ssize_t count = write(posted_event_.get(), &one, sizeof(one));
}

void HolderLoop::RunPosted() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = read(posted_event_.get(), &count, sizeof(count));
  std::vector<std::function<void(Holder&)>> posted;
  {
    absl::MutexLock lock(&mutex_);
    posted.swap(posted_);
  }
  for (const auto& function : posted) function(*holder_);
}

void HolderLoop::OnSignals() {
  signalfd_siginfo info = {};
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    const auto signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      CollectServers();
    } else if (signal == SIGHUP && launch_.upgrade_on_hangup) {
      LogLine(LogLevel::kInfo, "SIGHUP: upgrading");
      holder_->Upgrade([](const absl::Status&) {});
    } else if (holder_->is_ending()) {
      LogLine(LogLevel::kWarning, "second signal: ending at once");
      holder_->EndAtOnce(128 + signal);
    } else {
      LogLine(LogLevel::kInfo, Format("signal {}: unmounting", signal));
      holder_->End();
    }
  }
}

void HolderLoop::OnCommand(const ControlAsk& question, const ControlListener::Answer& answer) {
  const Holder::Done done = [answer](const absl::Status& status) {
    answer(OutcomeMessage{.code = static_cast<int32_t>(status.code()),
                          .text = std::string(MessageOf(status))});
  };
  if (std::holds_alternative<AskStatusMessage>(question)) {
    answer(MessageFor(holder_->Status()));
  } else if (const auto* unmount = std::get_if<AskUnmountMessage>(&question)) {
    holder_->Unmount(unmount->directory, done);
  } else {
    holder_->Upgrade(done);
  }
}

// --- servers

absl::StatusOr<pid_t> HolderLoop::StartServer(const ServerStart& start) {
  SECRETFS_ASSIGN_OR_RETURN(StartedServer started, starter_->Start(start.proven));
  const pid_t process = started.process;
  const auto [entry, inserted] =
      servers_.try_emplace(start.number, process, std::move(started.socket));
  poll_.Watch(entry->second.socket(), POLLIN,
              [this, number = start.number](short) { ReadServer(number); });
  const auto output = outputs_.try_emplace(start.number, std::move(started.output)).first;
  poll_.Watch(output->second.descriptor(), POLLIN,
              [this, number = start.number](short) { ReadOutput(number); });
  SetupMessage setup;
  setup.generation = start.number.value();
  setup.restarts = start.restarts;
  setup.failed_starts = static_cast<uint32_t>(start.failed_starts);
  setup.crashed_starts = static_cast<uint32_t>(start.crashed_starts);
  setup.is_upgrade = start.is_upgrade;
  setup.use_resend = launch_.use_resend;
  setup.hands_thread = requests_->hands_thread();
  setup.holder_user = geteuid();
  setup.has_kept_values = kept_ != nullptr;
  setup.has_control = control_.valid();
  setup.use_sandbox = launch_.use_sandbox;
  setup.readable = launch_.openable;
  std::vector<int> descriptors{payload_.get(), journal_.get()};
  if (kept_ != nullptr) descriptors.push_back(kept_->memory());
  if (control_.valid()) descriptors.push_back(control_.get());
  SendWith(start.number, setup, descriptors);
  return process;
}

void HolderLoop::SendWith(ServerNumber server, const MessageToServer& message,
                          std::span<const int> descriptors) {
  const auto entry = servers_.find(server);
  if (entry == servers_.end()) return;
  if (!entry->second.Send(message, descriptors)) GiveServerUp(server, "it takes no messages");
}

void HolderLoop::Send(ServerNumber server, const MessageToServer& message) {
  SendWith(server, message, {});
}

void HolderLoop::GiveMount(ServerNumber server, MountId id, const HeldMount& mount,
                           bool taken_over) {
  MountMessage message;
  message.id = id;
  message.directory = mount.fuse.directory;
  message.device_number = mount.fuse.device_number;
  message.taken_over = taken_over;
  message.mounted_at = mount.mounted_at;
  message.has_lifeline = mount.fuse.auto_unmount.running();
  const int descriptors[] = {mount.fuse.device.get(), mount.state.get(),
                             mount.fuse.auto_unmount.socket()};
  SendWith(server, message, std::span(descriptors, message.Descriptors()));
}

void HolderLoop::FlushServers() {
  for (auto& [number, link] : servers_) link.Flush();
}

void HolderLoop::Kill(ServerNumber server) {
  const auto entry = servers_.find(server);
  // Not collected yet, so the number is still its own.
  if (entry != servers_.end()) kill(entry->second.process(), SIGKILL);
}

void HolderLoop::GiveServerUp(ServerNumber server, std::string_view why) {
  LogLine(LogLevel::kError, Format("killing the server: {}", why));
  Kill(server);
}

void HolderLoop::ReadServer(ServerNumber number) {
  while (true) {
    const auto entry = servers_.find(number);
    if (entry == servers_.end() || entry->second.closed()) return;
    Packet packet;
    const ReceiveResult result = ReceivePacket(entry->second.socket(), packet);
    if (result == ReceiveResult::kNothing) return;
    if (result == ReceiveResult::kGone) {
      // It exits, or has given the holder up: nothing can be asked of it any more.
      poll_.Forget(entry->second.socket());
      entry->second.Close();
      holder_->OnServerSilent(number);
      return;
    }
    const absl::StatusOr<MessageToHolder> message =
        result == ReceiveResult::kPacket
            ? DecodeMessage<MessageToHolder>(packet.bytes, packet.descriptors.size())
            : absl::InvalidArgumentError("a message arrived cut off");
    if (!message.ok()) {
      GiveServerUp(number, MessageOf(message.status()));
      poll_.Forget(entry->second.socket());
      entry->second.Close();
      return;
    }
    OnMessage(number, *message);
  }
}

void HolderLoop::ReadOutput(ServerNumber number) {
  const auto entry = outputs_.find(number);
  if (entry == outputs_.end() || entry->second.PassOn()) return;
  poll_.Forget(entry->second.descriptor());
  outputs_.erase(entry);
}

void HolderLoop::OnMessage(ServerNumber server, const MessageToHolder& message) {
  const ServerRequests::Answer answer = [this, server](const AnswerMessage& outcome,
                                                       std::span<const int> descriptors) {
    SendWith(server, outcome, descriptors);
  };
  if (const auto* hands = std::get_if<HandsMessage>(&message)) {
    requests_->Act(*hands, holder_->Find(hands->id), answer);
  } else if (const auto* open = std::get_if<OpenMessage>(&message)) {
    requests_->Open(*open, answer);
  } else if (const auto* groups = std::get_if<GroupsMessage>(&message)) {
    requests_->FindGroups(*groups, answer);
  } else {
    if (std::holds_alternative<PreparedMessage>(message)) {
      const absl::Status rights = starter_->CheckRights(servers_.at(server).process());
      if (!rights.ok()) return GiveServerUp(server, MessageOf(rights));
    }
    holder_->OnServerMessage(server, message);
  }
}

void HolderLoop::CollectServers() {
  for (auto entry = servers_.begin(); entry != servers_.end();) {
    const ServerNumber number = entry->first;
    int status = 0;
    if (waitpid(entry->second.process(), &status, WNOHANG) != entry->second.process()) {
      ++entry;
      continue;
    }
    // What it said last comes first.
    ReadServer(number);
    if (!entry->second.closed()) poll_.Forget(entry->second.socket());
    servers_.erase(entry);
    if (const auto output = outputs_.find(number); output != outputs_.end()) {
      output->second.PassOnRest();
      poll_.Forget(output->second.descriptor());
      outputs_.erase(output);
    }
    if (kept_ != nullptr) kept_->Refresh();
    holder_->OnServerExited(number, DescribeExit(status),
                            WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    // The map may hold a new server now.
    entry = servers_.upper_bound(number);
  }
}

void HolderLoop::ServerIsReady(ServerNumber, bool first) {
  starter_->Proven();
  if (kept_ != nullptr) refresh_kept_at_ = clock_.Now() + seconds(1);
  if (first) ReportSuccess();
}

// As cli/daemonize.h's ReadyReport: the terminal is left, and whoever waits in it goes on.
void HolderLoop::ReportSuccess() {
  succeeded_ = true;
  // What was said before is for who waits.
  for (auto& [number, output] : outputs_) output.PassOn();
  if (report_.valid() || log_.valid()) {
    dup2(log_.valid() ? log_.get() : null_.get(), STDERR_FILENO);
  }
  if (report_.valid()) {
    dup2(null_.get(), STDIN_FILENO);
    dup2(null_.get(), STDOUT_FILENO);
    const unsigned char code = 0;
    // Whoever waited may have been killed meanwhile, which changes nothing here.
    [[maybe_unused]] const ssize_t count = write(report_.get(), &code, 1);
    report_.Reset();
  }
  for (const MountOptions& mount : launch_.mounts) {
    LogLine(LogLevel::kInfo, Format("mounted {} on {}", mount.source, mount.directory));
  }
}

// --- mounts

absl::StatusOr<HeldMount> HolderLoop::Mount(const MountOptions& options) {
  return HoldMount(options, clock_.WallNow());
}

absl::Status HolderLoop::Unmount(const HeldMount& mount) {
  return UnmountFuse(mount.fuse.directory, mount.fuse.device_number);
}

bool HolderLoop::Abort(const HeldMount& mount) { return AbortConnection(mount.fuse.device_number); }

void HolderLoop::PrintError(std::string_view text) {
  const std::string line = Format("secretfs: {}\n", text);
  [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace secretfs::fs
