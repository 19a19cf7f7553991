#include "fs/saved_checks.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "fs/browse_names.h"
#include "fs/names.h"

namespace secretfs::fs {
namespace {

using saved::BrowseInode;
using saved::FileInode;
using saved::LinkInode;
using saved::ViewInode;

// Deeper than any store; and walks over the tree are recursive.
constexpr size_t kLongestPath = 16 << 10;
constexpr size_t kLongestVersion = 4096;
constexpr uint64_t kLargestContent = uint64_t{1} << 30;
// How often "~" is appended to a name that is taken.
constexpr int kMostTildes = 3;
constexpr WallTime kLatest{std::chrono::seconds(4'102'444'800)};  // 2100-01-01

bool IsNumber(uint64_t number) { return number != 0 && number <= kMostNumber; }
bool IsNumber(InodeNumber number) { return IsNumber(number.value()); }

bool IsEntryName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool IsPathOfNames(std::string_view path) {
  if (path.size() > kLongestPath) return false;
  while (true) {
    const size_t slash = path.find('/');
    if (!IsEntryName(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

// The rest of `path` behind `root` and its slash; nothing when it is not below.
std::optional<std::string_view> Below(std::string_view path, std::string_view root) {
  if (root.empty()) return path;
  if (!path.starts_with(root)) return std::nullopt;
  path.remove_prefix(root.size());
  if (path.empty()) return path;
  if (path.front() != '/') return std::nullopt;
  return path.substr(1);
}

// Whether `name` is how something of the store is shown in a directory, with `added` behind it and
// as many "~" as it took to be free.
bool Shows(std::string_view name, std::string_view of_store, std::string_view added) {
  std::string base = std::string(of_store) + std::string(added);
  for (int tildes = 0; tildes <= kMostTildes; ++tildes, base += '~') {
    if (name == ShownName(base)) return true;
  }
  return false;
}

// Takes the part that `name` shows from the front of `store_path`.
bool TakeShown(std::string_view name, std::string_view& store_path) {
  for (size_t end = store_path.find('/');; end = store_path.find('/', end + 1)) {
    const std::string_view part = store_path.substr(0, end);
    if (!part.empty() && part != "." && part != ".." && Shows(name, part, "")) {
      store_path = end == std::string_view::npos ? "" : store_path.substr(end + 1);
      // Nothing behind a slash is not the same as nothing.
      return end == std::string_view::npos || !store_path.empty();
    }
    if (end == std::string_view::npos) return false;
  }
}

bool IsLink(const LinkInode& link, const saved::Inode& inode, const MountSpec& spec) {
  if (spec.layout != Layout::kAtomic || inode.parent != kRootInode) return false;
  if (inode.name == kDataLink || inode.name == kTemporaryDataLink) {
    return IsGenerationName(link.target);
  }
  return !inode.name.starts_with("..") && link.target == std::string(kDataLink) + "/" + inode.name;
}

bool IsBrowsed(const BrowseInode& browsed, const saved::Inode& inode, const MountSpec& spec) {
  if (browsed.tree >= spec.browse.size()) return false;
  const BrowseSpec& tree = spec.browse[browsed.tree];
  if (browsed.is_root) return browsed.path == tree.path && browsed.store_path == tree.prefix;
  if (!IsPathOfNames(browsed.path) || LastComponent(browsed.path) != inode.name) return false;
  const auto shown = Below(browsed.path, tree.path);
  const auto stored = Below(browsed.store_path, tree.prefix);
  return shown && stored && !shown->empty() && ShowsStorePath(*shown, *stored);
}

}  // namespace

WallTime Bounded(WallTime time) { return std::min(time, kLatest); }

bool ShowsStorePath(std::string_view shown, std::string_view store_path) {
  while (!shown.empty()) {
    const size_t slash = shown.find('/');
    if (store_path.empty() || !TakeShown(shown.substr(0, slash), store_path)) return false;
    shown = slash == std::string_view::npos ? "" : shown.substr(slash + 1);
  }
  return store_path.empty();
}

bool IsBelievable(const saved::Tree& tree) {
  for (const uint64_t number : {tree.next_inode, tree.next_slot, tree.next_plan, tree.flat_updates,
                                tree.last_view, tree.newest, tree.current, tree.swaps,
                                tree.data_link.value(), tree.temporary_link.value()}) {
    if (number > kMostNumber) return false;
  }
  return tree.next_inode > kRootInode.value() && tree.current <= tree.newest &&
         tree.newest <= tree.last_view;
}

bool IsBelievable(const saved::Inode& inode, const MountSpec& spec, bool manifest) {
  if (!IsNumber(inode.number) || inode.version.size() > kLongestVersion) return false;
  if (inode.number == kRootInode) {
    const auto* view = std::get_if<ViewInode>(&inode.body);
    if (manifest) return view != nullptr && view->path.empty();
    const auto* browsed = std::get_if<BrowseInode>(&inode.body);
    return browsed != nullptr && browsed->is_root && IsBrowsed(*browsed, inode, spec);
  }
  // What an inode was made in stood before it: so no chain of parents comes back to itself. The
  // names of generations and of a tree's root are nobody's entry.
  if (inode.parent.value() >= inode.number.value()) return false;
  if (!inode.name.empty() && !IsEntryName(inode.name)) return false;
  if (const auto* view = std::get_if<ViewInode>(&inode.body)) {
    return manifest && view->view <= kMostNumber && view->path.size() <= kLongestPath;
  }
  if (const auto* link = std::get_if<LinkInode>(&inode.body)) {
    return manifest && IsLink(*link, inode, spec);
  }
  if (const auto* file = std::get_if<FileInode>(&inode.body)) {
    return IsNumber(file->slot) && file->size.value_or(0) <= kLargestContent;
  }
  return IsBrowsed(std::get<BrowseInode>(inode.body), inode, spec);
}

bool IsBelievable(const saved::Slot& slot, const MountSpec& spec) {
  if (!IsNumber(slot.id) || !IsPathOfNames(slot.path)) return false;
  // Which secret a file of the manifest shows is the manifest's word.
  if (!slot.browsed) return true;
  if (slot.tree >= spec.browse.size() || slot.name != LastComponent(slot.path)) return false;
  const BrowseSpec& tree = spec.browse[slot.tree];
  const auto shown = Below(slot.path, tree.path);
  const auto stored = Below(slot.key, tree.prefix);
  if (!shown || !stored || shown->empty()) return false;
  const size_t slash = shown->rfind('/');
  std::string_view directories =
      slash == std::string_view::npos ? std::string_view() : shown->substr(0, slash);
  if (slot.field.has_value()) {
    return ShowsStorePath(directories, *stored) && Shows(slot.name, *slot.field, "");
  }
  // The value itself, or what secretfs adds beside a directory.
  std::string_view rest = *stored;
  while (!directories.empty()) {
    const size_t end = directories.find('/');
    if (rest.empty() || !TakeShown(directories.substr(0, end), rest)) return false;
    directories = end == std::string_view::npos ? "" : directories.substr(end + 1);
  }
  return !rest.empty() && (Shows(slot.name, rest, "") || Shows(slot.name, rest, ".json"));
}

bool IsBelievable(const saved::View& view, Layout layout) {
  if (!IsNumber(view.number)) return false;
  if (layout == Layout::kFlat) return view.name.empty();
  return view.name.empty() || IsGenerationName(view.name);
}

void DropUnbelievable(PublishPlan& plan) {
  std::erase_if(plan.stale_names, [](const PublishPlan::CachedName& name) {
    return !IsNumber(name.parent) || !IsEntryName(name.name) || !IsPathOfNames(name.path);
  });
  std::erase_if(plan.stale_directories, [](InodeNumber number) { return !IsNumber(number); });
  std::erase_if(plan.touched_inodes, [](InodeNumber number) { return !IsNumber(number); });
  std::erase_if(plan.touched_paths, [](const std::string& path) { return !IsPathOfNames(path); });
  if (plan.data_target.has_value() && !IsGenerationName(*plan.data_target)) {
    plan.data_target.reset();
  }
}

}  // namespace secretfs::fs
