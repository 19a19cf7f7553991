// Writing what changed into the memory that outlives the server. See operations_impl.h.

#include <utility>

#include "base/log.h"
#include "fs/operations_impl.h"

namespace secretfs::fs {

using saved::RecordType;

std::string OperationsImpl::ValueName(InodeNumber inode) const {
  return memory_.values_prefix + std::to_string(inode.value());
}

// Content first, records of it second, and both ended the other way round: whatever a server is
// killed in between leaves content without a record, which the next one erases.
void OperationsImpl::Save() {
  TreeChanges& changes = table_.changes();
  if (!outlives() || (changes.empty() && unwritten_plans_.empty())) return;
  KeepContent(changes);
  MountState& state = *memory_.state;
  {
    MountState::Transaction transaction(state);
    for (const InodeNumber number : changes.inodes) {
      Inode* inode = table_.Find(number);
      if (inode == nullptr) continue;
      inode->noted = false;
      const bool is_new = !inode->record;
      transaction.Put(inode->record, RecordType::kInode, saved::Encode(SavedInode(*inode)));
      if (!is_new || !inode->record) continue;
      inode->counter = &state.counter(*inode->record);
      inode->SetLookups(inode->lookups);
    }
    for (const auto& slot : changes.slots) {
      slot->noted = false;
      const bool is_named =
          slot->manifest_index.has_value() && *slot->manifest_index != FileSlot::kNoLongerNamed;
      if (is_named || !slot->versions.empty()) {
        transaction.Put(slot->record, RecordType::kSlot, saved::Encode(SavedSlot(*slot)));
      } else if (slot->record) {
        transaction.Erase(*std::exchange(slot->record, std::nullopt));
      }
    }
    for (const uint64_t view : changes.views) {
      std::optional<RecordId>* record = nullptr;
      const auto saved = manifest_->SaveView(view, record);
      if (saved) transaction.Put(*record, RecordType::kView, saved::Encode(*saved));
    }
    for (const uint64_t id : std::exchange(unwritten_plans_, {})) {
      const auto plan = plans_.find(id);
      if (plan == plans_.end()) continue;
      const std::string payload = std::exchange(plan->second.payload, {});
      transaction.Put(plan->second.record, RecordType::kPlan, payload);
    }
    for (const RecordId record : changes.erased) transaction.Erase(record);
    if (changes.tree) {
      saved::Tree tree;
      tree.next_inode = table_.next_number();
      tree.next_slot = next_slot_;
      tree.next_plan = next_plan_;
      tree.flat_updates = flat_updates_;
      if (manifest_ != nullptr) manifest_->Save(tree);
      transaction.Put(tree_record_, RecordType::kTree, saved::Encode(tree));
    }
  }
  if (memory_.values != nullptr) {
    for (const InodeNumber number : changes.ended_files) memory_.values->Erase(ValueName(number));
  }
  changes = TreeChanges();
  changes.wanted = true;
}

void OperationsImpl::KeepContent(const TreeChanges& changes) {
  if (memory_.values == nullptr) return;
  for (const InodeNumber number : changes.inodes) {
    Inode* inode = table_.Find(number);
    auto* file = inode == nullptr ? nullptr : std::get_if<FileVersion>(&inode->body);
    if (file == nullptr || file->bytes == nullptr || std::exchange(file->kept, true)) continue;
    if (memory_.values->Put(ValueName(number), file->bytes->bytes())) {
      values_full_ = false;
    } else if (!std::exchange(values_full_, true)) {
      Log().warn(
          "{}: no room to keep the value for the next server, which would have to fetch it again",
          file->slot->path);
    }
  }
}

saved::Inode OperationsImpl::SavedInode(const Inode& inode) const {
  saved::Inode result{.number = inode.number,
                      .parent = inode.parent,
                      .name = inode.name,
                      .version = inode.version,
                      .body = {}};
  if (const auto* file = std::get_if<FileVersion>(&inode.body)) {
    saved::FileInode body{.slot = file->slot->id,
                          .modified = file->modified,
                          .fetched = file->fetched,
                          .size = file->lost_size,
                          .size_told = file->size_told};
    if (file->bytes != nullptr) body.size = file->bytes->size();
    result.body = body;
  } else if (const auto* link = std::get_if<Symlink>(&inode.body)) {
    result.body = saved::LinkInode{.target = link->target, .modified = link->modified};
  } else if (const auto* directory = std::get_if<ViewDirectory>(&inode.body)) {
    result.body = saved::ViewInode{.view = directory->view,
                                   .path = manifest_->PathOf(*directory),
                                   .modified = directory->modified};
  } else {
    const auto& browsed = *std::get<std::shared_ptr<BrowseDirectory>>(inode.body);
    result.body = saved::BrowseInode{.tree = browsed.tree,
                                     .path = browsed.path,
                                     .store_path = browsed.store_path,
                                     .is_root = browsed.is_root,
                                     .named = inode.references > 0,
                                     .modified = browsed.modified,
                                     .is_prefix = browsed.is_prefix,
                                     .is_secret = browsed.is_secret,
                                     .has_fields = browsed.fields != nullptr};
  }
  return result;
}

saved::Slot OperationsImpl::SavedSlot(const FileSlot& slot) {
  saved::Slot result{.id = slot.id,
                     .path = slot.path,
                     .browsed = !slot.manifest_index.has_value(),
                     .current = slot.current,
                     .last_modified = slot.last_modified,
                     .had_version = slot.had_version,
                     .tree = 0,
                     .key = {},
                     .field = {},
                     .name = {},
                     .parent = {}};
  if (!result.browsed) return result;
  result.tree = slot.browse_tree;
  result.key = slot.key.ref.key;
  if (const auto* field = std::get_if<FieldValue>(&slot.source)) result.field = field->field;
  result.name = slot.name;
  result.parent = slot.parent;
  return result;
}

}  // namespace secretfs::fs
