// A mount that is served on after its server was killed: what readers, watchers and the kernel's
// counts see, case by case. survival_random_test.cc does it at random.

#include "tests/unit/fs/survival_fixture.h"

namespace secretfs::fs {
namespace {

class FlatSurvivalTest : public SurvivalTest {
 protected:
  void MountTwo() {
    provider_->Set("app/password", "one");
    provider_->Set("app/name", "app");
    MountSpec spec;
    spec.files = {File("db/password", "app/password"), File("name", "app/name")};
    MountKept(std::move(spec));
  }
};

TEST_F(FlatSurvivalTest, NothingChangesForWhoHasTheFilesOpen) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber inode = Resolve("db/password"), directory = Resolve("db");
  const Attributes root = Stat(kRootInode);
  provider_->Hold();  // the store is down
  Kill();
  ExpectWhatWasSeen();
  EXPECT_EQ(ReadInode(inode), "one");
  EXPECT_EQ(Stat(kRootInode).modified, root.modified);
  EXPECT_EQ(CountedLookup(kRootInode, "db")->value().attributes.inode, directory);
  EXPECT_EQ(CountedLookup(directory, "password")->value().attributes.inode, inode);
  EXPECT_EQ(List(kRootInode), "db/ name");
  EXPECT_TRUE(sink_.plans.empty());
  ExpectKernelsCounts();
  provider_->Release();
}

TEST_F(FlatSurvivalTest, AMountThatNobodyServedBeforeResumesNothing) {
  MountTwo();
  operations_->Resume();
  Poll();
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_TRUE(sink_.plans.empty());
}

TEST_F(FlatSurvivalTest, EqualBytesMakeNoNewVersion) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber inode = Resolve("db/password");
  for (int i = 0; i < 3; ++i) {
    Kill(/*keep_cache=*/i == 1);
    EXPECT_TRUE(sink_.plans.empty());
    EXPECT_EQ(CountedLookup(Resolve("db"), "password")->value().attributes.inode, inode);
    EXPECT_EQ(Xattr(inode, "version"), "1");
  }
  EXPECT_EQ(operations_->generation(), 0u);
}

TEST_F(FlatSurvivalTest, WhatChangedMeanwhileIsFoundWithoutAReader) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber before = Resolve("db/password");
  provider_->Set("app/password", "two");
  Kill();
  EXPECT_EQ(ReadInode(before), "one");
  ASSERT_EQ(sink_.plans.size(), 1u);
  PublishAll();
  EXPECT_EQ(ReadPath("db/password"), "two");
  EXPECT_EQ(touches_[before], 1);
  EXPECT_EQ(touches_[Resolve("db/password")], 1);
  EXPECT_EQ(provider_->fetches_of("app/name"), 0u) << "nobody has ever read it";
}

TEST_F(FlatSurvivalTest, AnUpdateIsPublishedByTheNextServerWhereverTheLastOneWasKilled) {
  for (const int stop_at : {-1, 1, 3, 4}) {
    SCOPED_TRACE(stop_at);
    StartOver();
    MountTwo();
    EXPECT_EQ(ReadPath("db/password"), "one");
    const InodeNumber before = Resolve("db/password");
    if (stop_at < 0) {
      // Killed between the change and the plan.
      std::optional<Left> left;
      sink_.before_submit = [&] { left = Snapshot(); };
      Rotate("app/password", "two");
      ASSERT_TRUE(left);
      StartFrom(*std::move(left));
    } else {
      Rotate("app/password", "two");
      EXPECT_FALSE(PublishOne(stop_at));
      Kill();
    }
    touches_.clear();
    ASSERT_EQ(sink_.plans.size(), 1u);
    PublishAll();
    EXPECT_EQ(ReadPath("db/password"), "two");
    EXPECT_EQ(touches_[Resolve("db/password")], 1);
    EXPECT_EQ(touches_[before], 1);
    EXPECT_EQ(ReadInode(before), "one");
    Kill();
    EXPECT_TRUE(sink_.plans.empty()) << "it was carried out";
    ExpectKernelsCounts();
  }
}

