#include "fs/manifest_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "fs/names.h"

namespace secretfs::fs {
namespace {

using Child = ManifestTree::Child;

std::pair<std::string_view, std::string_view> SplitLast(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Child Found(InodeNumber inode) { return {.kind = Child::Kind::kInode, .inode = inode, .slot = {}}; }

}  // namespace

void AddFlatChange(const InodeTable& table, const FileChange& change, PublishPlan& plan) {
  const FileSlot& slot = *change.slot;
  plan.stale_names.push_back({.parent = slot.parent, .name = slot.name, .path = slot.path});
  if (std::find(plan.stale_directories.begin(), plan.stale_directories.end(), slot.parent) ==
      plan.stale_directories.end()) {
    plan.stale_directories.push_back(slot.parent);
  }
  if (change.after != InodeNumber()) plan.touched_paths.push_back(slot.path);
  const auto older = OlderKnownVersions(table, slot);
  plan.touched_inodes.insert(plan.touched_inodes.end(), older.begin(), older.end());
}

ManifestTree::ManifestTree(const MountSpec& spec, InodeTable& table)
    : layout_(spec.layout), table_(table) {
  BuildSkeleton(spec);
}

void ManifestTree::Start(WallTime now) {
  root_modified_ = now;
  const InodeNumber root =
      table_.Add(InodeNumber(), "", ViewDirectory{.view = 0, .directory = 0, .modified = now})
          .number;
  for (const auto& slot : slots_) table_.NoteSlot(slot);
  if (!atomic()) {
    current_ = newest_ = AddView("", root, now);
    SetParents();
    return;
  }
  current_ = newest_ = AddView(NextGenerationName(now), InodeNumber(), now);
  data_link_ = AddLink(kDataLink, views_[current_].name, now);
  for (const auto& [name, index] : skeleton_[0].directories) {
    links_[name] = AddLink(name, Format("{}/{}", kDataLink, name), now);
  }
  for (const auto& [name, index] : skeleton_[0].files) {
    links_[name] = AddLink(name, Format("{}/{}", kDataLink, name), now);
  }
}

void ManifestTree::SetParents() {
  if (atomic()) return;
  for (const auto& slot : slots_) slot->parent = ParentOf(slot->path);
}

InodeNumber ManifestTree::AddLink(std::string_view name, std::string target, WallTime now) {
  return table_
      .Add(kRootInode, std::string(name), Symlink{.target = std::move(target), .modified = now})
      .number;
}

void ManifestTree::NoteView(uint64_t view) {
  if (table_.changes().wanted) table_.changes().views.insert(view);
}

void ManifestTree::NoteTree() { table_.changes().tree = table_.changes().wanted; }

void ManifestTree::BuildSkeleton(const MountSpec& spec) {
  skeleton_.emplace_back();
  for (size_t i = 0; i < spec.files.size(); ++i) {
    const FileSpec& file = spec.files[i];
    const auto [directory, name] = SplitLast(file.path);
    auto slot = std::make_shared<FileSlot>();
    slot->id = i + 1;
    slot->key = {.store = file.store, .ref = file.ref};
    slot->source = file.selection;
    slot->path = file.path;
    slot->name = name;
    slot->mode = file.mode.value_or(spec.file_mode);
    slot->manifest_index = i;
    skeleton_[SkeletonDirectoryOf(directory)].files.emplace(name, i);
    slots_.push_back(std::move(slot));
  }
  for (const BrowseSpec& browse : spec.browse) SkeletonDirectoryOf(SplitLast(browse.path).first);
}

size_t ManifestTree::SkeletonDirectoryOf(std::string_view path) {
  if (path.empty()) return 0;
  const auto [parent_path, name] = SplitLast(path);
  const size_t parent = SkeletonDirectoryOf(parent_path);
  const auto found = skeleton_[parent].directories.find(name);
  if (found != skeleton_[parent].directories.end()) return found->second;
  const size_t index = skeleton_.size();
  skeleton_[parent].directories.emplace(name, index);
  skeleton_.emplace_back().path = path;
  return index;
}

std::optional<size_t> ManifestTree::FindSkeletonDirectory(std::string_view path) const {
  for (size_t i = 0; i < skeleton_.size(); ++i) {
    if (skeleton_[i].path == path) return i;
  }
  return std::nullopt;
}

std::shared_ptr<FileSlot> ManifestTree::FindSlot(std::string_view path) const {
  const auto [parent, name] = SplitLast(path);
  const auto directory = FindSkeletonDirectory(parent);
  if (!directory) return nullptr;
  const auto found = skeleton_[*directory].files.find(name);
  return found == skeleton_[*directory].files.end() ? nullptr : slots_[found->second];
}

uint64_t ManifestTree::AddView(std::string name, InodeNumber root, WallTime now) {
  const uint64_t number = ++last_view_;
  View& view = views_[number];
  view.name = std::move(name);
  view.directories.resize(skeleton_.size());
  view.files.resize(slots_.size());
  for (size_t i = 0; i < skeleton_.size(); ++i) {
    if (i == 0 && root != InodeNumber()) {
      table_.Find(root)->body = ViewDirectory{.view = number, .directory = 0, .modified = now};
      table_.Note(root);
      view.directories[0] = root;
      continue;
    }
    view.directories[i] = AddViewDirectory(view, number, i, now);
  }
  NoteView(number);
  return number;
}

InodeNumber ManifestTree::AddViewDirectory(const View& view, uint64_t number, size_t index,
                                           WallTime now) {
  const auto [parent_path, component] = SplitLast(skeleton_[index].path);
  const ViewDirectory body{.view = number, .directory = index, .modified = now};
  // A parent stands before its children in the skeleton.
  const InodeNumber parent =
      index == 0 ? kRootInode : view.directories[SkeletonDirectoryOf(parent_path)];
  return table_.Add(parent, index == 0 ? view.name : std::string(component), body).number;
}

std::string ManifestTree::NextGenerationName(WallTime now) {
  last_generation_time_ = std::max(now, last_generation_time_ + Duration(1));
  return GenerationName(last_generation_time_);
}

InodeNumber ManifestTree::ParentOf(const std::string& path) {
  return views_.at(current_).directories[SkeletonDirectoryOf(SplitLast(path).first)];
}

void ManifestTree::AddBrowseRoot(const std::string& path, InodeNumber inode) {
  const auto [parent, name] = SplitLast(path);
  skeleton_[SkeletonDirectoryOf(parent)].browse.emplace(name, inode);
}

Child ManifestTree::FindInAtomicRoot(std::string_view name) const {
  if (name == kDataLink) return Found(data_link_);
  if (name == kTemporaryDataLink) {
    return temporary_link_ == InodeNumber() ? Child{} : Found(temporary_link_);
  }
  if (const auto link = links_.find(name); link != links_.end()) return Found(link->second);
  for (const auto& [number, view] : views_) {
    if (!view.name.empty() && view.name == name) return Found(view.directories[0]);
  }
  // A generation that is over. Whoever asks read `..data` before two swaps: he shall read it again,
  // instead of seeing a gap.
  const std::string& current = views_.at(current_).name;
  if (name.size() == current.size() && name.starts_with("..") && name < current) {
    return {.kind = Child::Kind::kStale, .inode = {}, .slot = nullptr};
  }
  return {};
}

Child ManifestTree::Find(const Inode& directory, std::string_view name) const {
  if (IsAtomicRoot(directory)) return FindInAtomicRoot(name);
  const auto& body = std::get<ViewDirectory>(directory.body);
  const SkeletonDirectory& skeleton = skeleton_[body.directory];
  if (const auto found = skeleton.directories.find(name); found != skeleton.directories.end()) {
    const auto view = views_.find(body.view);
    if (view == views_.end()) return {.kind = Child::Kind::kStale, .inode = {}, .slot = {}};
    return Found(view->second.directories[found->second]);
  }
  if (const auto found = skeleton.browse.find(name); found != skeleton.browse.end()) {
    return Found(found->second);
  }
  if (const auto found = skeleton.files.find(name); found != skeleton.files.end()) {
    return FindFile(body.view, found->second);
  }
  return {};
}

Child ManifestTree::FindFile(uint64_t number, size_t index) const {
  const auto& slot = slots_[index];
  const auto view = views_.find(number);
  if (view == views_.end()) return {.kind = Child::Kind::kStale, .inode = {}, .slot = slot};
  const InodeNumber version = atomic() ? view->second.files[index] : slot->current;
  if (version != InodeNumber()) return Found(version);
  // A value that comes now belongs to the newest generation only, or sets would mix.
  if (number == newest_) return {.kind = Child::Kind::kAbsent, .inode = {}, .slot = slot};
  if (number == current_) return {.kind = Child::Kind::kWaitForSwap, .inode = {}, .slot = slot};
  return {.kind = Child::Kind::kStale, .inode = {}, .slot = slot};
}

std::vector<DirectoryEntry> ManifestTree::ListAtomicRoot() const {
  std::vector<DirectoryEntry> entries;
  entries.push_back({.name = std::string(kDataLink), .inode = data_link_, .type = S_IFLNK});
  if (temporary_link_ != InodeNumber()) {
    entries.push_back(
        {.name = std::string(kTemporaryDataLink), .inode = temporary_link_, .type = S_IFLNK});
  }
  for (const auto& [number, view] : views_) {
    if (view.name.empty()) continue;
    entries.push_back({.name = view.name, .inode = view.directories[0], .type = S_IFDIR});
  }
  for (const auto& [name, inode] : links_) {
    entries.push_back({.name = name, .inode = inode, .type = S_IFLNK});
  }
  return entries;
}

std::vector<DirectoryEntry> ManifestTree::List(const Inode& directory) const {
  if (IsAtomicRoot(directory)) return ListAtomicRoot();
  const auto& body = std::get<ViewDirectory>(directory.body);
  const auto view = views_.find(body.view);
  if (view == views_.end()) return {};
  const SkeletonDirectory& skeleton = skeleton_[body.directory];
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, index] : skeleton.directories) {
    entries.push_back({.name = name, .inode = view->second.directories[index], .type = S_IFDIR});
  }
  for (const auto& [name, inode] : skeleton.browse) {
    entries.push_back({.name = name, .inode = inode, .type = S_IFDIR});
  }
  for (const auto& [name, index] : skeleton.files) {
    const FileSlot& slot = *slots_[index];
    const InodeNumber version = atomic() ? view->second.files[index] : slot.current;
    // Never fetched: the manifest's word is all there is. Withdrawn: it is known to be gone.
    const bool never_fetched = body.view == newest_ && !slot.had_version;
    if (version == InodeNumber() && !never_fetched) continue;
    entries.push_back({.name = name, .inode = version, .type = S_IFREG});
  }
  return entries;
}

