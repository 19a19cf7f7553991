#include "fs/mount_state_format.h"

#include <bit>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "base/text.h"

namespace secretfs::fs::saved {
namespace {

static_assert(std::endian::native == std::endian::little, "the memory never leaves the machine");

// The same visitor writes and reads: each type lists its members once (Members below), so the two
// directions cannot disagree.
class Writer {
 public:
  bool operator()(uint64_t& value) { return Raw(&value, sizeof(value)); }
  bool operator()(bool& value) {
    const uint8_t byte = value ? 1 : 0;
    return Raw(&byte, 1);
  }
  bool operator()(std::string& value) {
    uint64_t size = value.size();
    return (*this)(size) && Raw(value.data(), value.size());
  }
  bool operator()(std::vector<std::byte>& value) {
    uint64_t size = value.size();
    return (*this)(size) && Raw(value.data(), value.size());
  }
  // Of a list or an option: says how many, and makes room when reading.
  template <typename T>
  bool Count(std::vector<T>& list) {
    uint64_t size = list.size();
    return (*this)(size);
  }
  template <typename T>
  bool Present(std::optional<T>& value) {
    bool present = value.has_value();
    return (*this)(present);
  }
  template <typename... Kinds>
  bool Kind(std::variant<Kinds...>& value) {
    uint64_t index = value.index();
    return (*this)(index);
  }

  std::string Take() { return std::move(bytes_); }

 private:
  bool Raw(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    return true;
  }
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(Payload payload) : left_(payload) {}

  bool operator()(uint64_t& value) { return Raw(&value, sizeof(value)); }
  bool operator()(bool& value) {
    uint8_t byte = 0;
    if (!Raw(&byte, 1) || byte > 1) return false;
    value = byte == 1;
    return true;
  }
  bool operator()(std::string& value) {
    uint64_t size = 0;
    if (!(*this)(size) || size > left_.size()) return false;
    value.assign(reinterpret_cast<const char*>(left_.data()), size);
    left_ = left_.subspan(size);
    return true;
  }
  bool operator()(std::vector<std::byte>& value) {
    uint64_t size = 0;
    if (!(*this)(size) || size > left_.size()) return false;
    value.assign(left_.begin(), left_.begin() + static_cast<ptrdiff_t>(size));
    left_ = left_.subspan(size);
    return true;
  }
  template <typename T>
  bool Count(std::vector<T>& list) {
    uint64_t size = 0;
    // Each element takes eight bytes at least.
    if (!(*this)(size) || size > left_.size() / sizeof(uint64_t)) return false;
    list.resize(size);
    return true;
  }
  template <typename T>
  bool Present(std::optional<T>& value) {
    bool present = false;
    if (!(*this)(present)) return false;
    value.reset();
    if (present) value.emplace();
    return true;
  }
  template <typename... Kinds>
  bool Kind(std::variant<Kinds...>& value) {
    uint64_t index = 0;
    if (!(*this)(index) || index >= sizeof...(Kinds)) return false;
    size_t kind = 0;
    ((kind++ == index ? static_cast<void>(value.template emplace<Kinds>()) : void()), ...);
    return true;
  }

  bool at_end() const { return left_.empty(); }

