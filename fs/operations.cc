#include "fs/operations.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
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

constexpr mode_t kOwnerWrite = 0200;

bool IsEmpty(const PublishPlan& plan) {
  return plan.stale_names.empty() && plan.stale_directories.empty() && !plan.data_target &&
         plan.touched_paths.empty() && plan.touched_inodes.empty() && !plan.done;
}

std::vector<providers::Capabilities> CapabilitiesOf(const MountSpec& spec,
                                                    const cache::Cache& cache) {
  std::vector<providers::Capabilities> capabilities;
  for (const BrowseSpec& browse : spec.browse) {
    capabilities.push_back(cache.StoreCapabilities(browse.store));
  }
  return capabilities;
}

}  // namespace

std::unique_ptr<Operations> Operations::Make(MountSpec spec, cache::Cache& cache,
                                             const Clock& clock, PublishSink& sink,
                                             GroupsOf groups_of, MountMemory memory) {
  if (!groups_of) groups_of = ProcessGroups;
  return std::make_unique<OperationsImpl>(std::move(spec), cache, clock, sink, std::move(groups_of),
                                          std::move(memory));
}

OperationsImpl::OperationsImpl(MountSpec spec, cache::Cache& cache, const Clock& clock,
                               PublishSink& sink, GroupsOf groups_of, MountMemory memory)
    : spec_(std::move(spec)),
      cache_(cache),
      clock_(clock),
      sink_(sink),
      groups_of_(std::move(groups_of)),
      memory_(std::move(memory)),
      capabilities_(CapabilitiesOf(spec_, cache)) {
  std::map<cache::EntryKey, cache::Policy> policies;
  for (const FileSpec& file : spec_.files) {
    const cache::EntryKey key{.store = file.store, .ref = file.ref};
    const auto [found, added] = policies.emplace(key, file.policy);
    if (!added) found->second = cache::Stricter(found->second, file.policy);
  }
  {
    TreeLock lock(*this);
    table_.changes().wanted = outlives();
    const bool browse_only = spec_.browse.size() == 1 && spec_.browse.front().path.empty();
    if (!browse_only) manifest_ = std::make_unique<ManifestTree>(spec_, table_);
    StartTree();
  }
  for (const auto& [key, policy] : policies) {
    cache::Interest interest = cache_.AddInterest(key, policy, /*pinned=*/true, this);
    absl::MutexLock lock(&mutex_);
    entries_[key].interest = std::move(interest);
  }
  std::map<cache::EntryKey, cache::Policy> restored;
  {
    absl::MutexLock lock(&mutex_);
    restored = keys_to_read_;
  }
  for (const auto& [key, policy] : restored) EnsureInterest(key, policy);
}

void OperationsImpl::Freeze() {
  cache_.RemoveListener(this);
  gate_->Close();
  std::unordered_map<uint64_t, std::function<void(int)>> parked;  // destroyed without the lock
  absl::MutexLock lock(&mutex_);
  parked.swap(parked_);
  swap_waiters_.clear();
}

OperationsImpl::~OperationsImpl() {
  cache_.RemoveListener(this);
  gate_->Close();
  std::unordered_map<uint64_t, std::function<void(int)>> parked;
  std::map<cache::EntryKey, WatchedEntry> entries;
  {
    absl::MutexLock lock(&mutex_);
    parked.swap(parked_);
    entries.swap(entries_);
  }
  for (const auto& [id, abort] : parked) abort(ENOTCONN);
}

// ---- what the cache says
// -------------------------------------------------------------------------

void OperationsImpl::OnEntriesChanged(std::span<const cache::EntrySnapshot> entries) {
  Apply(entries, SnapshotSource::kListener);
}

bool OperationsImpl::Remember(WatchedEntry& entry, const cache::EntrySnapshot& snapshot,
                              SnapshotSource source) {
  if (source == SnapshotSource::kRead && entry.informed &&
      snapshot.fetches <= entry.known.fetches) {
    return false;
  }
  const bool same_value =
      entry.informed && snapshot.secret != nullptr && snapshot.secret == entry.known.secret;
  entry.known = snapshot;
  entry.informed = true;
  return !same_value;
}

