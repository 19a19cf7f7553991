#pragma once

// What the tests of Operations share: a mount over a real cache and a fake store, with time and the
// I/O thread turned by hand; a sink that records plans and can play the publisher; and a model of
// the kernel's name cache, so that tests see what a program would see. Not thread-safe.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <asio/io_context.hpp>
#include <cerrno>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "cache/cache.h"
#include "fs/names.h"
#include "fs/operations.h"
#include "tests/fakes/fake_provider.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::fs {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr Caller kRoot{.uid = 0, .gid = 0, .pid = 1, .is_publisher = false};
inline constexpr Caller kPublisher{.uid = 0, .gid = 0, .pid = 2, .is_publisher = true};

class RecordingSink final : public PublishSink {
 public:
  void Submit(PublishPlan plan) override {
    if (before_submit) before_submit();
    plans.push_back(std::move(plan));
  }
  std::function<void()> before_submit;
  std::deque<PublishPlan> plans;
};

// What a request came to; empty while it is parked.
template <typename T>
struct Answer {
  std::optional<Outcome<T>> outcome;
  int calls = 0;
  bool parked() const { return calls == 0; }
  int error() const { return outcome ? outcome->error : -1; }
  const T& value() const { return outcome->value; }
};
template <typename T>
using AnswerPtr = std::shared_ptr<Answer<T>>;

class OperationsTest : public ::testing::Test {
 protected:
  explicit OperationsTest(providers::Capabilities capabilities = {.list = true}) {
    provider_ = std::make_shared<fakes::FakeProvider>(capabilities);
    MakeCache();
  }
  ~OperationsTest() override {
    operations_.reset();
    Poll();
  }

  // --- making a mount

  // One that knows nothing yet, of the same store.
  void MakeCache() {
    cache_ =
        std::make_unique<cache::Cache>(cache::CacheOptions(), context_, clock_, clock_, random_);
    store_ = cache_->AddStore(
        {.name = "vault", .identity = "me", .provider = provider_, .watch_prefix = {}});
  }

  FileSpec File(const std::string& path, const std::string& key, const std::string& property = "") {
    FileSpec file;
    file.path = path;
    file.store = store_;
    file.ref = {.key = key, .version = {}};
    file.selection.property = property;
    return file;
  }
  BrowseSpec Browse(const std::string& path, const std::string& prefix) {
    return {.path = path, .store = store_, .prefix = prefix, .policy = {}};
  }
  void Mount(MountSpec spec) {
    ASSERT_TRUE(ValidateMountSpec(spec).ok()) << ValidateMountSpec(spec);
    operations_ = Operations::Make(
        std::move(spec), *cache_, clock_, sink_, [this](pid_t) { return groups_; }, memory_);
    Poll();
  }

  void Poll() {
    context_.restart();
    context_.poll();
  }
  void Advance(Duration by) {
    Poll();
    clock_.Advance(by, [this] { Poll(); });
  }

  // --- requests

  template <typename T>
  static std::pair<AnswerPtr<T>, Reply<T>> Expect() {
    auto answer = std::make_shared<Answer<T>>();
    return {answer, [answer](Outcome<T> outcome) {
              ++answer->calls;
              answer->outcome = std::move(outcome);
            }};
  }
  RequestId NextId() { return RequestId(++last_id_); }
  AnswerPtr<Entry> StartLookup(InodeNumber parent, const std::string& name,
                               const Caller& caller = kRoot) {
    auto [answer, reply] = Expect<Entry>();
    operations_->Lookup(NextId(), parent, name, caller, reply);
    return answer;
  }
  AnswerPtr<Entry> Lookup(InodeNumber parent, const std::string& name,
                          const Caller& caller = kRoot) {
    auto answer = StartLookup(parent, name, caller);
    Poll();
    return answer;
  }
  AnswerPtr<OpenedFile> StartOpen(InodeNumber inode, int flags = O_RDONLY,
                                  const Caller& caller = kRoot) {
    auto [answer, reply] = Expect<OpenedFile>();
    operations_->Open(NextId(), inode, flags, caller, reply);
    return answer;
  }
  AnswerPtr<OpenedFile> Open(InodeNumber inode, int flags = O_RDONLY,
                             const Caller& caller = kRoot) {
    auto answer = StartOpen(inode, flags, caller);
    Poll();
    return answer;
  }
  AnswerPtr<DirectoryListing> OpenDirectory(InodeNumber inode, const Caller& caller = kRoot) {
    auto [answer, reply] = Expect<DirectoryListing>();
    operations_->OpenDirectory(NextId(), inode, caller, reply);
    Poll();
    return answer;
  }
  // The names, sorted, a directory with "/" and a link with "@"; "errno N" for an error.
  std::string List(InodeNumber inode, const Caller& caller = kRoot) {
    const auto answer = OpenDirectory(inode, caller);
    if (answer->parked()) return "(parked)";
    if (answer->error() != 0) return Format("errno {}", answer->error());
    std::set<std::string> names;
    for (const DirectoryEntry& entry : *answer->value()) {
      names.insert(entry.name + (entry.type == S_IFDIR ? "/" : entry.type == S_IFLNK ? "@" : ""));
    }
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
    return text;
  }

  // --- the kernel's model: names are remembered until a plan or a rename takes them away

