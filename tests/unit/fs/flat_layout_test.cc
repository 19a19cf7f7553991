// Manifest mounts in the flat layout: laziness, versions, updates, withdrawal.

#include "tests/unit/fs/operations_fixture.h"

namespace secretfs::fs {
namespace {

class FlatLayoutTest : public OperationsTest {
 protected:
  void MountTwo() {
    provider_->Set("app/password", "one");
    provider_->Set("app/name", "app");
    MountSpec spec;
    spec.files = {File("db/password", "app/password"), File("name", "app/name")};
    Mount(std::move(spec));
  }
};

TEST_F(FlatLayoutTest, MountingAndListingFetchNothing) {
  MountTwo();
  EXPECT_EQ(List(kRootInode), "db/ name");
  EXPECT_EQ(List(Walk("db")), "password");
  EXPECT_EQ(Stat("db").mode, S_IFDIR | 0500u);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
}

TEST_F(FlatLayoutTest, TheFirstLookupFetchesSoThatTheFirstStatIsExact) {
  MountTwo();
  const auto answer = Lookup(Walk("db"), "password");
  ASSERT_EQ(answer->error(), 0);
  const Attributes& attributes = answer->value().attributes;
  EXPECT_EQ(attributes.size, 3u);
  EXPECT_EQ(attributes.mode, S_IFREG | 0400u);
  EXPECT_TRUE(attributes.settled);
  EXPECT_TRUE(answer->value().cacheable);
  EXPECT_EQ(provider_->fetches_of("app/password"), 1u);
  EXPECT_EQ(provider_->fetches_of("app/name"), 0u);
}

TEST_F(FlatLayoutTest, APublishedFileIsAnsweredFromTheTreeAtOnce) {
  MountTwo();
  const InodeNumber first = Walk("db/password");
  const auto again = StartLookup(Walk("db"), "password");
  ASSERT_FALSE(again->parked());
  EXPECT_EQ(again->value().attributes.inode, first);
  EXPECT_EQ(provider_->fetches_of("app/password"), 1u);
}

TEST_F(FlatLayoutTest, AnUpdateIsANewInodeAndTheOldOneStaysWhatItWas) {
  MountTwo();
  const InodeNumber before = Walk("db/password");
  const Attributes attributes = Stat(before);
  Advance(seconds(1));
  Rotate("app/password", "number two");
  ASSERT_EQ(sink_.plans.size(), 1u);
  CarryOut();
  const InodeNumber after = Walk("db/password");
  EXPECT_NE(after, before);
  EXPECT_EQ(ReadInode(after), "number two");
  EXPECT_EQ(ReadInode(before), "one");
  EXPECT_EQ(Stat(before).size, attributes.size);
  EXPECT_EQ(Stat(before).modified, attributes.modified);
  EXPECT_GT(Stat(after).modified, attributes.modified);
  EXPECT_EQ(operations_->generation(), 1u);
}

TEST_F(FlatLayoutTest, ThePlanNamesWhatTheKernelHasToForgetAndWatchersToHear) {
  MountTwo();
  const InodeNumber first = Walk("db/password");
  Rotate("app/password", "two");
  PublishPlan plan = CarryOutOne();
  ASSERT_EQ(plan.stale_names.size(), 1u);
  EXPECT_EQ(plan.stale_names[0].parent, Walk("db"));
  EXPECT_EQ(plan.stale_names[0].name, "password");
  EXPECT_EQ(plan.stale_directories, std::vector{Walk("db")});
  EXPECT_FALSE(plan.data_target);
  EXPECT_EQ(plan.touched_paths, std::vector<std::string>{"db/password"});
  EXPECT_EQ(plan.touched_inodes, std::vector{first});

  // Every older version that the kernel still knows, not only the last.
  const InodeNumber second = Walk("db/password");
  Rotate("app/password", "three");
  plan = CarryOutOne();
  EXPECT_EQ(plan.touched_inodes, (std::vector{first, second}));

  // And none that it has forgotten.
  operations_->Forget(first, 1);
  EXPECT_EQ(operations_->GetAttributes(first).error, ESTALE);
  Rotate("app/password", "four");
  EXPECT_EQ(CarryOutOne().touched_inodes.size(), 2u);
}

TEST_F(FlatLayoutTest, MtimeMovesForwardWithEveryVersionWhateverTheStoreSays) {
  fakes::FakeProvider::Extras extras;
  extras.changed_at = WallTime(seconds(1'000'000));
  provider_->Set("k", "one", extras);
  MountSpec spec;
  spec.files = {File("k", "k")};
  Mount(std::move(spec));
  const WallTime first = Stat("k").modified;
  EXPECT_EQ(first, *extras.changed_at);
  for (const char* value : {"two", "three"}) {
    provider_->Set("k", value, extras);  // the same time: for example a rollback at the store
    RefreshKey("k");
  }
  const InodeNumber third = [&] {
    CarryOut();
    return Walk("k");
  }();
  EXPECT_EQ(Stat(third).modified, first + std::chrono::microseconds(2));
}

TEST_F(FlatLayoutTest, AnUpdateOfAnotherFieldIsNoUpdateOfThisFile) {
  SetFields("app", {{"user", "me"}, {"password", "one"}});
  MountSpec spec;
  spec.files = {File("user", "app", "user"), File("password", "app", "password")};
  Mount(std::move(spec));
  const InodeNumber user = Walk("user"), password = Walk("password");
  EXPECT_EQ(ReadInode(user), "me");
  EXPECT_EQ(provider_->fetches_of("app"), 1u);  // one interest, one fetch for both
  SetFields("app", {{"user", "me"}, {"password", "two"}});
  RefreshKey("app");
  const PublishPlan plan = CarryOutOne();
  EXPECT_EQ(plan.touched_paths, std::vector<std::string>{"password"});
  EXPECT_EQ(Walk("user"), user);
  EXPECT_NE(Walk("password"), password);
  EXPECT_EQ(Cat("password"), "two");
  EXPECT_EQ(Xattr(user, "version"), "2");  // of the secret that holds these bytes now
}

TEST_F(FlatLayoutTest, ChangesThatArriveTogetherAreOnePlan) {
  SetFields("app", {{"a", "1"}, {"b", "1"}});
  MountSpec spec;
  spec.files = {File("a", "app", "a"), File("b", "app", "b")};
  Mount(std::move(spec));
  Walk("a");
  Walk("b");
  SetFields("app", {{"a", "2"}, {"b", "2"}});
  RefreshKey("app");
  ASSERT_EQ(sink_.plans.size(), 1u);
  EXPECT_EQ(CarryOutOne().touched_paths, (std::vector<std::string>{"a", "b"}));
}

TEST_F(FlatLayoutTest, ErrorsOfTheStoreAreErrnosAndNothingIsRemembered) {
  MountSpec spec;
  spec.files = {File("missing", "no/such"), File("denied", "denied"), File("field", "app", "none"),
                File("well", "well")};
  provider_->Set("well", "fine");
  provider_->Fail("denied", absl::PermissionDeniedError("403"), fakes::FakeProvider::kForever);
  SetFields("app", {{"a", "1"}});
  Mount(std::move(spec));
  EXPECT_EQ(Cat("missing"), Format("errno {}", ENOENT));
  EXPECT_EQ(Cat("denied"), Format("errno {}", EACCES));
  EXPECT_EQ(Cat("field"), Format("errno {}", ENOENT));
  EXPECT_EQ(Cat("nowhere"), Format("errno {}", ENOENT));
  EXPECT_EQ(Cat("well"), "fine");
  provider_->Set("no/such", "now");
  SetFields("app", {{"none", "some"}});
  Advance(seconds(61));
  EXPECT_EQ(Cat("missing"), "now");
  EXPECT_EQ(Cat("field"), "some");
}

TEST_F(FlatLayoutTest, ADeadStoreTimesOutWhileOtherFilesAreServed) {
  MountTwo();
  provider_->HoldKey("app/password");
  const InodeNumber db = Walk("db");
  const auto waiting = Lookup(db, "password");
  EXPECT_TRUE(waiting->parked());
  EXPECT_EQ(operations_->parked_requests(), 1u);
  EXPECT_EQ(Cat("name"), "app");
  Advance(seconds(11));
  EXPECT_EQ(waiting->error(), ETIMEDOUT);
  EXPECT_EQ(waiting->calls, 1);
  EXPECT_EQ(operations_->parked_requests(), 0u);
  provider_->ReleaseKey("app/password");
  Poll();
}

TEST_F(FlatLayoutTest, AnInterruptAnswersAtOnceAndOnlyThatRequest) {
  MountTwo();
  provider_->Hold();
  const InodeNumber db = Walk("db");
  const auto first = Lookup(db, "password");
  const RequestId first_id(last_id_);
  const auto second = Lookup(db, "password");
  operations_->Interrupt(first_id);
  EXPECT_EQ(first->error(), EINTR);
  EXPECT_TRUE(second->parked());
  provider_->Release();
  Poll();
  EXPECT_EQ(second->error(), 0);
  EXPECT_EQ(first->calls, 1);
  operations_->Interrupt(first_id);          // answered already
  operations_->Interrupt(RequestId(99999));  // unknown
  // The interrupted request has left no lookup behind: one forget is enough.
  const InodeNumber inode = second->value().attributes.inode;
  Rotate("app/password", "two");
  CarryOut();
  operations_->Forget(inode, 1);
  EXPECT_EQ(operations_->GetAttributes(inode).error, ESTALE);
}

TEST_F(FlatLayoutTest, TheEndOfTheMountAnswersWhatIsParked) {
  MountTwo();
  provider_->Hold();
  const auto lookup = Lookup(Walk("db"), "password");
  EXPECT_TRUE(lookup->parked());
  operations_.reset();
  EXPECT_EQ(lookup->error(), ENOTCONN);
  provider_->Release();
  Poll();
  EXPECT_EQ(lookup->calls, 1);
}

TEST_F(FlatLayoutTest, ADeletedSecretTakesTheFileAwayAndItsReturnIsAnUpdate) {
  MountTwo();
  const InodeNumber inode = Walk("db/password");
  provider_->Remove("app/password");
  RefreshKey("app/password");
  RefreshKey("app/password");  // one more refresh confirms it
  ASSERT_FALSE(sink_.plans.empty());
  const PublishPlan plan = CarryOutOne();
  EXPECT_EQ(plan.stale_names.size(), 1u);
  EXPECT_TRUE(plan.touched_paths.empty());
  EXPECT_EQ(plan.touched_inodes, std::vector{inode});
  EXPECT_EQ(Cat("db/password"), Format("errno {}", ENOENT));
  EXPECT_EQ(List(Walk("db")), "");
  EXPECT_EQ(ReadInode(inode), "one");  // who has it open reads on
  EXPECT_EQ(Xattr(inode, "state"), "stale");

  Rotate("app/password", "back");
  ASSERT_EQ(sink_.plans.size(), 1u);
  EXPECT_EQ(CarryOutOne().touched_paths, std::vector<std::string>{"db/password"});
  EXPECT_EQ(Cat("db/password"), "back");
  EXPECT_GT(Stat("db/password").modified, Stat(inode).modified);
  EXPECT_EQ(List(Walk("db")), "password");
}

TEST_F(FlatLayoutTest, AValueThatCannotBeUsedLeavesTheOldOne) {
  SetFields("app", {{"a", "1"}});
  MountSpec spec;
  spec.files = {File("a", "app", "a.b")};
  provider_->Set("app", R"({"a":{"b":"good"}})");
  Mount(std::move(spec));
  EXPECT_EQ(Cat("a"), "good");
  provider_->Set("app", "not json at all");
  RefreshKey("app");
  EXPECT_TRUE(sink_.plans.empty());
  EXPECT_EQ(Cat("a"), "good");
  EXPECT_FALSE(operations_->Files().at(0).error.empty());
  EXPECT_EQ(operations_->Files().at(0).error.find("not json at all"), std::string::npos);
}

TEST_F(FlatLayoutTest, AFileReadLaterThanAnotherMountSeesTheCachedValue) {
  MountTwo();
  Walk("name");
  MountSpec spec;
  spec.files = {File("again", "app/name")};
  const auto other = Operations::Make(std::move(spec), *cache_, clock_, sink_);
  auto [answer, reply] = Expect<Entry>();
  other->Lookup(NextId(), kRootInode, "again", kRoot, reply);
  Poll();
  EXPECT_EQ(answer->error(), 0);
  EXPECT_EQ(provider_->fetches_of("app/name"), 1u);
}

TEST_F(FlatLayoutTest, AtomicNamesAreOrdinaryNamesHere) {
  MountTwo();
  EXPECT_EQ(Lookup(kRootInode, "..data")->error(), ENOENT);
  EXPECT_EQ(operations_->MakeSymlink(kRootInode, "..data_tmp", "x", kPublisher).error, EROFS);
}

TEST_F(FlatLayoutTest, EveryFileIsInTheStatusAlsoBeforeItWasRead) {
  MountTwo();
  Walk("name");
  const auto files = operations_->Files();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "db/password");
  EXPECT_EQ(files[0].state, cache::EntryState::kAbsent);
  EXPECT_EQ(files[0].version, "");
  EXPECT_EQ(files[1].path, "name");
  EXPECT_EQ(files[1].store, "vault");
  EXPECT_EQ(files[1].key, "app/name");
  EXPECT_EQ(files[1].version, "1");
  EXPECT_EQ(files[1].state, cache::EntryState::kFresh);
  EXPECT_TRUE(files[1].fetched_at && files[1].expires_at && files[1].next_refresh_at);
}

TEST_F(FlatLayoutTest, RefreshOfAllFetchesWhatWasReadAndIsDoneWhenPublished) {
  MountTwo();
  Walk("name");
  provider_->Set("app/name", "new");
  std::optional<absl::Status> done;
  operations_->Refresh("", [&](absl::Status status) { done = status; });
  Poll();
  EXPECT_EQ(provider_->fetches_of("app/name"), 2u);
  EXPECT_EQ(provider_->fetches_of("app/password"), 0u);
  EXPECT_FALSE(done);  // not yet published
  CarryOut();
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->ok()) << *done;
  EXPECT_EQ(Cat("name"), "new");
}

TEST_F(FlatLayoutTest, RefreshOfAPathFetchesItInAnyCaseAndReportsItsError) {
  MountTwo();
  std::optional<absl::Status> done;
  const auto record = [&](absl::Status status) { done = status; };
  operations_->Refresh("db/password", record);
  Poll();
  CarryOut();
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->ok()) << *done;
  EXPECT_EQ(provider_->fetches_of("app/password"), 1u);
  done.reset();
  operations_->Refresh("no/such", record);
  Poll();
  CarryOut();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code(), absl::StatusCode::kNotFound);
  done.reset();
  provider_->Fail("app/password", absl::PermissionDeniedError("403"));
  operations_->Refresh("db/password", record);
  Poll();
  CarryOut();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(FlatLayoutTest, ARefreshThatTheEndOfTheMountCutsOffIsCancelled) {
  MountTwo();
  Walk("name");
  provider_->Hold();
  std::optional<absl::Status> done;
  operations_->Refresh("", [&](absl::Status status) { done = status; });
  Poll();
  operations_.reset();
  provider_->Release();
  Poll();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace secretfs::fs