bool ManifestTree::ClaimPrefetch(const Inode& directory) {
  if (!atomic()) return false;
  const auto view = views_.find(std::get<ViewDirectory>(directory.body).view);
  return view != views_.end() && !std::exchange(view->second.prefetch_claimed, true);
}

uint64_t ManifestTree::Publish(const std::vector<FileChange>& changes, WallTime now,
                               PublishPlan& plan) {
  if (changes.empty()) return 0;
  const bool all_first = std::all_of(changes.begin(), changes.end(),
                                     [](const FileChange& change) { return change.first; });
  if (atomic() && !all_first) return NewGeneration(changes, now, plan);
  for (const FileChange& change : changes) {
    if (atomic()) {
      View& view = views_.at(newest_);
      view.files[*change.slot->manifest_index] = change.after;
      table_.AddReference(change.after);
      NoteView(newest_);
      continue;
    }
    if (!change.first) {
      AddFlatChange(table_, change, plan);
      std::get<ViewDirectory>(table_.Find(change.slot->parent)->body).modified = now;
      table_.Note(change.slot->parent);
    }
    table_.DropReference(change.before);
  }
  return 0;
}

uint64_t ManifestTree::NewGeneration(const std::vector<FileChange>& changes, WallTime now,
                                     PublishPlan& plan) {
  const uint64_t number = AddView(NextGenerationName(now), InodeNumber(), now);
  View& view = views_.at(number);
  view.files = views_.at(newest_).files;
  newest_ = number;
  NoteTree();
  for (const FileChange& change : changes) {
    view.files[*change.slot->manifest_index] = change.after;
    if (change.after != InodeNumber()) plan.touched_paths.push_back(change.slot->path);
    const auto older = OlderKnownVersions(table_, *change.slot);
    plan.touched_inodes.insert(plan.touched_inodes.end(), older.begin(), older.end());
  }
  for (const InodeNumber file : view.files) table_.AddReference(file);
  for (const FileChange& change : changes) table_.DropReference(change.before);
  plan.data_target = view.name;
  return number;
}