  // The inode at `path`, links followed; 0 and `last_error_` on failure.
  InodeNumber Walk(const std::string& path, const Caller& caller = kRoot) {
    for (int attempt = 0;; ++attempt) {
      const InodeNumber found = WalkOnce(kRootInode, path, caller, /*ask_again=*/attempt > 0);
      if (last_error_ != ESTALE || attempt > 0) return found;
    }
  }
  InodeNumber WalkOnce(InodeNumber start, std::string path, const Caller& caller, bool ask_again) {
    last_error_ = 0;
    InodeNumber at = start;
    while (!path.empty()) {
      const size_t slash = path.find('/');
      const std::string name = path.substr(0, slash);
      path = slash == std::string::npos ? "" : path.substr(slash + 1);
      const auto known = dentries_.find({at, name});
      InodeNumber child;
      if (known != dentries_.end() && !ask_again) {
        child = known->second;
      } else {
        const auto answer = Lookup(at, name, caller);
        last_error_ = answer->parked() ? EAGAIN : answer->error();
        if (last_error_ != 0) return {};
        child = answer->value().attributes.inode;
        if (answer->value().cacheable) dentries_[{at, name}] = child;
      }
      const auto attributes = operations_->GetAttributes(child);
      EXPECT_EQ(attributes.error, 0) << name;
      if (S_ISLNK(attributes.value.mode)) {
        const std::string target = operations_->ReadLink(child).value;
        path = path.empty() ? target : target + "/" + path;
        continue;
      }
      at = child;
    }
    return at;
  }
  AnswerPtr<Content> StartRead(InodeNumber inode) {
    auto [answer, reply] = Expect<Content>();
    operations_->Read(NextId(), inode, reply);
    return answer;
  }
  std::string ReadInode(InodeNumber inode) {
    const auto content = StartRead(inode);
    Poll();
    if (content->parked()) return "(parked)";
    if (content->error() != 0) return Format("errno {}", content->error());
    return std::string(content->value().bytes->ExposeAsText());
  }
  // What `cat` prints, or "errno N".
  std::string Cat(const std::string& path, const Caller& caller = kRoot) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      const InodeNumber inode = Walk(path, caller);
      if (last_error_ != 0) return Format("errno {}", last_error_);
      if (operations_->serves_open()) {
        const auto opened = Open(inode, O_RDONLY, caller);
        if (opened->parked()) return "(parked)";
        if (opened->error() == ESTALE) {
          dentries_.clear();
          continue;
        }
        if (opened->error() != 0) return Format("errno {}", opened->error());
      }
      return ReadInode(inode);
    }
    return "ESTALE twice";
  }
  Attributes Stat(InodeNumber inode) { return operations_->GetAttributes(inode).value; }
  Attributes Stat(const std::string& path) { return Stat(Walk(path)); }
  std::string Xattr(InodeNumber inode, const std::string& name) {
    const auto value = operations_->GetExtendedAttribute(inode, "user.secretfs." + name);
    return value.error == 0 ? value.value : Format("errno {}", value.error);
  }

  // --- publishing

  // Does what the publisher does for the oldest plan, and returns it.
  PublishPlan CarryOutOne() {
    PublishPlan plan = std::move(sink_.plans.front());
    sink_.plans.pop_front();
    for (const auto& name : plan.stale_names) dentries_.erase({name.parent, name.name});
    if (plan.data_target) {
      const auto link =
          operations_->MakeSymlink(kRootInode, kTemporaryDataLink, *plan.data_target, kPublisher);
      EXPECT_EQ(link.error, 0);
      EXPECT_EQ(
          operations_->Rename(kRootInode, kTemporaryDataLink, kRootInode, kDataLink, kPublisher),
          0);
      dentries_[{kRootInode, std::string(kDataLink)}] = link.value.attributes.inode;
    }
    for (const std::string& path : plan.touched_paths) Touch(Walk(path, kPublisher));
    for (const InodeNumber inode : plan.touched_inodes) {
      const auto hidden = Lookup(kRootInode, HiddenInodeName(inode), kPublisher);
      EXPECT_EQ(hidden->error(), 0);
      if (hidden->error() != 0) continue;
      EXPECT_FALSE(hidden->value().cacheable);
      EXPECT_EQ(hidden->value().attributes.inode, inode);
      Touch(inode);
      operations_->Forget(inode, 1);
    }
    if (plan.done) plan.done();
    return plan;
  }
  void CarryOut() {
    while (!sink_.plans.empty()) CarryOutOne();
  }
  void Touch(InodeNumber inode) {
    const auto opened = Open(inode, O_WRONLY, kPublisher);
    EXPECT_EQ(opened->error(), 0);
    EXPECT_EQ(operations_->Truncate(inode, Stat(inode).size, kPublisher).error, 0);
    ++touches_[inode];
  }

  // A new version at the store, fetched by the cache, not yet published to the kernel.
  void Rotate(const std::string& key, const std::string& value) {
    provider_->Set(key, value);
    RefreshKey(key);
  }
  void RefreshKey(const std::string& key) {
    cache_->Refresh({.store = store_, .ref = {.key = key, .version = {}}}, [](auto) {});
    Poll();
  }
  void SetFields(const std::string& key, const std::map<std::string, std::string>& fields) {
    std::string json = "{";
    for (const auto& [name, value] : fields) {
      json += Format("{}\"{}\":\"{}\"", json.size() > 1 ? "," : "", name, value);
    }
    fakes::FakeProvider::Extras extras;
    extras.fields = fields;
    provider_->Set(key, json + "}", extras);
  }

  asio::io_context context_;
  fakes::ManualClock clock_;
  fakes::FixedRandom random_{0.5};
  std::unique_ptr<cache::Cache> cache_;
  std::shared_ptr<fakes::FakeProvider> provider_;
  cache::StoreId store_;
  RecordingSink sink_;
  std::optional<std::vector<gid_t>> groups_ = std::vector<gid_t>();
  MountMemory memory_;
  std::unique_ptr<Operations> operations_;

  uint64_t last_id_ = 0;
  int last_error_ = 0;
  std::map<std::pair<InodeNumber, std::string>, InodeNumber> dentries_;
  std::map<InodeNumber, int> touches_;
};

}  // namespace secretfs::fs
