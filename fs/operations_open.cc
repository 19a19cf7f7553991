// Open and Refresh: the two ways to ask for a value that the kernel or the cache holds already.

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "base/errno_table.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/access_check.h"
#include "fs/names.h"
#include "fs/operations_impl.h"

namespace secretfs::fs {
namespace {

bool WantsToWrite(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_APPEND)) != 0;
}

// Counts fetches down, keeps the first error, and says so exactly once: also when the mount ends
// before all of it happened. Only touched on the I/O thread while it counts.
struct PendingRefresh {
  ~PendingRefresh() {
    if (done) done(absl::CancelledError("the mount ended during the refresh"));
  }
  void Finish() {
    if (done) std::exchange(done, nullptr)(first_error);
  }
  size_t waiting = 0;
  absl::Status first_error;
  std::function<void(absl::Status)> done;
};

}  // namespace

// What a look at the tree means for an open.
struct OperationsImpl::OpenStep {
  bool fetch = false;
  Outcome<OpenedFile> outcome;
  cache::EntryKey key;
  cache::Policy policy;
  Attributes attributes;
  bool was_current = false;
  std::string path;
};

Outcome<OpenedFile> OperationsImpl::OpenVersion(Inode& inode) {
  FileVersion& file = std::get<FileVersion>(inode.body);
  OpenedFile opened;
  if (!std::exchange(file.size_told, true)) {
    opened.prefill = Content{.bytes = file.bytes};
    table_.Note(inode);
  }
  return {.error = 0, .value = std::move(opened)};
}

void OperationsImpl::LogOpen(const std::string& path, const Caller& caller) const {
  if (!spec_.audit_open || caller.is_publisher) return;
  Log().info("audit: open \"{}\" by uid {} gid {} pid {}", path, caller.uid, caller.gid,
             caller.pid);
}

void OperationsImpl::Open(RequestId id, InodeNumber inode, int flags, const Caller& caller,
                          Reply<OpenedFile> reply) {
  if (WantsToWrite(flags) && !caller.is_publisher) {
    reply(Outcome<OpenedFile>::Fail(EROFS));
    return;
  }
  if (!serves_open()) {
    reply({.error = 0, .value = {.use_no_open = true, .prefill = std::nullopt}});
    return;
  }
  OpenStep step;
  {
    TreeLock lock(*this);
    Inode* found = table_.Find(inode);
    if (found == nullptr) {
      step.outcome = Outcome<OpenedFile>::Fail(ESTALE);
    } else if (const auto* file = std::get_if<FileVersion>(&found->body); file == nullptr) {
      step.outcome = Outcome<OpenedFile>::Fail(EISDIR);
    } else {
      const FileSlot& slot = *file->slot;
      const auto entry = entries_.find(slot.key);
      const bool fresh = entry != entries_.end() && entry->second.interested &&
                         StateOf(entry->second) == cache::EntryState::kFresh;
      step.path = slot.path;
      step.was_current = slot.current == inode;
      // The publisher only signals. A manifest's file is kept fresh by the cache, and an older
      // version stays what it is.
      step.fetch =
          !caller.is_publisher && step.was_current &&
          (slot.manifest_index ? file->lost_size.has_value() : file->bytes == nullptr || !fresh);
      if (step.fetch) {
        step.key = slot.key;
        if (!slot.manifest_index) step.policy = spec_.browse[slot.browse_tree].policy;
        step.attributes = FileAttributes(slot);
      } else if (file->bytes != nullptr || caller.is_publisher) {
        step.outcome = file->bytes != nullptr ? OpenVersion(*found) : Outcome<OpenedFile>{};
      } else {
        step.outcome = Outcome<OpenedFile>::Fail(ESTALE);  // dropped before anybody opened it
      }
    }
  }
  if (!step.fetch) {
    if (step.outcome.error == 0) LogOpen(step.path, caller);
    reply(std::move(step.outcome));
    return;
  }
  if (!MayRead(caller, step.attributes, groups_of_)) {
    reply(Outcome<OpenedFile>::Fail(EACCES));
    return;
  }
  LogOpen(step.path, caller);
  Park(id, reply);
  EnsureInterest(step.key, step.policy);
  cache_.Read(step.key,
              Guarded([this, id, inode, was_current = step.was_current, reply = std::move(reply)](
                          const absl::StatusOr<cache::EntrySnapshot>& fetched) {
                FinishOpen(id, inode, was_current, reply, fetched);
              }));
}

