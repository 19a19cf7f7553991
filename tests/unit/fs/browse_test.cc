// Browse trees over a store whose secrets are single values, and what all browse trees share.

#include "tests/unit/fs/operations_fixture.h"

namespace secretfs::fs {
namespace {

class BrowseTest : public OperationsTest {
 protected:
  using OperationsTest::OperationsTest;

  void MountRoot(const std::string& prefix = "") {
    MountSpec spec;
    spec.browse = {Browse("", prefix)};
    Mount(std::move(spec));
  }
  static std::string Errno(int error) { return Format("errno {}", error); }
};

TEST_F(BrowseTest, MountingAsksNothingAndListingFetchesNoValue) {
  provider_->Set("db/password", "one");
  provider_->Set("db/user", "me");
  provider_->Set("top", "t");
  MountRoot();
  EXPECT_EQ(provider_->list_calls(), 0u);
  EXPECT_TRUE(operations_->serves_open());
  EXPECT_EQ(List(kRootInode), "db/ top");
  EXPECT_EQ(List(Walk("db")), "password user");
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
}

TEST_F(BrowseTest, StatDoesNotFetchOpenDoesAndThenTheSizeIsTrue) {
  provider_->Set("db/password", "secret");
  MountRoot();
  const InodeNumber inode = Walk("db/password");
  EXPECT_EQ(Stat(inode).size, 0u);
  EXPECT_FALSE(Stat(inode).settled);
  EXPECT_EQ(Stat(inode).mode, S_IFREG | 0400u);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_EQ(Xattr(inode, "version"), Errno(ENODATA));
  EXPECT_EQ(Xattr(inode, "key"), "db/password");
  EXPECT_EQ(Xattr(inode, "state"), "absent");

  const auto opened = Open(inode);
  ASSERT_EQ(opened->error(), 0);
  EXPECT_FALSE(opened->value().use_no_open);
  ASSERT_TRUE(opened->value().prefill);  // mmap must see the size at once
  EXPECT_EQ(opened->value().prefill->bytes->ExposeAsText(), "secret");
  EXPECT_EQ(Stat(inode).size, 6u);
  EXPECT_TRUE(Stat(inode).settled);
  EXPECT_EQ(ReadInode(inode), "secret");
  EXPECT_EQ(Xattr(inode, "version"), "1");

  const auto again = StartOpen(inode);
  ASSERT_FALSE(again->parked());  // fresh: no way through the cache
  EXPECT_FALSE(again->value().prefill);
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(BrowseTest, AnInterruptedOpenLeavesTheSizeToTheNext) {
  provider_->Set("k", "secret");
  MountRoot();
  const InodeNumber inode = Walk("k");
  provider_->Hold();
  const auto interrupted = Open(inode);
  operations_->Interrupt(RequestId(last_id_));
  ASSERT_EQ(interrupted->error(), EINTR);
  provider_->Release();
  Poll();
  const auto opened = Open(inode);
  ASSERT_EQ(opened->error(), 0);
  EXPECT_TRUE(opened->value().prefill);  // nobody told the kernel before
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(BrowseTest, AnOpenedFileFollowsTheStore) {
  provider_->Set("k", "one");
  MountRoot();
  const InodeNumber first = Walk("k");
  EXPECT_EQ(Cat("k"), "one");
  const WallTime modified = Stat(first).modified;
  provider_->Set("k", "two!");
  Advance(seconds(61));
  ASSERT_EQ(sink_.plans.size(), 1u);
  const PublishPlan plan = CarryOutOne();
  EXPECT_EQ(plan.touched_paths, std::vector<std::string>{"k"});
  EXPECT_EQ(plan.touched_inodes, std::vector{first});
  EXPECT_EQ(Cat("k"), "two!");
  EXPECT_NE(Walk("k"), first);
  EXPECT_GT(Stat("k").modified, modified);
  EXPECT_EQ(Open(first)->error(), 0);  // an older version serves who holds it
  EXPECT_EQ(ReadInode(first), "one");
}

// Dropping the old name makes the kernel forget the old version before the publisher looks the new
// one up; the watch below it refreshes the listing meanwhile, which the publisher cannot wait for.
TEST_F(BrowseTest, AFileOutlivesItsOldVersionUntilThePublisherHasLookedTheNewOneUp) {
  provider_->Set("k", "one");
  MountRoot();
  EXPECT_EQ(Cat("k"), "one");
  const InodeNumber first = Walk("k");
  provider_->Set("k", "two!");
  Advance(seconds(61));
  ASSERT_EQ(sink_.plans.size(), 1u);
  dentries_.clear();
  operations_->Forget(first, 1);
  sink_.plans.front().touched_inodes.clear();  // nobody holds the old version
  CarryOut();
  const InodeNumber second = Walk("k");
  EXPECT_EQ(touches_[second], 1);
  EXPECT_EQ(Stat(second).size, 4u);
  ASSERT_EQ(operations_->Files().size(), 1u);
  // And once the kernel forgets that one as well, nothing is left.
  operations_->Forget(second, 1);
  EXPECT_TRUE(operations_->Files().empty());
}

TEST_F(BrowseTest, AnOpenThatFindsANewerVersionSendsTheKernelBack) {
  provider_->Set("k", "one");
  MountRoot();
  const InodeNumber first = Walk("k");
  EXPECT_EQ(Cat("k"), "one");
  // Long unused: the cache stopped refreshing it and lets it expire.
  Advance(hours(2));
  sink_.plans.clear();
  provider_->Set("k", "two");
  const auto opened = Open(first);
  EXPECT_EQ(opened->error(), ESTALE);
  dentries_.clear();
  EXPECT_EQ(Cat("k"), "two");
}

TEST_F(BrowseTest, AFileThatVanishedBetweenListAndOpen) {
  provider_->Set("k", "one");
  provider_->Set("l", "one");
  MountRoot();
  const InodeNumber inode = Walk("k");
  provider_->Remove("k");
  EXPECT_EQ(Open(inode)->error(), ENOENT);
  ASSERT_EQ(sink_.plans.size(), 1u);
  const PublishPlan plan = CarryOutOne();
  ASSERT_EQ(plan.stale_names.size(), 1u);
  EXPECT_EQ(plan.stale_names[0].name, "k");
  EXPECT_EQ(Cat("k"), Errno(ENOENT));
  EXPECT_EQ(List(kRootInode), "l");
}

TEST_F(BrowseTest, ASecretThatIsReadAndDeletedGoes) {
  provider_->Set("k", "one");
  MountRoot();
  EXPECT_EQ(Cat("k"), "one");
  provider_->Remove("k");
  RefreshKey("k");
  RefreshKey("k");
  CarryOut();
  EXPECT_EQ(Cat("k"), Errno(ENOENT));
  EXPECT_EQ(List(kRootInode), "");
}

TEST_F(BrowseTest, ANewSecretIsFoundByNameBeforeTheListingExpires) {
  provider_->Set("old", "x");
  MountRoot();
  EXPECT_EQ(List(kRootInode), "old");
  provider_->Set("new", "y");
  EXPECT_EQ(Cat("new"), Errno(ENOENT));  // a miss is remembered for negativeTtl
  const size_t lists = provider_->list_calls();
  EXPECT_EQ(Cat("newer"), Errno(ENOENT));
  EXPECT_EQ(provider_->list_calls(), lists);
  Advance(seconds(6));
  EXPECT_EQ(Cat("new"), "y");
  EXPECT_EQ(List(kRootInode), "new old");
}

TEST_F(BrowseTest, ANameThatIsSecretAndPrefixShowsBoth) {
  provider_->Set("a", "value");
  provider_->Set("a/b", "below");
  MountRoot();
  EXPECT_EQ(List(kRootInode), "a/ a~");
  EXPECT_EQ(Cat("a~"), "value");
  EXPECT_EQ(Cat("a/b"), "below");
  // The listing takes over when the store changes.
  provider_->Remove("a/b");
  Advance(seconds(61));
  List(kRootInode);  // served stale once, while the cache asks the store
  EXPECT_EQ(List(kRootInode), "a");
  CarryOut();
  EXPECT_EQ(Cat("a"), "value");
  EXPECT_EQ(Cat("a~"), Errno(ENOENT));
}

TEST_F(BrowseTest, AListingThatLostNamesTakesThemFromTheKernel) {
  provider_->Set("gone/x", "1");
  provider_->Set("stays/x", "1");
  provider_->Set("file", "1");
  MountRoot();
  EXPECT_EQ(Cat("gone/x"), "1");
  EXPECT_EQ(Cat("stays/x"), "1");
  const InodeNumber file = Walk("file");
  provider_->Remove("gone/x");
  provider_->Remove("file");
  Advance(seconds(30));
  Advance(seconds(31));
  CarryOut();
  List(kRootInode);  // served stale once, while the cache asks the store
  EXPECT_EQ(List(kRootInode), "stays/");
  ASSERT_EQ(sink_.plans.size(), 1u);
  const PublishPlan plan = CarryOutOne();
  std::set<std::string> stale;
  for (const auto& name : plan.stale_names) stale.insert(name.name);
  EXPECT_EQ(stale, (std::set<std::string>{"file", "gone"}));
  EXPECT_EQ(plan.stale_directories, std::vector{kRootInode});
  EXPECT_EQ(Cat("gone/x"), Errno(ENOENT));
  EXPECT_EQ(Open(file)->error(), ESTALE);
  EXPECT_EQ(Cat("stays/x"), "1");
}

TEST_F(BrowseTest, ADirectoryThatVanished) {
  provider_->Set("d/x", "1");
  MountRoot();
  const InodeNumber d = Walk("d");
  provider_->Remove("d/x");
  Advance(seconds(61));
  EXPECT_EQ(List(d), Errno(ENOENT));
  CarryOut();
  EXPECT_EQ(Walk("d"), InodeNumber());
  EXPECT_EQ(last_error_, ENOENT);
}

TEST_F(BrowseTest, AnEmptyStoreIsAnEmptyDirectory) {
  MountRoot();
  EXPECT_EQ(List(kRootInode), "");
  EXPECT_EQ(Cat("x"), Errno(ENOENT));
}

TEST_F(BrowseTest, StoreDownMeansErrorsThenTheLastListing) {
  provider_->Set("k", "1");
  MountRoot();
  provider_->FailCalls(absl::UnavailableError("down"), fakes::FakeProvider::kForever);
  const auto listing = OpenDirectory(kRootInode);
  EXPECT_TRUE(listing->parked());
  Advance(seconds(11));
  EXPECT_EQ(listing->error(), ETIMEDOUT);
  provider_->Heal();
  Advance(seconds(120));
  EXPECT_EQ(List(kRootInode), "k");
  provider_->FailCalls(absl::UnavailableError("down"), fakes::FakeProvider::kForever);
  Advance(seconds(61));
  EXPECT_EQ(List(kRootInode), "k");
}

TEST_F(BrowseTest, WaitingRequestsCanBeInterrupted) {
  provider_->Set("k", "1");
  MountRoot();
  provider_->Hold();
  const auto lookup = Lookup(kRootInode, "k");
  const RequestId lookup_id(last_id_);
  const auto listing = OpenDirectory(kRootInode);
  const RequestId listing_id(last_id_);
  operations_->Interrupt(lookup_id);
  operations_->Interrupt(listing_id);
  EXPECT_EQ(lookup->error(), EINTR);
  EXPECT_EQ(listing->error(), EINTR);
  provider_->Release();
  Poll();
  const InodeNumber inode = Walk("k");
  provider_->Hold();
  const auto open = Open(inode);
  EXPECT_TRUE(open->parked());
  operations_->Interrupt(RequestId(last_id_));
  EXPECT_EQ(open->error(), EINTR);
  const auto parked = Open(inode);
  operations_.reset();
  EXPECT_EQ(parked->error(), ENOTCONN);
  provider_->Release();
  Poll();
  EXPECT_EQ(open->calls, 1);
  EXPECT_EQ(parked->calls, 1);
}

TEST_F(BrowseTest, WhereListingIsDeniedNamesAreFoundByAsking) {
  provider_->Set("app/db", "value");
  provider_->Set("app/sub/x", "deep");
  MountRoot("app");
  provider_->FailCalls(absl::PermissionDeniedError("403"), 1);
  EXPECT_EQ(List(kRootInode), Errno(EACCES));
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  const auto found = Lookup(kRootInode, "db");
  ASSERT_EQ(found->error(), 0);
  EXPECT_EQ(found->value().attributes.size, 5u);  // the probe brought it
  EXPECT_EQ(Cat("db"), "value");
  EXPECT_EQ(Cat("sub/x"), "deep");
  EXPECT_EQ(Lookup(kRootInode, "none")->error(), ENOENT);
  provider_->Fail("app/closed", absl::PermissionDeniedError("403"), fakes::FakeProvider::kForever);
  const auto closed = StartLookup(kRootInode, "closed");
  Poll();
  EXPECT_EQ(closed->error(), ENOENT);  // its prefix can be listed, and is not there
}

TEST_F(BrowseTest, EverythingDeniedIsDenied) {
  MountRoot("app");
  provider_->FailCalls(absl::PermissionDeniedError("403"), fakes::FakeProvider::kForever);
  EXPECT_EQ(Lookup(kRootInode, "db")->error(), EACCES);
  EXPECT_EQ(Lookup(kRootInode, "db/x")->error(), EACCES);
}

TEST_F(BrowseTest, NamesOfAllKindsAreReadable) {
  const std::string names[] = {"with space",
                               "new\nline",
                               "\xff\x01",
                               "100%",
                               "%2F",
                               "~",
                               ".hidden",
                               "..data",
                               "a.json",
                               std::string(255, 'x'),
                               std::string(300, 'y')};
  for (const std::string& name : names) provider_->Set(name, "value of " + name);
  MountRoot();
  const auto listing = OpenDirectory(kRootInode);
  ASSERT_EQ(listing->error(), 0);
  std::set<std::string> contents;
  for (const DirectoryEntry& entry : *listing->value()) {
    EXPECT_LE(entry.name.size(), kLongestName);
    contents.insert(Cat(entry.name));
  }
  std::set<std::string> expected;
  for (const std::string& name : names) expected.insert("value of " + name);
  EXPECT_EQ(contents, expected);
}

TEST_F(BrowseTest, ForgottenFilesAreNotKeptFresh) {
  provider_->Set("k", "one");
  MountRoot();
  EXPECT_EQ(Cat("k"), "one");
  ASSERT_EQ(operations_->Files().size(), 1u);
  EXPECT_EQ(operations_->Files()[0].path, "k");
  const InodeNumber inode = Walk("k");
  operations_->Forget(inode, 1);
  EXPECT_EQ(operations_->GetAttributes(inode).error, ESTALE);
  EXPECT_TRUE(operations_->Files().empty());
  dentries_.clear();
  const size_t fetches = provider_->fetch_call_count();
  Advance(hours(1));
  EXPECT_EQ(provider_->fetch_call_count(), fetches);
  EXPECT_TRUE(sink_.plans.empty());
  EXPECT_EQ(Cat("k"), "one");
}

TEST_F(BrowseTest, DirectoriesMayBeForgottenInAnyOrder) {
  provider_->Set("a/b/c", "1");
  MountRoot();
  EXPECT_EQ(Cat("a/b/c"), "1");
  const InodeNumber a = Walk("a"), b = Walk("a/b"), c = Walk("a/b/c");
  for (const InodeNumber inode : {a, b, c}) operations_->Forget(inode, 1);
  for (const InodeNumber inode : {a, b, c}) {
    EXPECT_EQ(operations_->GetAttributes(inode).error, ESTALE);
  }
  dentries_.clear();
  EXPECT_EQ(Cat("a/b/c"), "1");
}

TEST_F(BrowseTest, TenThousandNamesAreOneListingAndLookupsNeedNoOther) {
  for (int i = 0; i < 10'000; ++i) provider_->Set(Format("secret-{:05}", i), "x");
  MountRoot();
  EXPECT_EQ(OpenDirectory(kRootInode)->value()->size(), 10'000u);
  const size_t lists = provider_->list_calls();
  for (int i = 0; i < 10'000; ++i) {
    const auto found = StartLookup(kRootInode, Format("secret-{:05}", i));
    ASSERT_FALSE(found->parked());
    ASSERT_EQ(found->error(), 0);
  }
  EXPECT_EQ(provider_->list_calls(), lists);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_TRUE(operations_->Files().empty());
}

TEST_F(BrowseTest, BesideManifestFilesAndBelowADirectory) {
  provider_->Set("app/k", "browsed");
  provider_->Set("named", "named");
  MountSpec spec;
  spec.browse = {Browse("stores/app", "app")};
  spec.files = {File("stores/file", "named")};
  Mount(std::move(spec));
  EXPECT_EQ(List(kRootInode), "stores/");
  EXPECT_EQ(List(Walk("stores")), "app/ file");
  EXPECT_EQ(List(Walk("stores/app")), "k");
  EXPECT_EQ(Cat("stores/app/k"), "browsed");
  EXPECT_EQ(Cat("stores/file"), "named");
  EXPECT_EQ(operations_->Files().size(), 2u);
  EXPECT_EQ(operations_->Files()[0].path, "stores/app/k");
  // The root of the tree outlives being forgotten.
  const InodeNumber tree = Walk("stores/app");
  operations_->Forget(tree, 99);
  EXPECT_EQ(List(tree), "k");
}

TEST_F(BrowseTest, ReadersWithoutTheRightCauseNoRequests) {
  provider_->Set("k", "1");
  MountSpec spec;
  spec.browse = {Browse("", "")};
  spec.directory_mode = 0711;
  Mount(std::move(spec));
  const Caller stranger{.uid = 5, .gid = 5, .pid = 5, .is_publisher = false};
  EXPECT_EQ(List(kRootInode, stranger), Errno(EACCES));
  EXPECT_EQ(provider_->list_calls(), 0u);
  const InodeNumber inode = Walk("k");
  EXPECT_EQ(Open(inode, O_RDONLY, stranger)->error(), EACCES);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
}

TEST_F(BrowseTest, RefreshOfAPathAndOfAll) {
  provider_->Set("d/k", "one");
  MountRoot();
  std::optional<absl::Status> done;
  const auto record = [&](absl::Status status) { done = status; };
  operations_->Refresh("d/k", record);
  Poll();
  CarryOut();
  EXPECT_EQ(done->code(), absl::StatusCode::kNotFound);  // nobody has read it
  EXPECT_EQ(Cat("d/k"), "one");
  for (const char* path : {"d/k", "d", ""}) {
    provider_->Set("d/k", Format("by {}", path));
    done.reset();
    operations_->Refresh(path, record);
    Poll();
    CarryOut();
    ASSERT_TRUE(done) << path;
    EXPECT_TRUE(done->ok()) << *done;
    EXPECT_EQ(Cat("d/k"), Format("by {}", path));
  }
}

TEST_F(BrowseTest, RefreshAlsoBelievesNoListingAnyMore) {
  provider_->Set("d/k", "one");
  MountRoot();
  EXPECT_EQ(List(Walk("d")), "k");
  provider_->Set("d/l", "two");
  provider_->Remove("d/k");
  std::optional<absl::Status> done;
  operations_->Refresh("d", [&](absl::Status status) { done = status; });
  Poll();
  CarryOut();
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->ok()) << *done;  // a directory that is known, with nothing read in it
  EXPECT_EQ(Cat("d/l"), "two");
  EXPECT_EQ(List(Walk("d")), "l");
}

class WatchedBrowseTest : public BrowseTest {
 protected:
  WatchedBrowseTest() : BrowseTest(providers::Capabilities{.list = true, .watch = true}) {
    provider_->set_notify_on_change(true);
  }
};

TEST_F(WatchedBrowseTest, ChangesShowAtOnce) {
  provider_->Set("k", "one");
  MountRoot();
  EXPECT_EQ(List(kRootInode), "k");
  EXPECT_EQ(Cat("k"), "one");
  provider_->Set("new", "fresh");
  Poll();
  EXPECT_EQ(Cat("new"), "fresh");
  EXPECT_EQ(List(kRootInode), "k new");
  provider_->Set("k", "two");
  Poll();
  CarryOut();
  EXPECT_EQ(Cat("k"), "two");
}

class StructuredBrowseTest : public BrowseTest {
 protected:
  StructuredBrowseTest() : BrowseTest(providers::Capabilities{.list = true, .structured = true}) {}
};

TEST_F(StructuredBrowseTest, ASecretIsADirectoryOfItsFields) {
  SetFields("app/db", {{"password", "p"}, {"user", "u"}});
  MountRoot("app");
  EXPECT_EQ(Walk("db/none"), InodeNumber());
  EXPECT_EQ(last_error_, ENOENT);
  EXPECT_EQ(Cat("db/password"), "p");
  EXPECT_EQ(Cat("db.json"), R"({"password":"p","user":"u"})");
  EXPECT_EQ(List(Walk("db")), "password user");
  EXPECT_EQ(List(kRootInode), "db.json db/");
  EXPECT_EQ(provider_->fetches_of("app/db"), 1u);
  EXPECT_EQ(provider_->fetch_call_count(), 2u);  // and one to see whether "app" is a secret itself
}

TEST_F(StructuredBrowseTest, OnlyTheDirectoryOfASecretFetchesIt) {
  SetFields("db", {{"password", "p"}});
  SetFields("web", {{"token", "t"}});
  MountRoot();
  EXPECT_EQ(List(kRootInode), "db.json db/ web.json web/");
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_EQ(List(Walk("db")), "password");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(provider_->fetches_of("db"), 1u);
  // The fields' sizes are known with their names.
  EXPECT_EQ(Stat("db/password").size, 1u);
  EXPECT_TRUE(Stat("db/password").settled);
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(StructuredBrowseTest, FieldsAndNamesBelowShareADirectoryAndNothingIsHidden) {
  SetFields("db", {{"replica", "field"}, {"replica.json", "field too"}, {"user", "u"}});
  SetFields("db/replica", {{"host", "h"}});
  MountRoot();
  EXPECT_EQ(List(Walk("db")), "replica.json replica.json~ replica/ replica~ user");
  EXPECT_EQ(Cat("db/replica~"), "field");
  EXPECT_EQ(Cat("db/replica.json~"), "field too");
  EXPECT_EQ(Cat("db/replica/host"), "h");
  EXPECT_EQ(Cat("db/replica.json"), R"({"host":"h"})");
  EXPECT_EQ(Cat("db/user"), "u");
}

TEST_F(StructuredBrowseTest, FieldsThatComeAndGo) {
  SetFields("db", {{"password", "p"}, {"user", "u"}});
  MountRoot();
  EXPECT_EQ(Cat("db/user"), "u");
  EXPECT_EQ(Cat("db/password"), "p");
  const InodeNumber password = Walk("db/password");
  SetFields("db", {{"password", "p"}, {"login", "u2"}});
  RefreshKey("db");
  CarryOut();
  EXPECT_EQ(Cat("db/user"), Errno(ENOENT));
  EXPECT_EQ(Cat("db/login"), "u2");
  EXPECT_EQ(Walk("db/password"), password);
  EXPECT_EQ(List(Walk("db")), "login password");
}

TEST_F(StructuredBrowseTest, TheRootOfATreeMayBeASecretToo) {
  SetFields("app", {{"token", "t"}});
  SetFields("app/db", {{"password", "p"}});
  MountRoot("app");
  EXPECT_EQ(List(kRootInode), "db.json db/ token");
  EXPECT_EQ(Cat("token"), "t");
  EXPECT_EQ(Cat("db/password"), "p");
}

TEST_F(StructuredBrowseTest, ADeniedSecretLeavesTheNamesBelowIt) {
  SetFields("db", {{"password", "p"}});
  SetFields("db/replica", {{"host", "h"}});
  provider_->Fail("db", absl::PermissionDeniedError("403"), fakes::FakeProvider::kForever);
  MountRoot();
  EXPECT_EQ(List(Walk("db")), "replica.json replica/");
  EXPECT_EQ(Cat("db/replica/host"), "h");
  EXPECT_EQ(Cat("db/password"), Errno(EACCES));
  EXPECT_EQ(Cat("db.json"), Errno(EACCES));
}

TEST_F(StructuredBrowseTest, WhereListingIsDeniedSecretsFieldsAndWholesAreFound) {
  SetFields("app/db", {{"password", "p"}});
  MountRoot("app");
  // Denies every list, and lets fetches pass.
  provider_->FailCalls(absl::PermissionDeniedError("403"), 1);
  EXPECT_EQ(Cat("db/password"), "p");
  EXPECT_EQ(Cat("db.json"), R"({"password":"p"})");
}

TEST_F(StructuredBrowseTest, ANewSecretBelowAFieldDirectoryAppearsAfterTheTtl) {
  SetFields("db", {{"password", "p"}});
  MountRoot();
  EXPECT_EQ(Cat("db/password"), "p");
  SetFields("db/replica", {{"host", "h"}});
  Advance(seconds(61));
  CarryOut();
  EXPECT_EQ(Cat("db/replica/host"), "h");
  EXPECT_EQ(List(Walk("db")), "password replica.json replica/");
}

// Names and fields are two questions; a store that does not answer the first is not asked the
// second.
TEST_F(StructuredBrowseTest, ADeadStoreCostsOneDeadlineNotTwo) {
  SetFields("team/db", {{"password", "p"}});
  MountRoot("team");
  provider_->FailCalls(absl::UnavailableError("down"), fakes::FakeProvider::kForever);
  const auto listing = OpenDirectory(kRootInode);
  const auto lookup = Lookup(kRootInode, "db");
  EXPECT_TRUE(listing->parked());
  EXPECT_TRUE(lookup->parked());
  Advance(seconds(11));
  ASSERT_FALSE(listing->parked());
  ASSERT_FALSE(lookup->parked());
  EXPECT_EQ(listing->error(), ETIMEDOUT);
  EXPECT_EQ(lookup->error(), ETIMEDOUT);
}

TEST_F(StructuredBrowseTest, KnownFieldsAreServedWhileTheStoreIsDown) {
  SetFields("db", {{"password", "p"}, {"user", "u"}});
  MountRoot();
  EXPECT_EQ(Cat("db/password"), "p");
  provider_->FailCalls(absl::UnavailableError("down"), fakes::FakeProvider::kForever);
  Advance(seconds(100));
  EXPECT_EQ(Cat("db/user"), "u");
  EXPECT_EQ(Xattr(Walk("db/user"), "state"), "stale");
}

TEST_F(StructuredBrowseTest, ADeletedSecretTakesItsFieldsAlong) {
  SetFields("db", {{"password", "p"}});
  SetFields("web", {{"password", "p"}});
  MountRoot();
  EXPECT_EQ(Cat("db/password"), "p");
  provider_->Remove("db");
  RefreshKey("db");
  RefreshKey("db");
  CarryOut();
  EXPECT_EQ(Cat("db/password"), Errno(ENOENT));
  EXPECT_EQ(List(kRootInode).find("web") != std::string::npos, true);
}

}  // namespace
}  // namespace secretfs::fs
