#include "providers/local/local_store.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "providers/local/key_file.h"
#include "providers/local/store_file.h"
#include "tests/unit/providers/local/store_fixture.h"

namespace secretfs::providers::local {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class LocalStoreTest : public StoreTest {};

TEST_F(LocalStoreTest, KeepsWhatWasPut) {
  Init();
  std::string binary;
  for (int i = 0; i < 512; ++i) binary.push_back(static_cast<char>(i));
  Put("db/password", "first");
  Put("db/empty", "");
  Put("db/binary", binary);
  Put("db", "a secret with others below it");
  Put("large", std::string(3'000'000, 'L'));
  EXPECT_EQ(Get("db/password"), "first");
  EXPECT_EQ(Get("db/empty"), "");
  EXPECT_EQ(Get("db/binary"), binary);
  EXPECT_EQ(Get("db"), "a secret with others below it");
  EXPECT_EQ(Get("large"), std::string(3'000'000, 'L'));
  EXPECT_EQ(Get("db/passwor"), "<no secret>");
}

TEST_F(LocalStoreTest, ShowsNeitherNamesNorValuesNorLengths) {
  Init();
  Put("name-to-look-for", "value-to-look-for");
  const std::string content = ReadFile(store_path());
  EXPECT_EQ(content.find("look-for"), std::string::npos);
  const size_t size = content.size();
  Put("name-to-look-for", "another value of quite another length, but not of 64 more");
  ASSERT_TRUE(Store()
                  .Update([](StoreTransaction& transaction) {
                    EXPECT_TRUE(transaction.RemoveVersion("name-to-look-for", 1).ok());
                    return transaction.Purge("name-to-look-for").status();
                  })
                  .ok());
  EXPECT_EQ(ReadFile(store_path()).size(), size);
}

TEST_F(LocalStoreTest, SameContentLooksDifferentEachTime) {
  Init();
  Put("a", "1");
  const std::string first = ReadFile(store_path());
  Put("b", "2");
  ASSERT_TRUE(Remove("b").ok());
  ASSERT_TRUE(Purge("b").ok());
  const std::string second = ReadFile(store_path());
  ASSERT_EQ(first.size(), second.size());
  size_t equal = 0;
  for (size_t i = kHeaderBytes; i < first.size(); ++i) equal += first[i] == second[i] ? 1 : 0;
  EXPECT_LT(equal, (first.size() - kHeaderBytes) / 8);
}

TEST_F(LocalStoreTest, NumbersVersionsAndKeepsTheNewest) {
  Init(3);
  for (const char* value : {"one", "two", "three", "four", "five"}) Put("a", value);
  EXPECT_EQ(Get("a"), "five");
  EXPECT_EQ(Get("a", "5"), "five");
  EXPECT_EQ(Get("a", "3"), "three");
  EXPECT_EQ(Get("a", "2"), "<no version>");
  EXPECT_EQ(Get("a", "6"), "<no version>");
  const SnapshotPtr snapshot = *Store().Read();
  const VersionEntry& third = snapshot->Find("a")->versions.front();
  EXPECT_EQ(third.number, 3u);
  EXPECT_EQ(Get("a", VersionText(third)), "three");
  EXPECT_EQ(Get("a", "3-0000000000000000"), "<no version>");
  EXPECT_EQ(Get("a", "3x"), "<no version>");
}

TEST_F(LocalStoreTest, TellsWhenAVersionWasMade) {
  Init();
  const WallTime before = clock_.WallNow();
  Put("a", "1");
  clock_.Advance(std::chrono::hours(3));
  Put("a", "2");
  const SnapshotPtr snapshot = *Store().Read();
  EXPECT_EQ(snapshot->Find("a")->versions[0].created(), before);
  EXPECT_EQ(snapshot->Find("a")->versions[1].created(), before + std::chrono::hours(3));
}

TEST_F(LocalStoreTest, ARecreatedSecretHasOtherVersions) {
  Init();
  Put("a", "first life");
  const std::string first = VersionText((*Store().Read())->Find("a")->versions.back());
  ASSERT_TRUE(Remove("a").ok());
  EXPECT_EQ(Get("a"), "<no secret>");
  EXPECT_TRUE(absl::IsNotFound(Remove("a")));
  Put("a", "second life");
  EXPECT_NE(VersionText((*Store().Read())->Find("a")->versions.back()), first);
  EXPECT_THAT(first, StartsWith("1-"));
}

TEST_F(LocalStoreTest, ABackupPutBackHasOtherVersions) {
  Init();
  Put("a", "1");
  std::filesystem::copy_file(store_path(), Path("backup"));
  Put("a", "2");
  const std::string second = VersionText((*Store().Read())->Find("a")->versions.back());
  std::filesystem::rename(Path("backup"), store_path());
  Put("a", "another 2");
  EXPECT_NE(VersionText((*Store().Read())->Find("a")->versions.back()), second);
}

TEST_F(LocalStoreTest, RemovesVersions) {
  Init();
  for (const char* value : {"one", "two", "three"}) Put("a", value);
  const auto remove = [this](uint64_t number) {
    return Store().Update(
        [number](StoreTransaction& transaction) { return transaction.RemoveVersion("a", number); });
  };
  ASSERT_TRUE(remove(3).ok());
  EXPECT_EQ(Get("a"), "two");
  EXPECT_TRUE(absl::IsNotFound(remove(3)));
  Put("a", "four");
  EXPECT_EQ(Get("a", "3"), "<no version>") << "a removed number is not used again";
  EXPECT_EQ(Get("a", "4"), "four");
  ASSERT_TRUE(remove(1).ok());
  ASSERT_TRUE(remove(2).ok());
  ASSERT_TRUE(remove(4).ok());
  EXPECT_EQ(Get("a"), "<no secret>");
}

TEST_F(LocalStoreTest, WhatWasRemovedIsHiddenAndComesBack) {
  Init();
  for (const char* value : {"one", "two"}) Put("a", value);
  Put("b", "b");
  const std::string version = VersionText((*Store().Read())->Find("a")->versions.back());
  ASSERT_TRUE(Remove("a").ok());
  const SnapshotPtr without = *Store().Read();
  EXPECT_EQ(without->Find("a"), nullptr);
  EXPECT_EQ(without->index().secrets.size(), 1u);
  EXPECT_EQ(without->header().format, 2);
  EXPECT_TRUE(absl::IsNotFound(Restore("b").status()));
  EXPECT_THAT(*Restore("a"), ElementsAre(1, 2));
  EXPECT_EQ(Get("a"), "two");
  EXPECT_EQ(Get("a", "1"), "one");
  EXPECT_EQ(VersionText((*Store().Read())->Find("a")->versions.back()), version);
  EXPECT_EQ((*Store().Read())->header().format, 1) << "programs that know no more can read it";
  EXPECT_TRUE(absl::IsNotFound(Restore("a").status()));
}

// As a real clock does; the tests' clock stands still within a transaction.
class MovingClock final : public Clock {
 public:
  MonotonicTime Now() const override { return MonotonicTime(); }
  WallTime WallNow() const override { return WallTime(Duration(++nanoseconds_)); }

