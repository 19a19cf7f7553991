// Watching the Secrets of a real API server.

#include <string>
#include <vector>

#include "tests/integration/kubernetes/kubernetes_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Not;

using Reports = std::vector<std::string>;

class KubernetesWatch : public KubernetesTest {
 protected:
  // Returns once the watch reports changes: those of a Secret made for this, whose reports it
  // counts.
  size_t WaitUntilWatching(const RunningWatch& watch, const std::string& name = "probe") {
    for (int i = 0; i < 100; ++i) {
      server().PutSecret(name_space(), name, {{"n", std::to_string(i)}});
      if (watch.WaitForReports(1, std::chrono::milliseconds(200))) break;
    }
    return watch.Reports().size();
  }
};

TEST_F(KubernetesWatch, ReportsWhatIsMadeChangedAndDeletedInThisNamespace) {
  const auto provider = Make(Config());
  const RunningWatch watch(io_, provider, "");
  const size_t before = WaitUntilWatching(watch);
  server().PutSecret("default", "of-another-namespace", {{"v", name_space()}});
  server().PutSecret(name_space(), "db", {{"v", "1"}});
  ASSERT_TRUE(watch.WaitForReports(before + 1));
  server().PutSecret(name_space(), "db", {{"v", "2"}});
  ASSERT_TRUE(watch.WaitForReports(before + 2));
  server().DeleteSecret(name_space(), "db");
  ASSERT_TRUE(watch.WaitForReports(before + 3));
  const Reports reports = watch.Reports();
  EXPECT_EQ(Reports(reports.begin() + static_cast<long>(before), reports.end()),
            (Reports{"db", "db", "db"}));
  EXPECT_FALSE(watch.Ended().has_value());
}

TEST_F(KubernetesWatch, APrefixIsOneSecret) {
  const auto provider = Make(Config());
  const RunningWatch watch(io_, provider, "probe");
  const size_t before = WaitUntilWatching(watch);
  server().PutSecret(name_space(), "other", {{"v", "1"}});
  server().PutSecret(name_space(), "probe", {{"v", "last"}});
  ASSERT_TRUE(watch.WaitForReports(before + 1));
  EXPECT_THAT(watch.Reports(), Each(std::string("probe")));
}

TEST_F(KubernetesWatch, WhatWasReadAlreadyIsNoNews) {
  server().PutSecret(name_space(), "db", {{"v", "1"}});
  const auto provider = Make(Config());
  ASSERT_TRUE(Fetch(*provider, "db").ok());
  const RunningWatch watch(io_, provider, "");
  const size_t before = WaitUntilWatching(watch);
  EXPECT_THAT(watch.Reports(), Not(Contains(std::string("db")))) << "the list showed nothing new";
  server().PutSecret(name_space(), "db", {{"v", "2"}});
  ASSERT_TRUE(watch.WaitForReports(before + 1));
}

TEST_F(KubernetesWatch, AChangeBeforeTheWatchIsReportedIfItWasNotRead) {
  server().PutSecret(name_space(), "changed", {{"v", "1"}});
  server().PutSecret(name_space(), "deleted", {{"v", "1"}});
  server().PutSecret(name_space(), "same", {{"v", "1"}});
  const auto provider = Make(Config());
  for (const char* name : {"changed", "deleted", "same"}) {
    ASSERT_TRUE(Fetch(*provider, name).ok());
  }
  EXPECT_THAT(Fetch(*provider, "made"), HasCode(StatusCode::kNotFound));
  server().PutSecret(name_space(), "changed", {{"v", "2"}});
  server().DeleteSecret(name_space(), "deleted");
  server().PutSecret(name_space(), "made", {{"v", "1"}});
  const RunningWatch watch(io_, provider, "");
  ASSERT_TRUE(watch.WaitForReports(3));
  EXPECT_THAT(watch.Reports(), ElementsAre("changed", "deleted", "made"));
}