void OperationsImpl::Apply(std::span<const cache::EntrySnapshot> snapshots, SnapshotSource source) {
  PublishPlan plan;
  {
    TreeLock lock(*this);
    const WallTime now = clock_.WallNow();
    std::vector<FileChange> manifest_changes;
    std::vector<std::shared_ptr<FileSlot>> browsed;
    for (const cache::EntrySnapshot& snapshot : snapshots) {
      const auto found = entries_.find(snapshot.key);
      if (found == entries_.end() || !Remember(found->second, snapshot, source)) continue;
      for (const auto& slot : found->second.slots) {
        std::optional<FileChange> change = UpdateFile(table_, slot, snapshot, now);
        if (!change) continue;
        if (slot->manifest_index) {
          manifest_changes.push_back(*std::move(change));
        } else {
          OnBrowsedFileChange(*change, plan);
          browsed.push_back(slot);
        }
      }
      for (const InodeNumber directory : found->second.directories) {
        OnDirectorySecret(directory, snapshot, plan);
      }
    }
    uint64_t generation = 0;
    if (manifest_ != nullptr) generation = manifest_->Publish(manifest_changes, now, plan);
    if (!IsEmpty(plan) && generation == 0) {
      ++flat_updates_;
      table_.changes().tree = table_.changes().wanted;
    }
    Begin(plan, generation, std::move(browsed));
  }
  Submit(std::move(plan));
}

// ---- publishing
// ----------------------------------------------------------------------------------

void OperationsImpl::Begin(PublishPlan& plan, uint64_t generation,
                           std::vector<std::shared_ptr<FileSlot>> browsed) {
  if (IsEmpty(plan)) return;
  if (!outlives() && generation == 0 && browsed.empty()) return;  // nobody asks when it is done
  const uint64_t id = next_plan_++;
  PlanUnderWay& under_way = plans_[id];
  if (outlives()) {
    saved::Plan saved{.id = id, .generation = generation, .slots = {}, .plan = plan};
    for (const auto& slot : browsed) saved.slots.push_back(slot->id);
    under_way.payload = saved::Encode(saved);
    unwritten_plans_.push_back(id);
    table_.changes().tree = true;
  }
  under_way.generation = generation;
  for (const auto& slot : browsed) ++slot->unpublished;
  under_way.slots = std::move(browsed);
  plan.done = Guarded([this, id] { AfterPlan(id); });
}

void OperationsImpl::Submit(PublishPlan plan) {
  if (!IsEmpty(plan)) sink_.Submit(std::move(plan));
}

// The publisher has carried the plan out, as far as it could. If it could not move `..data` through
// the mount (the process may not write there), readers shall see the new generation all the same;
// only watchers of the root miss it. Of browsed files, the newest versions were looked up: from
// here on the kernel's lookups keep them.
void OperationsImpl::AfterPlan(uint64_t id) {
  ManifestTree::Swap swap;
  std::vector<SwapWaiter> waiters;
  PublishPlan plan;
  std::vector<cache::Interest> ended;  // before the lock: interests end without it
  {
    TreeLock lock(*this);
    const auto node = plans_.extract(id);
    if (node.empty()) return;
    const PlanUnderWay& done = node.mapped();
    if (done.record) table_.changes().erased.push_back(*done.record);
    for (const auto& slot : done.slots) {
      --slot->unpublished;
      ForgetBrowsedFile(slot, ended);
    }
    if (done.generation != 0) swap = manifest_->ForceSwap(done.generation, clock_.WallNow());
    if (swap.happened) {
      waiters = TakeSwapWaiters();
      plan = BeginAfterSwap(swap, /*forced=*/true);
    }
  }
  if (!swap.happened) return;
  Log().warn(
      "the update was published without an event for watchers of the mount's root, because "
      "..data could not be renamed through the mount");
  Submit(std::move(plan));
  AnswerSwapWaiters(waiters);
}

bool OperationsImpl::IsPublishingCurrent() const {
  const auto current = manifest_->current();
  return std::any_of(plans_.begin(), plans_.end(), [current](const auto& plan) {
    return plan.second.generation != 0 && plan.second.generation == current;
  });
}

