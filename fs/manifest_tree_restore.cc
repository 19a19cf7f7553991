// The manifest's tree in the memory that outlives a server: what is written, and how the next
// server puts it together again. See manifest_tree.h.
//
// What is missing is made anew, so that a mount can be served whatever was found; with memory that
// never ran full, nothing is missing.

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "fs/manifest_tree.h"
#include "fs/names.h"
#include "fs/saved_checks.h"

namespace secretfs::fs {

void ManifestTree::Save(saved::Tree& tree) const {
  tree.atomic = atomic();
  tree.last_view = last_view_;
  tree.newest = newest_;
  tree.current = current_;
  tree.data_link = data_link_;
  tree.temporary_link = temporary_link_;
  tree.last_generation_time = last_generation_time_;
  tree.root_modified = root_modified_;
  tree.swaps = swaps_;
}

std::optional<saved::View> ManifestTree::SaveView(uint64_t number,
                                                  std::optional<RecordId>*& record) {
  const auto found = views_.find(number);
  if (found == views_.end()) return std::nullopt;
  View& view = found->second;
  record = &view.record;
  saved::View result{.number = number, .name = view.name, .directories = {}, .files = {}};
  for (size_t i = 0; i < view.directories.size(); ++i) {
    result.directories.emplace_back(skeleton_[i].path, view.directories[i]);
  }
  for (size_t i = 0; i < view.files.size(); ++i) {
    if (view.files[i] != InodeNumber()) result.files.emplace_back(slots_[i]->id, view.files[i]);
  }
  return result;
}

ViewDirectory ManifestTree::BodyOf(const saved::ViewInode& inode) const {
  const std::optional<size_t> directory = FindSkeletonDirectory(inode.path);
  // There is no view 0: whoever looks into such a directory is told to walk the path again.
  return {.view = directory ? inode.view : 0,
          .directory = directory.value_or(0),
          .modified = Bounded(inode.modified)};
}

void ManifestTree::Restore(const SavedTree& saved, WallTime now,
                           const std::function<const FileSlot*(uint64_t)>& slot_at) {
  const saved::Tree& tree = saved.tree->value;
  last_generation_time_ = Bounded(tree.last_generation_time);
  root_modified_ = Bounded(tree.root_modified);
  swaps_ = tree.swaps;
  table_.AddReference(kRootInode);
  for (const auto& view : saved.views) {
    // Flat: there is one. Atomic: one that is shown, or will be, has a name.
    const bool can_be = atomic() ? view.value.number < tree.current || !view.value.name.empty()
                                 : view.value.number == tree.current;
    if (can_be) {
      RestoreView(view, now, slot_at);
    } else {
      table_.changes().erased.push_back(view.record);
    }
  }
  last_view_ = tree.last_view;
  if (!views_.empty()) last_view_ = std::max(last_view_, views_.rbegin()->first);
  newest_ = tree.newest;
  current_ = tree.current;
  if (!views_.contains(current_)) {
    current_ = newest_ = AddView(atomic() ? NextGenerationName(now) : std::string(),
                                 atomic() ? InodeNumber() : kRootInode, now);
    // With what is known of the files: the store will not say again what has not changed.
    View& view = views_.at(current_);
    for (size_t i = 0; atomic() && i < slots_.size(); ++i) {
      view.files[i] = slots_[i]->current;
      if (view.files[i] != InodeNumber()) table_.AddReference(view.files[i]);
    }
    NoteView(current_);
  } else if (!views_.contains(newest_)) {
    newest_ = views_.rbegin()->first;
  }
  auto& root = std::get<ViewDirectory>(table_.Find(kRootInode)->body);
  root.view = atomic() ? 0 : current_;
  root.directory = 0;
  SetParents();
  if (atomic()) RestoreLinks(saved, now);
  NoteTree();
  std::vector<uint64_t> over;
  for (const auto& [number, view] : views_) over.push_back(number);
  for (const uint64_t number : over) {
    if (number < current_) FreeIfUnused(number);
  }
}

void ManifestTree::RestoreView(const SavedTree::Kept<saved::View>& saved, WallTime now,
                               const std::function<const FileSlot*(uint64_t)>& slot_at) {
  const uint64_t number = saved.value.number;
  if (number == 0) return;
  View& view = views_[number];
  view.name = saved.value.name;
  view.record = saved.record;
  view.directories.resize(skeleton_.size());
  view.files.resize(slots_.size());
  for (const auto& [path, inode] : saved.value.directories) {
    const std::optional<size_t> index = FindSkeletonDirectory(path);
    const Inode* found = table_.Find(inode);
    if (!index || found == nullptr || view.directories[*index] != InodeNumber()) continue;
    const auto* body = std::get_if<ViewDirectory>(&found->body);
    if (body == nullptr || body->view != number || body->directory != *index) continue;
    view.directories[*index] = inode;
    // The root has one reference in any case.
    if (inode != kRootInode) table_.AddReference(inode);
  }
  if (!atomic()) view.directories[0] = kRootInode;
  for (size_t i = 0; i < skeleton_.size(); ++i) {
    if (view.directories[i] != InodeNumber()) continue;
    view.directories[i] = AddViewDirectory(view, number, i, now);
    NoteView(number);
  }
  if (!atomic()) return;
  for (const auto& [id, inode] : saved.value.files) {
    const FileSlot* slot = slot_at(id);
    const Inode* found = table_.Find(inode);
    if (slot == nullptr || found == nullptr) continue;
    const auto* file = std::get_if<FileVersion>(&found->body);
    InodeNumber& place = view.files[*slot->manifest_index];
    if (file == nullptr || file->slot.get() != slot || place != InodeNumber()) continue;
    place = inode;
    table_.AddReference(inode);
  }
}

void ManifestTree::RestoreLinks(const SavedTree& saved, WallTime now) {
  const auto is_link = [&](InodeNumber inode) {
    const Inode* found = table_.Find(inode);
    return found != nullptr && std::holds_alternative<Symlink>(found->body);
  };
  const auto keep = [&](InodeNumber inode) {
    table_.AddReference(inode);
    return inode;
  };
  const saved::Tree& tree = saved.tree->value;
  const std::string& target = views_.at(current_).name;
  const bool data_stands = is_link(tree.data_link) &&
                           std::get<Symlink>(table_.Find(tree.data_link)->body).target == target;
  data_link_ = data_stands ? keep(tree.data_link) : AddLink(kDataLink, target, now);
  if (tree.temporary_link != data_link_ && is_link(tree.temporary_link)) {
    temporary_link_ = keep(tree.temporary_link);
  }
  // Of each name there was never more than one inode.
  std::map<std::string, InodeNumber, std::less<>> known;
  for (const auto& inode : saved.inodes) {
    if (inode.value.parent == kRootInode && is_link(inode.value.number)) {
      known[inode.value.name] = inode.value.number;
    }
  }
  const auto restore = [&](const std::string& name) {
    const auto found = known.find(name);
    links_[name] = found != known.end() ? keep(found->second)
                                        : AddLink(name, Format("{}/{}", kDataLink, name), now);
  };
  for (const auto& [name, index] : skeleton_[0].directories) restore(name);
  for (const auto& [name, index] : skeleton_[0].files) restore(name);
}

PublishPlan ManifestTree::PlanOfPendingSwap() const {
  PublishPlan plan;
  if (!is_swap_pending()) return plan;
  const View& before = views_.at(current_);
  const View& after = views_.at(newest_);
  plan.data_target = after.name;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (before.files[i] == after.files[i]) continue;
    if (after.files[i] != InodeNumber()) plan.touched_paths.push_back(slots_[i]->path);
    const auto older = OlderKnownVersions(table_, *slots_[i]);
    plan.touched_inodes.insert(plan.touched_inodes.end(), older.begin(), older.end());
  }
  return plan;
}

}  // namespace secretfs::fs
