// What a server that was taken over could have written down of the mount's tree, and what the next
// one makes of it: it serves, and nothing but what the manifest names. tests/fuzz/mount_state_fuzz
// does it with whatever decodes.

#include "fs/saved_checks.h"
#include "tests/unit/fs/survival_fixture.h"

namespace secretfs::fs {
namespace {

using saved::RecordType;

saved::Payload AsPayload(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class HostileStateTest : public SurvivalTest {
 protected:
  HostileStateTest() : SurvivalTest(providers::Capabilities{.list = true, .batch_size = 10}) {}

  // Every record of that type as `change` leaves it.
  template <typename Value>
  void Tamper(RecordType wanted, absl::StatusOr<Value> (*decode)(saved::Payload),
              const std::function<void(Value&)>& change) {
    left_.state = left_.state.valid() ? std::move(left_.state) : Snapshot().state;
    SharedRecords records = *SharedRecords::Attach(left_.state.get());
    std::vector<std::pair<RecordId, Value>> found;
    records.ForEach([&](RecordId record, uint32_t type, saved::Payload payload) {
      if (type != static_cast<uint32_t>(wanted)) return;
      found.emplace_back(record, *decode(payload));
    });
    ASSERT_FALSE(found.empty());
    for (auto& [record, value] : found) {
      change(value);
      ASSERT_TRUE(records.Replace(record, AsPayload(saved::Encode(value))).ok());
    }
    records.Commit();
  }
  void TamperInodes(const std::function<void(saved::Inode&)>& change) {
    Tamper<saved::Inode>(RecordType::kInode, saved::DecodeInode, change);
  }
  void TamperTree(const std::function<void(saved::Tree&)>& change) {
    Tamper<saved::Tree>(RecordType::kTree, saved::DecodeTree, change);
  }
  template <typename Value>
  void Add(RecordType type, const Value& value) {
    left_.state = left_.state.valid() ? std::move(left_.state) : Snapshot().state;
    SharedRecords records = *SharedRecords::Attach(left_.state.get());
    const std::string payload = saved::Encode(value);
    ASSERT_TRUE(records.Insert(static_cast<uint32_t>(type), AsPayload(payload)).ok());
    records.Commit();
  }

  // The next server, which has nothing but what was left.
  void Succeed() {
    operations_.reset();
    sink_.plans.clear();
    MakeCache();
    auto state = MountState::Attach(left_.state.get());
    ASSERT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
    left_ = {};
    Serve(spec_);
    operations_->Resume();
    Poll();
    dentries_.clear();  // as the kernel asks again
    PublishAll();
  }

  void MountFlat() {
    provider_->Set("app/password", "one");
    provider_->Set("app/name", "app");
    MountSpec spec;
    spec.files = {File("db/password", "app/password"), File("name", "app/name")};
    MountKept(std::move(spec));
    ExpectServesFlat();
  }
  void ExpectServesFlat() {
    EXPECT_EQ(ReadPath("db/password"), "one");
    EXPECT_EQ(ReadPath("name"), "app");
    EXPECT_EQ(List(kRootInode), "db/ name");
  }
  void MountAtomic() {
    SetFields("tls", {{"cert", "cert 1"}, {"key", "key 1"}});
    MountSpec spec;
    spec.files = {File("tls/cert.pem", "tls", "cert"), File("tls/key.pem", "tls", "key")};
    spec.layout = Layout::kAtomic;
    MountKept(std::move(spec));
    ExpectServesAtomic(1);
  }
  void ExpectServesAtomic(int number) {
    EXPECT_EQ(ReadPath("tls/cert.pem"), Format("cert {}", number));
    EXPECT_EQ(ReadPath("tls/key.pem"), Format("key {}", number));
    // Whoever follows a link of the root stays in the mount.
    const InodeNumber data = CountedLookup(kRootInode, "..data")->value().attributes.inode;
    EXPECT_TRUE(IsGenerationName(operations_->ReadLink(data).value))
        << operations_->ReadLink(data).value;
    const InodeNumber link = CountedLookup(kRootInode, "tls")->value().attributes.inode;
    EXPECT_EQ(operations_->ReadLink(link).value, "..data/tls");
  }
  void MountBrowse() {
    provider_->Set("app/a", "value of a");
    provider_->Set("app/sub/b", "value of b");
    provider_->Set("other/secret", "of somebody else");
    MountSpec spec;
    spec.browse = {Browse("", "app")};
    MountKept(std::move(spec));
    EXPECT_EQ(ReadPath("a"), "value of a");
    EXPECT_EQ(ReadPath("sub/b"), "value of b");
  }

  Left left_;
};

TEST_F(HostileStateTest, LinksDoNotLeadOutOfTheMount) {
  MountAtomic();
  TamperInodes([](saved::Inode& inode) {
    if (auto* link = std::get_if<saved::LinkInode>(&inode.body)) link->target = "/etc/shadow";
  });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ExpectServesAtomic(1);
}

TEST_F(HostileStateTest, GenerationsHaveNamesOfGenerations) {
  MountAtomic();
  Tamper<saved::View>(RecordType::kView, saved::DecodeView,
                      [](saved::View& view) { view.name = "../../../etc"; });
  TamperInodes([](saved::Inode& inode) {
    auto* link = std::get_if<saved::LinkInode>(&inode.body);
    if (link != nullptr && inode.name == kDataLink) link->target = "../../../etc";
  });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ExpectServesAtomic(1);
}

TEST_F(HostileStateTest, ABrowsedDirectoryStaysBelowItsPrefix) {
  MountBrowse();
  TamperInodes([](saved::Inode& inode) {
    auto* directory = std::get_if<saved::BrowseInode>(&inode.body);
    if (directory != nullptr && !directory->is_root) directory->store_path = "other";
  });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_EQ(ReadPath("sub/secret"), "errno 2");
  EXPECT_EQ(ReadPath("sub/b"), "value of b");
  EXPECT_EQ(provider_->fetches_of("other/secret"), 0u);
}

TEST_F(HostileStateTest, ABrowseTreeHasItsOwnRoot) {
  MountBrowse();
  TamperInodes([](saved::Inode& inode) {
    auto* directory = std::get_if<saved::BrowseInode>(&inode.body);
    if (directory != nullptr && directory->is_root) directory->store_path = "other";
  });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_EQ(ReadPath("secret"), "errno 2");
  EXPECT_EQ(ReadPath("a"), "value of a");
  EXPECT_EQ(provider_->fetches_of("other/secret"), 0u);
}

TEST_F(HostileStateTest, ABrowsedFileShowsTheSecretOfItsName) {
  MountBrowse();
  Tamper<saved::Slot>(RecordType::kSlot, saved::DecodeSlot,
                      [](saved::Slot& slot) { slot.key = "other/secret"; });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_EQ(ReadPath("a"), "value of a");
  EXPECT_EQ(ReadPath("sub/b"), "value of b");
  EXPECT_EQ(provider_->fetches_of("other/secret"), 0u);
}

TEST_F(HostileStateTest, AFileShowsNoOtherFilesSecret) {
  MountBrowse();
  Tamper<saved::Slot>(RecordType::kSlot, saved::DecodeSlot, [](saved::Slot& slot) {
    if (slot.name == "b") slot.key = "app/a";
  });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_EQ(ReadPath("sub/b"), "value of b");
}

TEST_F(HostileStateTest, DirectoriesThatContainThemselvesAreNotWalkedForEver) {
  MountBrowse();
  InodeNumber sub;
  TamperInodes([&sub](saved::Inode& inode) {
    if (inode.name == "sub") sub = inode.parent = inode.number;
  });
  ASSERT_NE(sub, InodeNumber());
  ASSERT_NO_FATAL_FAILURE(Succeed());
  int answers = 0;
  operations_->Refresh("", [&answers](const absl::Status&) { ++answers; });
  Poll();
  PublishAll();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(ReadPath("sub/b"), "value of b");
}

TEST_F(HostileStateTest, NumbersGoOn) {
  for (const uint64_t next : {uint64_t{0}, uint64_t{2}, UINT64_MAX, UINT64_MAX - 1}) {
    StartOver();
    MountFlat();
    const InodeNumber before = Resolve("name");
    TamperTree(
        [next](saved::Tree& tree) { tree.next_inode = tree.next_slot = tree.next_plan = next; });
    ASSERT_NO_FATAL_FAILURE(Succeed());
    ExpectServesFlat();
    Rotate("app/name", "two");
    PublishAll();
    EXPECT_EQ(ReadPath("name"), "two");
    const InodeNumber after = Resolve("name");
    EXPECT_GT(after, before) << next;
    EXPECT_LE(after.value(), kMostNumber) << next;
  }
}

TEST_F(HostileStateTest, ANumberThatAnEarlierServerKnewIsNotGivenAgain) {
  MountFlat();
  memory_.first_number = uint64_t{1} << 44;
  const uint64_t first = memory_.first_number;
  left_ = Snapshot();
  operations_.reset();
  sink_.plans.clear();
  MakeCache();
  state_ = *MountState::Attach(left_.state.get());
  memory_ = {.state = state_.get(),
             .values = values_.get(),
             .values_prefix = "f/7/",
             .first_number = first};
  Mount(spec_);
  operations_->Resume();
  Poll();
  Rotate("app/name", "two");
  PublishAll();
  EXPECT_EQ(ReadPath("name"), "two");
  EXPECT_GE(Resolve("name").value(), first);
}

TEST_F(HostileStateTest, RecordsWithImpossibleNumbersAreDropped) {
  MountFlat();
  saved::Inode inode;
  inode.parent = kRootInode;
  inode.name = "x";
  inode.body = saved::LinkInode{.target = "..data/x", .modified = {}};
  for (const uint64_t number : {UINT64_MAX, kMostNumber + 1}) {
    inode.number = InodeNumber(number);
    Add(RecordType::kInode, inode);
  }
  saved::Slot slot;
  slot.path = "x";
  slot.id = 0;
  Add(RecordType::kSlot, slot);
  slot.id = UINT64_MAX;
  Add(RecordType::kSlot, slot);
  saved::Plan plan;
  plan.id = UINT64_MAX;
  Add(RecordType::kPlan, plan);
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ExpectServesFlat();
  // And are gone.
  left_ = Snapshot();
  const auto state = MountState::Attach(left_.state.get());
  ASSERT_TRUE(state.ok());
  const SavedTree tree = (*state)->TakeTree();
  EXPECT_TRUE(tree.plans.empty());
  for (const auto& kept : tree.slots) EXPECT_LE(kept.value.id, 2u);
}

TEST_F(HostileStateTest, PlansForGenerationsThatAreNotThere) {
  MountAtomic();
  saved::Plan plan;
  plan.id = 77;
  plan.generation = 4711;
  plan.plan.touched_paths = {"../../etc/passwd", "/etc/passwd", "", "tls/cert.pem"};
  plan.plan.touched_inodes = {InodeNumber(0), InodeNumber(999)};
  plan.plan.stale_names = {{.parent = InodeNumber(999), .name = "../x", .path = "a/../../b"},
                           {.parent = kRootInode, .name = "", .path = ""}};
  plan.plan.stale_directories = {InodeNumber(12345)};
  Add(RecordType::kPlan, plan);
  plan.id = 78;
  plan.plan.data_target = "../../etc";
  Add(RecordType::kPlan, plan);
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ExpectServesAtomic(1);
  SetFields("tls", {{"cert", "cert 2"}, {"key", "key 2"}});
  RefreshKey("tls");
  PublishAll();
  ExpectServesAtomic(2);
}

TEST_F(HostileStateTest, ATreeWhoseRootIsSomethingElseIsMadeAnew) {
  MountFlat();
  const InodeNumber before = Resolve("name");
  TamperInodes([](saved::Inode& inode) {
    if (inode.number == kRootInode) std::get<saved::ViewInode>(inode.body).path = "db";
  });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ExpectServesFlat();
  EXPECT_GT(Resolve("name"), before) << "its number means another content to the kernel";
}

// Names that the kernel knows would lead to what is not there any more.
TEST_F(HostileStateTest, OfATreeThatIsMadeAnewTheKernelForgetsTheNames) {
  MountFlat();
  TamperTree([](saved::Tree& tree) { tree.current = tree.newest + 1; });
  operations_.reset();
  sink_.plans.clear();
  MakeCache();
  state_ = *MountState::Attach(left_.state.get());
  Serve(spec_);
  operations_->Resume();
  Poll();
  ASSERT_FALSE(sink_.plans.empty());
  std::set<std::string> names;
  for (const auto& name : sink_.plans.front().stale_names) names.insert(name.name);
  EXPECT_EQ(names, (std::set<std::string>{"db", "name"}));
  PublishAll();
  ExpectServesFlat();
}

TEST_F(HostileStateTest, TimesAndSizesAreBounded) {
  MountFlat();
  TamperTree(
      [](saved::Tree& tree) { tree.last_generation_time = tree.root_modified = WallTime::max(); });
  TamperInodes([](saved::Inode& inode) {
    if (auto* file = std::get_if<saved::FileInode>(&inode.body)) {
      file->modified = file->fetched = WallTime::max();
      file->size = UINT64_MAX;
    }
  });
  Tamper<saved::Slot>(RecordType::kSlot, saved::DecodeSlot,
                      [](saved::Slot& slot) { slot.last_modified = WallTime::max(); });
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ExpectServesFlat();
  Rotate("app/name", "two");
  PublishAll();
  EXPECT_EQ(ReadPath("name"), "two");
  EXPECT_LT(Stat(Resolve("name")).size, 10u);
  EXPECT_LT(Stat(Resolve("name")).modified, WallTime::max());
}

TEST_F(HostileStateTest, LookupsThatNobodyCouldHaveMade) {
  MountFlat();
  const InodeNumber inode = Resolve("name");
  left_ = Snapshot();
  {
    auto state = *MountState::Attach(left_.state.get());
    for (const auto& kept : state->TakeTree().inodes) state->counter(kept.record) = UINT64_MAX;
  }
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_EQ(CountedLookup(kRootInode, "name")->error(), 0);
  operations_->Forget(inode, 1);
  ExpectServesFlat();
}

// --- the checks themselves

TEST(SavedChecksTest, AStorePathIsShownComponentByComponent) {
  EXPECT_TRUE(ShowsStorePath("", ""));
  EXPECT_TRUE(ShowsStorePath("a/b", "a/b"));
  EXPECT_TRUE(ShowsStorePath("a%2Fb/c", "a/b/c"));
  EXPECT_TRUE(ShowsStorePath("a~", "a~"));
  EXPECT_TRUE(ShowsStorePath("a~", "a"));  // another one was there first
  const std::string long_name(300, 'x');
  EXPECT_TRUE(ShowsStorePath(ShownName(long_name) + "/b", long_name + "/b"));
  EXPECT_FALSE(ShowsStorePath("a", ""));
  EXPECT_FALSE(ShowsStorePath("", "a"));
  EXPECT_FALSE(ShowsStorePath("a", "b"));
  EXPECT_FALSE(ShowsStorePath("a/b", "a"));
  EXPECT_FALSE(ShowsStorePath("a", "a/b"));
  EXPECT_FALSE(ShowsStorePath("a/%2E%2E/b", "a/../b"));
  EXPECT_FALSE(ShowsStorePath("a", "a/"));
}

TEST(SavedChecksTest, NamesOfGenerations) {
  EXPECT_TRUE(IsGenerationName(GenerationName(WallTime(std::chrono::hours(500'000)))));
  for (const char* name :
       {"", "..", "..data", "..2026_01_01_00_00_00.12345678", "..2026_01_01_00_00_00.12345678x",
        "..2026/01_01_00_00_00.123456789", "../../../../../../../../../../etc"}) {
    EXPECT_FALSE(IsGenerationName(name)) << name;
  }
}

}  // namespace
}  // namespace secretfs::fs