PublishPlan OperationsImpl::BeginAfterSwap(const ManifestTree::Swap& swap, bool forced) {
  PublishPlan plan;
  const auto add = [&](const std::string& name) {
    plan.stale_names.push_back({.parent = kRootInode, .name = name, .path = name});
  };
  for (const std::string& name : swap.dropped_names) add(name);
  if (forced) add(std::string(kDataLink));
  if (!plan.stale_names.empty()) plan.stale_directories.push_back(kRootInode);
  Begin(plan);
  return plan;
}

// ESTALE lets the kernel walk the path again, by `..data` as it is now.
void OperationsImpl::AnswerSwapWaiters(const std::vector<SwapWaiter>& waiters) {
  for (const SwapWaiter& waiter : waiters) ReplyError(waiter.id, waiter.reply, ESTALE);
}

// Only the last of several swaps lets them go: the kernel walks a path again once, and would meet
// the next pending generation then.
std::vector<OperationsImpl::SwapWaiter> OperationsImpl::TakeSwapWaiters() {
  if (manifest_->is_swap_pending()) return {};
  return std::exchange(swap_waiters_, {});
}

Outcome<Entry> OperationsImpl::MakeSymlink(InodeNumber parent, std::string_view name,
                                           std::string_view target, const Caller& caller) {
  if (!caller.is_publisher || parent != kRootInode || name != kTemporaryDataLink) {
    return Outcome<Entry>::Fail(EROFS);
  }
  TreeLock lock(*this);
  if (manifest_ == nullptr) return Outcome<Entry>::Fail(EROFS);
  const auto link = manifest_->MakeTemporaryLink(target, clock_.WallNow());
  if (link.error != 0) return Outcome<Entry>::Fail(link.error);
  return Enter(*table_.Find(link.value), /*cacheable=*/true);
}

int OperationsImpl::Rename(InodeNumber parent, std::string_view name, InodeNumber new_parent,
                           std::string_view new_name, const Caller& caller) {
  if (!caller.is_publisher || parent != kRootInode || new_parent != kRootInode ||
      name != kTemporaryDataLink || new_name != kDataLink) {
    return EROFS;
  }
  std::vector<SwapWaiter> waiters;
  PublishPlan plan;
  {
    TreeLock lock(*this);
    if (manifest_ == nullptr) return EROFS;
    ManifestTree::Swap swap;
    const int error = manifest_->RenameTemporaryLink(IsPublishingCurrent(), clock_.WallNow(), swap);
    if (error != 0) return error;
    waiters = TakeSwapWaiters();
    plan = BeginAfterSwap(swap, /*forced=*/false);
  }
  Submit(std::move(plan));
  AnswerSwapWaiters(waiters);
  return 0;
}

int OperationsImpl::Unlink(InodeNumber parent, std::string_view name, const Caller& caller) {
  if (!caller.is_publisher || parent != kRootInode || name != kTemporaryDataLink) return EROFS;
  TreeLock lock(*this);
  return manifest_ == nullptr ? EROFS : manifest_->RemoveTemporaryLink();
}

Outcome<Attributes> OperationsImpl::Truncate(InodeNumber inode, uint64_t size,
                                             const Caller& caller) {
  absl::MutexLock lock(&mutex_);
  const Inode* found = table_.Find(inode);
  if (found == nullptr) return Outcome<Attributes>::Fail(ESTALE);
  const Attributes attributes = AttributesOf(*found);
  if (!caller.is_publisher || !S_ISREG(attributes.mode) || size != attributes.size) {
    return Outcome<Attributes>::Fail(EROFS);
  }
  return {.error = 0, .value = attributes};
}

// ---- looking at inodes
// ---------------------------------------------------------------------------