TEST_F(FlatSurvivalTest, AWithdrawnNameIsDroppedByTheNextServer) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber inode = Resolve("db/password");
  provider_->Remove("app/password");
  RefreshKey("app/password");
  Advance(seconds(600));
  Kill();
  EXPECT_EQ(ReadInode(inode), "one");
  ASSERT_FALSE(sink_.plans.empty());
  ASSERT_EQ(sink_.plans.front().stale_names.size(), 1u);
  EXPECT_EQ(sink_.plans.front().stale_names[0].name, "password");
  EXPECT_EQ(sink_.plans.front().stale_names[0].path, "db/password");
  PublishAll();
  EXPECT_EQ(ReadPath("db/password"), Format("errno {}", ENOENT));
  EXPECT_EQ(List(Resolve("db")), "");
  // And it comes back with a later mtime.
  provider_->Set("app/password", "three");
  Advance(seconds(60));
  EXPECT_EQ(ReadPath("db/password"), "three");
  EXPECT_GT(Stat(Resolve("db/password")).modified, seen_[inode].attributes.modified);
}

TEST_F(FlatSurvivalTest, NumbersAreNeverUsedAgain) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  std::set<InodeNumber> used = {Resolve("db/password")};
  for (int i = 0; i < 10; ++i) {
    Rotate("app/password", Format("value {}", i));
    PublishAll();
    ReadPath("db/password");
    const InodeNumber inode = Resolve("db/password");
    EXPECT_TRUE(used.insert(inode).second) << inode.value();
    if (i % 2 == 0) {
      for (const InodeNumber old : used) {
        if (old != inode) ForgetAll(old);
      }
    }
    Kill();
  }
  for (const InodeNumber old : used) ForgetAll(old);
  ForgetAll(Resolve("db"));
  EXPECT_EQ(values_->size(), 1u) << "the current version's only";
}

TEST_F(FlatSurvivalTest, ForgottenInodesAreGoneForTheNextServerAndUnknownOnesTolerated) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber first = Resolve("db/password");
  Rotate("app/password", "two");
  PublishAll();
  ReadPath("db/password");
  ForgetAll(first);
  Kill();
  EXPECT_EQ(operations_->GetAttributes(first).error, ESTALE);
  operations_->Forget(first, 1);
  operations_->Forget(InodeNumber(4711), 3);
  ExpectKernelsCounts();
}

TEST_F(FlatSurvivalTest, ALookupWhoseAnswerWasLostIsAskedAgainAndCountsOnceTooMuchAtMost) {
  MountTwo();
  const InodeNumber directory = Resolve("db");
  std::optional<Left> left;
  InodeNumber inode;
  operations_->Lookup(NextId(), directory, "password", kRoot, [&](Outcome<Entry> outcome) {
    inode = outcome.value.attributes.inode;
    left = Snapshot();
  });
  Poll();
  ASSERT_TRUE(left);
  ++extra_[inode];
  StartFrom(*std::move(left));
  const auto again = CountedLookup(directory, "password");
  ASSERT_EQ(again->error(), 0);
  EXPECT_EQ(again->value().attributes.inode, inode);
  ExpectKernelsCounts();
}

TEST_F(FlatSurvivalTest, WhoWaitedIsNotCounted) {
  MountTwo();
  provider_->Hold();
  const auto answer = StartLookup(Resolve("db"), "password");
  Poll();
  EXPECT_TRUE(answer->parked());
  Kill();
  EXPECT_EQ(answer->error(), ENOTCONN);  // of the object that was thrown away
  provider_->Release();
  EXPECT_EQ(ReadPath("db/password"), "one");
  ExpectKernelsCounts();
}

TEST_F(FlatSurvivalTest, AFrozenServerChangesNothingAndAnswersNobody) {
  MountTwo();
  EXPECT_EQ(ReadPath("name"), "app");
  provider_->Hold();
  const auto answer = StartLookup(Resolve("db"), "password");
  Poll();
  operations_->Freeze();
  const auto counts = SavedCounts();
  provider_->Set("app/name", "changed");
  provider_->Release();
  RefreshKey("app/name");
  Advance(seconds(60));
  EXPECT_TRUE(sink_.plans.empty());
  EXPECT_EQ(SavedCounts(), counts);
  operations_.reset();
  EXPECT_EQ(answer->calls, 0);
  Kill();
  PublishAll();
  EXPECT_EQ(ReadPath("db/password"), "one");
  EXPECT_EQ(ReadPath("name"), "changed");
}

// ---- without the kept values

class LostValuesTest : public FlatSurvivalTest {
 protected:
  LostValuesTest() { keeps_values_ = false; }
};

