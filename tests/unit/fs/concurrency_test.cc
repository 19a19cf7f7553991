// Requests from many threads, a real I/O thread, updates, interrupts, and the end of mounts in the
// middle of it all. What it proves is in the sanitizers; the assertions check that every request
// was answered exactly once and that sets never mix.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "base/io_thread.h"
#include "base/kept_values.h"
#include "base/text.h"
#include "fs/mount_state.h"
#include "fs/names.h"
#include "fs/operations.h"
#include "tests/fakes/fake_provider.h"
#include "tests/unit/fs/operations_fixture.h"

namespace secretfs::fs {
namespace {

// A publisher with a thread of its own, like the real one.
class PublisherThread final : public PublishSink {
 public:
  PublisherThread() : thread_([this] { Run(); }) {}
  ~PublisherThread() override {
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
      changed_.SignalAll();
    }
    thread_.join();
  }
  void Serve(Operations* operations) {
    absl::MutexLock lock(&mutex_);
    operations_ = operations;
    changed_.SignalAll();
  }
  void Submit(PublishPlan plan) override {
    absl::MutexLock lock(&mutex_);
    plans_.push_back(std::move(plan));
    changed_.SignalAll();
  }
  // Waits for the plan that is being carried out, as the real one does before a mount goes.
  void Detach() {
    absl::MutexLock lock(&mutex_);
    operations_ = nullptr;
    plans_.clear();
    while (busy_) changed_.Wait(&mutex_);
  }

 private:
  void Run() {
    for (;;) {
      PublishPlan plan;
      Operations* operations = nullptr;
      {
        absl::MutexLock lock(&mutex_);
        while (!stop_ && (plans_.empty() || operations_ == nullptr)) changed_.Wait(&mutex_);
        if (stop_) return;
        plan = std::move(plans_.front());
        plans_.erase(plans_.begin());
        operations = operations_;
        busy_ = true;
      }
      if (plan.data_target) {
        const auto link =
            operations->MakeSymlink(kRootInode, kTemporaryDataLink, *plan.data_target, kPublisher);
        EXPECT_EQ(link.error, 0);
        EXPECT_EQ(
            operations->Rename(kRootInode, kTemporaryDataLink, kRootInode, kDataLink, kPublisher),
            0);
        operations->Forget(link.value.attributes.inode, 1);
      }
      if (plan.done) plan.done();
      plan = {};
      absl::MutexLock lock(&mutex_);
      busy_ = false;
      changed_.SignalAll();
    }
  }

  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  Operations* operations_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::vector<PublishPlan> plans_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class ConcurrencyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    provider_ = std::make_shared<fakes::FakeProvider>(
        providers::Capabilities{.list = true, .watch = true, .structured = true});
    provider_->set_notify_on_change(true);
    io_.Start();
    cache_ = std::make_unique<cache::Cache>(cache::CacheOptions(), io_.context(), clock_,
                                            io_.scheduler(), random_);
    store_ = cache_->AddStore(
        {.name = "vault", .identity = "me", .provider = provider_, .watch_prefix = {}});
  }
  void TearDown() override {
    absl::BlockingCounter done(1);
    cache_->Shutdown(std::chrono::seconds(1), [&] { done.DecrementCount(); });
    done.Wait();
    io_.Stop();
    cache_.reset();
  }

  void Set(int number) {
    fakes::FakeProvider::Extras extras;
    extras.fields = {{"a", Format("{}", number)}, {"b", Format("{}", number)}};
    provider_->Set("set", Format(R"({{"a":"{0}","b":"{0}"}})", number), extras);
  }
  MountSpec SetOf(Layout layout) {
    MountSpec spec;
    spec.layout = layout;
    for (const char* name : {"a", "b"}) {
      FileSpec file;
      file.path = name;
      file.store = store_;
      file.ref.key = "set";
      file.selection.property = name;
      spec.files.push_back(file);
    }
    return spec;
  }
  // Waits for the answer, as a program does.
  Outcome<Entry> Lookup(Operations& operations, InodeNumber parent, const std::string& name) {
    Outcome<Entry> result;
    absl::BlockingCounter answered(1);
    operations.Lookup(RequestId(++ids_), parent, name, kRoot, [&](Outcome<Entry> outcome) {
      result = std::move(outcome);
      answered.DecrementCount();
    });
    answered.Wait();
    return result;
  }