void OperationsImpl::FinishOpen(RequestId id, InodeNumber inode, bool was_current,
                                const Reply<OpenedFile>& reply,
                                const absl::StatusOr<cache::EntrySnapshot>& fetched) {
  PublishPlan plan;
  Outcome<OpenedFile> outcome = Outcome<OpenedFile>::Fail(ESTALE);
  if (fetched.ok()) Apply(std::span(&*fetched, 1), SnapshotSource::kRead);
  {
    TreeLock lock(*this);
    // An interrupted open must not take the size along that the kernel has not been told.
    const bool wanted = Unpark(id);
    Inode* found = table_.Find(inode);
    if (found != nullptr) {
      const FileVersion& file = std::get<FileVersion>(found->body);
      const absl::Status status = fetched.ok() ? file.slot->error : fetched.status();
      if (!status.ok()) {
        outcome = Outcome<OpenedFile>::Fail(StatusToErrno(status));
        // The listing was wrong about it; the next lookup asks the store again.
        if (absl::IsNotFound(status)) DropBrowsedName(file.slot, plan);
      } else if (wanted && file.bytes != nullptr && (file.slot->current == inode || !was_current)) {
        outcome = OpenVersion(*found);
      }
      // Otherwise a newer version has taken the name: ESTALE, and the kernel looks it up again.
    }
    if (!wanted) outcome.error = -1;
    Begin(plan);
  }
  Submit(std::move(plan));
  if (outcome.error >= 0) reply(std::move(outcome));
}

void OperationsImpl::Read(RequestId id, InodeNumber inode, Reply<Content> reply) {
  Outcome<Content> outcome;
  std::optional<cache::EntryKey> key;
  {
    absl::MutexLock lock(&mutex_);
    const Inode* found = table_.Find(inode);
    const auto* file = found == nullptr ? nullptr : std::get_if<FileVersion>(&found->body);
    if (file == nullptr) {
      outcome.error = found == nullptr ? ESTALE : EISDIR;
    } else if (file->bytes != nullptr) {
      outcome.value.bytes = file->bytes;
    } else if (!file->lost_size) {
      outcome.error = EIO;  // never opened
    } else if (file->slot->manifest_index == FileSlot::kNoLongerNamed) {
      outcome.error = ESTALE;
    } else {
      key = file->slot->key;
    }
  }
  if (!key) {
    reply(std::move(outcome));
    return;
  }
  Park(id, reply);
  cache_.Read(*key, Guarded([this, id, inode, reply = std::move(reply)](
                                const absl::StatusOr<cache::EntrySnapshot>& fetched) {
    FinishRead(id, inode, reply, fetched);
  }));
}

void OperationsImpl::FinishRead(RequestId id, InodeNumber inode, const Reply<Content>& reply,
                                const absl::StatusOr<cache::EntrySnapshot>& fetched) {
  if (!fetched.ok()) {
    ReplyError(id, reply, StatusToErrno(fetched.status()));
    return;
  }
  Apply(std::span(&*fetched, 1), SnapshotSource::kRead);
  Outcome<Content> outcome = Outcome<Content>::Fail(ESTALE);
  {
    TreeLock lock(*this);
    if (!Unpark(id)) return;
    Inode* found = table_.Find(inode);
    if (found != nullptr && fetched->secret != nullptr) {
      const auto& file = std::get<FileVersion>(found->body);
      // The current version has its content by now, if it is still that one; an older one may be
      // what the store gives all the same.
      if (file.bytes == nullptr) {
        const auto content = ExtractContent(file.slot->source, fetched->secret);
        if (content.ok()) Reattach(table_, *found, *fetched->secret, *content);
      }
      if (file.bytes != nullptr) outcome = {.error = 0, .value = {.bytes = file.bytes}};
    }
  }
  reply(std::move(outcome));
}

void OperationsImpl::Refresh(const std::string& path, std::function<void(absl::Status)> done) {
  std::set<cache::EntryKey> keys;
  bool known = path.empty();
  {
    absl::MutexLock lock(&mutex_);
    for (const InodeNumber root : browse_roots_) {
      known = MarkForRelisting(*FindBrowseDirectory(root), path) || known;
    }
    for (const auto& [key, entry] : entries_) {
      for (const auto& slot : entry.slots) {
        if (!IsWithin(slot->path, path)) continue;
        known = true;
        // A file that is named is fetched in any case; of a directory, what was fetched before.
        if (slot->path == path || slot->had_version) keys.insert(key);
      }
    }
  }
  auto pending = std::make_shared<PendingRefresh>();
  pending->waiting = keys.size();
  pending->done = std::move(done);
  if (!known) {
    pending->first_error = absl::NotFoundError(
        Format("no file \"{}\" in this mount, or nobody has read it yet", path));
  }
  // Plans are carried out in order: an empty one marks the moment when all updates are out.
  const auto finish = [this, pending] {
    PublishPlan barrier;
    barrier.done = [pending] { pending->Finish(); };
    sink_.Submit(std::move(barrier));
  };
  if (keys.empty()) {
    finish();
    return;
  }
  for (const cache::EntryKey& key : keys) {
    cache_.Refresh(
        key, Guarded([this, pending, finish](const absl::StatusOr<cache::EntrySnapshot>& fetched) {
          if (fetched.ok()) {
            Apply(std::span(&*fetched, 1), SnapshotSource::kRead);
            // "As Read": what is served while the store is down also says so.
            if (pending->first_error.ok()) pending->first_error = fetched->last_error;
          } else if (pending->first_error.ok()) {
            pending->first_error = fetched.status();
          }
          if (--pending->waiting == 0) finish();
        }));
  }
}

}  // namespace secretfs::fs