TEST_F(LostValuesTest, TheSameVersionIsFetchedIntoTheSameInode) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber inode = Resolve("db/password");
  provider_->Hold();
  Kill();
  // What the kernel knows is told without the store; what it wants to read waits for it.
  EXPECT_EQ(Stat(inode).size, 3u);
  EXPECT_TRUE(Stat(inode).settled);
  const auto read = StartRead(inode);
  const auto lookup = StartLookup(Resolve("db"), "password");
  Poll();
  EXPECT_TRUE(read->parked());
  EXPECT_TRUE(lookup->parked());
  provider_->Release();
  Poll();
  ASSERT_EQ(read->error(), 0);
  EXPECT_EQ(read->value().bytes->ExposeAsText(), "one");
  ASSERT_EQ(lookup->error(), 0);
  ++kernel_[inode];
  EXPECT_EQ(lookup->value().attributes.inode, inode);
  EXPECT_TRUE(sink_.plans.empty());
  ExpectWhatWasSeen();
  ExpectKernelsCounts();
}

TEST_F(LostValuesTest, AnotherVersionIsAnUpdateAndTheLostOneStale) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber inode = Resolve("db/password");
  provider_->Set("app/password", "two");  // of the same size
  Kill();
  EXPECT_EQ(ReadInode(inode), Format("errno {}", ESTALE));
  PublishAll();
  EXPECT_EQ(ReadPath("db/password"), "two");
  EXPECT_NE(Resolve("db/password"), inode);
  EXPECT_GT(Stat(Resolve("db/password")).modified, seen_[inode].attributes.modified);
}

TEST_F(LostValuesTest, WithoutStoreAReaderGetsItsErrorAndAWatcherIsToldLater) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber inode = Resolve("db/password");
  provider_->FailCalls(absl::UnavailableError("down"), fakes::FakeProvider::kForever);
  Kill();
  Advance(seconds(30));
  const auto read = StartRead(inode);
  Advance(seconds(30));
  EXPECT_NE(read->error(), 0);
  EXPECT_FALSE(read->parked());
  EXPECT_EQ(Stat(inode).size, 3u);
  provider_->Heal();
  provider_->Set("app/password", "two");
  Advance(seconds(120));
  PublishAll();
  EXPECT_EQ(touches_[Resolve("db/password")], 1);
  EXPECT_EQ(ReadPath("db/password"), "two");
}

TEST_F(LostValuesTest, AnOlderVersionThatTheStoreStillGivesCanBeRead) {
  MountTwo();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber inode = Resolve("db/password");
  provider_->Hold();
  Kill();
  const auto interrupted = StartRead(inode);
  Poll();
  operations_->Interrupt(RequestId(last_id_));
  EXPECT_EQ(interrupted->error(), EINTR);
  provider_->Release();
  Poll();
  EXPECT_EQ(interrupted->calls, 1);
  EXPECT_EQ(ReadInode(inode), "one");
}

TEST_F(LostValuesTest, AnAuditedMountOpensWhatIsFetchedAgain) {
  provider_->Set("app/password", "one");
  MountSpec spec;
  spec.files = {File("password", "app/password")};
  spec.audit_open = true;
  MountKept(std::move(spec));
  EXPECT_EQ(ReadPath("password"), "one");
  const InodeNumber inode = Resolve("password");
  provider_->Hold();
  Kill();
  const auto opened = StartOpen(inode);
  Poll();
  EXPECT_TRUE(opened->parked());
  provider_->Release();
  Poll();
  ASSERT_EQ(opened->error(), 0);
  EXPECT_FALSE(opened->value().prefill.has_value()) << "the kernel knows the size";
  EXPECT_EQ(ReadInode(inode), "one");
}

// ---- atomic

class AtomicSurvivalTest : public SurvivalTest {
 protected:
  AtomicSurvivalTest() : SurvivalTest(providers::Capabilities{.list = true, .batch_size = 10}) {}

  void MountPair() {
    SetFields("tls", {{"cert", "cert 1"}, {"key", "key 1"}});
    provider_->Set("other", "unchanged");
    MountSpec spec;
    spec.files = {File("tls/cert.pem", "tls", "cert"), File("tls/key.pem", "tls", "key"),
                  File("other", "other")};
    spec.layout = Layout::kAtomic;
    MountKept(std::move(spec));
    ReadSet();
  }
  void RotatePair(int number) {
    SetFields("tls", {{"cert", Format("cert {}", number)}, {"key", Format("key {}", number)}});
    RefreshKey("tls");
  }
  void ReadSet() {
    ReadPath("tls/cert.pem");
    ReadPath("tls/key.pem");
    ReadPath("other");
  }
  std::string DataTarget() {
    return operations_->ReadLink(CountedLookup(kRootInode, "..data")->value().attributes.inode)
        .value;
  }
};

