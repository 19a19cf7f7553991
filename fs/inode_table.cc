#include "fs/inode_table.h"

#include <algorithm>
#include <utility>

#include "fs/browse_directory.h"
#include "fs/file_slot.h"

namespace secretfs::fs {

InodeTable::InodeTable() = default;
InodeTable::~InodeTable() = default;

Inode& InodeTable::Add(InodeNumber parent, std::string name, InodeBody body) {
  const InodeNumber number(next_number_++);
  Inode& inode = inodes_[number];
  inode.number = number;
  inode.parent = parent;
  inode.name = std::move(name);
  inode.references = 1;
  inode.body = std::move(body);
  return inode;
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
  EraseIfUnused(*inode);
}

bool InodeTable::Forget(InodeNumber number, uint64_t count) {
  Inode* inode = Find(number);
  if (inode == nullptr || inode->lookups == 0) return false;
  inode->lookups -= std::min(inode->lookups, count);
  if (inode->lookups > 0) return false;
  EraseIfUnused(*inode);
  return true;
}

void InodeTable::EraseIfUnused(Inode& inode) {
  if (inode.lookups > 0 || inode.references > 0) return;
  const InodeNumber number = inode.number;
  if (auto* file = std::get_if<FileVersion>(&inode.body)) {
    // The slot may go with its last version: keep it until the list is changed.
    const std::shared_ptr<FileSlot> slot = file->slot;
    std::erase(slot->versions, number);
    inodes_.erase(number);
    return;
  }
  inodes_.erase(number);
}

}  // namespace secretfs::fs
