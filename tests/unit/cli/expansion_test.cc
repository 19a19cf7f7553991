#include "cli/expansion.h"

#include <gmock/gmock.h>

#include <future>

#include "base/text.h"
#include "cli/check_online.h"
#include "cli/exit_codes.h"
#include "cli/expansion_source.h"
#include "cli/manifest_values.h"
#include "cli/runtime.h"
#include "tests/fakes/fake_provider.h"

namespace secretfs::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

class ExpansionTest : public ::testing::Test {
 protected:
  ExpansionTest() : store_(std::make_shared<fakes::FakeProvider>()) {
    cache::StoreSettings settings;
    settings.name = "team";
    settings.identity = "test";
    settings.provider = store_;
    id_ = runtime_.cache().AddStore(std::move(settings));
  }

  Expansion Extract(const std::string& key) {
    Expansion expansion{.store = id_, .what = {}};
    expansion.what.store = "team";
    expansion.what.source = k8s::ExtractFields{{.key = key, .version = {}}};
    expansion.what.origin = "m.yaml:7";
    return expansion;
  }
  Expansion Find(const std::string& path, const std::string& regexp) {
    Expansion expansion{.store = id_, .what = {}};
    expansion.what.source = k8s::FindSecrets{path, regexp};
    expansion.what.origin = "m.yaml:9";
    return expansion;
  }
  std::string Read(cache::StoreId store, const std::string& key,
                   const providers::Selection& selection = {}) {
    const auto snapshot = runtime_.Read({.store = store, .ref = {.key = key, .version = {}}});
    if (!snapshot.ok()) return "error: " + std::string(MessageOf(snapshot.status()));
    const auto value = providers::Select(*snapshot->secret, selection);
    return value.ok() ? std::string(value->ExposeAsText()) : "error";
  }

  Runtime runtime_;
  std::shared_ptr<fakes::FakeProvider> store_;
  cache::StoreId id_;
};

TEST(ExpandedNameTest, RewritesInOrderAndMakesAKey) {
  k8s::ManifestExpansion expansion;
  EXPECT_EQ(ExpandedName(expansion, "app/db pass"), "app_db_pass");
  expansion.rewrite_regexp = {{"^app/", ""}, {"(.*)-old", "$1"}};
  EXPECT_EQ(ExpandedName(expansion, "app/db-old"), "db");
}

TEST_F(ExpansionTest, ExtractMakesAFileOfEveryKey) {
  store_->Set("app/db", R"({"user":"u1","pass":"p1","port":5432})");
  const auto files = ExpandAndWait(runtime_, {Extract("app/db")});
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files, UnorderedElementsAre(Key("user"), Key("pass"), Key("port")));
  EXPECT_EQ(files->at("port").selection.property, "port");
  EXPECT_EQ(Read(id_, "app/db", files->at("port").selection), "5432");
  EXPECT_EQ(store_->fetch_call_count(), 1u);
}

TEST_F(ExpansionTest, WhatIsNoObjectCannotBeExtracted) {
  store_->Set("app/db", "planted-value");
  const auto files = ExpandAndWait(runtime_, {Extract("app/db")});
  const std::string message(MessageOf(files.status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(files.status()));
  EXPECT_THAT(message, HasSubstr("m.yaml:7"));
  EXPECT_THAT(message, HasSubstr("'app/db'"));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("planted")));
}

TEST_F(ExpansionTest, NothingIsNotEverything) {
  store_->Set("app/db", "planted-value");
  Expansion nothing = Extract("");
  nothing.what.source = std::monostate();
  for (const Expansion& expansion : {nothing, Extract(""), Find("", "")}) {
    const auto files = ExpandAndWait(runtime_, {expansion});
    EXPECT_TRUE(absl::IsInvalidArgument(files.status())) << files.status();
  }
  EXPECT_THAT(*ExpandAndWait(runtime_, {Find("", ".*")}), ElementsAre(Key("app_db")));
}

TEST_F(ExpansionTest, FindGoesThroughAllPrefixes) {
  for (const char* key : {"app/db/password", "app/token", "app/db/user", "other/token"}) {
    store_->Set(key, key);
  }
  const auto files = ExpandAndWait(runtime_, {Find("app", "(password|token)$")});
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files, UnorderedElementsAre(Key("app_db_password"), Key("app_token")));
  EXPECT_EQ(files->at("app_token").key.ref.key, "app/token");
  EXPECT_EQ(store_->fetch_call_count(), 0u);  // names only
}

