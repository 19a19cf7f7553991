// Putting together again what an earlier server of the mount left, and going on where it was
// killed. See operations_impl.h.
//
// Restored are the inodes with their numbers, lookups and content, and everything that leads to
// them. Not restored is what the store says again when it is asked: listings, fields, states.

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "fs/names.h"
#include "fs/operations_impl.h"
#include "fs/saved_checks.h"

namespace secretfs::fs {
void OperationsImpl::StartTree() {
  if (manifest_ != nullptr) {
    for (const auto& slot : manifest_->slots()) {
      WatchedEntry& entry = entries_[slot->key];
      entry.pinned = entry.interested = true;
      entry.known.key = slot->key;
      entry.slots.push_back(slot);
    }
    next_slot_ = manifest_->slots().size() + 1;
  }
  SavedTree saved;
  if (outlives()) saved = memory_.state->TakeTree();
  table_.ReserveBelow(std::min(memory_.first_number, kMostNumber));
  if (saved.tree) DropUnbelievable(saved);
  if (saved.tree && Fits(saved)) {
    RestoreTree(saved);
  } else {
    StartAnew(saved);
  }
  EraseForgottenContent();
}

void OperationsImpl::DropUnbelievable(SavedTree& saved) {
  auto& erased = table_.changes().erased;
  const size_t before = erased.size();
  const auto sift = [&erased](auto& list, const auto& is_believable) {
    std::erase_if(list, [&](const auto& kept) {
      if (is_believable(kept.value)) return false;
      erased.push_back(kept.record);
      return true;
    });
  };
  const bool manifest = manifest_ != nullptr;
  sift(saved.inodes, [&](const auto& inode) { return IsBelievable(inode, spec_, manifest); });
  sift(saved.slots, [&](const auto& slot) { return IsBelievable(slot, spec_); });
  sift(saved.views, [&](const auto& view) { return manifest && IsBelievable(view, spec_.layout); });
  sift(saved.plans, [](const auto& plan) { return plan.id != 0 && plan.id <= kMostNumber; });
  if (erased.size() == before) return;
  Log().error(
      "{} things that the last server wrote down of the mount cannot be true, and are not used: "
      "was it taken over?",
      erased.size() - before);
}

// Nothing that the kernel knows exists any more, but its numbers must not come back, and its names
// must not stay.
void OperationsImpl::StartAnew(const SavedTree& saved) {
  auto& erased = table_.changes().erased;
  const auto erase = [&](const auto& list) {
    for (const auto& kept : list) erased.push_back(kept.record);
  };
  if (saved.tree) {
    Log().warn("the tree of the mount is made anew: open files have to be opened again");
    erase(saved.inodes);
    erase(saved.slots);
    erase(saved.views);
    erase(saved.plans);
    tree_record_ = saved.tree->record;
    if (saved.tree->value.next_inode <= kMostNumber) {
      table_.ReserveBelow(saved.tree->value.next_inode);
    }
    for (const auto& kept : saved.inodes) {
      table_.ReserveBelow(kept.value.number.value() + 1);
      if (kept.value.parent == kRootInode) forgotten_names_.insert(kept.value.name);
    }
    forgotten_names_.erase("");
  }
  if (manifest_ != nullptr) manifest_->Start(clock_.WallNow());
  AddBrowseTrees();
  if (!saved.tree || manifest_ == nullptr) return;
  for (const DirectoryEntry& entry : manifest_->List(*table_.Find(kRootInode))) {
    forgotten_names_.insert(entry.name);
  }
}

bool OperationsImpl::Fits(const SavedTree& saved) const {
  if (!IsBelievable(saved.tree->value) || saved.inodes.empty() ||
      saved.inodes.front().value.number != kRootInode) {
    return false;
  }
  const bool has_manifest =
      std::holds_alternative<saved::ViewInode>(saved.inodes.front().value.body);
  if (has_manifest != (manifest_ != nullptr)) return false;
  return !has_manifest || saved.tree->value.atomic == (spec_.layout == Layout::kAtomic);
}

void OperationsImpl::RestoreTree(const SavedTree& saved) {
  resumes_ = true;
  const saved::Tree& tree = saved.tree->value;
  tree_record_ = saved.tree->record;
  table_.ReserveBelow(tree.next_inode);
  next_slot_ = std::max<uint64_t>(tree.next_slot, 1);
  next_plan_ = std::max<uint64_t>(tree.next_plan, 1);
  flat_updates_ = tree.flat_updates;

  const SlotsById slots = RestoreSlots(saved);
  for (const auto& inode : saved.inodes) {
    if (!RestoreInode(inode, slots)) table_.changes().erased.push_back(inode.record);
  }
  for (const auto& kept : saved.slots) {
    const std::shared_ptr<FileSlot>& slot = slots.at(kept.value.id);
    const Inode* inode = table_.Find(kept.value.current);
    const auto* file = inode == nullptr ? nullptr : std::get_if<FileVersion>(&inode->body);
    if (file == nullptr || file->slot != slot) continue;
    if (slot->manifest_index == FileSlot::kNoLongerNamed) continue;
    slot->current = inode->number;
    table_.AddReference(inode->number);
    if (slot->manifest_index) keys_to_read_.emplace(slot->key, cache::Policy());
  }
  if (manifest_ != nullptr) {
    manifest_->Restore(saved, clock_.WallNow(), [&slots](uint64_t id) -> const FileSlot* {
      const auto found = slots.find(id);
      if (found == slots.end() || !found->second->manifest_index ||
          *found->second->manifest_index == FileSlot::kNoLongerNamed) {
        return nullptr;
      }
      return found->second.get();
    });
  }
  RestoreBrowseTrees(saved, slots);
  RestorePlans(saved, slots);
  DropUnusedAfterRestore(slots);
  table_.changes().tree = true;
}

OperationsImpl::SlotsById OperationsImpl::RestoreSlots(const SavedTree& saved) {
  SlotsById slots;
  if (manifest_ != nullptr) {
    for (const auto& slot : manifest_->slots()) slot->id = 0;
  }
  for (const auto& kept : saved.slots) {
    const std::shared_ptr<FileSlot> slot = RestoreSlot(kept.value);
    slot->id = kept.value.id;
    slot->last_modified = Bounded(kept.value.last_modified);
    slot->had_version = kept.value.had_version;
    slot->record = kept.record;
    slots.emplace(slot->id, slot);
    next_slot_ = std::max(next_slot_, slot->id + 1);
    if (slot->manifest_index == FileSlot::kNoLongerNamed) table_.NoteSlot(slot);
  }
  if (manifest_ == nullptr) return slots;
  for (const auto& slot : manifest_->slots()) {
    if (slot->id != 0) continue;
    slot->id = next_slot_++;
    table_.NoteSlot(slot);
  }
  return slots;
}

std::shared_ptr<FileSlot> OperationsImpl::RestoreSlot(const saved::Slot& saved) {
  if (!saved.browsed) {
    std::shared_ptr<FileSlot> slot;
    if (manifest_ != nullptr) slot = manifest_->FindSlot(saved.path);
    if (slot != nullptr && slot->id == 0) return slot;
  }
  auto slot = std::make_shared<FileSlot>();
  slot->path = saved.path;
  slot->name = LeafOf(saved.path);
  slot->mode = spec_.file_mode;
  if (!saved.browsed || saved.tree >= spec_.browse.size()) {
    slot->manifest_index = FileSlot::kNoLongerNamed;
    return slot;
  }
  slot->key.store = spec_.browse[saved.tree].store;
  slot->key.ref.key = saved.key;
  if (saved.field) slot->source = FieldValue{.field = *saved.field};
  slot->name = saved.name;
  slot->parent = saved.parent;
  slot->browse_tree = saved.tree;
  return slot;
}

bool OperationsImpl::RestoreInode(const SavedTree::Kept<saved::Inode>& kept,
                                  const SlotsById& slots) {
  const saved::Inode& saved = kept.value;
  std::optional<InodeBody> body = RestoreBody(saved, slots);
  if (!body || saved.number == InodeNumber()) return false;
  Inode inode;
  inode.number = saved.number;
  inode.parent = saved.parent;
  inode.name = saved.name;
  inode.version = saved.version;
  inode.body = *std::move(body);
  inode.record = kept.record;
  inode.counter = &memory_.state->counter(kept.record);
  inode.SetLookups(std::min(inode.counter->load(std::memory_order_acquire), kMostNumber));
  std::shared_ptr<FileSlot> slot;
  if (const auto* file = std::get_if<FileVersion>(&inode.body)) slot = file->slot;
  if (!table_.Restore(std::move(inode))) return false;
  if (slot != nullptr) slot->versions.push_back(saved.number);
  return true;
}

std::optional<InodeBody> OperationsImpl::RestoreBody(const saved::Inode& saved,
                                                     const SlotsById& slots) {
  if (const auto* view = std::get_if<saved::ViewInode>(&saved.body)) {
    if (manifest_ == nullptr) return std::nullopt;
    return manifest_->BodyOf(*view);
  }
  if (const auto* link = std::get_if<saved::LinkInode>(&saved.body)) {
    return Symlink{.target = link->target, .modified = Bounded(link->modified)};
  }
  if (const auto* file = std::get_if<saved::FileInode>(&saved.body)) {
    const auto slot = slots.find(file->slot);
    if (slot == slots.end()) return std::nullopt;
    FileVersion version{.slot = slot->second,
                        .bytes = nullptr,
                        .modified = Bounded(file->modified),
                        .fetched = Bounded(file->fetched),
                        .size_told = file->size_told};
    if (!file->size) return version;
    std::optional<SecretBytes> bytes;
    if (memory_.values != nullptr) bytes = memory_.values->Get(ValueName(saved.number));
    if (bytes && bytes->size() == *file->size) {
      version.bytes = std::make_shared<const SecretBytes>(*std::move(bytes));
      version.kept = true;
    } else {
      version.lost_size = file->size;
    }
    return version;
  }
  const auto& browse = std::get<saved::BrowseInode>(saved.body);
  if (browse.tree >= spec_.browse.size()) return std::nullopt;
  auto directory = std::make_shared<BrowseDirectory>();
  directory->tree = browse.tree;
  directory->path = browse.path;
  directory->store_path = browse.store_path;
  directory->is_root = browse.is_root;
  directory->modified = Bounded(browse.modified);
  directory->is_prefix = browse.is_prefix;
  directory->is_secret = browse.is_secret;
  directory->facts_at = clock_.Now();
  return directory;
}

void OperationsImpl::RestoreBrowseTrees(const SavedTree& saved, const SlotsById& slots) {
  std::vector<InodeNumber> roots(spec_.browse.size());
  // Of two children with one name the younger one is what the name leads to.
  struct NamedChild {
    InodeNumber parent;
    std::string name;
    BrowseDirectory::Child child;
  };
  std::map<InodeNumber, NamedChild> named;
  // Whether what says that it stands in `parent` does so by its path too. (A parent that the kernel
  // forgot first is gone.)
  const auto stands_in = [this](InodeNumber parent_number, size_t tree, const std::string& path) {
    const BrowseDirectory* parent = FindBrowseDirectory(parent_number);
    if (parent == nullptr) return true;
    const size_t slash = path.rfind('/');
    return parent->tree == tree &&
           parent->path == (slash == std::string::npos ? "" : path.substr(0, slash));
  };
  for (const auto& kept : saved.inodes) {
    const auto* browse = std::get_if<saved::BrowseInode>(&kept.value.body);
    const InodeNumber number = kept.value.number;
    if (browse == nullptr || FindBrowseDirectory(number) == nullptr) continue;
    if (browse->is_root) {
      // The first: of a tree that is the whole mount, the root.
      InodeNumber& root = roots[browse->tree];
      if (root == InodeNumber()) root = number;
    } else if (browse->named && stands_in(kept.value.parent, browse->tree, browse->path)) {
      table_.AddReference(number);
      named[number] = {.parent = kept.value.parent,
                       .name = kept.value.name,
                       .child = {.directory = number, .file = nullptr}};
    }
    if (!browse->has_fields) continue;
    const BrowseSpec& spec = spec_.browse[browse->tree];
    const cache::EntryKey key = FindBrowseDirectory(number)->key(spec.store);
    WatchedEntry& entry = entries_[key];
    entry.known.key = key;
    entry.directories.push_back(number);
    keys_to_read_.emplace(key, spec.policy);
  }
  for (const auto& [id, slot] : slots) {
    if (slot->manifest_index || slot->current == InodeNumber() ||
        !stands_in(slot->parent, slot->browse_tree, slot->path)) {
      continue;
    }
    named[slot->current] = {.parent = slot->parent,
                            .name = slot->name,
                            .child = {.directory = InodeNumber(), .file = slot}};
    WatchedEntry& entry = entries_[slot->key];
    entry.known.key = slot->key;
    entry.slots.push_back(slot);
    // Somebody may watch what was read once.
    if (slot->had_version) {
      keys_to_read_.emplace(slot->key, spec_.browse[slot->browse_tree].policy);
    }
  }
  for (auto& [number, found] : named) {
    if (BrowseDirectory* parent = FindBrowseDirectory(found.parent)) {
      parent->children[found.name] = std::move(found.child);
    }
  }
  for (size_t i = 0; i < roots.size(); ++i) AddBrowseTree(i, roots[i]);
}

void OperationsImpl::RestorePlans(const SavedTree& saved, const SlotsById& slots) {
  for (const auto& kept : saved.plans) {
    PublishPlan plan = kept.value.plan;
    fs::DropUnbelievable(plan);
    PlanUnderWay& under_way = plans_[kept.value.id];
    // One that is over, or never was, is not switched to.
    const bool leads_there = manifest_ != nullptr && plan.data_target &&
                             manifest_->GenerationOf(*plan.data_target) == kept.value.generation;
    under_way.generation = leads_there ? kept.value.generation : 0;
    if (!leads_there) plan.data_target.reset();
    under_way.record = kept.record;
    for (const uint64_t id : kept.value.slots) {
      const auto slot = slots.find(id);
      if (slot == slots.end() || slot->second->manifest_index) continue;
      ++slot->second->unpublished;
      under_way.slots.push_back(slot->second);
    }
    plans_to_resume_[kept.value.id] = std::move(plan);
    next_plan_ = std::max(next_plan_, kept.value.id + 1);
  }
}

// What the kernel forgot, or never heard of, in the moment when the earlier server was killed.
void OperationsImpl::DropUnusedAfterRestore(const SlotsById& slots) {
  std::vector<cache::Interest> ended;  // none: interests are made after this
  for (const auto& [id, slot] : slots) {
    if (!slot->manifest_index && slot->current != InodeNumber()) ForgetBrowsedFile(slot, ended);
  }
  for (const InodeNumber number : table_.Numbers()) {
    const Inode* inode = table_.Find(number);
    if (inode == nullptr || inode->lookups > 0) continue;
    const auto* found = std::get_if<std::shared_ptr<BrowseDirectory>>(&inode->body);
    if (found == nullptr || (*found)->is_root) continue;
    const std::shared_ptr<BrowseDirectory> directory = *found;
    ForgetBrowsedDirectory(number, inode->parent, *directory, ended);
  }
  table_.RemoveUnused();
  std::erase_if(keys_to_read_, [&](const auto& key) { return !entries_.contains(key.first); });
}

void OperationsImpl::EraseForgottenContent() {
  if (!outlives() || memory_.values == nullptr) return;
  for (const std::string& name : memory_.values->Names(memory_.values_prefix)) {
    const char* const begin = name.data() + memory_.values_prefix.size();
    const char* const end = name.data() + name.size();
    uint64_t number = 0;
    const auto parsed = std::from_chars(begin, end, number);
    const Inode* inode = parsed.ptr == end ? table_.Find(InodeNumber(number)) : nullptr;
    const auto* file = inode == nullptr ? nullptr : std::get_if<FileVersion>(&inode->body);
    if (file == nullptr || !file->kept) memory_.values->Erase(name);
  }
}

// ---- going on
// ------------------------------------------------------------------------------------

void OperationsImpl::Trim(PublishPlan& plan, uint64_t& generation) {
  const auto is_gone = [this](InodeNumber inode) { return table_.Find(inode) == nullptr; };
  std::erase_if(plan.stale_directories, is_gone);
  std::erase_if(plan.touched_inodes, is_gone);
  if (!plan.data_target) return;
  // The current generation is shown again, as long as none is about to follow: who watches may not
  // have heard of it.
  if (manifest_ == nullptr || manifest_->GenerationOf(*plan.data_target) != generation) {
    generation = 0;  // it is over
    plan.data_target.reset();
  } else if (generation == manifest_->current() && manifest_->is_swap_pending()) {
    plan.data_target.reset();
  }
}

void OperationsImpl::Resume() {
  std::vector<PublishPlan> plans;
  std::map<cache::EntryKey, cache::Policy> keys;
  {
    TreeLock lock(*this);
    if (!forgotten_names_.empty()) {
      PublishPlan plan;
      plan.stale_directories.push_back(kRootInode);
      for (const std::string& name : std::exchange(forgotten_names_, {})) {
        plan.stale_names.push_back({.parent = kRootInode, .name = name, .path = name});
      }
      Begin(plan);
      plans.push_back(std::move(plan));
    }
    bool newest_is_told = false, moves_link = false;
    resumes_ = false;
    for (auto& [id, plan] : plans_to_resume_) {
      const auto under_way = plans_.find(id);
      if (under_way == plans_.end()) continue;
      Trim(plan, under_way->second.generation);
      moves_link = moves_link || plan.data_target.has_value();
      newest_is_told = newest_is_told || (manifest_ != nullptr && plan.data_target &&
                                          under_way->second.generation == manifest_->newest());
      plan.done = Guarded([this, id = id] { AfterPlan(id); });
      plans.push_back(std::move(plan));
    }
    plans_to_resume_.clear();
    if (manifest_ != nullptr && manifest_->is_swap_pending() && !newest_is_told) {
      PublishPlan plan = manifest_->PlanOfPendingSwap();
      Begin(plan, manifest_->newest());
      plans.push_back(std::move(plan));
      moves_link = true;
    }
    if (manifest_ != nullptr && manifest_->has_temporary_link() && !moves_link) {
      // Nobody is going to move it.
      manifest_->RemoveTemporaryLink();
      const std::string name(kTemporaryDataLink);
      PublishPlan plan;
      plan.stale_names.push_back({.parent = kRootInode, .name = name, .path = name});
      Begin(plan);
      plans.push_back(std::move(plan));
    }
    keys.swap(keys_to_read_);
  }
  for (PublishPlan& plan : plans) Submit(std::move(plan));
  std::vector<cache::EntryKey> together;
  for (const auto& [key, policy] : keys) together.push_back(key);
  if (!together.empty()) cache_.Prefetch(together);
  for (const cache::EntryKey& key : together) {
    cache_.Read(key, Guarded([this](const absl::StatusOr<cache::EntrySnapshot>& fetched) {
                  // Otherwise the cache tries again by itself, and tells.
                  if (fetched.ok()) Apply(std::span(&*fetched, 1), SnapshotSource::kRead);
                }));
  }
}

}  // namespace secretfs::fs