  // That outlives a server: every change is written there too.
  MountMemory NewMemory() {
    state_ = *MountState::Create();
    values_ = *KeptValues::Create(1 << 20);
    return {.state = state_.get(), .values = values_.get(), .values_prefix = "f/1/"};
  }
  std::string Read(Operations& operations, InodeNumber inode) {
    std::string result;
    operations.Read(RequestId(++ids_), inode, [&](Outcome<Content> outcome) {
      result = outcome.value.bytes->ExposeAsText();
    });
    return result;
  }

  SystemClock clock_;
  SystemRandom random_;
  IoThread io_;
  std::shared_ptr<fakes::FakeProvider> provider_;
  std::unique_ptr<cache::Cache> cache_;
  cache::StoreId store_;
  std::atomic<uint64_t> ids_{0};
  std::unique_ptr<MountState> state_;
  std::unique_ptr<KeptValues> values_;
};

TEST_F(ConcurrencyTest, ReadersOfAGenerationNeverSeeTwoSets) {
  Set(0);
  PublisherThread publisher;
  auto operations =
      Operations::Make(SetOf(Layout::kAtomic), *cache_, clock_, publisher, nullptr, NewMemory());
  publisher.Serve(operations.get());
  std::atomic<bool> stop{false};
  std::atomic<int> sets_read{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto link = Lookup(*operations, kRootInode, "..data");
        const std::string target = operations->ReadLink(link.value.attributes.inode).value;
        const auto set = Lookup(*operations, kRootInode, target);
        operations->Forget(link.value.attributes.inode, 1);
        if (set.error != 0) continue;  // two swaps since the link was read
        std::string values[2];
        int read = 0;
        for (const char* name : {"a", "b"}) {
          const auto file = Lookup(*operations, set.value.attributes.inode, name);
          if (file.error != 0) break;
          values[read++] = Read(*operations, file.value.attributes.inode);
          operations->Forget(file.value.attributes.inode, 1);
        }
        if (read == 2) {
          EXPECT_EQ(values[0], values[1]);
          ++sets_read;
        }
        operations->Forget(set.value.attributes.inode, 1);
      }
    });
  }
  for (int i = 1; i <= 300; ++i) {
    Set(i);
    std::this_thread::yield();
  }
  // Done when the newest version is published.
  absl::Notification published;
  operations->Refresh("", [&](absl::Status status) {
    EXPECT_TRUE(status.ok()) << status;
    published.Notify();
  });
  published.WaitForNotification();
  const auto link = Lookup(*operations, kRootInode, "..data");
  const auto set =
      Lookup(*operations, kRootInode, operations->ReadLink(link.value.attributes.inode).value);
  const auto file = Lookup(*operations, set.value.attributes.inode, "a");
  const std::string last = Read(*operations, file.value.attributes.inode);
  EXPECT_EQ(last, "300");
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(sets_read, 0);
  publisher.Detach();
  operations.reset();
}

TEST_F(ConcurrencyTest, EveryRequestIsAnsweredOnceHoweverItEnds) {
  Set(0);
  for (int round = 0; round < 30; ++round) {
    PublisherThread publisher;
    MountSpec spec = SetOf(Layout::kFlat);
    spec.browse.push_back({.path = "tree", .store = store_, .prefix = "", .policy = {}});
    auto operations = Operations::Make(std::move(spec), *cache_, clock_, publisher, nullptr,
                                       round % 3 == 0 ? MountMemory() : NewMemory());
    publisher.Serve(operations.get());
    const InodeNumber tree = Lookup(*operations, kRootInode, "tree").value.attributes.inode;
    if (round % 2 == 1) provider_->Hold();
    std::atomic<int> asked{0}, answered{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        for (int n = 0; n < 20; ++n) {
          const RequestId id(++ids_);
          ++asked;
          if (n % 3 == 0) {
            operations->OpenDirectory(id, tree, kRoot, [&](auto) { ++answered; });
          } else {
            const bool in_tree = n % 3 == 1;
            operations->Lookup(id, in_tree ? tree : kRootInode, in_tree ? "set.json" : "a", kRoot,
                               [&](auto) { ++answered; });
          }
          if ((n + i) % 4 == 0) operations->Interrupt(id);
        }
      });
    }
    for (int i = 0; i < 5; ++i) Set(round * 10 + i);
    for (std::thread& thread : threads) thread.join();
    publisher.Detach();
    operations.reset();  // answers what is still parked
    EXPECT_EQ(answered, asked);
    provider_->Release();
  }
}

}  // namespace
}  // namespace secretfs::fs
