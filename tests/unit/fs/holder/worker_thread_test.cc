#include "fs/holder/worker_thread.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace secretfs::fs {
namespace {

// Runs what is done until `count` completions have run.
void RunUntil(WorkerThread& worker, const int& count, int wanted) {
  while (count < wanted) {
    pollfd waited{.fd = worker.done_descriptor(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&waited, 1, 30'000), 1);
    worker.RunDone();
  }
}

TEST(WorkerThread, RunsJobsInOrderAndCompletionsHere) {
  WorkerThread worker(WorkerThread::Descriptors::kShared);
  std::vector<int> jobs, completions;
  int count = 0;
  const std::thread::id here = std::this_thread::get_id();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(worker.Submit([&, i]() -> WorkerThread::Completion {
      EXPECT_NE(std::this_thread::get_id(), here);
      jobs.push_back(i);
      return [&, i] {
        EXPECT_EQ(std::this_thread::get_id(), here);
        completions.push_back(i);
        ++count;
      };
    }));
  }
  RunUntil(worker, count, 100);
  EXPECT_EQ(jobs, completions);
  EXPECT_TRUE(std::is_sorted(jobs.begin(), jobs.end()));
}

TEST(WorkerThread, KnowsItsThread) {
  WorkerThread worker(WorkerThread::Descriptors::kOwn);
  int count = 0;
  pid_t thread = 0;
  ASSERT_TRUE(worker.Submit([&]() -> WorkerThread::Completion {
    thread = static_cast<pid_t>(syscall(SYS_gettid));
    return [&] { ++count; };
  }));
  RunUntil(worker, count, 1);
  EXPECT_EQ(thread, worker.thread_id());
}

TEST(WorkerThread, HasOnlyDescriptorsOfItsOwn) {
  const UniqueFd low(open("/dev/null", O_RDONLY | O_CLOEXEC));
  WorkerThread worker(WorkerThread::Descriptors::kOwn);
  const UniqueFd high(open("/dev/null", O_RDONLY | O_CLOEXEC));
  int count = 0;
  bool saw = true;
  ASSERT_TRUE(worker.Submit([&]() -> WorkerThread::Completion {
    saw = fcntl(low.get(), F_GETFD) >= 0 || fcntl(high.get(), F_GETFD) >= 0;
    return [&] { ++count; };
  }));
  RunUntil(worker, count, 1);
  EXPECT_FALSE(saw);
  EXPECT_GE(fcntl(low.get(), F_GETFD), 0);
}

}  // namespace
}  // namespace secretfs::fs