 private:
  mutable int64_t nanoseconds_ = 0;
};

TEST_F(LocalStoreTest, VersionsThatWereRemovedTogetherComeBackTogether) {
  Init();
  for (const char* value : {"one", "two"}) Put("a", value);
  const MovingClock clock;
  LocalStore store(store_path(), KeySource(KeyFileConfig()), clock);
  ASSERT_TRUE(
      store.Update([](StoreTransaction& transaction) { return transaction.Remove("a"); }).ok());
  ASSERT_TRUE(
      store.Update([](StoreTransaction& transaction) { return transaction.Restore("a").status(); })
          .ok());
  EXPECT_EQ(Get("a"), "two");
  EXPECT_EQ(Get("a", "1"), "one");
}

TEST_F(LocalStoreTest, ARestoredSecretDoesNotHideWhatWasPutSince) {
  Init();
  for (const char* value : {"one", "two"}) Put("a", value);
  ASSERT_TRUE(Remove("a").ok());
  Put("a", "three");
  EXPECT_EQ(Get("a", "3"), "three") << "numbers go on";
  clock_.Advance(std::chrono::seconds(1));
  ASSERT_TRUE(Remove("a").ok());
  Put("a", "four");
  EXPECT_THAT(*Restore("a"), ElementsAre(3)) << "the newest removal comes back first";
  EXPECT_THAT(*Restore("a"), ElementsAre(1, 2));
  EXPECT_EQ(Get("a"), "four");
  EXPECT_EQ(Get("a", "1"), "one");
}

TEST_F(LocalStoreTest, OneRemovedVersionComesBack) {
  Init();
  for (const char* value : {"one", "two", "three"}) Put("a", value);
  ASSERT_TRUE(
      Store()
          .Update([](StoreTransaction& transaction) { return transaction.RemoveVersion("a", 3); })
          .ok());
  EXPECT_EQ(Get("a"), "two");
  ASSERT_TRUE(Remove("a").ok());
  ASSERT_TRUE(Store()
                  .Update([](StoreTransaction& transaction) {
                    return transaction.RestoreVersion("a", 3).status();
                  })
                  .ok());
  EXPECT_EQ(Get("a"), "three");
  EXPECT_EQ(Get("a", "2"), "<no version>");
}

TEST_F(LocalStoreTest, WhatWasRemovedIsKeptFor30Days) {
  Init();
  Put("a", "1");
  ASSERT_TRUE(Remove("a").ok());
  clock_.Advance(kRemovedKept);
  Put("b", "1");
  EXPECT_TRUE((*Store().Read())->index().removed.contains("a"));
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(absl::IsNotFound(Restore("a").status()));
  EXPECT_TRUE((*Store().Read())->index().removed.contains("a")) << "a read writes nothing";
  Put("b", "2");
  EXPECT_TRUE((*Store().Read())->index().removed.empty());
}

TEST_F(LocalStoreTest, PurgesByNameAndByAge) {
  Init();
  for (const char* name : {"a", "b", "c"}) {
    Put(name, "1");
    ASSERT_TRUE(Remove(name).ok());
    clock_.Advance(std::chrono::hours(1));
  }
  EXPECT_TRUE(absl::IsNotFound(Purge("d")));
  ASSERT_TRUE(Purge("a").ok());
  EXPECT_TRUE(absl::IsNotFound(Restore("a").status()));
  ASSERT_TRUE(Store()
                  .Update([this](StoreTransaction& transaction) {
                    EXPECT_EQ(
                        transaction.PurgeRemovedBefore(clock_.WallNow() - std::chrono::minutes(90)),
                        1u);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_TRUE(absl::IsNotFound(Restore("b").status()));
  EXPECT_TRUE(Restore("c").ok());
}

TEST_F(LocalStoreTest, ANewKeyKeepsWhatWasRemoved) {
  Init();
  Put("a", "1");
  ASSERT_TRUE(Remove("a").ok());
  ASSERT_TRUE(Store().ReplaceKey(key_path()).ok());
  EXPECT_TRUE(Restore("a").ok());
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(LocalStoreTest, ATransactionIsAllOrNothing) {
  Init();
  Put("a", "old");
  const std::string before = ReadFile(store_path());
  const absl::Status failed = Store().Update([](StoreTransaction& transaction) {
    EXPECT_TRUE(transaction.Put("a", SecretBytes::CopyOf("new")).ok());
    EXPECT_TRUE(transaction.Put("b", SecretBytes::CopyOf("new")).ok());
    return transaction.Put("b/../c", SecretBytes::CopyOf("new"));
  });
  EXPECT_TRUE(absl::IsInvalidArgument(failed));
  EXPECT_EQ(ReadFile(store_path()), before);
  ASSERT_TRUE(
      Store()
          .Update([](StoreTransaction& transaction) {
            for (int i = 0; i < 1000; ++i) {
              EXPECT_TRUE(
                  transaction.Put(Format("many/{}", i), SecretBytes::CopyOf(Format("value {}", i)))
                      .ok());
            }
            EXPECT_EQ(
                transaction.Value("many/7", transaction.index().secrets.at("many/7").versions[0])
                    ->ExposeAsText(),
                "value 7");
            return transaction.Remove("a");
          })
          .ok());
  EXPECT_EQ(Get("a"), "<no secret>");
  EXPECT_EQ(Get("many/999"), "value 999");
  EXPECT_EQ((*Store().Read())->header().generation, 3u);
}

TEST_F(LocalStoreTest, AnUpdateThatChangesNothingWritesNothing) {
  Init();
  const auto before = *IdentityOf(store_path());
  ASSERT_TRUE(Store().Update([](StoreTransaction&) { return absl::OkStatus(); }).ok());
  EXPECT_EQ(*IdentityOf(store_path()), before);
}

TEST_F(LocalStoreTest, ASnapshotStaysAtItsGeneration) {
  Init();
  Put("a", "old");
  const SnapshotPtr snapshot = *Store().Read();
  Put("a", "new");
  ASSERT_TRUE(Remove("a").ok());
  EXPECT_EQ(ValueIn(*snapshot, "a"), "old");
}

TEST_F(LocalStoreTest, RefusesValuesBeyondTheLimit) {
  Init();
  const absl::Status status = Store().Update([](StoreTransaction& transaction) {
    return transaction.Put("a", SecretBytes(kMaximumValueBytes + 1));
  });
  EXPECT_TRUE(absl::IsResourceExhausted(status));
}

TEST_F(LocalStoreTest, FewerVersionsToKeepDropsTheOldOnes) {
  Init();
  for (int i = 1; i <= 5; ++i) Put("a", Format("{}", i));
  ASSERT_TRUE(
      Store()
          .Update([](StoreTransaction& transaction) { return transaction.SetMaximumVersions(2); })
          .ok());
  EXPECT_EQ((*Store().Read())->Find("a")->versions.size(), 2u);
  EXPECT_EQ(Get("a", "3"), "<no version>");
  EXPECT_EQ(Get("a", "4"), "4");
}

TEST_F(LocalStoreTest, IsMadeOnceAndPrivate) {
  Init();
  struct stat status{};
  ASSERT_EQ(stat(store_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  Put("a", "1");
  KeySource source(KeyFileConfig());
  EXPECT_TRUE(absl::IsAlreadyExists(LocalStore::Create(store_path(), *source.ForNewStore(), 10)));
  EXPECT_EQ(Get("a"), "1");
  EXPECT_TRUE(absl::IsInvalidArgument(LocalStore::Create(Path("other"), *source.ForNewStore(), 0)));
}

TEST_F(LocalStoreTest, AMissingStoreSaysHowToMakeOne) {
  const absl::Status read = Store().Read().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(read));
  EXPECT_THAT(MessageOf(read), HasSubstr("secretfs store init"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Remove("a")));
  EXPECT_THAT(FolderContent(), ElementsAre()) << "no lock file beside a store that is not there";
}

TEST_F(LocalStoreTest, AnotherKeyDoesNotOpenIt) {
  Init();
  Put("a", "1");
  WriteFile(Path("other.key"), std::string(64, '1'));
  const absl::Status status = Store(KeyFile(Path("other.key"))).Read().status();
  EXPECT_TRUE(absl::IsUnauthenticated(status));
  EXPECT_THAT(MessageOf(status), HasSubstr("other.key"));
  EXPECT_THAT(MessageOf(status), HasSubstr(store_path()));
}

TEST_F(LocalStoreTest, APassphraseOpensIt) {
  KeySource source({}, [] { return SecretBytes::CopyOf("open sesame"); });
  const MasterKey key = *source.ForNewStore({.log2_n = 10, .r = 1, .p = 1});
  ASSERT_TRUE(LocalStore::Create(store_path(), key, 10).ok());
  WriteFile(Path("phrase"), "open sesame\n");
  LocalStore store = Store(PassphraseInFile(Path("phrase")));
  ASSERT_TRUE(store
                  .Update([](StoreTransaction& transaction) {
                    return transaction.Put("a", SecretBytes::CopyOf("1"));
                  })
                  .ok());
  EXPECT_EQ(ValueIn(**store.Read(), "a"), "1");
  WriteFile(Path("phrase"), "open simsim\n");
  EXPECT_TRUE(absl::IsUnauthenticated(Store(PassphraseInFile(Path("phrase"))).Read().status()));
}

TEST_F(LocalStoreTest, RekeysToAPassphraseAndBack) {
  Init();
  Put("a", "1");
  Put("a", "2");
  KeySource phrase({}, [] { return SecretBytes::CopyOf("open sesame"); });
  ASSERT_TRUE(Store().Rekey(*phrase.ForNewStore({.log2_n = 10, .r = 1, .p = 1})).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(Store().Read().status()));
  LocalStore store(store_path(), std::move(phrase), clock_);
  EXPECT_EQ(ValueIn(**store.Read(), "a"), "2");
  EXPECT_EQ(ValueIn(**store.Read(), "a", "1"), "1");
  KeySource file(KeyFileConfig());
  ASSERT_TRUE(store.Rekey(*file.ForNewStore()).ok());
  EXPECT_EQ(Get("a", "1"), "1");
}

TEST_F(LocalStoreTest, ReplacesTheKeyInItsFile) {
  Init();
  Put("a", "1");
  const std::string old_key = ReadFile(key_path());
  LocalStore long_lived = Store();
  ASSERT_TRUE(long_lived.Read().ok());
  ASSERT_TRUE(Store().ReplaceKey(key_path()).ok());
  const std::string both = ReadFile(key_path());
  EXPECT_EQ(both.size(), 130u);
  EXPECT_NE(both.substr(0, 65), old_key);
  EXPECT_EQ(both.substr(65), old_key) << "the old key stays until it is dropped";
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(ValueIn(**long_lived.Read(), "a"), "1") << "an open program finds the new key";
  WriteFile(Path("old.key"), old_key);
  EXPECT_TRUE(absl::IsUnauthenticated(Store(KeyFile(Path("old.key"))).Read().status()));
}

// Each state between the steps of ReplaceKey must be openable: new and old key in the file, with
// the store under either.
TEST_F(LocalStoreTest, AKeyFileWithTwoKeysOpensTheStoreUnderEither) {
  Init();
  Put("a", "1");
  const std::string old_key = ReadFile(key_path());
  const std::string new_key = std::string(64, 'e') + "\n";
  WriteFile(key_path(), new_key + old_key);
  EXPECT_EQ(Get("a"), "1");
  Put("a", "2");  // a writer in the middle must go on with the key that the store has
  WriteFile(Path("old.key"), old_key);
  EXPECT_EQ(ValueIn(**Store(KeyFile(Path("old.key"))).Read(), "a"), "2");
}

// A key file may serve several stores: only the line that opens the one is touched.
TEST_F(LocalStoreTest, ReplacingAKeyLeavesTheKeysOfOtherStores) {
  Init();
  Put("a", "1");
  const std::string mine = ReadFile(key_path());
  const std::string others = std::string(64, 'a') + "\n";
  WriteFile(key_path(), others + mine);
  KeySource source(KeyFileConfig());
  ASSERT_TRUE(LocalStore::Create(Path("other.sfs"), *source.ForNewStore(), 10).ok());
  LocalStore other(Path("other.sfs"), KeySource(KeyFileConfig()), clock_);
  ASSERT_TRUE(Store().ReplaceKey(key_path()).ok());
  const std::string keys = ReadFile(key_path());
  EXPECT_EQ(keys.size(), 195u);
  EXPECT_THAT(keys, StartsWith(others));
  EXPECT_THAT(keys, ::testing::EndsWith(mine));
  EXPECT_EQ(Get("a"), "1");
  EXPECT_TRUE(other.Read().ok());
  // A second time, and then without the old ones.
  ASSERT_TRUE(Store().ReplaceKey(key_path()).ok());
  EXPECT_EQ(ReadFile(key_path()).size(), 260u);
  const auto dropped = Store().DropReplacedKeys(key_path(), {Path("other.sfs")});
  ASSERT_TRUE(dropped.ok()) << MessageOf(dropped.status());
  EXPECT_EQ(*dropped, 2u);
  EXPECT_EQ(ReadFile(key_path()).size(), 130u);
  EXPECT_THAT(ReadFile(key_path()), StartsWith(others));
  EXPECT_EQ(Get("a"), "1");
  EXPECT_TRUE(other.Read().ok());
  EXPECT_EQ((*Store().Read())->header().format, 1) << "nothing is left to be remembered";
}

TEST_F(LocalStoreTest, AKeyThatAnotherStoreNeedsIsNotDropped) {
  Init();
  Put("a", "1");
  KeySource source(KeyFileConfig());
  ASSERT_TRUE(LocalStore::Create(Path("other.sfs"), *source.ForNewStore(), 10).ok());
  ASSERT_TRUE(Store().ReplaceKey(key_path()).ok());
  EXPECT_THAT(StoreFilesIn({folder_}, store_path()), ElementsAre(Path("other.sfs")));
  const std::string keys = ReadFile(key_path());
  const auto dropped = Store().DropReplacedKeys(key_path(), {Path("other.sfs")});
  EXPECT_TRUE(absl::IsFailedPrecondition(dropped.status()));
  EXPECT_THAT(MessageOf(dropped.status()), HasSubstr(Path("other.sfs")));
  EXPECT_EQ(ReadFile(key_path()), keys);
}

TEST_F(LocalStoreTest, AKeyFileThatDoesNotHoldTheKeyStaysAsItIs) {
  Init();
  const std::string others = std::string(64, 'a') + "\n";
  WriteFile(Path("other.key"), others);
  EXPECT_TRUE(absl::IsFailedPrecondition(Store().ReplaceKey(Path("other.key"))));
  EXPECT_EQ(ReadFile(Path("other.key")), others);
  EXPECT_TRUE(Store().Read().ok());
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Store().ReplaceKey(Path("fifo"))));
  std::string many;
  for (int i = 0; i < 62; ++i) many += Format("{:064x}\n", i);
  WriteFile(key_path(), ReadFile(key_path()) + many);
  const absl::Status full = Store().ReplaceKey(key_path());
  EXPECT_TRUE(absl::IsFailedPrecondition(full)) << full;
  EXPECT_TRUE(Store().Read().ok());
}

TEST_F(LocalStoreTest, TheSameKeyIsNoNewKey) {
  Init();
  KeySource source(KeyFileConfig());
  EXPECT_TRUE(absl::IsAlreadyExists(Store().Rekey(*source.ForNewStore())));
}

TEST_F(LocalStoreTest, LeftoversOfKilledWritersGo) {
  Init();
  WriteFile(Path(".store.sfs.new-abc123"), "half a file");
  WriteFile(Path(".store.sfs2.new-abc123"), "another store's");
  Put("a", "1");
  EXPECT_THAT(FolderContent(), ElementsAre(".store.sfs2.new-abc123", "store.sfs", "store.sfs.key",
                                           "store.sfs.lock"));
}

TEST_F(LocalStoreTest, AFailedWriteLeavesNothingBehind) {
  Init();
  Put("a", "1");
  const absl::Status failed = ReplaceFile(store_path(), 0600, Replace::kExisting, [](int fd) {
    const std::string half = "half";
    EXPECT_TRUE(WriteFully(fd, std::as_bytes(std::span(half))).ok());
    return absl::ResourceExhaustedError("no space");
  });
  EXPECT_TRUE(absl::IsResourceExhausted(failed));
  EXPECT_THAT(FolderContent(), ElementsAre("store.sfs", "store.sfs.key", "store.sfs.lock"));
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(LocalStoreTest, ALinkToTheStoreStaysALink) {
  Init();
  std::filesystem::create_symlink(store_path(), Path("link.sfs"));
  LocalStore store(Path("link.sfs"), KeySource(KeyFileConfig()), clock_);
  ASSERT_TRUE(store
                  .Update([](StoreTransaction& transaction) {
                    return transaction.Put("a", SecretBytes::CopyOf("1"));
                  })
                  .ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link.sfs")));
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(LocalStoreTest, KeepsTheModeThatItsOwnerGave) {
  Init();
  ASSERT_EQ(chmod(store_path().c_str(), 0640), 0);
  Put("a", "1");
  struct stat status{};
  ASSERT_EQ(stat(store_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

// An access list (acl(5)): the owner may read and write, user 4242 and the group may read.
std::string AccessList(uint16_t mask) {
  struct Entry {
    uint16_t tag, rights;
    uint32_t id;
  };
  const uint32_t version = 2, nobody = 0xffffffff;
  const std::vector<Entry> entries = {
      {1, 6, nobody}, {2, 4, 4242}, {4, 4, nobody}, {16, mask, nobody}, {32, 0, nobody}};
  std::string bytes(reinterpret_cast<const char*>(&version), sizeof version);
  for (const Entry& entry : entries) {
    bytes.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  }
  return bytes;
}
std::string Attribute(const std::string& path, const char* name) {
  char value[512];
  const ssize_t size = getxattr(path.c_str(), name, value, sizeof value);
  return size < 0 ? "" : std::string(value, static_cast<size_t>(size));
}
bool SetAttribute(const std::string& path, const char* name, const std::string& value) {
  return setxattr(path.c_str(), name, value.data(), value.size(), 0) == 0;
}

TEST_F(LocalStoreTest, KeepsTheAccessListThatItsOwnerGave) {
  Init();
  const std::string list = AccessList(4);
  if (!SetAttribute(store_path(), "system.posix_acl_access", list)) {
    GTEST_SKIP() << "no access lists here: " << strerror(errno);
  }
  const bool has_note = SetAttribute(store_path(), "user.note", "mine");
  Put("a", "1");
  EXPECT_EQ(Attribute(store_path(), "system.posix_acl_access"), list);
  EXPECT_EQ(Attribute(store_path(), "user.note"), has_note ? "mine" : "");
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(LocalStoreTest, TheFoldersDefaultAccessListOpensNoNewVersion) {
  Init();
  ASSERT_EQ(chmod(store_path().c_str(), 0640), 0);
  if (!SetAttribute(folder_, "system.posix_acl_default", AccessList(6))) {
    GTEST_SKIP() << "no access lists here: " << strerror(errno);
  }
  Put("a", "1");
  EXPECT_EQ(Attribute(store_path(), "system.posix_acl_access"), "");
  struct stat status{};
  ASSERT_EQ(stat(store_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

// What `work` returns in a process of that user and group, which has no other rights.
int RunAs(uid_t user, gid_t group, const std::function<bool()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    const bool changed = setgroups(0, nullptr) == 0 && setresgid(group, group, group) == 0 &&
                         setresuid(user, user, user) == 0;
    _exit(!changed ? 2 : work() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(LocalStoreTest, AFailedCommandOfRootLocksNobodyOut) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  constexpr uid_t kUser = 4242;
  Init();
  const LocalKeySource roots_copy = KeyFile(Path("root.key"));
  WriteFile(roots_copy.key_file, ReadFile(key_path()));
  for (const std::string& path : {folder_, store_path(), key_path()}) {
    ASSERT_EQ(chown(path.c_str(), kUser, kUser), 0);
  }
  const auto put = [this](LocalKeySource key) {
    return Store(std::move(key)).Update([](StoreTransaction& transaction) {
      return transaction.Put("a", SecretBytes::CopyOf("1"));
    });
  };
  EXPECT_FALSE(put(KeyFileConfig()).ok()) << "with a key file that is not root's";
  struct stat status{};
  ASSERT_EQ(stat((store_path() + ".lock").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kUser);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(RunAs(kUser, kUser, [&] { return put(KeyFileConfig()).ok(); }), 0);
  EXPECT_EQ(ValueIn(**Store(roots_copy).Read(), "a"), "1");
  // A lock that an older version left behind: told what to do, and mended by root's next command.
  ASSERT_EQ(chown((store_path() + ".lock").c_str(), 0, 0), 0);
  const auto lock = [this] { return WriterLock::Acquire(store_path(), Duration(0)).status(); };
  EXPECT_EQ(RunAs(kUser, kUser,
                  [&] { return absl::StrContains(lock().message(), "chown --reference="); }),
            0);
  EXPECT_TRUE(put(roots_copy).ok());
  EXPECT_EQ(RunAs(kUser, kUser, [&] { return lock().ok(); }), 0);
}

TEST_F(LocalStoreTest, AStoreOfAGroupStaysTheGroups) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  constexpr uid_t kOwner = 4242, kOther = 4243;
  constexpr gid_t kTeam = 4300;
  Init();
  ASSERT_EQ(chown(folder_.c_str(), kOwner, kTeam), 0);
  ASSERT_EQ(chmod(folder_.c_str(), 0770), 0);
  ASSERT_EQ(chown(store_path().c_str(), kOwner, kTeam), 0);
  ASSERT_EQ(chmod(store_path().c_str(), 0660), 0);
  const auto rewrite = [this] {
    return ReplaceFile(store_path(), 0600, Replace::kExisting, [](int) { return absl::OkStatus(); })
               .ok() &&
           WriterLock::Acquire(store_path(), Duration(0)).ok();
  };
  EXPECT_EQ(RunAs(kOther, kTeam, rewrite), 0);
  EXPECT_EQ(RunAs(kOwner, kTeam, rewrite), 0) << "the owner was locked out";
  struct stat status{};
  ASSERT_EQ(stat(store_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, kTeam);
  EXPECT_EQ(status.st_mode & 07777, 0660u);
  // Somebody who could only take it away from its owner does not.
  ASSERT_EQ(chown(store_path().c_str(), kOwner, kOwner), 0);
  ASSERT_EQ(chmod(store_path().c_str(), 0600), 0);
  EXPECT_NE(RunAs(kOther, kTeam, rewrite), 0);
  ASSERT_EQ(stat(store_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kOwner);
}

TEST_F(LocalStoreTest, AWriterThatNeverEndsIsNamed) {
  Init();
  const WriterLock held = *WriterLock::Acquire(store_path(), Duration(0));
  LocalStore store(store_path(), KeySource(KeyFileConfig()), clock_,
                   {.lock_patience = Duration(0)});
  const absl::Status status = store.Update(
      [](StoreTransaction& transaction) { return transaction.Put("a", SecretBytes::CopyOf("1")); });
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(MessageOf(status), HasSubstr("store.sfs.lock"));
  EXPECT_TRUE(store.Read().ok()) << "readers need no lock";
}

class DamagedStoreTest : public StoreTest {
 protected:
  void SetUp() override {
    Init(2);
    Put("a/first", "value one");
    Put("b/second", std::string(200, 'v'));
    Put("a/first", "value two");
  }

  // Every way to read the store, on a file with `content`: what was refused is named, and nothing
  // that is returned differs from what was put. Returns all error texts.
  std::string ReadAll(const std::string& content) {
    WriteFile(store_path(), content);
    const absl::StatusOr<SnapshotPtr> snapshot = Store().Read();
    if (!snapshot.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(snapshot.status())) << MessageOf(snapshot.status());
      return std::string(MessageOf(snapshot.status()));
    }
    std::string errors;
    for (const auto& [name, version, expected] :
         {std::tuple("a/first", "1", std::string("value one")),
          std::tuple("a/first", "2", std::string("value two")),
          std::tuple("b/second", "1", std::string(200, 'v'))}) {
      const std::string value = ValueIn(**snapshot, name, version);
      if (value == expected) continue;
      EXPECT_THAT(value, HasSubstr("is damaged")) << "data that nobody put was returned";
      errors += value;
    }
    const auto damage = (*snapshot)->FindDamage();
    EXPECT_TRUE(damage.ok());
    EXPECT_EQ(damage->empty(), errors.empty());
    return errors;
  }
};

TEST_F(DamagedStoreTest, EveryFlippedByteIsFoundAndNamed) {
  std::string content = ReadFile(store_path());
  const StoreHeader header = *StoreSnapshot::ReadHeader(store_path());
  const size_t records_start = kHeaderBytes + header.index_bytes;
  ASSERT_EQ(content.size(), records_start + 80 + 80 + 272);
  ASSERT_EQ(ReadAll(content), "");
  for (size_t i = 0; i < content.size(); ++i) {
    const char original = content[i];
    content[i] = static_cast<char>(original ^ (1 << (i % 8)));
    const std::string errors = ReadAll(content);
    if (i < kHeaderBytes) {
      EXPECT_THAT(errors, HasSubstr("the header is damaged")) << "byte " << i;
    } else if (i < records_start) {
      EXPECT_THAT(errors, HasSubstr("the index is damaged")) << "byte " << i;
    } else {
      const size_t in_records = i - records_start;
      const char* const record = in_records < 80 ? "record 1 of 3 is damaged: a/first, version 1"
                                 : in_records < 160
                                     ? "record 2 of 3 is damaged: a/first, version 2"
                                     : "record 3 of 3 is damaged: b/second, version 1";
      EXPECT_THAT(errors, HasSubstr(record)) << "byte " << i;
    }
    content[i] = original;
  }
  EXPECT_EQ(ReadAll(content), "");
}

TEST_F(DamagedStoreTest, EveryCutIsFound) {
  const std::string content = ReadFile(store_path());
  for (size_t size = 0; size < content.size(); ++size) {
    EXPECT_THAT(ReadAll(content.substr(0, size)),
                AnyOf(HasSubstr("is cut off"), HasSubstr("header is damaged")))
        << size;
  }
  EXPECT_THAT(ReadAll(content + "x"), HasSubstr("1 bytes after its last record"));
}

TEST_F(DamagedStoreTest, RecordsCannotBeMovedOrTakenFromAnotherGeneration) {
  const std::string content = ReadFile(store_path());
  const size_t start = kHeaderBytes + StoreSnapshot::ReadHeader(store_path())->index_bytes;
  std::string swapped = content;
  swapped.replace(start, 80, content.substr(start + 80, 80));
  swapped.replace(start + 80, 80, content.substr(start, 80));
  const std::string errors = ReadAll(swapped);
  EXPECT_THAT(errors, HasSubstr("record 1 of 3"));
  EXPECT_THAT(errors, HasSubstr("record 2 of 3"));

  WriteFile(store_path(), content);
  Put("b/second", std::string(200, 'v'));
  Put("b/second", std::string(200, 'v'));
  std::string next = ReadFile(store_path());
  std::string mixed = content;
  mixed.replace(start, 80, next.substr(start, 80));
  EXPECT_THAT(ReadAll(mixed), HasSubstr("record 1 of 3"));
  std::string old_index = next;
  old_index.replace(kHeaderBytes, start - kHeaderBytes,
                    content.substr(kHeaderBytes, start - kHeaderBytes));
  WriteFile(store_path(), old_index);
  EXPECT_TRUE(absl::IsDataLoss(Store().Read().status()));
}

TEST_F(DamagedStoreTest, DamageIsNeverCarriedOverButCanBeRemoved) {
  std::string content = ReadFile(store_path());
  const size_t start = kHeaderBytes + StoreSnapshot::ReadHeader(store_path())->index_bytes;
  content[start] = static_cast<char>(content[start] ^ 1);  // a/first, version 1
  WriteFile(store_path(), content);
  const absl::Status put = Store().Update(
      [](StoreTransaction& transaction) { return transaction.Put("c", SecretBytes::CopyOf("1")); });
  EXPECT_TRUE(absl::IsDataLoss(put));
  EXPECT_THAT(MessageOf(put), HasSubstr("a/first, version 1"));
  EXPECT_EQ(ReadFile(store_path()), content) << "the failed write changed the file";
  EXPECT_EQ(Get("b/second"), std::string(200, 'v')) << "the others are still there";
  const auto damage = (*Store().Read())->FindDamage();
  ASSERT_EQ(damage->size(), 1u);
  EXPECT_EQ(damage->front().name, "a/first");
  EXPECT_EQ(damage->front().version, 1u);
  ASSERT_TRUE(Store()
                  .Update([](StoreTransaction& transaction) {
                    return transaction.RemoveVersion("a/first", 1);
                  })
                  .ok());
  EXPECT_EQ(Get("a/first"), "value two");
  Put("c", "1");
  EXPECT_TRUE((*Store().Read())->index().removed.empty()) << "there was nothing to bring back";
}

TEST_F(DamagedStoreTest, DamageInWhatWasRemovedIsNamedAndCanBePurged) {
  ASSERT_TRUE(Remove("b/second").ok());
  std::string content = ReadFile(store_path());
  content.back() = static_cast<char>(content.back() ^ 1);
  WriteFile(store_path(), content);
  const auto damage = (*Store().Read())->FindDamage();
  ASSERT_EQ(damage->size(), 1u);
  EXPECT_EQ(damage->front().name, "b/second");
  EXPECT_TRUE(damage->front().removed);
  ASSERT_TRUE(Purge("b/second").ok());
  Put("c", "1");
}

}  // namespace
}  // namespace secretfs::providers::local
