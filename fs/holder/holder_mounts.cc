// The part of Holder that mounts, hands mounts out and ends them; see holder.h.

#include <utility>

#include "base/log_line.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/holder/holder.h"

namespace secretfs::fs {
namespace {

constexpr Duration kEndMountPatience = std::chrono::seconds(2);

// As cli/exit_codes.h has them, which stands above this layer.
int ExitCodeOf(const absl::Status& status) {
  if (absl::IsNotFound(status)) return 3;
  if (absl::IsPermissionDenied(status)) return 4;
  return 1;
}

// The names of StopReason (fs/mount_service.h) that are nobody's failure.
bool IsOrderlyEnd(const std::string& reason) {
  return reason.empty() || reason.starts_with("unmount");
}

}  // namespace

bool Holder::MountAll(Server& server) {
  for (const MountOptions& options : options_.mounts) {
    absl::StatusOr<HeldMount> held = world_.Mount(options);
    if (!held.ok()) {
      world_.PrintError(MessageOf(held.status()));
      exit_code_ = ExitCodeOf(held.status());
      End();
      return false;
    }
    Keep(*std::move(held));
  }
  mounted_ = true;
  server.stage = Stage::kPrepared;
  return true;
}

MountId Holder::Keep(HeldMount held) {
  const MountId id(++last_mount_);
  mounts_[id].held = std::move(held);
  return id;
}

void Holder::GiveMounts() {
  for (auto& [id, mount] : mounts_) {
    if (mount.given || mount.end_by.has_value()) continue;
    world_.GiveMount(current_->number, id, mount.held, mount.served);
    mount.given = true;
    mount.served = true;
    mount.ended = false;
  }
}

absl::StatusOr<MountId> Holder::AddMount(const MountOptions& options) {
  if (ending_ || finished_) return absl::CancelledError("the holder is ending");
  SECRETFS_ASSIGN_OR_RETURN(HeldMount held, world_.Mount(options));
  const MountId id = Keep(std::move(held));
  const bool takes_mounts = current_.has_value() && (current_->stage == Stage::kPrepared ||
                                                     current_->stage == Stage::kReady);
  if (takes_mounts && mounted_) GiveMounts();
  return id;
}

void Holder::Unmount(const std::string& directory, Done done) {
  for (auto& [id, mount] : mounts_) {
    if (mount.held.fuse.directory != directory) continue;
    mount.waiting.push_back(std::move(done));
    BeginEndMount(id);
    return;
  }
  done(absl::NotFoundError(Format("{} is no mount of this holder", directory)));
}

void Holder::BeginEndMount(MountId id) {
  Mount& mount = mounts_.at(id);
  if (mount.end_by.has_value()) return;
  if (!mount.given || mount.ended || !current_.has_value()) {
    FinishEndMount(id);
    return;
  }
  mount.end_by = clock_.Now() + kEndMountPatience;
  world_.Send(current_->number, EndMountMessage{.id = id});
}

void Holder::OnMountEnded(MountId id, const std::string& reason) {
  const auto entry = mounts_.find(id);
  if (entry == mounts_.end()) return;
  Mount& mount = entry->second;
  mount.ended = true;
  if (!mount.end_by.has_value() && !IsOrderlyEnd(reason)) {
    LogLine(LogLevel::kError,
            Format("the mount on {} ended: {}", mount.held.fuse.directory, reason));
    exit_code_ = 1;
  }
  FinishEndMount(id);
}

void Holder::FinishEndMount(MountId id) {
  auto node = mounts_.extract(id);
  Mount mount = std::move(node.mapped());
  const std::string directory = mount.held.fuse.directory;
  if (mount.given && !mount.ended) {
    LogLine(LogLevel::kWarning,
            Format("the server does not let go of {}: ending the connection", directory));
    // It hangs, and holds the device too: nothing but its end would release who waits.
    if (!world_.Abort(mount.held) && current_.has_value()) world_.Kill(current_->number);
  }
  // The last descriptor now: whoever still waits gets an error, and so does whoever comes,
  // fusermount3 with an inherited file included.
  mount.held.fuse.device.Reset();
  const absl::Status status = world_.Unmount(mount.held);
  if (status.ok()) {
    LogLine(LogLevel::kInfo, Format("unmounted {}", directory));
  } else {
    LogLine(LogLevel::kError, MessageOf(status));
    exit_code_ = 1;
  }
  const MountOptions options = mount.held.options;
  mount.held = {};
  for (const Done& done : mount.waiting) done(status);
  if (mount.anew && status.ok() && !ending_) MountAgain(options);
  if (ending_) {
    ContinueEnd();
  } else if (mounts_.empty() && options_.ends_without_mounts && mounted_) {
    End();
  }
}

void Holder::MountAgain(const MountOptions& options) {
  const absl::StatusOr<MountId> id = AddMount(options);
  if (id.ok()) return;
  LogLine(LogLevel::kError,
          Format("mounting {} anew failed: {}", options.directory, MessageOf(id.status())));
  exit_code_ = ExitCodeOf(id.status());
}

void Holder::FinishMountsWithoutServer() {
  std::vector<MountId> ids;
  for (const auto& [id, mount] : mounts_) {
    if (mount.end_by.has_value()) ids.push_back(id);
  }
  for (const MountId id : ids) FinishEndMount(id);
}

}  // namespace secretfs::fs