TEST_F(AtomicSurvivalTest, TheSetIsServedOn) {
  MountPair();
  const std::string target = DataTarget(), root = List(kRootInode);
  const Attributes attributes = Stat(kRootInode);
  const InodeNumber other = Resolve("other"), set = Resolve("..data");
  provider_->Hold();
  Kill();
  ExpectWhatWasSeen();
  EXPECT_EQ(DataTarget(), target);
  EXPECT_EQ(List(kRootInode), root);
  EXPECT_EQ(List(set), "other tls/");
  EXPECT_EQ(CountedLookup(set, "other")->value().attributes.inode, other);
  EXPECT_EQ(Stat(kRootInode).modified, attributes.modified);
  EXPECT_TRUE(sink_.plans.empty());
  provider_->Release();
}

TEST_F(AtomicSurvivalTest, AnUpdateEndsInTheNewSetWhereverTheServerWasKilled) {
  for (int stop_at = 0; stop_at <= 4; ++stop_at) {
    SCOPED_TRACE(stop_at);
    StartOver();
    MountPair();
    const InodeNumber cert = Resolve("tls/cert.pem"), set = Resolve("..data");
    const InodeNumber other = Resolve("other");
    RotatePair(2);
    if (stop_at > 0) {
      EXPECT_FALSE(PublishOne(stop_at));
    }
    const bool switched = stop_at > 2;
    Kill();
    // Nobody sees half of two sets, before or after.
    EXPECT_EQ(ReadPath("tls/cert.pem"), switched ? "cert 2" : "cert 1");
    EXPECT_EQ(ReadPath("tls/key.pem"), switched ? "key 2" : "key 1");
    touches_.clear(), switches_ = 0;
    PublishAll();
    EXPECT_EQ(switches_, 1);
    EXPECT_EQ(ReadPath("tls/cert.pem"), "cert 2");
    EXPECT_EQ(ReadPath("tls/key.pem"), "key 2");
    EXPECT_EQ(touches_[Resolve("tls/cert.pem")], 1);
    EXPECT_EQ(touches_[cert], 1);
    EXPECT_EQ(Resolve("other"), other);
    EXPECT_EQ(CountedLookup(kRootInode, "..data_tmp")->error(), ENOENT);
    EXPECT_EQ(operations_->generation(), 1u);
    // Who resolved `..data` before reads on in the old set.
    const auto old_tls = CountedLookup(set, "tls");
    ASSERT_EQ(old_tls->error(), 0);
    EXPECT_EQ(
        ReadInode(
            CountedLookup(old_tls->value().attributes.inode, "key.pem")->value().attributes.inode),
        "key 1");
    Kill();
    EXPECT_TRUE(sink_.plans.empty());
    ExpectWhatWasSeen();
    ExpectKernelsCounts();
  }
}

TEST_F(AtomicSurvivalTest, ARenameWhoseAnswerWasLostSucceedsWhenItIsSentAgain) {
  MountPair();
  RotatePair(2);
  const std::string target = *sink_.plans.front().data_target;
  EXPECT_FALSE(PublishOne(3));  // after the rename
  Kill();
  EXPECT_EQ(operations_->Rename(kRootInode, "..data_tmp", kRootInode, "..data", kPublisher), 0);
  EXPECT_EQ(DataTarget(), target);
  EXPECT_EQ(operations_->generation(), 1u);
  PublishAll();
  // Not for ever: what was carried out is over.
  EXPECT_EQ(operations_->Rename(kRootInode, "..data_tmp", kRootInode, "..data", kPublisher),
            ENOENT);
}

TEST_F(AtomicSurvivalTest, ASymlinkWhoseAnswerWasLostSucceedsWhenItIsSentAgain) {
  MountPair();
  RotatePair(2);
  const std::string target = *sink_.plans.front().data_target;
  EXPECT_FALSE(PublishOne(2));  // after the symlink
  Kill();
  const auto again = operations_->MakeSymlink(kRootInode, "..data_tmp", target, kPublisher);
  ASSERT_EQ(again.error, 0);
  ++kernel_[again.value.attributes.inode];
  EXPECT_EQ(operations_->Rename(kRootInode, "..data_tmp", kRootInode, "..data", kPublisher), 0);
  dentries_.erase({kRootInode, "..data"});
  EXPECT_EQ(ReadPath("tls/key.pem"), "key 2");
  PublishAll();  // once more, for whoever did not hear of it
  EXPECT_EQ(ReadPath("tls/key.pem"), "key 2");
  EXPECT_EQ(operations_->generation(), 1u);
  ExpectKernelsCounts();
}

