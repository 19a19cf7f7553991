#include "fs/holder/holder.h"

#include <algorithm>
#include <utility>

#include "base/log_line.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/holder/server_process.h"

namespace secretfs::fs {
namespace {

using std::chrono::seconds;

constexpr Duration kHandOverPatience = seconds(2);
constexpr Duration kExitPatience = seconds(5);
// A server that said Failed ends by itself.
constexpr Duration kFailedPatience = seconds(1);
constexpr Duration kSilentPatience = seconds(1);

void KeepEarliest(std::optional<MonotonicTime>& earliest,
                  const std::optional<MonotonicTime>& other) {
  if (other.has_value() && (!earliest.has_value() || *other < *earliest)) earliest = other;
}

}  // namespace

Holder::Holder(Options options, const Clock& clock, HolderWorld& world)
    : options_(std::move(options)), clock_(clock), world_(world) {}

void Holder::Start() {
  unserved_since_ = clock_.Now();
  StartServer();
}

const HeldMount* Holder::Find(MountId id) const {
  const auto entry = mounts_.find(id);
  return entry == mounts_.end() ? nullptr : &entry->second.held;
}

HolderStatus Holder::Status() const {
  HolderStatus status;
  status.restarts = restarts_;
  status.last_death = last_death_;
  status.generation = servers_;
  if (current_.has_value()) {
    status.server = current_->process;
    status.server_is_ready = current_->stage == Stage::kReady;
    status.generation = current_->number.value();
    status.server_started_at = current_->started_at;
  }
  for (const auto& [id, mount] : mounts_) status.directories.push_back(mount.held.fuse.directory);
  std::sort(status.directories.begin(), status.directories.end());
  return status;
}

std::optional<MonotonicTime> Holder::next_deadline() const {
  std::optional<MonotonicTime> earliest = restart_at_;
  KeepEarliest(earliest, upgrade_by_);
  if (current_.has_value()) KeepEarliest(earliest, current_->kill_at);
  if (next_.has_value()) KeepEarliest(earliest, next_->kill_at);
  for (const auto& [id, mount] : mounts_) KeepEarliest(earliest, mount.end_by);
  if (unserved_since_.has_value() && !ending_) {
    KeepEarliest(earliest, *unserved_since_ + options_.server_timeout);
  }
  return earliest;
}

void Holder::OnTime() {
  const MonotonicTime now = clock_.Now();
  const auto due = [now](std::optional<MonotonicTime>& time) {
    if (!time.has_value() || *time > now) return false;
    time.reset();
    return true;
  };
  if (unserved_since_.has_value() && !ending_ &&
      now >= *unserved_since_ + options_.server_timeout) {
    GiveUp();
    return;
  }
  for (std::optional<Server>* server : {&current_, &next_}) {
    if (!server->has_value() || !due((*server)->kill_at)) continue;
    LogLine(LogLevel::kWarning, Format("the server (process {}) does not end by itself: killing it",
                                       (*server)->process));
    world_.Kill((*server)->number);
  }
  if (due(upgrade_by_) && next_.has_value()) {
    next_->failed_text = "it was not prepared in time";
    world_.Kill(next_->number);
  }
  std::vector<MountId> late;
  for (auto& [id, mount] : mounts_) {
    if (mount.end_by.has_value() && *mount.end_by <= now) late.push_back(id);
  }
  for (const MountId id : late) FinishEndMount(id);
  if (due(restart_at_) && !ending_ && !current_.has_value()) StartServer();
}

// --- servers

Holder::Server* Holder::ServerOf(ServerNumber number) {
  if (current_.has_value() && current_->number == number) return &*current_;
  if (next_.has_value() && next_->number == number) return &*next_;
  return nullptr;
}

absl::StatusOr<Holder::Server> Holder::NewServer(bool is_upgrade) {
  Server server;
  server.number = ServerNumber(++servers_);
  server.started_at = clock_.WallNow();
  schedule_.OnStart(clock_.Now());
  HolderWorld::ServerStart start;
  start.number = server.number;
  start.restarts = restarts_;
  start.failed_starts = schedule_.failed_starts();
  start.crashed_starts = crashed_starts_;
  start.is_upgrade = is_upgrade;
  // In turns: a new program that cannot start is no reason to leave a mount unserved, and neither
  // is an old one that does not understand what the new one wrote.
  start.proven = !is_upgrade && schedule_.failed_starts() % 2 == 1;
  SECRETFS_ASSIGN_OR_RETURN(server.process, world_.StartServer(start));
  return server;
}

void Holder::StartServer() {
  absl::StatusOr<Server> server = NewServer(/*is_upgrade=*/false);
  if (server.ok()) {
    current_ = *std::move(server);
    return;
  }
  if (!ever_ready_) {
    world_.PrintError(MessageOf(server.status()));
    FailStart(1);
    return;
  }
  RestartLater(/*was_ready=*/false, std::string(MessageOf(server.status())));
}

void Holder::OnServerMessage(ServerNumber number, const MessageToHolder& message) {
  Server* server = ServerOf(number);
  if (server == nullptr) return;
  const bool is_current = current_.has_value() && server == &*current_;
  if (std::holds_alternative<PreparedMessage>(message)) {
    if (server->stage == Stage::kStarting) OnPrepared(*server);
  } else if (std::holds_alternative<ReadyMessage>(message)) {
    if (is_current && server->stage == Stage::kPrepared) OnReady(*server);
  } else if (const auto* failed = std::get_if<FailedMessage>(&message)) {
    server->failed_code = failed->exit_code;
    server->failed_text = failed->text;
    server->kill_at = clock_.Now() + kFailedPatience;
  } else if (!is_current) {
    return;  // the rest is about mounts, which it does not have
  } else if (const auto* ended = std::get_if<MountEndedMessage>(&message)) {
    OnMountEnded(ended->id, ended->reason);
  } else if (const auto* unmount = std::get_if<UnmountMessage>(&message)) {
    if (mounts_.contains(unmount->id)) BeginEndMount(unmount->id);
  } else if (const auto* anew = std::get_if<MountAnewMessage>(&message)) {
    const auto entry = mounts_.find(anew->id);
    if (entry == mounts_.end()) return;
    entry->second.anew = true;
    BeginEndMount(anew->id);
  }
  // HandedOver needs no answer: the server exits, and only then is nobody left who could serve.
}

void Holder::OnServerSilent(ServerNumber number) {
  Server* server = ServerOf(number);
  if (server == nullptr) return;
  const MonotonicTime soon = clock_.Now() + kSilentPatience;
  if (!server->kill_at.has_value() || *server->kill_at > soon) {
    // One that revokes leases after OnExit has its own bound.
    if (!server->told_to_exit) server->kill_at = soon;
  }
}

void Holder::OnPrepared(Server& server) {
  if (ending_) return;
  server.stage = Stage::kPrepared;
  if (next_.has_value() && &server == &*next_) {
    upgrade_by_.reset();
    current_->stage = Stage::kHandingOver;
    current_->kill_at = clock_.Now() + kHandOverPatience;
    world_.Send(current_->number, HandOverMessage{});
    return;
  }
  if (!mounted_ && !MountAll(server)) return;
  GiveMounts();
}

void Holder::OnReady(Server& server) {
  server.stage = Stage::kReady;
  unserved_since_.reset();
  const bool first = !std::exchange(ever_ready_, true);
  world_.ServerIsReady(server.number, first);
  if (!first) {
    LogLine(LogLevel::kInfo,
            Format("server {} (process {}) serves", server.number.value(), server.process));
  }
  if (upgrading_) EndUpgrade(absl::OkStatus());
}

void Holder::OnServerExited(ServerNumber number, const std::string& description, int exit_code) {
  if (next_.has_value() && next_->number == number) {
    OnNextExited(description);
  } else if (current_.has_value() && current_->number == number) {
    OnCurrentExited(description, exit_code);
  }
}

void Holder::OnNextExited(const std::string& description) {
  const std::string why = next_->failed_text.empty()
                              ? Format("it {}; its log says why", description)
                              : next_->failed_text;
  const bool too_late = current_.has_value() && current_->stage == Stage::kHandingOver;
  next_.reset();
  upgrade_by_.reset();
  if (ending_) return;
  EndUpgrade(absl::FailedPreconditionError(
      Format("the new server failed: {}{}", why,
             too_late ? "; the old one had stopped already, a further one is started"
                      : "; the old one goes on")));
}

void Holder::OnCurrentExited(const std::string& description, int exit_code) {
  const Server gone = *std::exchange(current_, std::nullopt);
  for (auto& [id, mount] : mounts_) mount.given = false;
  if (!ending_ && !ever_ready_) {
    if (!gone.failed_code.has_value()) {
      world_.PrintError(Format("the server {} before the mount was usable", description));
    }
    FailStart(gone.failed_code.value_or(exit_code != 0 ? exit_code : 1));
    return;
  }
  // What the dead server was asked to end, it has ended.
  FinishMountsWithoutServer();
  if (ending_) {
    ContinueEnd();
    return;
  }
  if (finished_) return;
  // Since the first of several deaths in a row.
  if (!unserved_since_.has_value()) unserved_since_ = clock_.Now();
  if (upgrading_ && !next_.has_value()) {
    EndUpgrade(absl::FailedPreconditionError(
        Format("the new server {} before it served; a further one is started", description)));
  }
  if (gone.stage == Stage::kHandingOver) {
    if (next_.has_value()) {
      PromoteNext();
    } else {
      StartServer();
    }
    return;
  }
  ++restarts_;
  last_death_ = description;
  // A server that was being started for an upgrade comes as called.
  if (next_.has_value()) {
    LogLine(LogLevel::kWarning, Format("the server {}; the new one takes over", description));
    PromoteNext();
  } else {
    RestartLater(gone.stage == Stage::kReady, description);
  }
}

void Holder::PromoteNext() {
  current_ = std::exchange(next_, std::nullopt);
  upgrade_by_.reset();
  if (current_->stage == Stage::kPrepared) GiveMounts();
}

void Holder::RestartLater(bool was_ready, const std::string& description) {
  const RestartSchedule::Verdict verdict = schedule_.OnDeath(clock_.Now(), was_ready);
  const std::string text = Format("the server {}", description);
  crashed_starts_ = !was_ready && WasKilled(description) ? crashed_starts_ + 1 : 0;
  if (verdict.loud) {
    LogLine(LogLevel::kError,
            Format("{}: {} deaths within ten seconds; still starting the next one, but somebody "
                   "should look at this",
                   text, verdict.deaths_lately));
  } else {
    LogLine(LogLevel::kWarning, Format("{}; starting the next one", text));
  }
  if (verdict.delay == Duration::zero()) {
    StartServer();
  } else {
    restart_at_ = clock_.Now() + verdict.delay;
  }
}

// --- the end

void Holder::End() {
  if (ending_ || finished_) return;
  ending_ = true;
  restart_at_.reset();
  if (next_.has_value()) world_.Kill(next_->number);
  if (upgrading_) EndUpgrade(absl::CancelledError("the holder is ending"));
  std::vector<MountId> ids;
  for (const auto& [id, mount] : mounts_) ids.push_back(id);
  for (const MountId id : ids) BeginEndMount(id);
  ContinueEnd();
}

void Holder::ContinueEnd() {
  if (finished_ || !mounts_.empty()) return;
  if (!current_.has_value()) {
    finished_ = true;
    return;
  }
  if (std::exchange(current_->told_to_exit, true)) return;
  if (current_->stage == Stage::kStarting) {
    world_.Kill(current_->number);  // it has nothing to finish yet
    return;
  }
  world_.Send(current_->number, ExitMessage{});
  current_->kill_at = clock_.Now() + kExitPatience;
}

void Holder::EndAtOnce(int exit_code) {
  if (finished_) return;
  ending_ = true;
  finished_ = true;
  exit_code_ = exit_code;
  if (upgrading_) EndUpgrade(absl::CancelledError("the holder is ending"));
  for (const std::optional<Server>* server : {&current_, &next_}) {
    if (server->has_value()) world_.Kill((*server)->number);
  }
  for (auto& [id, mount] : mounts_) {
    world_.Abort(mount.held);
    mount.held.fuse.device.Reset();
    const absl::Status status = world_.Unmount(mount.held);
    if (!status.ok()) LogLine(LogLevel::kError, MessageOf(status));
    for (const Done& done : mount.waiting) done(status);
    mount.waiting.clear();
  }
  mounts_.clear();
}

void Holder::FailStart(int exit_code) { EndAtOnce(exit_code); }

void Holder::GiveUp() {
  const auto timeout =
      std::chrono::duration_cast<std::chrono::milliseconds>(options_.server_timeout);
  const std::string text = Format("no server has become ready within {} s: giving the mounts up",
                                  static_cast<double>(timeout.count()) / 1000);
  if (ever_ready_) {
    LogLine(LogLevel::kError, text);
  } else {
    world_.PrintError(text);
  }
  EndAtOnce(1);
}

// --- upgrades

void Holder::Upgrade(Done done) {
  if (ending_ || finished_) {
    done(absl::CancelledError("the holder is ending"));
    return;
  }
  if (!upgrading_ && (!current_.has_value() || current_->stage != Stage::kReady)) {
    done(
        absl::UnavailableError("no server is ready now; the next one is started from the program "
                               "that is there"));
    return;
  }
  upgrade_waiting_.push_back(std::move(done));
  if (!upgrading_) StartNextServer();
}

bool Holder::StartNextServer() {
  upgrading_ = true;
  absl::StatusOr<Server> server = NewServer(/*is_upgrade=*/true);
  if (!server.ok()) {
    EndUpgrade(WithContext(server.status(), "the old server goes on"));
    return false;
  }
  LogLine(LogLevel::kInfo, Format("upgrade: server {} (process {}) is being started",
                                  server->number.value(), server->process));
  next_ = *std::move(server);
  upgrade_by_ = clock_.Now() + options_.server_timeout;
  return true;
}

void Holder::EndUpgrade(absl::Status status) {
  upgrading_ = false;
  if (status.ok()) {
    LogLine(LogLevel::kInfo, "upgrade: the new server serves");
  } else {
    LogLine(LogLevel::kError, Format("upgrade: {}", MessageOf(status)));
  }
  for (const Done& done : std::exchange(upgrade_waiting_, {})) done(status);
}

}  // namespace secretfs::fs
