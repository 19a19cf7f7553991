// The state of a mount, written by a server that was taken over: whatever decodes, the next server
// serves the mount, leads nobody out of it, asks for no secret that it does not name, and leaves a
// state from which the one after it goes on.
//
// The input: a byte that chooses the mount, then records, each a byte for its type, two for its
// length, and its payload. What is missing of a whole state is there already.

#include <asio/io_context.hpp>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/log.h"
#include "base/shared_records.h"
#include "cache/cache.h"
#include "fs/mount_state.h"
#include "fs/names.h"
#include "fs/operations.h"
#include "fs/saved_checks.h"
#include "tests/fakes/fake_provider.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::fs {
namespace {

constexpr Caller kReader{.uid = 0, .gid = 0, .pid = 1, .is_publisher = false};

void Require(bool condition) {
  if (!condition) std::abort();
}

class Sink final : public PublishSink {
 public:
  void Submit(PublishPlan plan) override { plans.push_back(std::move(plan)); }
  std::vector<PublishPlan> plans;
};

// One server of the mount.
class Server {
 public:
  Server(int kind, int memory)
      : provider_(std::make_shared<fakes::FakeProvider>(
            providers::Capabilities{.list = true, .batch_size = 10})) {
    for (const char* key : {"app/a", "app/b", "app/sub/c"}) provider_->Set(key, key);
    provider_->Set("other/secret", "of somebody else");
    cache_ =
        std::make_unique<cache::Cache>(cache::CacheOptions(), context_, clock_, clock_, random_);
    store_ =
        cache_->AddStore({.name = "s", .identity = "i", .provider = provider_, .watch_prefix = {}});
    auto state = MountState::Attach(memory);
    if (!state.ok()) return;
    state_ = *std::move(state);
    operations_ = Operations::Make(
        SpecOf(kind), *cache_, clock_, sink_,
        [](pid_t) { return std::optional<std::vector<gid_t>>(std::vector<gid_t>()); },
        {.state = state_.get(),
         .values = nullptr,
         .values_prefix = "f/1/",
         .first_number = uint64_t{1} << 44});
    Poll();
  }
  ~Server() {
    operations_.reset();
    Poll();
  }
  bool serves() const { return operations_ != nullptr; }

  void Use() {
    operations_->Resume();
    Poll();
    for (int i = 0; i < 8 && !sink_.plans.empty(); ++i) {
      const std::vector<PublishPlan> plans = std::exchange(sink_.plans, {});
      for (const PublishPlan& plan : plans) CarryOut(plan);
      Poll();
    }
    for (const char* name : {"a", "b", "sub", "..data", "..data_tmp", "d", "x"}) {
      Look(kRootInode, name, 0);
    }
    operations_->Refresh("", [](const absl::Status&) {});
    Poll();
    provider_->Set("app/a", "another");
    cache_->Refresh({.store = store_, .ref = {.key = "app/a", .version = {}}}, [](auto) {});
    Poll();
    Require(provider_->fetches_of("other/secret") == 0);
    (void)operations_->Files();
    (void)operations_->generation();
    for (uint64_t number = 0; number < 40; ++number) {
      operations_->Forget(InodeNumber(number), number == 1 ? 0 : UINT64_MAX);
    }
    Poll();
    Require(operations_->GetAttributes(kRootInode).error == 0);
  }

 private:
  void Poll() {
    context_.restart();
    context_.poll();
  }
  MountSpec SpecOf(int kind) const {
    MountSpec spec;
    const auto file = [this](const char* path, const char* key) {
      FileSpec made;
      made.path = path;
      made.store = store_;
      made.ref = {.key = key, .version = {}};
      return made;
    };
    const auto browse = [this](const char* path) {
      return BrowseSpec{.path = path, .store = store_, .prefix = "app", .policy = {}};
    };
    if (kind != 2) spec.files = {file("a", "app/a"), file("d/b", "app/b")};
    if (kind == 1) spec.layout = Layout::kAtomic;
    if (kind == 2) spec.browse = {browse("")};
    if (kind == 3) spec.browse = {browse("t")};
    return spec;
  }
  void CarryOut(const PublishPlan& plan) {
    const Caller publisher{.uid = 0, .gid = 0, .pid = 2, .is_publisher = true};
    if (plan.data_target) {
      Require(IsGenerationName(*plan.data_target));
      auto link =
          operations_->MakeSymlink(kRootInode, kTemporaryDataLink, *plan.data_target, publisher);
      if (link.error == 0) {
        operations_->Rename(kRootInode, kTemporaryDataLink, kRootInode, kDataLink, publisher);
      }
    }
    for (const auto& path : plan.touched_paths) Require(path.find("..") != 0);
    if (plan.done) plan.done();
  }
  void Look(InodeNumber parent, const std::string& name, int depth) {
    Outcome<Entry> found = Outcome<Entry>::Fail(EAGAIN);
    operations_->Lookup(RequestId(++last_id_), parent, name, kReader,
                        [&found](Outcome<Entry> outcome) { found = std::move(outcome); });
    Poll();
    operations_->Interrupt(RequestId(last_id_));
    if (found.error != 0 || depth > 4) return;
    const Attributes& attributes = found.value.attributes;
    const InodeNumber inode = attributes.inode;
    if (S_ISLNK(attributes.mode)) {
      const std::string target = operations_->ReadLink(inode).value;
      Require(IsGenerationName(target) || target == std::string(kDataLink) + "/" + name);
      if (IsGenerationName(target)) Look(kRootInode, target, depth + 1);
    } else if (S_ISDIR(attributes.mode)) {
      for (const char* child : {"a", "b", "c", "d", "sub", "secret"}) Look(inode, child, depth + 1);
      operations_->OpenDirectory(RequestId(++last_id_), inode, kReader, [](auto) {});
      Poll();
      operations_->Interrupt(RequestId(last_id_));
    } else {
      operations_->Read(RequestId(++last_id_), inode, [](const Outcome<Content>& content) {
        Require(content.error != 0 || content.value.bytes->ExposeAsText() != "of somebody else");
      });
      Poll();
      operations_->Interrupt(RequestId(last_id_));
    }
    operations_->Forget(inode, 1);
  }