void OperationsImpl::Forget(InodeNumber inode, uint64_t count) {
  std::vector<cache::Interest> ended;  // before the lock: interests end without it
  TreeLock lock(*this);
  const Inode* found = table_.Find(inode);
  if (found == nullptr) return;
  // What the body says has to be read before the inode may go.
  std::shared_ptr<FileSlot> browsed;
  std::shared_ptr<BrowseDirectory> browsed_directory;
  std::optional<uint64_t> view;
  if (const auto* file = std::get_if<FileVersion>(&found->body)) {
    if (!file->slot->manifest_index) browsed = file->slot;
  } else if (const auto* directory = std::get_if<ViewDirectory>(&found->body)) {
    view = directory->view;
  } else if (const auto* known = std::get_if<std::shared_ptr<BrowseDirectory>>(&found->body)) {
    browsed_directory = *known;
  }
  const InodeNumber parent = found->parent;
  if (!table_.Forget(inode, count)) return;
  if (browsed != nullptr) {
    ForgetBrowsedFile(browsed, ended);
  } else if (browsed_directory != nullptr) {
    ForgetBrowsedDirectory(inode, parent, *browsed_directory, ended);
  } else if (view) {
    manifest_->OnForgotten(*view);
  }
}

Attributes OperationsImpl::FileAttributes(const FileSlot& slot) const {
  Attributes attributes;
  attributes.mode =
      S_IFREG | slot.mode | (spec_.publisher_needs_write_bit ? kOwnerWrite : mode_t{0});
  attributes.uid = spec_.uid;
  attributes.gid = spec_.gid;
  return attributes;
}

Attributes OperationsImpl::AttributesOf(const Inode& inode) const {
  Attributes attributes;
  if (const auto* file = std::get_if<FileVersion>(&inode.body)) {
    attributes = FileAttributes(*file->slot);
    attributes.size = file->bytes == nullptr ? file->lost_size.value_or(0) : file->bytes->size();
    attributes.modified = file->modified;
    attributes.settled = file->settled();
  } else if (const auto* link = std::get_if<Symlink>(&inode.body)) {
    attributes.mode = S_IFLNK | 0777;
    attributes.size = link->target.size();
    attributes.modified = link->modified;
  } else {
    attributes.mode = S_IFDIR | spec_.directory_mode;
    if (inode.number == kRootInode && spec_.layout == Layout::kAtomic) {
      attributes.modified = manifest_->root_modified();
      if (spec_.publisher_needs_write_bit) attributes.mode |= kOwnerWrite;
    } else if (const auto* directory = std::get_if<ViewDirectory>(&inode.body)) {
      attributes.modified = directory->modified;
    } else {
      attributes.modified = std::get<std::shared_ptr<BrowseDirectory>>(inode.body)->modified;
    }
  }
  attributes.inode = inode.number;
  attributes.uid = spec_.uid;
  attributes.gid = spec_.gid;
  return attributes;
}

void OperationsImpl::TellSize(Inode& inode) {
  auto* file = std::get_if<FileVersion>(&inode.body);
  if (file == nullptr || file->size_told == file->settled()) return;
  file->size_told = file->settled();
  table_.Note(inode);
}

Outcome<Attributes> OperationsImpl::GetAttributes(InodeNumber inode) {
  TreeLock lock(*this);
  Inode* found = table_.Find(inode);
  if (found == nullptr) return Outcome<Attributes>::Fail(ESTALE);
  TellSize(*found);
  return {.error = 0, .value = AttributesOf(*found)};
}

Outcome<std::string> OperationsImpl::ReadLink(InodeNumber inode) {
  absl::MutexLock lock(&mutex_);
  const Inode* found = table_.Find(inode);
  if (found == nullptr) return Outcome<std::string>::Fail(ESTALE);
  const auto* link = std::get_if<Symlink>(&found->body);
  if (link == nullptr) return Outcome<std::string>::Fail(EINVAL);
  return {.error = 0, .value = link->target};
}

// ---- status
// --------------------------------------------------------------------------------------

cache::EntryState OperationsImpl::StateOf(const WatchedEntry& entry) const {
  const bool over = entry.known.expires_at && *entry.known.expires_at <= clock_.WallNow();
  return entry.known.state == cache::EntryState::kFresh && over ? cache::EntryState::kStale
                                                                : entry.known.state;
}

std::string OperationsImpl::StateText(const FileSlot& slot, InodeNumber inode) const {
  // An older version that somebody still holds.
  cache::EntryState state = cache::EntryState::kStale;
  if (inode == slot.current) {
    const auto entry = entries_.find(slot.key);
    state = entry == entries_.end() ? cache::EntryState::kAbsent : StateOf(entry->second);
  }
  return std::string(cache::EntryStateName(state));
}