TEST_F(AtomicSurvivalTest, SeveralPendingSetsArePublishedInOrder) {
  MountPair();
  for (int i = 2; i < 5; ++i) {
    Advance(seconds(1));
    RotatePair(i);
  }
  Kill();
  ASSERT_EQ(sink_.plans.size(), 3u);
  PublishAll();
  EXPECT_EQ(ReadPath("tls/cert.pem"), "cert 4");
  EXPECT_EQ(operations_->generation(), 3u);
  Kill();
  EXPECT_TRUE(sink_.plans.empty());
}

TEST_F(AtomicSurvivalTest, AnOldSetIsFreedWhenItIsForgottenAfterTheKill) {
  MountPair();
  const InodeNumber old_set = Resolve("..data");
  const InodeNumber old_tls = Resolve("..data/tls"), cert = Resolve("tls/cert.pem");
  for (int i = 2; i < 5; ++i) {
    RotatePair(i);
    PublishAll();
    ReadSet();
  }
  Kill();
  EXPECT_EQ(ReadInode(cert), "cert 1");
  ForgetAll(old_tls);
  ForgetAll(old_set);
  ForgetAll(cert);
  EXPECT_EQ(operations_->GetAttributes(old_set).error, ESTALE);
  EXPECT_EQ(operations_->GetAttributes(cert).error, ESTALE);
  Kill();
  EXPECT_EQ(operations_->GetAttributes(cert).error, ESTALE);
  ExpectWhatWasSeen();
}

TEST_F(AtomicSurvivalTest, AChangedManifestIsServedAndWhatItNamedStaysReadable) {
  MountPair();
  const InodeNumber cert = Resolve("tls/cert.pem"), other = Resolve("other");
  spec_.files = {File("other", "other"), File("new/file", "other")};
  Kill();
  ExpectWhatWasSeen();
  EXPECT_EQ(ReadInode(cert), "cert 1");
  EXPECT_EQ(CountedLookup(Resolve("..data"), "other")->value().attributes.inode, other);
  EXPECT_EQ(ReadPath("new/file"), "unchanged");
  EXPECT_EQ(CountedLookup(Resolve("..data"), "tls")->error(), ENOENT);
  ForgetAll(cert);
  EXPECT_EQ(operations_->GetAttributes(cert).error, ESTALE);
  Kill();
  ExpectWhatWasSeen();
  ExpectKernelsCounts();
}

TEST_F(AtomicSurvivalTest, AnotherLayoutStartsAnewWithNewNumbers) {
  MountPair();
  const InodeNumber cert = Resolve("tls/cert.pem");
  spec_.layout = Layout::kFlat;
  kernel_.clear(), dentries_.clear(), seen_.clear();
  Left left = Snapshot();
  operations_.reset();
  state_ = *MountState::Attach(left.state.get());
  Serve(spec_);
  EXPECT_EQ(operations_->GetAttributes(cert).error, ESTALE);
  EXPECT_EQ(ReadPath("tls/cert.pem"), "cert 1");
  EXPECT_GT(Resolve("tls/cert.pem"), cert);
  Kill();
  ExpectWhatWasSeen();
}

// ---- browse

class BrowseSurvivalTest : public SurvivalTest {
 protected:
  BrowseSurvivalTest() : SurvivalTest(providers::Capabilities{.list = true, .structured = true}) {}

  void MountTree() {
    SetFields("app/db", {{"password", "one"}, {"user", "me"}});
    SetFields("app/api", {{"token", "t1"}});
    MountSpec spec;
    spec.browse = {Browse("", "app")};
    MountKept(std::move(spec));
  }
};

