#include "providers/local/local_provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <optional>
#include <string>
#include <vector>

#include "providers/local/default_paths.h"
#include "tests/unit/providers/local/store_fixture.h"

namespace secretfs::providers::local {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class LocalProviderTest : public StoreTest {
 protected:
  LocalProviderTest() { MakeProvider(store_path()); }

  // With the key file beside the store, as by default.
  void MakeProvider(std::string path) {
    LocalStoreConfig config;
    config.path = std::move(path);
    provider_ = MakeLocalProvider(config, context_, clock_);
  }

  // Runs `awaitable` to its end.
  template <typename T>
  T Run(asio::awaitable<T> awaitable) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(awaitable), [&result](std::exception_ptr error, T value) {
      ASSERT_EQ(error, nullptr);
      result.emplace(std::move(value));
    });
    context_.restart();
    while (!result.has_value() && context_.run_one() > 0) {
    }
    return std::move(*result);
  }

  std::vector<absl::StatusOr<SecretPtr>> Fetch(std::vector<SecretRef> refs) {
    return Run(provider_->Fetch(std::move(refs), RequestContext()));
  }
  // The value, or the error's code and text in angle brackets.
  std::string FetchOne(SecretRef ref) {
    std::vector<SecretRef> refs{std::move(ref)};
    const auto results = Fetch(std::move(refs));
    if (!results[0].ok()) return Format("<{}>", results[0].status().ToString());
    return std::string((*results[0])->value.ExposeAsText());
  }
  // "name" for a secret, "name/" for a prefix, "name name/" for both.
  std::vector<std::string> List(std::string prefix) {
    const absl::StatusOr<ListPage> page =
        Run(provider_->List(std::move(prefix), "", RequestContext()));
    if (!page.ok()) return {Format("<{}>", page.status().ToString())};
    EXPECT_EQ(page->next_page, "");
    std::vector<std::string> names;
    for (const ListEntry& entry : page->entries) {
      std::string shown = entry.is_secret ? entry.name : "";
      if (entry.is_prefix) shown += (shown.empty() ? "" : " ") + entry.name + "/";
      names.push_back(shown);
    }
    return names;
  }

  // Runs the context until nothing is ready.
  void Poll() {
    context_.restart();
    context_.poll();
  }

  asio::io_context context_{1};
  std::unique_ptr<Provider> provider_;
};

// A running Watch of the fixture's provider that notes what it reports.
class WatchRun {
 public:
  WatchRun(asio::io_context& context, Provider& provider, std::string prefix) {
    asio::co_spawn(context,
                   provider.Watch(std::move(prefix),
                                  [this](const ChangeSet& changes) { reports.push_back(changes); }),
                   asio::bind_cancellation_slot(
                       cancel.slot(), [this](std::exception_ptr error, absl::Status status) {
                         EXPECT_EQ(error, nullptr);
                         ended = std::move(status);
                       }));
  }
  asio::cancellation_signal cancel;
  std::vector<ChangeSet> reports;
  std::optional<absl::Status> ended;
};

TEST_F(LocalProviderTest, FetchesNewestAndNamedVersions) {
  Init();
  Put("db/password", "one");
  Put("db/password", "two");
  const auto results =
      Fetch({{"db/password", ""}, {"db/password", "1"}, {"nothing", ""}, {"db/password", "9"}});
  ASSERT_THAT(results, SizeIs(4));
  ASSERT_TRUE(results[0].ok() && results[1].ok());
  EXPECT_EQ((*results[0])->value.ExposeAsText(), "two");
  EXPECT_EQ((*results[0])->changed_at, clock_.WallNow());
  EXPECT_FALSE((*results[0])->time_to_live.has_value());
  EXPECT_THAT((*results[0])->version, ::testing::StartsWith("2-"));
  EXPECT_EQ((*results[1])->value.ExposeAsText(), "one");
  EXPECT_EQ(FetchOne({"db/password", (*results[1])->version}), "one");
  EXPECT_TRUE(absl::IsNotFound(results[2].status()));
  EXPECT_TRUE(absl::IsNotFound(results[3].status()));
}

TEST_F(LocalProviderTest, SaysWhatItCanDo) {
  const Capabilities capabilities = provider_->capabilities();
  EXPECT_TRUE(capabilities.list);
  EXPECT_TRUE(capabilities.watch);
  EXPECT_FALSE(capabilities.structured);
  EXPECT_GE(capabilities.batch_size, 100u);
}

TEST_F(LocalProviderTest, SeesEachChangeAtTheNextFetch) {
  Init();
  Put("a", "1");
  EXPECT_EQ(FetchOne({"a", ""}), "1");
  Put("a", "2");
  EXPECT_EQ(FetchOne({"a", ""}), "2");
  ASSERT_TRUE(Remove("a").ok());
  EXPECT_THAT(FetchOne({"a", ""}), HasSubstr("NOT_FOUND"));
}