  asio::io_context context_;
  fakes::ManualClock clock_;
  fakes::FixedRandom random_{0.5};
  std::shared_ptr<fakes::FakeProvider> provider_;
  std::unique_ptr<cache::Cache> cache_;
  cache::StoreId store_;
  Sink sink_;
  std::unique_ptr<MountState> state_;
  std::unique_ptr<Operations> operations_;
  uint64_t last_id_ = 0;
};

void Put(SharedRecords& records, saved::RecordType type, std::span<const std::byte> payload,
         uint64_t counter) {
  const auto record = records.Insert(static_cast<uint32_t>(type), payload);
  if (record.ok()) records.counter(*record) = counter;
}
void Put(SharedRecords& records, saved::RecordType type, const std::string& payload) {
  Put(records, type, std::as_bytes(std::span(payload.data(), payload.size())), 3);
}

void Check(std::span<const std::byte> input) {
  if (input.empty()) return;
  const int kind = static_cast<uint8_t>(input[0]) & 3;
  // Large enough for what servers add, small enough to be made often.
  SharedRecords records =
      *SharedRecords::Create({.bytes = 256 << 10, .records = 1024, .secret = false});
  Put(records, saved::RecordType::kFormat, saved::EncodeFormat());
  bool has_tree = false, has_root = false;
  std::span<const std::byte> rest = input.subspan(1);
  while (rest.size() > 3) {
    const auto type = static_cast<saved::RecordType>(static_cast<uint8_t>(rest[0]) & 15);
    const size_t wanted =
        static_cast<uint8_t>(rest[1]) + 256 * size_t{static_cast<uint8_t>(rest[2])};
    const size_t size = std::min(wanted, rest.size() - 3);
    const auto payload = rest.subspan(3, size);
    rest = rest.subspan(3 + size);
    if (type == saved::RecordType::kTree) has_tree = true;
    if (type == saved::RecordType::kInode) {
      const auto inode = saved::DecodeInode(payload);
      if (!inode.ok()) continue;
      has_root = has_root || inode->number == kRootInode;
    }
    if (type == saved::RecordType::kFormat) continue;
    Put(records, type, payload, size * size * size * size * size * size * size);
  }
  if (!has_tree) {
    saved::Tree tree;
    tree.next_inode = 50;
    tree.last_view = tree.newest = tree.current = kind == 2 ? 0 : 1;
    tree.atomic = kind == 1;
    Put(records, saved::RecordType::kTree, saved::Encode(tree));
  }
  if (!has_root) {
    saved::Inode root;
    root.number = kRootInode;
    if (kind == 2) {
      saved::BrowseInode browse;
      browse.store_path = "app";
      browse.is_root = true;
      root.body = browse;
    } else {
      root.body = saved::ViewInode{.view = kind == 1 ? 0u : 1u, .path = "", .modified = {}};
    }
    Put(records, saved::RecordType::kInode, saved::Encode(root));
  }
  records.Commit();
  bool served = false;
  {
    Server first(kind, records.memory());
    served = first.serves();
    if (served) first.Use();
  }
  if (!served) return;
  Server second(kind, records.memory());
  Require(second.serves());
  second.Use();
}

}  // namespace
}  // namespace secretfs::fs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = [] {
    secretfs::Log().set_level(spdlog::level::off);
    return true;
  }();
  (void)quiet;
  if (size <= 8192) secretfs::fs::Check(std::as_bytes(std::span(data, size)));
  return 0;
}