TEST_F(BrowseSurvivalTest, DirectoriesAndFilesKeepTheirInodes) {
  MountTree();
  EXPECT_EQ(List(kRootInode), "api.json api/ db.json db/");
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber directory = Resolve("db"), password = Resolve("db/password");
  const InodeNumber token = Resolve("api/token");
  provider_->Hold();
  Kill();
  ExpectWhatWasSeen();
  EXPECT_EQ(ReadInode(password), "one");
  provider_->Release();
  Poll();
  EXPECT_EQ(CountedLookup(kRootInode, "db")->value().attributes.inode, directory);
  EXPECT_EQ(CountedLookup(directory, "password")->value().attributes.inode, password);
  EXPECT_EQ(CountedLookup(Resolve("api"), "token")->value().attributes.inode, token);
  EXPECT_EQ(ReadPath("api/token"), "t1");
  EXPECT_EQ(List(directory), "password user");
  PublishAll();
  ExpectKernelsCounts();
}

TEST_F(BrowseSurvivalTest, AFileThatSomebodyReadIsKeptFresh) {
  MountTree();
  EXPECT_EQ(ReadPath("db/password"), "one");
  const InodeNumber before = Resolve("db/password");
  Kill();
  PublishAll();
  SetFields("app/db", {{"password", "two"}, {"user", "me"}});
  RefreshKey("app/db");
  ASSERT_FALSE(sink_.plans.empty());
  PublishAll();
  EXPECT_EQ(touches_[before], 1);
  EXPECT_EQ(ReadPath("db/password"), "two");
  EXPECT_EQ(ReadInode(before), "one");
}

TEST_F(BrowseSurvivalTest, AnUpdateIsPublishedByTheNextServer) {
  for (const int stop_at : {0, 1, 3, 4}) {
    SCOPED_TRACE(stop_at);
    StartOver();
    MountTree();
    EXPECT_EQ(ReadPath("db/password"), "one");
    const InodeNumber before = Resolve("db/password");
    SetFields("app/db", {{"password", "two"}, {"user", "me"}});
    RefreshKey("app/db");
    ASSERT_FALSE(sink_.plans.empty());
    if (stop_at > 0) {
      EXPECT_FALSE(PublishOne(stop_at));
    }
    Kill();
    touches_.clear();
    // The kernel may forget the old one at once: the new one has to wait for its publisher.
    ForgetAll(before);
    PublishAll();
    EXPECT_EQ(ReadPath("db/password"), "two");
    EXPECT_GE(touches_[Resolve("db/password")], 1);
    ExpectKernelsCounts();
    Kill();
    PublishAll();
    ExpectWhatWasSeen();
  }
}

TEST_F(BrowseSurvivalTest, NamesThatWentMeanwhileLeaveWithTheNextListing) {
  MountTree();
  EXPECT_EQ(ReadPath("api/token"), "t1");
  const InodeNumber token = Resolve("api/token");
  provider_->Remove("app/api");
  Kill();
  Advance(seconds(600));
  EXPECT_EQ(List(kRootInode), "db.json db/");
  PublishAll();
  EXPECT_EQ(ReadPath("api/token"), Format("errno {}", ENOENT));
  EXPECT_EQ(ReadInode(token), "t1");
  Kill();
  ExpectWhatWasSeen();
  EXPECT_EQ(ReadPath("api/token"), Format("errno {}", ENOENT));
  ExpectKernelsCounts();
}

TEST_F(BrowseSurvivalTest, WhatIsForgottenLeavesNothingBehind) {
  MountTree();
  ReadPath("db/password");
  ReadPath("api/token");
  ReadPath("db.json");
  Kill();
  for (int round = 0; round < 2; ++round) {
    std::vector<InodeNumber> known;
    for (const auto& [inode, count] : kernel_) known.push_back(inode);
    for (const InodeNumber inode : known) ForgetAll(inode);
    EXPECT_EQ(values_->size(), 0u);
    auto copy = *MountState::Attach(CopyOfMemory(state_->memory()).get());
    const SavedTree saved = copy->TakeTree();
    EXPECT_EQ(saved.inodes.size(), 1u) << "the root";
    EXPECT_EQ(saved.slots.size(), 0u);
    EXPECT_EQ(saved.plans.size(), sink_.plans.size());
    Kill();
    EXPECT_EQ(ReadPath("db/password"), "one");
  }
}

TEST_F(BrowseSurvivalTest, SizeIsToldOnceAcrossServers) {
  MountTree();
  const InodeNumber user = Resolve("db/user");
  Kill();
  const auto opened = Open(user);
  ASSERT_EQ(opened->error(), 0);
  Kill();
  const auto again = Open(user);
  ASSERT_EQ(again->error(), 0);
  EXPECT_FALSE(again->value().prefill.has_value());
  EXPECT_EQ(ReadInode(user), "me");
}

}  // namespace
}  // namespace secretfs::fs