Outcome<InodeNumber> ManifestTree::MakeTemporaryLink(std::string_view target, WallTime now) {
  if (!atomic()) return Outcome<InodeNumber>::Fail(EROFS);
  if (const Inode* link = table_.Find(temporary_link_)) {
    if (std::get<Symlink>(link->body).target != target) return Outcome<InodeNumber>::Fail(EEXIST);
    return {.error = 0, .value = temporary_link_};
  }
  temporary_link_ = AddLink(kTemporaryDataLink, std::string(target), now);
  root_modified_ = now;
  NoteTree();
  return {.error = 0, .value = temporary_link_};
}

int ManifestTree::RemoveTemporaryLink() {
  if (temporary_link_ == InodeNumber()) return ENOENT;
  table_.DropReference(std::exchange(temporary_link_, InodeNumber()));
  NoteTree();
  return 0;
}

uint64_t ManifestTree::GenerationOf(std::string_view name) const {
  for (const auto& [number, view] : views_) {
    if (number >= current_ && !view.name.empty() && view.name == name) return number;
  }
  return 0;
}

int ManifestTree::RenameTemporaryLink(bool again, WallTime now, Swap& swap) {
  const Inode* link = table_.Find(temporary_link_);
  if (link == nullptr) return again ? 0 : ENOENT;
  const uint64_t generation = GenerationOf(std::get<Symlink>(link->body).target);
  if (generation == 0 || (generation == current_ && !again)) return EINVAL;
  swap = SwitchTo(generation, std::exchange(temporary_link_, InodeNumber()), now);
  return 0;
}

