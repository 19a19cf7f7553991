#pragma once

// How the tree of a mount is written into the records that outlive the server: one payload for each
// inode, file, generation and unfinished plan, and one for the tree as a whole. Names, numbers,
// versions and times only, never content. Decoding is strict: a payload that is cut, too long or
// says something impossible is DataLoss. What payloads say about each other (an inode of a file
// that has no record) is for the reader of the whole to judge.
//
// Plain values and free functions without state.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "fs/browse_directory.h"
#include "fs/publish_plan.h"

namespace secretfs::fs::saved {

// Changes whenever a server of an older version could not read what is written.
inline constexpr uint32_t kFormatVersion = 1;

enum class RecordType : uint32_t {
  kFormat = 1,
  kInit,
  kNote,
  kTree,
  kInode,
  kSlot,
  kView,
  kPlan,
};

// The tree as a whole.
struct Tree {
  uint64_t next_inode = 0;
  uint64_t next_slot = 0;
  uint64_t next_plan = 0;
  uint64_t flat_updates = 0;
  // Of the manifest's tree (fs/manifest_tree.h); zeros where there is none.
  bool atomic = false;
  uint64_t last_view = 0;
  uint64_t newest = 0;
  uint64_t current = 0;
  InodeNumber data_link;
  InodeNumber temporary_link;
  WallTime last_generation_time;
  WallTime root_modified;
  uint64_t swaps = 0;
  friend bool operator==(const Tree&, const Tree&) = default;
};

struct ViewInode {
  uint64_t view = 0;
  std::string path;  // in the skeleton
  WallTime modified;
  friend bool operator==(const ViewInode&, const ViewInode&) = default;
};

struct LinkInode {
  std::string target;
  WallTime modified;
  friend bool operator==(const LinkInode&, const LinkInode&) = default;
};

struct FileInode {
  uint64_t slot = 0;
  WallTime modified;
  WallTime fetched;
  std::optional<uint64_t> size;  // of the content; not set: never fetched
  bool size_told = false;
  friend bool operator==(const FileInode&, const FileInode&) = default;
};

struct BrowseInode {
  uint64_t tree = 0;
  std::string path;
  std::string store_path;
  bool is_root = false;
  bool named = false;  // its name leads to it
  WallTime modified;
  Fact is_prefix = Fact::kUnknown;
  Fact is_secret = Fact::kUnknown;
  bool has_fields = false;
  friend bool operator==(const BrowseInode&, const BrowseInode&) = default;
};

struct Inode {
  InodeNumber number;
  InodeNumber parent;
  std::string name;
  std::string version;
  std::variant<ViewInode, LinkInode, FileInode, BrowseInode> body;
  friend bool operator==(const Inode&, const Inode&) = default;
};

struct Slot {
  uint64_t id = 0;
  std::string path;
  bool browsed = false;
  InodeNumber current;
  WallTime last_modified;
  bool had_version = false;
  // Browsed files only; the manifest says it of the others.
  uint64_t tree = 0;
  std::string key;
  std::optional<std::string> field;
  std::string name;
  InodeNumber parent;
  friend bool operator==(const Slot&, const Slot&) = default;
};

struct View {
  uint64_t number = 0;
  std::string name;
  std::vector<std::pair<std::string, InodeNumber>> directories;  // by path in the skeleton
  std::vector<std::pair<uint64_t, InodeNumber>> files;           // by slot
  friend bool operator==(const View&, const View&) = default;
};

// A plan that the publisher has not carried out, as far as is known.
struct Plan {
  uint64_t id = 0;
  uint64_t generation = 0;
  std::vector<uint64_t> slots;  // of browsed files, whose newest version it publishes
  PublishPlan plan;             // without `done`
};

struct Init {
  std::vector<std::byte> request, reply;
  friend bool operator==(const Init&, const Init&) = default;
};

struct Note {
  std::string name, text;
  friend bool operator==(const Note&, const Note&) = default;
};

std::string EncodeFormat();
std::string Encode(const Tree& value);
std::string Encode(const Inode& value);
std::string Encode(const Slot& value);
std::string Encode(const View& value);
std::string Encode(const Plan& value);
std::string Encode(const Init& value);
std::string Encode(const Note& value);

using Payload = std::span<const std::byte>;
// FailedPrecondition, naming both versions, unless it is kFormatVersion.
absl::Status CheckFormat(Payload payload);
absl::StatusOr<Tree> DecodeTree(Payload payload);
absl::StatusOr<Inode> DecodeInode(Payload payload);
absl::StatusOr<Slot> DecodeSlot(Payload payload);
absl::StatusOr<View> DecodeView(Payload payload);
absl::StatusOr<Plan> DecodePlan(Payload payload);
absl::StatusOr<Init> DecodeInit(Payload payload);
absl::StatusOr<Note> DecodeNote(Payload payload);

}  // namespace secretfs::fs::saved