TEST_F(LocalProviderTest, AMissingStoreIsAnOutageNotAMissingSecret) {
  EXPECT_THAT(FetchOne({"a", ""}), HasSubstr("UNAVAILABLE"));
  EXPECT_TRUE(absl::IsUnavailable(Run(provider_->CheckLogin(RequestContext()))));
  Init();
  Put("a", "1");
  EXPECT_EQ(FetchOne({"a", ""}), "1") << "the store that came is seen at once";
  std::filesystem::remove(store_path());
  EXPECT_THAT(FetchOne({"a", ""}), HasSubstr("UNAVAILABLE"));
}

TEST_F(LocalProviderTest, ALooseKeyFileIsDeniedUntilItIsRepaired) {
  Init();
  Put("a", "1");
  ASSERT_EQ(chmod(key_path().c_str(), 0644), 0);
  EXPECT_THAT(FetchOne({"a", ""}), HasSubstr("PERMISSION_DENIED"));
  EXPECT_THAT(FetchOne({"a", ""}), HasSubstr("chmod 600"));
  ASSERT_EQ(chmod(key_path().c_str(), 0600), 0);
  clock_.Advance(std::chrono::seconds(3));
  EXPECT_EQ(FetchOne({"a", ""}), "1");
}

TEST_F(LocalProviderTest, DamageOfOneSecretLeavesTheOthers) {
  Init();
  Put("a", "1");
  Put("b", "2");
  std::string content = ReadFile(store_path());
  content.back() = static_cast<char>(content.back() ^ 1);
  WriteFile(store_path(), content);
  EXPECT_EQ(FetchOne({"a", ""}), "1");
  EXPECT_THAT(FetchOne({"b", ""}), HasSubstr("DATA_LOSS"));
  EXPECT_THAT(FetchOne({"b", ""}), HasSubstr("record 2 of 2"));
}

TEST_F(LocalProviderTest, AKeyReplacedUnderARunningProviderWorks) {
  Init();
  Put("a", "1");
  EXPECT_EQ(FetchOne({"a", ""}), "1");
  ASSERT_TRUE(Store().ReplaceKey(key_path()).ok());
  EXPECT_EQ(FetchOne({"a", ""}), "1");
}

TEST_F(LocalProviderTest, ListsOneLevelEachNameOnce) {
  Init();
  for (const char* name : {"a", "a-b", "a/b", "a/c/d", "a/c/e", "a0", "z/y"}) Put(name, "1");
  EXPECT_THAT(List(""), ElementsAre("a a/", "a-b", "a0", "z/"));
  EXPECT_THAT(List("a"), ElementsAre("b", "c/"));
  EXPECT_THAT(List("a/c"), ElementsAre("d", "e"));
  EXPECT_THAT(List("a-b"), ElementsAre(HasSubstr("NOT_FOUND")));
  EXPECT_THAT(List("y"), ElementsAre(HasSubstr("NOT_FOUND")));
}

TEST_F(LocalProviderTest, ListsAnEmptyStore) {
  Init();
  EXPECT_THAT(List(""), IsEmpty());
}

TEST_F(LocalProviderTest, WatchReportsWhatChanged) {
  Init();
  Put("db/a", "1");
  Put("db/b", "1");
  WatchRun watch(context_, *provider_, "");
  WatchRun below(context_, *provider_, "db");
  WatchRun elsewhere(context_, *provider_, "d");
  Poll();
  EXPECT_THAT(watch.reports, IsEmpty());
  ASSERT_TRUE(Store()
                  .Update([](StoreTransaction& transaction) {
                    EXPECT_TRUE(transaction.Put("db/a", SecretBytes::CopyOf("2")).ok());
                    EXPECT_TRUE(transaction.Put("new", SecretBytes::CopyOf("1")).ok());
                    return transaction.Remove("db/b");
                  })
                  .ok());
  Poll();
  ASSERT_THAT(watch.reports, SizeIs(1));
  EXPECT_FALSE(watch.reports[0].everything);
  EXPECT_THAT(watch.reports[0].keys, UnorderedElementsAre("db/a", "db/b", "new"));
  ASSERT_THAT(below.reports, SizeIs(1));
  EXPECT_THAT(below.reports[0].keys, UnorderedElementsAre("db/a", "db/b"));
  EXPECT_THAT(elsewhere.reports, IsEmpty());
  EXPECT_EQ(FetchOne({"db/a", ""}), "2");
  for (WatchRun* run : {&watch, &below, &elsewhere}) {
    run->cancel.emit(asio::cancellation_type::all);
  }
  Poll();
  ASSERT_TRUE(watch.ended.has_value());
  EXPECT_TRUE(absl::IsCancelled(*watch.ended));
}