TEST_F(KubernetesWatch, AWatchThatIsStartedAgainMissesNothing) {
  const auto provider = Make(Config());
  {
    const RunningWatch watch(io_, provider, "");
    WaitUntilWatching(watch);
  }
  server().PutSecret(name_space(), "between", {{"v", "1"}});
  server().PutSecret(name_space(), "between", {{"v", "2"}});
  const RunningWatch watch(io_, provider, "");
  ASSERT_TRUE(watch.WaitForReports(2));
  EXPECT_THAT(watch.Reports(), IsSupersetOf({"between", "between"})) << "both events, in order";
}

TEST_F(KubernetesWatch, AServerThatForgotWhatHappenedIsListedAnew) {
  const auto provider = Make(Config());
  {
    const RunningWatch watch(io_, provider, "");
    WaitUntilWatching(watch);
  }
  server().PutSecret(name_space(), "changed", {{"v", "1"}});
  server().PutSecret(name_space(), "same", {{"v", "1"}});
  ASSERT_TRUE(Fetch(*provider, "changed").ok());
  ASSERT_TRUE(Fetch(*provider, "same").ok());
  ASSERT_TRUE(Fetch(*provider, "probe").ok());
  server().PutSecret(name_space(), "changed", {{"v", "2"}});
  server().CompactHistory();
  server().StopApiServer();
  server().StartApiServer();  // with nothing in memory, and no history in etcd: 410
  const RunningWatch watch(io_, provider, "");
  ASSERT_TRUE(watch.WaitForReports(1));
  EXPECT_THAT(watch.Reports(), ElementsAre("changed"));
  server().PutSecret(name_space(), "same", {{"v", "2"}});
  ASSERT_TRUE(watch.WaitForReports(2));
  EXPECT_THAT(watch.Reports(), ElementsAre("changed", "same"));
}

TEST_F(KubernetesWatch, AServerThatGoesAwayEndsIt) {
  const auto provider = Make(Config());
  const RunningWatch watch(io_, provider, "");
  WaitUntilWatching(watch);
  server().StopApiServer();
  EXPECT_TRUE(Eventually([&] { return watch.Ended().has_value(); }));
  EXPECT_THAT(*watch.Ended(), HasCode(StatusCode::kUnavailable));
  server().StartApiServer();
}

TEST_F(KubernetesWatch, WithoutTheRightToWatchItSaysWhichIsMissing) {
  server().CreateServiceAccount(name_space(), "app");
  server().Grant(name_space(), UserOf("app"), SecretRule({"get", "list"}));
  const auto provider = Make(Config(server().TokenOf(name_space(), "app")));
  const RunningWatch watch(io_, provider, "");
  ASSERT_TRUE(Eventually([&] { return watch.Ended().has_value(); }));
  EXPECT_THAT(*watch.Ended(), HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(watch.Ended()->ToString(), ::testing::HasSubstr("cannot watch resource"));
}

TEST_F(KubernetesWatch, TheRightToOneNameIsEnoughForItsPrefix) {
  server().CreateServiceAccount(name_space(), "app");
  server().Grant(name_space(), UserOf("app"), SecretRule({"get", "list", "watch"}, {"probe"}));
  const auto provider = Make(Config(server().TokenOf(name_space(), "app")));
  const RunningWatch watch(io_, provider, "probe");
  EXPECT_GT(WaitUntilWatching(watch), 0u);
}

TEST_F(KubernetesWatch, ManyLargeEventsAtOnceAllArrive) {
  const auto provider = Make(Config());
  const RunningWatch watch(io_, provider, "");
  const size_t before = WaitUntilWatching(watch);
  // Metadata is what a watch carries; 200 KiB of it in each event.
  for (int i = 0; i < 40; ++i) {
    const nlohmann::json secret = {{"metadata",
                                    {{"name", "large-" + std::to_string(i)},
                                     {"annotations", {{"note", std::string(200 << 10, 'x')}}}}}};
    ASSERT_EQ(
        server().Call("POST", "/api/v1/namespaces/" + name_space() + "/secrets", secret).status,
        201);
  }
  EXPECT_TRUE(watch.WaitForReports(before + 40));
  EXPECT_FALSE(watch.Ended().has_value());
}

}  // namespace
}  // namespace secretfs::testing
