#pragma once

// Real mounts with everything above the store real: mount service, Operations, cache, I/O thread
// and clock; the store is a fake in memory. Whatever is still mounted when a test ends goes with
// the service.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/io_thread.h"
#include "base/random.h"
#include "cache/cache.h"
#include "fs/mount_service.h"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_provider.h"
#include "tests/integration/fuse/mount_fixture.h"

namespace secretfs::fs {

using secretfs::fakes::Eventually;

constexpr absl::Duration kPatience = absl::Seconds(30);

class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (needs_root_) SECRETFS_NEEDS_FUSE();
    signal(SIGINT, SIG_DFL);  // a shell's background jobs inherit it ignored
    StartWith({.list = true, .watch = false, .structured = false, .batch_size = 1});
  }

  void StartWith(providers::Capabilities capabilities) {
    service_.reset();
    provider_ = std::make_shared<fakes::FakeProvider>(capabilities);
    if (cache_ == nullptr) {
      io_.Start();
      cache_ = std::make_unique<cache::Cache>(cache::CacheOptions(), io_.context(), clock_,
                                              io_.scheduler(), random_);
    }
    store_ = cache_->AddStore({.name = "store" + std::to_string(++stores_),
                               .identity = "me",
                               .provider = provider_,
                               .watch_prefix = {}});
    auto service = MountService::Start(*cache_, clock_);
    ASSERT_TRUE(service.ok()) << service.status();
    service_ = *std::move(service);
  }

  void TearDown() override {
    service_.reset();
    if (cache_ == nullptr) return;
    provider_->Release();
    absl::Notification done;
    cache_->Shutdown(std::chrono::seconds(5), [&] { done.Notify(); });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
    io_.Stop();
  }

  FileSpec File(const std::string& path, const std::string& key, const std::string& property = "") {
    FileSpec file;
    file.path = path;
    file.store = store_;
    file.ref = {.key = key, .version = {}};
    file.selection.property = property;
    file.policy = policy_;
    return file;
  }
  BrowseSpec Browse(const std::string& path, const std::string& prefix) {
    return {.path = path, .store = store_, .prefix = prefix, .policy = policy_};
  }

  absl::Status TryMount(MountSpec spec, MountOptions options = {}) {
    if (options.directory.empty()) options.directory = directory_.path();
    return service_->Mount(std::move(options), std::move(spec), [this](StopReason reason) {
      absl::MutexLock lock(&mutex_);
      stopped_.push_back(reason);
    });
  }
  void Mount(MountSpec spec, MountOptions options = {}) {
    const absl::Status status = TryMount(std::move(spec), std::move(options));
    ASSERT_TRUE(status.ok()) << status;
  }
  // The store's new value, fetched and published when this returns.
  void Rotate(const std::string& key, const std::string& value, const std::string& path) {
    provider_->Set(key, value);
    const absl::Status status = service_->Refresh(directory_.path(), path);
    ASSERT_TRUE(status.ok()) << status;
  }
  MountStatus Status() {
    const auto status = service_->Status(directory_.path());
    EXPECT_TRUE(status.ok()) << status.status();
    return status.value_or(MountStatus{});
  }
  std::vector<StopReason> AwaitStopped() {
    Eventually([this] {
      absl::MutexLock lock(&mutex_);
      return !stopped_.empty();
    });
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }

  bool needs_root_ = true;
  MountDirectory directory_;
  SystemClock clock_;
  SystemRandom random_;
  IoThread io_;
  std::unique_ptr<cache::Cache> cache_;
  std::shared_ptr<fakes::FakeProvider> provider_;
  cache::StoreId store_;
  int stores_ = 0;
  cache::Policy policy_ = {.ttl = std::chrono::hours(1)};
  std::unique_ptr<MountService> service_;
  absl::Mutex mutex_;
  std::vector<StopReason> stopped_;
};

// Runs `work` in a child process and gives what it returns (0-255); -1 if it did not end in time.
// `work` may only make system calls and allocate.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<int()>& work) : process_(fork()) {
    if (process_ == 0) _exit(work());
  }
  ~ChildProcess() {
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int signal) { kill(process_, signal); }
  // The wait status.
  int Wait(absl::Duration timeout = kPatience) {
    const absl::Time end = absl::Now() + timeout;
    int status = 0;
    while (absl::Now() < end) {
      if (waitpid(process_, &status, WNOHANG) == process_) {
        process_ = -1;
        return status;
      }
      absl::SleepFor(absl::Microseconds(200));
    }
    return -1;
  }
  int ExitCode() {
    const int status = Wait();
    return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t process_;
};

}  // namespace secretfs::fs