TEST_F(ExpansionTest, TheLaterExpansionWins) {
  store_->Set("a", R"({"x":"1"})");
  store_->Set("b", R"({"x":"2"})");
  const auto files = ExpandAndWait(runtime_, {Extract("a"), Extract("b")});
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->at("x").key.ref.key, "b");
}

TEST_F(ExpansionTest, SourceListsLazilyAndReadsAllFieldsFromOneFetch) {
  store_->Set("app/db", R"({"user":"u1","pass":"p1","taken":"t"})");
  const auto source = ExpansionSource::Make(runtime_, {Extract("app/db")}, {"taken"});
  EXPECT_EQ(store_->fetch_call_count(), 0u);
  const auto names = runtime_.List(source->store(), "", cache::Policy());
  ASSERT_TRUE(names.ok()) << names.status();
  ASSERT_EQ(names->size(), 2u);
  EXPECT_EQ((*names)[0].name, "pass");
  EXPECT_EQ((*names)[1].name, "user");
  EXPECT_EQ(Read(source->store(), "user"), "u1");
  EXPECT_EQ(Read(source->store(), "pass"), "p1");
  EXPECT_THAT(Read(source->store(), "nope"), HasSubstr("error"));
  EXPECT_EQ(store_->fetches_of("app/db"), 1u);
}

// Hears what the cache says of one entry.
class Recorder final : public cache::Listener {
 public:
  explicit Recorder(std::string wanted) : wanted_(std::move(wanted)) {}
  void OnEntriesChanged(std::span<const cache::EntrySnapshot> entries) override {
    for (const auto& entry : entries) {
      if (entry.secret == nullptr || entry.secret->value.ExposeAsText() != wanted_) continue;
      if (!done_) seen_.set_value();
      done_ = true;
    }
  }
  bool Wait() {
    return seen_.get_future().wait_for(std::chrono::seconds(10)) == std::future_status::ready;
  }

 private:
  const std::string wanted_;
  std::promise<void> seen_;
  bool done_ = false;
};

TEST_F(ExpansionTest, ARotationOfTheSecretReachesItsFiles) {
  store_->Set("app/db", R"({"pass":"p1"})");
  const auto source = ExpansionSource::Make(runtime_, {Extract("app/db")}, {});
  Recorder recorder("p2");
  const cache::EntryKey key{.store = source->store(), .ref = {.key = "pass", .version = {}}};
  auto interest = runtime_.cache().AddInterest(key, cache::Policy(), true, &recorder);
  EXPECT_EQ(Read(source->store(), "pass"), "p1");
  store_->Set("app/db", R"({"pass":"p2"})");
  EXPECT_TRUE(source->Refresh().ok());
  EXPECT_TRUE(recorder.Wait());
  EXPECT_EQ(Read(source->store(), "pass"), "p2");
  runtime_.cache().RemoveListener(&recorder);
}

TEST(CheckOnlineTest, NamesResultsAndTheWorstExitCode) {
  EXPECT_EQ(ResultName(absl::OkStatus()), "ok");
  EXPECT_EQ(ResultName(absl::NotFoundError("")), "missing");
  EXPECT_EQ(ResultName(absl::PermissionDeniedError("")), "denied");
  EXPECT_EQ(ResultName(absl::UnauthenticatedError("")), "denied");
  EXPECT_EQ(ResultName(absl::UnavailableError("")), "unreachable");
  EXPECT_EQ(ResultName(absl::InvalidArgumentError("")), "failed");
  EXPECT_EQ(WorseExitCode(kExitOk, kExitFailure), kExitFailure);
  EXPECT_EQ(WorseExitCode(kExitNotFound, kExitFailure), kExitNotFound);
  EXPECT_EQ(WorseExitCode(kExitNotFound, kExitDenied), kExitDenied);
  EXPECT_EQ(WorseExitCode(kExitDenied, kExitOk), kExitDenied);
}

}  // namespace
}  // namespace secretfs::cli