ManifestTree::Swap ManifestTree::ForceSwap(uint64_t generation, WallTime now) {
  const auto view = views_.find(generation);
  if (generation <= current_ || view == views_.end()) return {};
  const InodeNumber link = AddLink(kDataLink, view->second.name, now);
  return SwitchTo(generation, link, now);
}

ManifestTree::Swap ManifestTree::SwitchTo(uint64_t generation, InodeNumber link, WallTime now) {
  table_.DropReference(std::exchange(data_link_, link));
  table_.Find(link)->name = kDataLink;
  table_.Note(link);
  NoteTree();
  root_modified_ = now;
  if (generation == current_) return {};  // once more
  const uint64_t previous = std::exchange(current_, generation);
  ++swaps_;
  Swap swap{.happened = true, .dropped_names = {}};
  std::vector<uint64_t> over;
  for (auto& [number, view] : views_) {
    if (number >= current_ || number == previous) continue;
    if (!view.name.empty()) {
      swap.dropped_names.push_back(std::exchange(view.name, {}));
      NoteView(number);
    }
    over.push_back(number);
  }
  for (const uint64_t number : over) FreeIfUnused(number);
  return swap;
}

void ManifestTree::OnForgotten(uint64_t view) {
  if (atomic()) FreeIfUnused(view);
}

void ManifestTree::FreeIfUnused(uint64_t number) {
  const auto found = views_.find(number);
  if (found == views_.end() || !found->second.name.empty()) return;
  for (const InodeNumber directory : found->second.directories) {
    const Inode* inode = table_.Find(directory);
    if (inode != nullptr && inode->lookups > 0) return;
  }
  const View view = std::move(found->second);
  views_.erase(found);
  if (view.record) table_.changes().erased.push_back(*view.record);
  for (const InodeNumber directory : view.directories) table_.DropReference(directory);
  for (const InodeNumber file : view.files) table_.DropReference(file);
}

}  // namespace secretfs::fs
