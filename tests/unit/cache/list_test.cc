// Listings: pages, caching, staleness, errors.

#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

class ListTest : public CacheTest {
 protected:
  ListTest() : CacheTest({.list = true, .watch = true}) {}
};

TEST_F(ListTest, GivesTheNamesDirectlyBelowThePrefixFromAllPages) {
  provider_->set_page_size(2);
  for (const char* key : {"app/a", "app/b", "app/b/c", "app/d", "app/e/f", "other"}) {
    provider_->Set(key, "x");
  }
  EXPECT_EQ(Names(List("app")), "a b/ d e/-");
  EXPECT_EQ(provider_->list_calls(), 2u);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
}

TEST_F(ListTest, AnyNumberOfCallersShareOneWalk) {
  provider_->Set("a", "x");
  provider_->Hold();
  std::vector<PendingList> lists;
  for (int i = 0; i < 20; ++i) lists.push_back(List(""));
  provider_->Release();
  Poll();
  for (const PendingList& list : lists) {
    EXPECT_EQ(Names(list), "a");
    EXPECT_EQ(list->calls, 1);
  }
  EXPECT_EQ(provider_->list_calls(), 1u);
}

TEST_F(ListTest, IsCachedForTheTtlAndThenServedStaleOnce) {
  provider_->Set("a", "x");
  List("");
  provider_->Set("b", "x");
  Advance(seconds(59));
  EXPECT_EQ(Names(List("")), "a");
  EXPECT_EQ(provider_->list_calls(), 1u);
  Advance(seconds(2));
  EXPECT_EQ(Names(List("")), "a");
  EXPECT_EQ(Names(List("")), "a b");
  EXPECT_EQ(provider_->list_calls(), 2u);
}

TEST_F(ListTest, NothingIsListedThatNobodyAsksFor) {
  provider_->Set("a", "x");
  List("");
  Advance(hours(1));
  EXPECT_EQ(provider_->list_calls(), 1u);
}

TEST_F(ListTest, ForceAsksNow) {
  provider_->Set("a", "x");
  List("");
  provider_->Set("b", "x");
  EXPECT_EQ(Names(List("", {}, true)), "a b");
}

TEST_F(ListTest, ForceDoesNotTakeTheAnswerOfAWalkThatBeganBefore) {
  provider_->Set("a", "x");
  provider_->Hold();
  List("");
  const PendingList forced = List("", {}, true);
  provider_->Release();
  Poll();
  EXPECT_EQ(Names(forced), "a");
  EXPECT_EQ(provider_->list_calls(), 2u);
}

TEST_F(ListTest, IsServedWhileTheStoreIsDown) {
  provider_->Set("a", "x");
  List("");
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  Advance(minutes(30));
  EXPECT_EQ(Names(List("")), "a");
  EXPECT_EQ(Names(List("")), "a");
  EXPECT_EQ(List("", {}, true)->status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ListTest, AFailedWalkIsRetriedUntilTheDeadline) {
  provider_->Set("a", "x");
  provider_->FailCalls(absl::UnavailableError("down"), 2);
  const PendingList list = List("");
  EXPECT_TRUE(list->waits());
  Advance(seconds(2));
  EXPECT_EQ(Names(list), "a");
  provider_->FailCalls(absl::UnavailableError("down"), kForever);
  const PendingList late = List("elsewhere");
  Advance(seconds(10));
  EXPECT_EQ(late->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ListTest, AMissingPrefixIsRememberedForTheNegativeTtl) {
  EXPECT_EQ(List("app")->status().code(), absl::StatusCode::kNotFound);
  provider_->Set("app/a", "x");
  EXPECT_EQ(List("app")->status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(provider_->list_calls(), 1u);
  Advance(seconds(5));
  EXPECT_EQ(Names(List("app")), "a");
}

TEST_F(ListTest, APrefixThatIsGoneIsNotServedAnyMore) {
  provider_->Set("app/a", "x");
  List("app");
  provider_->Remove("app/a");
  EXPECT_EQ(List("app", {}, true)->status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(List("app")->status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ListTest, AChangeThatTheWatchReportsIsSeenByTheNextListing) {
  provider_->set_notify_on_change(true);
  provider_->Set("app/a", "x");
  provider_->Set("else/a", "x");
  List("app");
  List("else");
  provider_->Set("app/b", "x");
  Poll();
  EXPECT_EQ(Names(List("app")), "a b");
  EXPECT_EQ(provider_->list_calls(), 3u);
  List("else");
  EXPECT_EQ(provider_->list_calls(), 3u);
}

TEST_F(ListTest, AChangeDuringAWalkIsSeenByTheNextListing) {
  provider_->Set("a", "x");
  provider_->Hold();
  const PendingList list = List("");
  provider_->NotifyWatchers({.everything = true, .keys = {}});
  Poll();
  provider_->Release();
  Poll();
  EXPECT_EQ(Names(list), "a");
  List("");
  EXPECT_EQ(provider_->list_calls(), 2u);
}

TEST_F(ListTest, AStoreThatCannotListSaysSo) {
  const StoreId store = cache().AddStore(
      {.name = "plain",
       .identity = "me",
       .provider = std::make_shared<fakes::FakeProvider>(providers::Capabilities{})});
  absl::Status status;
  cache().List(store, "", {}, false, [&](const auto& result) { status = result.status(); });
  Poll();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
}

TEST_F(ListTest, ListingsShareTheStoresLimits) {
  std::shared_ptr<fakes::FakeProvider> narrow;
  StoreSettings settings;
  settings.concurrent_requests = 1;
  store_ = AddStore("narrow", narrow, settings);
  narrow->Set("a", "x");
  narrow->HoldKey("a");
  Read("a");
  const PendingList list = List("");
  EXPECT_EQ(narrow->list_calls(), 0u);
  narrow->ReleaseKey("a");
  Poll();
  EXPECT_EQ(Names(list), "a");
}

}  // namespace
}  // namespace secretfs::cache
