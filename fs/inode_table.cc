#include "fs/inode_table.h"

#include <algorithm>
#include <utility>

#include "fs/browse_directory.h"
#include "fs/file_slot.h"

namespace secretfs::fs {

InodeTable::InodeTable() = default;
InodeTable::~InodeTable() = default;

Inode& InodeTable::Add(InodeNumber parent, std::string name, InodeBody body) {
  // The first is the root, whatever was reserved.
  const InodeNumber number = inodes_.empty() ? kRootInode : InodeNumber(next_number_);
  ReserveBelow(number.value() + 1);
  Inode& inode = inodes_[number];
  inode.number = number;
  inode.parent = parent;
  inode.name = std::move(name);
  inode.references = 1;
  inode.body = std::move(body);
  Note(inode);
  changes_.tree = changes_.wanted;
  return inode;
}

void InodeTable::Note(Inode& inode) {
  if (!changes_.wanted || inode.noted) return;
  inode.noted = true;
  changes_.inodes.push_back(inode.number);
}

void InodeTable::Note(InodeNumber number) {
  if (Inode* inode = Find(number)) Note(*inode);
}

void InodeTable::NoteSlot(const std::shared_ptr<FileSlot>& slot) {
  if (!changes_.wanted || slot->noted) return;
  slot->noted = true;
  changes_.slots.push_back(slot);
}

Inode* InodeTable::Find(InodeNumber number) {
  const auto found = inodes_.find(number);
  return found == inodes_.end() ? nullptr : &found->second;
}

const Inode* InodeTable::Find(InodeNumber number) const {
  const auto found = inodes_.find(number);
  return found == inodes_.end() ? nullptr : &found->second;
}

void InodeTable::AddReference(InodeNumber number) {
  if (Inode* inode = Find(number)) ++inode->references;
}

void InodeTable::DropReference(InodeNumber number) {
  Inode* inode = Find(number);
  if (inode == nullptr) return;
  if (inode->references > 0) --inode->references;
  // Of a browsed directory, only this says whether its name still leads to it.
  if (std::holds_alternative<std::shared_ptr<BrowseDirectory>>(inode->body)) Note(*inode);
  EraseIfUnused(*inode);
}

bool InodeTable::Forget(InodeNumber number, uint64_t count) {
  Inode* inode = Find(number);
  if (inode == nullptr || inode->lookups == 0) return false;
  inode->SetLookups(inode->lookups - std::min(inode->lookups, count));
  if (inode->lookups > 0) return false;
  EraseIfUnused(*inode);
  return true;
}

void InodeTable::EraseIfUnused(Inode& inode) {
  if (inode.lookups > 0 || inode.references > 0) return;
  const InodeNumber number = inode.number;
  if (inode.record) changes_.erased.push_back(*inode.record);
  if (auto* file = std::get_if<FileVersion>(&inode.body)) {
    // The slot may go with its last version: keep it until the list is changed.
    const std::shared_ptr<FileSlot> slot = file->slot;
    if (changes_.wanted) changes_.ended_files.push_back(number);
    std::erase(slot->versions, number);
    if (slot->versions.empty()) NoteSlot(slot);
    inodes_.erase(number);
    return;
  }
  inodes_.erase(number);
}

bool InodeTable::Restore(Inode inode) {
  inode.references = 0;
  const InodeNumber number = inode.number;
  ReserveBelow(number.value() + 1);
  return inodes_.emplace(number, std::move(inode)).second;
}

void InodeTable::RemoveUnused() {
  for (const InodeNumber number : Numbers()) {
    if (Inode* inode = Find(number)) EraseIfUnused(*inode);
  }
}

std::vector<InodeNumber> InodeTable::Numbers() const {
  std::vector<InodeNumber> numbers;
  numbers.reserve(inodes_.size());
  for (const auto& [number, inode] : inodes_) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace secretfs::fs