 private:
  bool Raw(void* data, size_t size) {
    if (size > left_.size()) return false;
    std::memcpy(data, left_.data(), size);
    left_ = left_.subspan(size);
    return true;
  }
  Payload left_;
};

template <typename Visitor, typename Tag, typename Value>
bool Visit(Visitor& visitor, StrongId<Tag, Value>& id) {
  uint64_t value = id.value();
  if (!visitor(value)) return false;
  id = StrongId<Tag, Value>(static_cast<Value>(value));
  return true;
}
template <typename Visitor>
bool Visit(Visitor& visitor, WallTime& time) {
  uint64_t value = static_cast<uint64_t>(time.time_since_epoch().count());
  if (!visitor(value)) return false;
  time = WallTime(Duration(static_cast<Duration::rep>(value)));
  return true;
}
template <typename Visitor>
bool Visit(Visitor& visitor, Fact& fact) {
  uint64_t value = static_cast<uint64_t>(fact);
  if (!visitor(value) || value > static_cast<uint64_t>(Fact::kYes)) return false;
  fact = static_cast<Fact>(value);
  return true;
}
template <typename Visitor, typename Plain>
  requires std::is_invocable_v<Visitor&, Plain&>
bool Visit(Visitor& visitor, Plain& value) {
  return visitor(value);
}
template <typename Visitor, typename First, typename Second>
bool Visit(Visitor& visitor, std::pair<First, Second>& value) {
  return Visit(visitor, value.first) && Visit(visitor, value.second);
}
template <typename Visitor, typename T>
bool Visit(Visitor& visitor, std::optional<T>& value) {
  return visitor.Present(value) && (!value || Visit(visitor, *value));
}
template <typename Visitor>
bool Visit(Visitor& visitor, PublishPlan::CachedName& name) {
  return Visit(visitor, name.parent) && Visit(visitor, name.name) && Visit(visitor, name.path);
}
template <typename Visitor, typename T>
  requires(!std::is_same_v<T, std::byte>)
bool Visit(Visitor& visitor, std::vector<T>& list) {
  if (!visitor.Count(list)) return false;
  for (T& element : list) {
    if (!Visit(visitor, element)) return false;
  }
  return true;
}
template <typename Visitor, typename... Members>
bool VisitAll(Visitor& visitor, Members&... members) {
  return (Visit(visitor, members) && ...);
}

template <typename Visitor>
bool Members(Visitor& v, Tree& t) {
  return VisitAll(v, t.next_inode, t.next_slot, t.next_plan, t.flat_updates, t.atomic, t.last_view,
                  t.newest, t.current, t.data_link, t.temporary_link, t.last_generation_time,
                  t.root_modified, t.swaps);
}
template <typename Visitor>
bool Members(Visitor& v, ViewInode& i) {
  return VisitAll(v, i.view, i.path, i.modified);
}
template <typename Visitor>
bool Members(Visitor& v, LinkInode& i) {
  return VisitAll(v, i.target, i.modified);
}
template <typename Visitor>
bool Members(Visitor& v, FileInode& i) {
  return VisitAll(v, i.slot, i.modified, i.fetched, i.size, i.size_told);
}
template <typename Visitor>
bool Members(Visitor& v, BrowseInode& i) {
  return VisitAll(v, i.tree, i.path, i.store_path, i.is_root, i.named, i.modified, i.is_prefix,
                  i.is_secret, i.has_fields);
}
template <typename Visitor>
bool Members(Visitor& v, Inode& i) {
  return VisitAll(v, i.number, i.parent, i.name, i.version) && v.Kind(i.body) &&
         std::visit([&v](auto& body) { return Members(v, body); }, i.body);
}
template <typename Visitor>
bool Members(Visitor& v, Slot& s) {
  return VisitAll(v, s.id, s.path, s.browsed, s.current, s.last_modified, s.had_version, s.tree,
                  s.key, s.field, s.name, s.parent);
}
template <typename Visitor>
bool Members(Visitor& v, View& view) {
  return VisitAll(v, view.number, view.name, view.directories, view.files);
}
template <typename Visitor>
bool Members(Visitor& v, Plan& p) {
  PublishPlan& plan = p.plan;
  return VisitAll(v, p.id, p.generation, p.slots, plan.stale_names, plan.stale_directories,
                  plan.data_target, plan.touched_paths, plan.touched_inodes);
}
template <typename Visitor>
bool Members(Visitor& v, Init& i) {
  return VisitAll(v, i.request, i.reply);
}
template <typename Visitor>
bool Members(Visitor& v, Note& n) {
  return VisitAll(v, n.name, n.text);
}

template <typename T>
std::string Write(const T& value) {
  Writer writer;
  Members(writer, const_cast<T&>(value));  // a Writer changes nothing
  return writer.Take();
}

template <typename T>
absl::StatusOr<T> Read(Payload payload, std::string_view what) {
  T value;
  Reader reader(payload);
  if (!Members(reader, value) || !reader.at_end()) {
    return absl::DataLossError(
        Format("the saved state of the mount holds {} that cannot be read", what));
  }
  return value;
}

}  // namespace

std::string EncodeFormat() {
  Writer writer;
  uint64_t version = kFormatVersion;
  writer(version);
  return writer.Take();
}

absl::Status CheckFormat(Payload payload) {
  Reader reader(payload);
  uint64_t version = 0;
  if (!reader(version) || !reader.at_end()) {
    return absl::DataLossError("the saved state of the mount does not say its version");
  }
  if (version == kFormatVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Format("the mount is kept in version {} of the saved state, and this program reads version "
             "{}: unmount and mount again",
             version, kFormatVersion));
}

std::string Encode(const Tree& value) { return Write(value); }
std::string Encode(const Inode& value) { return Write(value); }
std::string Encode(const Slot& value) { return Write(value); }
std::string Encode(const View& value) { return Write(value); }
std::string Encode(const Plan& value) { return Write(value); }
std::string Encode(const Init& value) { return Write(value); }
std::string Encode(const Note& value) { return Write(value); }

absl::StatusOr<Tree> DecodeTree(Payload payload) { return Read<Tree>(payload, "a tree"); }
absl::StatusOr<Inode> DecodeInode(Payload payload) { return Read<Inode>(payload, "an inode"); }
absl::StatusOr<Slot> DecodeSlot(Payload payload) { return Read<Slot>(payload, "a file"); }
absl::StatusOr<View> DecodeView(Payload payload) { return Read<View>(payload, "a generation"); }
absl::StatusOr<Plan> DecodePlan(Payload payload) { return Read<Plan>(payload, "a plan"); }
absl::StatusOr<Init> DecodeInit(Payload payload) { return Read<Init>(payload, "an INIT"); }
absl::StatusOr<Note> DecodeNote(Payload payload) { return Read<Note>(payload, "a note"); }

}  // namespace secretfs::fs::saved