Outcome<std::string> OperationsImpl::GetExtendedAttribute(InodeNumber inode,
                                                          std::string_view name) {
  using Result = Outcome<std::string>;
  constexpr std::string_view kPrefix = "user.secretfs.";
  if (!name.starts_with(kPrefix)) return Result::Fail(ENODATA);
  name.remove_prefix(kPrefix.size());
  cache::StoreId store;
  {
    absl::MutexLock lock(&mutex_);
    const Inode* found = table_.Find(inode);
    if (found == nullptr) return Result::Fail(ESTALE);
    const auto* file = std::get_if<FileVersion>(&found->body);
    if (file == nullptr) return Result::Fail(ENODATA);
    const FileSlot& slot = *file->slot;
    const bool settled = file->settled();
    store = slot.key.store;
    if (name == "key") return {.error = 0, .value = slot.key.ref.key};
    if (name == "state") return {.error = 0, .value = StateText(slot, inode)};
    if (name == "version" && settled) return {.error = 0, .value = found->version};
    if (name == "fetched" && settled) return {.error = 0, .value = FormatTime(file->fetched)};
    if (name == "expires" && inode == slot.current) {
      const auto entry = entries_.find(slot.key);
      if (entry == entries_.end()) return Result::Fail(ENODATA);
      const std::optional<WallTime>& expires_at = entry->second.known.expires_at;
      if (!expires_at.has_value()) return Result::Fail(ENODATA);
      return {.error = 0, .value = FormatTime(*expires_at)};
    }
  }
  if (name == "store") return {.error = 0, .value = cache_.StoreName(store)};
  return Result::Fail(ENODATA);
}

Outcome<std::vector<std::string>> OperationsImpl::ListExtendedAttributes(InodeNumber inode) {
  std::vector<std::string> names;
  {
    absl::MutexLock lock(&mutex_);
    const Inode* found = table_.Find(inode);
    if (found == nullptr) return Outcome<std::vector<std::string>>::Fail(ESTALE);
    if (!std::holds_alternative<FileVersion>(found->body)) return {};
  }
  for (const std::string_view name : {"version", "store", "key", "fetched", "expires", "state"}) {
    std::string full = Format("user.secretfs.{}", name);
    if (GetExtendedAttribute(inode, full).error == 0) names.push_back(std::move(full));
  }
  return {.error = 0, .value = std::move(names)};
}

FileStatus OperationsImpl::StatusOf(const FileSlot& slot) const {
  FileStatus status;
  status.path = slot.path;
  status.key = slot.key.ref.key;
  if (const Inode* inode = table_.Find(slot.current)) status.version = inode->version;
  const auto found = entries_.find(slot.key);
  if (found == entries_.end()) return status;
  const cache::EntrySnapshot& known = found->second.known;
  status.state = StateOf(found->second);
  status.error = MessageOf(slot.error.ok() ? known.last_error : slot.error);
  status.fetched_at = known.fetched_at;
  status.expires_at = known.expires_at;
  status.next_refresh_at = known.next_refresh_at;
  return status;
}

std::vector<FileStatus> OperationsImpl::Files() {
  std::vector<std::pair<FileStatus, cache::StoreId>> found;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, entry] : entries_) {
      for (const auto& slot : entry.slots) {
        // Of a browse tree, what somebody read.
        if (slot->manifest_index || slot->had_version) {
          found.emplace_back(StatusOf(*slot), key.store);
        }
      }
    }
  }
  std::vector<FileStatus> files;
  files.reserve(found.size());
  for (auto& [status, store] : found) {
    status.store = cache_.StoreName(store);
    files.push_back(std::move(status));
  }
  std::sort(files.begin(), files.end(),
            [](const FileStatus& a, const FileStatus& b) { return a.path < b.path; });
  return files;
}

uint64_t OperationsImpl::generation() const {
  absl::MutexLock lock(&mutex_);
  return spec_.layout == Layout::kAtomic ? manifest_->swaps() : flat_updates_;
}

size_t OperationsImpl::parked_requests() const {
  absl::MutexLock lock(&mutex_);
  return parked_.size();
}

}  // namespace secretfs::fs
