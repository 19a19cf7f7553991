// What is known of the browse trees, and how it changes. See operations_impl.h and
// browse_directory.h.
//
// Invariant: a child stands in its directory's `children` exactly while the kernel may know its
// name: it is entered by a lookup, and leaves when the kernel forgets it or when its name leads
// elsewhere.

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fs/names.h"
#include "fs/operations_impl.h"

namespace secretfs::fs {
namespace {

std::string JoinShownPath(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

cache::EntryKey KeyOfFile(const BrowseDirectory& parent, const BrowseName& name,
                          cache::StoreId store) {
  cache::EntryKey key = parent.key(store);
  if (name.kind == BrowseName::Kind::kValue) {
    key.ref.key = JoinStorePath(parent.store_path, name.name);
  }
  return key;
}

bool IsField(const FileSlot& slot) { return std::holds_alternative<FieldValue>(slot.source); }

// Whether the child is what `name` says.
bool Matches(const BrowseDirectory& parent, const BrowseDirectory::Child& child,
             const BrowseName& name) {
  if (child.file == nullptr) return name.kind == BrowseName::Kind::kDirectory;
  const auto* field = std::get_if<FieldValue>(&child.file->source);
  switch (name.kind) {
    case BrowseName::Kind::kDirectory:
      return false;
    case BrowseName::Kind::kField:
      return field != nullptr && field->field == name.name;
    case BrowseName::Kind::kValue:
      return field == nullptr &&
             child.file->key.ref.key == JoinStorePath(parent.store_path, name.name);
  }
  return false;
}

Fact FactOf(bool known) { return known ? Fact::kYes : Fact::kNo; }

void AddStaleDirectory(InodeNumber directory, PublishPlan& plan) {
  auto& stale = plan.stale_directories;
  if (std::find(stale.begin(), stale.end(), directory) == stale.end()) stale.push_back(directory);
}

}  // namespace

void OperationsImpl::AddBrowseTrees() {
  for (size_t i = 0; i < spec_.browse.size(); ++i) AddBrowseTree(i, InodeNumber());
}

void OperationsImpl::AddBrowseTree(size_t tree, InodeNumber inode) {
  const BrowseSpec& spec = spec_.browse[tree];
  if (table_.Find(inode) == nullptr) {
    auto directory = std::make_shared<BrowseDirectory>();
    directory->tree = tree;
    directory->path = spec.path;
    directory->store_path = spec.prefix;
    directory->is_root = true;
    directory->modified = clock_.WallNow();
    directory->facts_at = clock_.Now();
    if (spec.prefix.empty()) {
      directory->is_prefix = Fact::kYes;
      directory->is_secret = Fact::kNo;
    }
    const InodeNumber parent = spec.path.empty() ? InodeNumber() : manifest_->ParentOf(spec.path);
    inode =
        table_.Add(parent, spec.path.substr(spec.path.rfind('/') + 1), std::move(directory)).number;
  } else {
    table_.AddReference(inode);
  }
  browse_roots_.push_back(inode);
  if (!spec.path.empty()) manifest_->AddBrowseRoot(spec.path, inode);
}

BrowseDirectory* OperationsImpl::FindBrowseDirectory(InodeNumber number) {
  Inode* inode = table_.Find(number);
  if (inode == nullptr) return nullptr;
  auto* directory = std::get_if<std::shared_ptr<BrowseDirectory>>(&inode->body);
  return directory == nullptr ? nullptr : directory->get();
}

// ---- entering names
// ------------------------------------------------------------------------------

Inode& OperationsImpl::NewBrowsedFile(const Inode& parent_inode, const BrowseName& name) {
  const BrowseDirectory& parent = *std::get<std::shared_ptr<BrowseDirectory>>(parent_inode.body);
  auto slot = std::make_shared<FileSlot>();
  slot->id = next_slot_++;
  slot->key = KeyOfFile(parent, name, spec_.browse[parent.tree].store);
  if (name.kind == BrowseName::Kind::kField) {
    slot->source = FieldValue{.field = name.name};
  } else {
    slot->source = WholeValue{};
  }
  slot->path = JoinShownPath(parent.path, name.shown);
  slot->name = name.shown;
  slot->parent = parent_inode.number;
  slot->mode = spec_.file_mode;
  slot->browse_tree = parent.tree;
  WatchedEntry& entry = entries_[slot->key];
  entry.known.key = slot->key;
  entry.slots.push_back(slot);
  FileVersion version{.slot = slot,
                      .bytes = nullptr,
                      .modified = clock_.WallNow(),
                      .fetched = {},
                      .size_told = false};
  Inode& inode = table_.Add(parent_inode.number, name.shown, std::move(version));
  slot->current = inode.number;
  slot->versions.push_back(inode.number);
  table_.NoteSlot(slot);
  return inode;
}

Outcome<Entry> OperationsImpl::EnterChild(Inode& parent_inode, const BrowseName& name,
                                          const cache::EntrySnapshot* fetched) {
  BrowseDirectory& parent = *std::get<std::shared_ptr<BrowseDirectory>>(parent_inode.body);
  BrowseDirectory::Child& child = parent.children[name.shown];
  if (name.kind == BrowseName::Kind::kDirectory) {
    Inode* inode = table_.Find(child.directory);
    if (inode == nullptr) {
      auto directory = std::make_shared<BrowseDirectory>();
      directory->tree = parent.tree;
      directory->path = JoinShownPath(parent.path, name.shown);
      directory->store_path = JoinStorePath(parent.store_path, name.name);
      directory->modified = clock_.WallNow();
      inode = &table_.Add(parent_inode.number, name.shown, std::move(directory));
      child = {.directory = inode->number, .file = nullptr};
    }
    BrowseDirectory& directory = *std::get<std::shared_ptr<BrowseDirectory>>(inode->body);
    directory.facts_at = clock_.Now();
    // A name that was probed, not listed, is known only in part.
    const Fact otherwise = parent.listed == nullptr ? Fact::kUnknown : Fact::kNo;
    const Fact is_prefix = name.is_prefix ? Fact::kYes : otherwise;
    const Fact is_secret = name.is_secret ? Fact::kYes : otherwise;
    if (is_prefix != directory.is_prefix || is_secret != directory.is_secret) table_.Note(*inode);
    directory.is_prefix = is_prefix;
    directory.is_secret = is_secret;
    return Enter(*inode, /*cacheable=*/true);
  }
  Inode* inode = child.file == nullptr ? nullptr : table_.Find(child.file->current);
  if (inode == nullptr || !Matches(parent, child, name)) {
    inode = &NewBrowsedFile(parent_inode, name);
    child = {.directory = InodeNumber(), .file = std::get<FileVersion>(inode->body).slot};
  }
  const std::shared_ptr<FileSlot> slot = child.file;
  WatchedEntry& entry = entries_[slot->key];
  if (fetched != nullptr) Remember(entry, *fetched, SnapshotSource::kRead);
  if (entry.informed && std::get<FileVersion>(inode->body).bytes == nullptr) {
    // What is known already need not wait for an open.
    if (const auto change = UpdateFile(table_, slot, entry.known, clock_.WallNow())) {
      // Withdrawn, so there is nothing to enter.
      std::erase(entry.slots, slot);
      parent.children.erase(name.shown);
      table_.DropReference(change->before);
      return Outcome<Entry>::Fail(ENOENT);
    }
  }
  return Enter(*inode, /*cacheable=*/true);
}

// ---- listings and fields
// -------------------------------------------------------------------------

void OperationsImpl::SetListing(InodeNumber number, std::vector<providers::ListEntry> entries,
                                PublishPlan& plan) {
  BrowseDirectory* directory = FindBrowseDirectory(number);
  if (directory == nullptr) return;
  directory->listed_at = directory->facts_at = clock_.Now();
  directory->relist = false;
  directory->list_denied_until.reset();
  if (!directory->is_root && directory->is_prefix != FactOf(!entries.empty())) {
    directory->is_prefix = FactOf(!entries.empty());
    table_.Note(number);
  }
  auto table = std::make_shared<const NameTable>(
      NameTable::OfListing(std::move(entries), capabilities_[directory->tree].structured));
  if (directory->listed != nullptr && directory->listed->names() == table->names()) {
    // What was found out about a child meanwhile (its secret was gone for a moment) is corrected.
    ReconcileChildren(number, plan);
    return;
  }
  if (directory->listed != nullptr) {
    directory->modified = clock_.WallNow();
    table_.Note(number);
    AddStaleDirectory(number, plan);
  }
  directory->listed = std::move(table);
  // Names that the store took are no longer free for fields.
  const auto entry = entries_.find(directory->key(spec_.browse[directory->tree].store));
  if (directory->fields != nullptr && entry != entries_.end() &&
      entry->second.known.secret != nullptr) {
    directory->fields = std::make_shared<const NameTable>(
        NameTable::OfFields(*entry->second.known.secret, directory->listed.get()));
  }
  ReconcileChildren(number, plan);
}

void OperationsImpl::OnDirectorySecret(InodeNumber number, const cache::EntrySnapshot& snapshot,
                                       PublishPlan& plan) {
  BrowseDirectory* directory = FindBrowseDirectory(number);
  if (directory == nullptr) return;
  const std::shared_ptr<const NameTable> before = directory->fields;
  const Fact was_secret = directory->is_secret;
  if (snapshot.secret != nullptr) {
    directory->is_secret = Fact::kYes;
    directory->fields = std::make_shared<const NameTable>(
        NameTable::OfFields(*snapshot.secret, directory->listed.get()));
  } else if (snapshot.state == cache::EntryState::kGone ||
             snapshot.state == cache::EntryState::kExpired) {
    directory->fields = nullptr;
  }
  if ((before == nullptr) != (directory->fields == nullptr) || was_secret != directory->is_secret) {
    table_.Note(number);
  }
  const auto names = [](const auto& table) {
    return table == nullptr ? std::vector<BrowseName>() : table->names();
  };
  if (before == nullptr || names(before) == names(directory->fields)) return;
  directory->modified = clock_.WallNow();
  table_.Note(number);
  AddStaleDirectory(number, plan);
  ReconcileChildren(number, plan);
}

void OperationsImpl::ReconcileChildren(InodeNumber number, PublishPlan& plan) {
  BrowseDirectory& directory = *FindBrowseDirectory(number);
  std::vector<std::string> removed;
  for (auto& [shown, child] : directory.children) {
    const BrowseName* name = directory.listed ? directory.listed->Find(shown) : nullptr;
    if (name == nullptr && directory.fields != nullptr) name = directory.fields->Find(shown);
    if (name != nullptr) {
      if (!Matches(directory, child, *name)) {
        removed.push_back(shown);
      } else if (BrowseDirectory* below = FindBrowseDirectory(child.directory)) {
        if (below->is_prefix != FactOf(name->is_prefix) ||
            below->is_secret != FactOf(name->is_secret)) {
          table_.Note(child.directory);
        }
        below->is_prefix = FactOf(name->is_prefix);
        below->is_secret = FactOf(name->is_secret);
        below->facts_at = clock_.Now();
      }
      continue;
    }
    // Without a listing, only fields can be known to be gone.
    const bool is_field = child.file != nullptr && IsField(*child.file);
    if (is_field ? directory.fields != nullptr : directory.listed != nullptr) {
      removed.push_back(shown);
    }
  }
  for (const std::string& shown : removed) RemoveChild(number, shown, plan);
}

void OperationsImpl::RemoveChild(InodeNumber number, const std::string& shown, PublishPlan& plan) {
  BrowseDirectory& directory = *FindBrowseDirectory(number);
  const auto node = directory.children.extract(shown);
  if (node.empty()) return;
  const BrowseDirectory::Child& child = node.mapped();
  plan.stale_names.push_back(
      {.parent = number, .name = shown, .path = JoinShownPath(directory.path, shown)});
  AddStaleDirectory(number, plan);
  if (child.file == nullptr) {
    table_.DropReference(child.directory);
    return;
  }
  // The slot has no name any more: it must not publish anything either. Its entry ends when the
  // kernel forgets the last version.
  if (const auto entry = entries_.find(child.file->key); entry != entries_.end()) {
    std::erase(entry->second.slots, child.file);
  }
  const InodeNumber before = std::exchange(child.file->current, InodeNumber());
  table_.NoteSlot(child.file);
  const auto older = OlderKnownVersions(table_, *child.file);
  plan.touched_inodes.insert(plan.touched_inodes.end(), older.begin(), older.end());
  table_.DropReference(before);
}

void OperationsImpl::OnBrowsedFileChange(const FileChange& change, PublishPlan& plan) {
  AddFlatChange(table_, change, plan);
  table_.DropReference(change.before);
  BrowseDirectory* parent = FindBrowseDirectory(change.slot->parent);
  if (parent == nullptr) return;
  parent->modified = clock_.WallNow();
  table_.Note(change.slot->parent);
  // A value was withdrawn: whether the name still stands, only the store can say.
  if (change.after == InodeNumber()) parent->relist = true;
}

void OperationsImpl::DropBrowsedName(const std::shared_ptr<FileSlot>& slot, PublishPlan& plan) {
  BrowseDirectory* parent = FindBrowseDirectory(slot->parent);
  if (parent == nullptr) return;
  parent->relist = true;
  const auto child = parent->children.find(slot->name);
  if (child != parent->children.end() && child->second.file == slot) {
    RemoveChild(slot->parent, slot->name, plan);
  }
}

void OperationsImpl::DropVanishedDirectory(InodeNumber number, PublishPlan& plan) {
  const Inode* inode = table_.Find(number);
  BrowseDirectory* parent = FindBrowseDirectory(inode->parent);
  if (FindBrowseDirectory(number)->is_root || parent == nullptr) return;
  parent->relist = true;
  const auto child = parent->children.find(inode->name);
  if (child != parent->children.end() && child->second.directory == number) {
    RemoveChild(inode->parent, inode->name, plan);
  }
}

bool OperationsImpl::MarkForRelisting(BrowseDirectory& directory, std::string_view path) {
  const bool within = IsWithin(directory.path, path);
  if (!within && !IsWithin(path, directory.path)) return false;
  directory.relist = true;
  directory.list_denied_until.reset();
  if (directory.is_secret == Fact::kNo) directory.is_secret = Fact::kUnknown;
  bool marked = within;
  for (auto& [name, child] : directory.children) {
    if (BrowseDirectory* below = FindBrowseDirectory(child.directory)) {
      marked = MarkForRelisting(*below, path) || marked;
    }
  }
  return marked;
}

// ---- what the kernel forgets
// ---------------------------------------------------------------------

void OperationsImpl::ForgetBrowsedFile(const std::shared_ptr<FileSlot>& slot,
                                       std::vector<cache::Interest>& ended) {
  if (slot->unpublished != 0) return;
  for (const InodeNumber version : slot->versions) {
    const Inode* inode = table_.Find(version);
    if (inode != nullptr && inode->lookups > 0) return;
  }
  if (BrowseDirectory* parent = FindBrowseDirectory(slot->parent)) {
    const auto child = parent->children.find(slot->name);
    if (child != parent->children.end() && child->second.file == slot) {
      parent->children.erase(child);
    }
  }
  table_.DropReference(std::exchange(slot->current, InodeNumber()));
  table_.NoteSlot(slot);
  if (const auto entry = entries_.find(slot->key); entry != entries_.end()) {
    std::erase(entry->second.slots, slot);
  }
  EndEntryIfUnused(slot->key, ended);
}

void OperationsImpl::ForgetBrowsedDirectory(InodeNumber number, InodeNumber parent_number,
                                            const BrowseDirectory& directory,
                                            std::vector<cache::Interest>& ended) {
  const cache::EntryKey key = directory.key(spec_.browse[directory.tree].store);
  if (const auto entry = entries_.find(key); entry != entries_.end()) {
    std::erase(entry->second.directories, number);
    EndEntryIfUnused(key, ended);
  }
  if (directory.is_root) {
    // Its own inode stays, without what the entry kept up to date.
    FindBrowseDirectory(number)->fields = nullptr;
    table_.Note(number);
    return;
  }
  const std::string name = directory.path.substr(directory.path.rfind('/') + 1);
  bool named = false;
  if (BrowseDirectory* parent = FindBrowseDirectory(parent_number)) {
    const auto child = parent->children.find(name);
    named = child != parent->children.end() && child->second.directory == number;
    if (named) parent->children.erase(child);
  }
  // The parent's reference. A parent that went first has left it behind.
  if (named || FindBrowseDirectory(parent_number) == nullptr) table_.DropReference(number);
}

void OperationsImpl::EndEntryIfUnused(const cache::EntryKey& key,
                                      std::vector<cache::Interest>& ended) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  WatchedEntry& entry = found->second;
  if (entry.pinned || !entry.slots.empty() || !entry.directories.empty()) return;
  ended.push_back(std::move(entry.interest));
  entries_.erase(found);
}

void OperationsImpl::EnsureInterest(const cache::EntryKey& key, const cache::Policy& policy) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end() || found->second.interested) return;
    found->second.interested = true;
    found->second.informed = false;  // the cache may have counted anew meanwhile
  }
  cache::Interest interest = cache_.AddInterest(key, policy, /*pinned=*/false, this);
  absl::MutexLock lock(&mutex_);
  // Forgotten meanwhile: the interest ends after the lock.
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  found->second.interested = true;
  std::swap(found->second.interest, interest);
}

}  // namespace secretfs::fs