TEST_F(LocalProviderTest, WatchSeesEachOfManyWrites) {
  Init();
  Put("a", "0");
  WatchRun watch(context_, *provider_, "");
  Poll();
  for (int i = 1; i <= 20; ++i) {
    Put("a", Format("{}", i));
    Poll();
    ASSERT_THAT(watch.reports, SizeIs(i));
    EXPECT_THAT(watch.reports.back().keys, ElementsAre("a"));
  }
  watch.cancel.emit(asio::cancellation_type::all);
  Poll();
}

TEST_F(LocalProviderTest, WatchReportsAChangeSinceTheLastFetch) {
  Init();
  Put("a", "1");
  EXPECT_EQ(FetchOne({"a", ""}), "1");
  Put("a", "2");
  WatchRun watch(context_, *provider_, "");
  Poll();
  ASSERT_THAT(watch.reports, SizeIs(1));
  EXPECT_THAT(watch.reports[0].keys, ElementsAre("a"));
  watch.cancel.emit(asio::cancellation_type::all);
  Poll();
}

TEST_F(LocalProviderTest, WatchReportsEverythingWhenTheStoreGoesAndComes) {
  Init();
  Put("a", "1");
  WatchRun watch(context_, *provider_, "");
  Poll();
  std::filesystem::rename(store_path(), Path("away"));
  Poll();
  ASSERT_THAT(watch.reports, SizeIs(1));
  EXPECT_TRUE(watch.reports[0].everything);
  std::filesystem::rename(Path("away"), store_path());
  Poll();
  ASSERT_THAT(watch.reports, SizeIs(2));
  EXPECT_TRUE(watch.reports[1].everything);
  watch.cancel.emit(asio::cancellation_type::all);
  Poll();
}

TEST_F(LocalProviderTest, WatchSaysWhenTheFolderIsGone) {
  MakeProvider(Path("sub/store.sfs"));
  WatchRun none(context_, *provider_, "");
  Poll();
  ASSERT_TRUE(none.ended.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*none.ended));
  std::filesystem::create_directory(Path("sub"));
  WatchRun watch(context_, *provider_, "");
  Poll();
  EXPECT_FALSE(watch.ended.has_value());
  std::filesystem::remove(Path("sub"));
  Poll();
  ASSERT_TRUE(watch.ended.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*watch.ended));
}

TEST(DefaultPaths, FollowTheEnvironment) {
  const char* const old_home = getenv("HOME");
  const std::string home = old_home == nullptr ? "" : old_home;
  unsetenv("SECRETFS_STORE");
  unsetenv("XDG_DATA_HOME");
  setenv("HOME", "/home/somebody", 1);
  EXPECT_EQ(DefaultStorePath(), "/home/somebody/.local/share/secretfs/store.sfs");
  setenv("XDG_DATA_HOME", "relative/is/ignored", 1);
  EXPECT_EQ(DefaultStorePath(), "/home/somebody/.local/share/secretfs/store.sfs");
  setenv("XDG_DATA_HOME", "/data", 1);
  EXPECT_EQ(DefaultStorePath(), "/data/secretfs/store.sfs");
  setenv("SECRETFS_STORE", "/elsewhere/s", 1);
  const LocalStoreConfig config = WithDefaults({});
  EXPECT_EQ(config.path, "/elsewhere/s");
  EXPECT_EQ(config.key.key_file, "/elsewhere/s.key");
  LocalStoreConfig with_credential;
  with_credential.path = "/x";
  with_credential.key = SystemdCredential("c");
  EXPECT_EQ(WithDefaults(with_credential).key.key_file, "");
  setenv("SECRETFS_PASSPHRASE", "open sesame", 1);
  EXPECT_EQ(WithDefaults({}).key.passphrase.environment, "SECRETFS_PASSPHRASE");
  setenv("SECRETFS_PASSPHRASE_FILE", "/phrase", 1);
  EXPECT_EQ(WithDefaults({}).key.passphrase.file, "/phrase");
  EXPECT_EQ(WithDefaults({}).key.key_file, "");
  setenv("SECRETFS_KEY_FILE", "/k", 1);
  EXPECT_EQ(WithDefaults({}).key.key_file, "/k");
  EXPECT_EQ(WithDefaults(with_credential).key.key_file, "");
  for (const char* name :
       {"SECRETFS_PASSPHRASE", "SECRETFS_PASSPHRASE_FILE", "SECRETFS_KEY_FILE"}) {
    unsetenv(name);
  }
  unsetenv("SECRETFS_STORE");
  unsetenv("XDG_DATA_HOME");
  setenv("HOME", home.c_str(), 1);
}

}  // namespace
}  // namespace secretfs::providers::local
