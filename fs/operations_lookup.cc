// Lookup, and the life of parked requests. See operations_impl.h.

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/errno_table.h"
#include "fs/access_check.h"
#include "fs/names.h"
#include "fs/operations_impl.h"

namespace secretfs::fs {

Outcome<Entry> OperationsImpl::Enter(Inode& inode, bool cacheable) {
  inode.SetLookups(inode.lookups + 1);
  TellSize(inode);
  return {.error = 0, .value = {.attributes = AttributesOf(inode), .cacheable = cacheable}};
}

OperationsImpl::LookupStep OperationsImpl::LookAt(InodeNumber parent, std::string_view name,
                                                  const Caller& caller) {
  LookupStep step;
  step.outcome = Outcome<Entry>::Fail(ENOENT);
  const Inode* directory = table_.Find(parent);
  if (directory == nullptr) {
    step.outcome = Outcome<Entry>::Fail(ESTALE);
    return step;
  }
  if (caller.is_publisher && parent == kRootInode) {
    if (const auto hidden = ParseHiddenInodeName(name)) {
      Inode* inode = table_.Find(*hidden);
      if (inode != nullptr && std::holds_alternative<FileVersion>(inode->body)) {
        step.outcome = Enter(*inode, /*cacheable=*/false);
      }
      return step;
    }
  }
  if (std::holds_alternative<ViewDirectory>(directory->body)) {
    return LookAtManifest(*directory, name, caller.is_publisher);
  }
  if (const auto* browsed = std::get_if<std::shared_ptr<BrowseDirectory>>(&directory->body)) {
    step.kind = LookupStep::Kind::kBrowse;
    if (!caller.is_publisher) return step;
    step.kind = LookupStep::Kind::kReply;
    const auto child = (*browsed)->children.find(std::string(name));
    if (child == (*browsed)->children.end()) return step;
    Inode* inode = table_.Find(child->second.file == nullptr ? child->second.directory
                                                             : child->second.file->current);
    if (inode != nullptr) step.outcome = Enter(*inode, /*cacheable=*/true);
    return step;
  }
  step.outcome = Outcome<Entry>::Fail(ENOTDIR);
  return step;
}

OperationsImpl::LookupStep OperationsImpl::LookAtManifest(const Inode& directory,
                                                          std::string_view name,
                                                          bool is_publisher) {
  LookupStep step;
  const ManifestTree::Child child = manifest_->Find(directory, name);
  switch (child.kind) {
    case ManifestTree::Child::Kind::kNone:
      step.outcome = Outcome<Entry>::Fail(ENOENT);
      break;
    case ManifestTree::Child::Kind::kInode: {
      // Should the store have another version by now, the caller had better open that one.
      const auto* file = std::get_if<FileVersion>(&table_.Find(child.inode)->body);
      if (!is_publisher && file != nullptr && file->lost_size &&
          file->slot->current == child.inode) {
        step.kind = LookupStep::Kind::kFetch;
        step.key = file->slot->key;
        step.attributes = FileAttributes(*file->slot);
        break;
      }
      step.outcome = Enter(*table_.Find(child.inode), /*cacheable=*/true);
      break;
    }
    case ManifestTree::Child::Kind::kStale:
      step.outcome = Outcome<Entry>::Fail(ESTALE);
      break;
    case ManifestTree::Child::Kind::kWaitForSwap:
      step.kind = LookupStep::Kind::kWaitForSwap;
      break;
    case ManifestTree::Child::Kind::kAbsent:
      step.kind = LookupStep::Kind::kFetch;
      step.key = child.slot->key;
      step.attributes = FileAttributes(*child.slot);
      break;
  }
  return step;
}

void OperationsImpl::Lookup(RequestId id, InodeNumber parent, std::string_view name,
                            const Caller& caller, Reply<Entry> reply) {
  LookupStep step;
  {
    TreeLock lock(*this);
    step = LookAt(parent, name, caller);
    if (caller.is_publisher && step.kind != LookupStep::Kind::kReply) {
      // The publisher touches what is there; it must not wait for a store, let alone for itself.
      step.outcome = Outcome<Entry>::Fail(ESTALE);
      step.kind = LookupStep::Kind::kReply;
    }
    if (step.kind == LookupStep::Kind::kWaitForSwap) {
      parked_[id.value()] = [reply](int error) { reply(Outcome<Entry>::Fail(error)); };
      swap_waiters_.push_back({.id = id, .reply = reply});
      return;
    }
  }
  switch (step.kind) {
    case LookupStep::Kind::kReply:
      reply(std::move(step.outcome));
      return;
    case LookupStep::Kind::kBrowse:
      LookupInBrowseTree(id, parent, name, caller, std::move(reply));
      return;
    case LookupStep::Kind::kFetch:
    case LookupStep::Kind::kWaitForSwap:
      FetchForLookup(id, parent, std::string(name), caller, std::move(step), std::move(reply));
      return;
  }
}

void OperationsImpl::FetchForLookup(RequestId id, InodeNumber parent, std::string name,
                                    const Caller& caller, LookupStep step, Reply<Entry> reply) {
  if (!MayRead(caller, step.attributes, groups_of_)) {
    reply(Outcome<Entry>::Fail(EACCES));
    return;
  }
  Park(id, reply);
  std::vector<cache::EntryKey> together;
  {
    absl::MutexLock lock(&mutex_);
    const Inode* directory = table_.Find(parent);
    if (directory != nullptr && manifest_->ClaimPrefetch(*directory)) {
      // The files of an atomic mount are one unit: they come from one snapshot of the store.
      for (const auto& [key, entry] : entries_) {
        if (entry.known.secret == nullptr) together.push_back(key);
      }
    }
  }
  if (!together.empty()) cache_.Prefetch(std::move(together));
  cache_.Read(step.key,
              Guarded([this, id, parent, name = std::move(name), reply = std::move(reply)](
                          const absl::StatusOr<cache::EntrySnapshot>& fetched) {
                FinishLookup(id, parent, name, reply, fetched);
              }));
}

void OperationsImpl::FinishLookup(RequestId id, InodeNumber parent, const std::string& name,
                                  const Reply<Entry>& reply,
                                  const absl::StatusOr<cache::EntrySnapshot>& fetched) {
  if (!fetched.ok()) {
    ReplyError(id, reply, StatusToErrno(fetched.status()));
    return;
  }
  Apply(std::span(&*fetched, 1), SnapshotSource::kRead);
  Outcome<Entry> outcome = Outcome<Entry>::Fail(ESTALE);
  {
    TreeLock lock(*this);
    // Before the lookup is counted: an interrupted request must not leave one behind.
    if (!parked_.contains(id.value())) return;
    if (const Inode* directory = table_.Find(parent)) {
      LookupStep step = LookAtManifest(*directory, name, /*is_publisher=*/false);
      switch (step.kind) {
        case LookupStep::Kind::kWaitForSwap:
          swap_waiters_.push_back({.id = id, .reply = reply});
          return;
        case LookupStep::Kind::kFetch: {
          // The secret came, but not this file's part of it; or it was withdrawn meanwhile.
          const ManifestTree::Child child = manifest_->Find(*directory, name);
          const bool lost = child.kind == ManifestTree::Child::Kind::kInode;
          const FileSlot& slot =
              lost ? *std::get<FileVersion>(table_.Find(child.inode)->body).slot : *child.slot;
          const int error = StatusToErrno(slot.error);
          outcome = Outcome<Entry>::Fail(error != 0 ? error : lost ? EIO : ENOENT);
          break;
        }
        default:
          outcome = std::move(step.outcome);
      }
    }
    Unpark(id);
  }
  reply(std::move(outcome));
}

void OperationsImpl::OpenDirectory(RequestId id, InodeNumber inode, const Caller& caller,
                                   Reply<DirectoryListing> reply) {
  Outcome<DirectoryListing> outcome = Outcome<DirectoryListing>::Fail(ENOTDIR);
  {
    absl::MutexLock lock(&mutex_);
    const Inode* found = table_.Find(inode);
    if (found == nullptr) {
      outcome = Outcome<DirectoryListing>::Fail(ESTALE);
    } else if (std::holds_alternative<ViewDirectory>(found->body)) {
      outcome = {
          .error = 0,
          .value = std::make_shared<const std::vector<DirectoryEntry>>(manifest_->List(*found))};
    } else if (std::holds_alternative<std::shared_ptr<BrowseDirectory>>(found->body)) {
      outcome.error = -1;
    }
  }
  if (outcome.error >= 0) {
    reply(std::move(outcome));
  } else {
    OpenBrowseDirectory(id, inode, caller, std::move(reply));
  }
}

void OperationsImpl::Interrupt(RequestId id) {
  std::function<void(int)> abort;
  {
    absl::MutexLock lock(&mutex_);
    const auto parked = parked_.find(id.value());
    if (parked == parked_.end()) return;
    abort = std::move(parked->second);
    parked_.erase(parked);
    std::erase_if(swap_waiters_, [id](const SwapWaiter& waiter) { return waiter.id == id; });
  }
  abort(EINTR);
}

}  // namespace secretfs::fs
