// The end: Shutdown, destruction without it, and many threads at once.

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "base/io_thread.h"
#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

using FetchResults = std::vector<absl::StatusOr<providers::SecretPtr>>;

class ShutdownTest : public CacheTest {
 protected:
  ShutdownTest() : CacheTest({.list = true, .watch = true}) {}

  void Shutdown() {
    cache().Shutdown(seconds(5), [this] { ++done_; });
    Poll();
  }
  int done_ = 0;
};

TEST_F(ShutdownTest, FailsWhoWaitsAndWhoComesWithCancelled) {
  provider_->Hold();
  const PendingRead read = Read("a");
  const PendingList list = List("");
  Shutdown();
  EXPECT_EQ(read->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(list->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(read->calls, 1);
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(Read("a")->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(List("")->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Refresh("a")->status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ShutdownTest, CancelsCallsWatchesAndTimersAndClosesTheStore) {
  provider_->Set("a", "one");
  const Interest interest = Mount("a");
  Read("a");
  provider_->Hold();
  Read("b");
  EXPECT_EQ(provider_->running_watches(), 1u);
  Shutdown();
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(provider_->running_watches(), 0u);
  EXPECT_EQ(provider_->held(), 0u);
  EXPECT_EQ(provider_->closes(), 1u);
  EXPECT_EQ(clock_.pending_timers(), 0u);
  const size_t calls = provider_->fetch_call_count();
  Advance(hours(1));
  EXPECT_EQ(provider_->fetch_call_count(), calls);
}

TEST_F(ShutdownTest, TwiceIsOnce) {
  Shutdown();
  Shutdown();
  EXPECT_EQ(done_, 2);
  EXPECT_EQ(provider_->closes(), 1u);
}

// A provider that takes its time to close, whatever anybody says.
class StubbornProvider final : public providers::Provider {
 public:
  providers::Capabilities capabilities() const override { return {}; }
  asio::awaitable<FetchResults> Fetch(std::vector<providers::SecretRef> refs,
                                      providers::RequestContext) override {
    co_return FetchResults(refs.size(), absl::NotFoundError("nothing here"));
  }
  asio::awaitable<absl::Status> CheckLogin(providers::RequestContext) override {
    co_return absl::OkStatus();
  }
  asio::awaitable<void> Close(providers::RequestContext) override {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    timer = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
    asio::error_code error;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
  std::shared_ptr<asio::steady_timer> timer;
};

TEST_F(ShutdownTest, EndsAtItsDeadlineWhateverTheStoreDoes) {
  cache().AddStore(
      {.name = "stubborn", .identity = "me", .provider = std::make_shared<StubbornProvider>()});
  Shutdown();
  Advance(milliseconds(4999));
  EXPECT_EQ(done_, 0);
  Advance(milliseconds(1));
  EXPECT_EQ(done_, 1);
}

TEST_F(ShutdownTest, DestructionWithoutShutdownRunsNoCallbackAndEndsCalls) {
  provider_->Set("a", "one");
  Interest interest = Mount("a");
  Read("a");
  provider_->Hold();
  const PendingRead read = Read("b");
  const PendingRead queued = StartRead(Key("c"));
  interest = Interest();
  cache_.reset();
  provider_->Release();
  Advance(hours(1));
  EXPECT_TRUE(read->waits());
  EXPECT_TRUE(queued->waits());
  EXPECT_EQ(provider_->running_watches(), 0u);
  EXPECT_EQ(provider_->held(), 0u);
  EXPECT_EQ(provider_->closes(), 0u);
}

TEST_F(ShutdownTest, AProviderThatThrowsIsAnInternalErrorWithoutItsText) {
  class Throwing final : public providers::Provider {
   public:
    providers::Capabilities capabilities() const override { return {}; }
    asio::awaitable<FetchResults> Fetch(std::vector<providers::SecretRef>,
                                        providers::RequestContext) override {
      throw std::runtime_error("parse error near \"hunter2\"");
      co_return FetchResults();
    }
    asio::awaitable<absl::Status> CheckLogin(providers::RequestContext) override {
      co_return absl::OkStatus();
    }
  };
  const StoreId store = cache().AddStore(
      {.name = "throwing", .identity = "me", .provider = std::make_shared<Throwing>()});
  const PendingRead read = Read(EntryKey{store, {"a", ""}});
  Advance(seconds(10));
  EXPECT_EQ(read->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(read->status().ToString().find("hunter2"), std::string::npos);
}

// --- threads

TEST(CacheThreads, ManyThreadsReadMountAndUnmountWhileValuesRotate) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  IoThread io;
  SystemClock clock;
  SystemRandom random;
  auto provider = std::make_shared<fakes::FakeProvider>(
      providers::Capabilities{.list = true, .watch = true, .batch_size = 4});
  provider->set_notify_on_change(true);
  for (int i = 0; i < 8; ++i) provider->Set("k" + std::to_string(i), "v");
  CacheOptions options;
  options.byte_limit = 6;  // evicts all the time
  auto cache = std::make_unique<Cache>(options, io.context(), clock, io.scheduler(), random);
  const StoreId store = cache->AddStore({.name = "fake", .identity = "me", .provider = provider});
  io.Start();
  std::atomic<int> answers = 0;
  std::atomic<int> failures = 0;
  const auto hammer = [&](int seed) {
    struct Counting final : Listener {
      void OnEntriesChanged(std::span<const EntrySnapshot> entries) override {
        ASSERT_FALSE(removed);
        changes += entries.size();
      }
      size_t changes = 0;
      bool removed = false;
    } listener;
    std::vector<Interest> interests;
    for (int round = 0; round < kRounds; ++round) {
      const EntryKey key{store, {"k" + std::to_string((seed + round) % 8), ""}};
      Policy policy;
      policy.ttl = milliseconds(20);
      interests.push_back(cache->AddInterest(key, policy, round % 2 == 0, &listener));
      const auto count = [&](const absl::StatusOr<EntrySnapshot>& result) {
        if (!result.ok()) ++failures;
        ++answers;
      };
      if (round % 7 == 0) {
        cache->Refresh(key, count);
      } else {
        cache->Read(key, count);
      }
      if (round % 3 == 0) provider->Set(key.ref.key, "v" + std::to_string(round));
      if (round % 5 == 0) interests.erase(interests.begin());
      if (round % 50 == 49) {
        cache->RemoveListener(&listener);
        interests.clear();
      }
    }
    cache->RemoveListener(&listener);
    listener.removed = true;
    // All answers of this thread refer to its frame.
    while (answers < kThreads * kRounds) std::this_thread::yield();
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(hammer, i * 3);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answers, kThreads * kRounds);
  EXPECT_EQ(failures, 0);
  std::promise<void> done;
  cache->Shutdown(seconds(5), [&] { done.set_value(); });
  done.get_future().wait();
  EXPECT_EQ(provider->running_watches(), 0u);
  cache.reset();
}

TEST(CacheThreads, RemoveListenerWaitsForARunningCall) {
  IoThread io;
  SystemClock clock;
  SystemRandom random;
  auto provider = std::make_shared<fakes::FakeProvider>();
  provider->Set("a", "one");
  Cache cache({}, io.context(), clock, io.scheduler(), random);
  const StoreId store = cache.AddStore({.name = "fake", .identity = "me", .provider = provider});
  struct Slow final : Listener {
    void OnEntriesChanged(std::span<const EntrySnapshot>) override {
      called.set_value();
      go_on.get_future().wait();
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();
      EXPECT_FALSE(removed);
    }
    std::promise<void> called;
    std::promise<void> go_on;
    std::atomic<bool> removed = false;
  } listener;
  const Interest interest = cache.AddInterest({store, {"a", ""}}, {}, true, &listener);
  cache.Read({store, {"a", ""}}, [](const auto&) {});
  io.Start();
  listener.called.get_future().wait();
  std::thread remover([&] {
    listener.go_on.set_value();
    cache.RemoveListener(&listener);
    listener.removed = true;
  });
  remover.join();
  io.RunAndWait([] {});
}

TEST(CacheThreads, ACacheMayBeDestroyedWhileItsThreadIsBusy) {
  for (int round = 0; round < 30; ++round) {
    IoThread io;
    SystemClock clock;
    SystemRandom random;
    auto provider =
        std::make_shared<fakes::FakeProvider>(providers::Capabilities{.list = true, .watch = true});
    provider->Set("a", "one");
    if (round % 2 == 0) provider->Hold();
    io.Start();
    // What callbacks refer to goes together with the cache: none may come afterwards.
    auto alive = std::make_shared<std::atomic<bool>>(true);
    {
      Cache cache({}, io.context(), clock, io.scheduler(), random);
      const StoreId store =
          cache.AddStore({.name = "fake", .identity = "me", .provider = provider});
      const Interest interest = cache.AddInterest({store, {"a", ""}}, {}, true, nullptr);
      for (int i = 0; i < 20; ++i) {
        cache.Read({store, {"a", ""}}, [alive](const auto&) { EXPECT_TRUE(*alive); });
      }
    }
    *alive = false;
    provider->Release();
    io.RunAndWait([] {});
    io.Stop();
  }
}

}  // namespace
}  // namespace secretfs::cache
