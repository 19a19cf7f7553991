#include "base/descriptors.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "base/unique_fd.h"

extern char** environ;

namespace secretfs {
namespace {

using ::testing::Contains;
using ::testing::Not;

bool IsOpen(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

// The exit code of `what` in a process of its own: it may close what it likes.
int InChild(const std::function<int()>& what) {
  const pid_t child = fork();
  if (child == 0) _exit(what());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Descriptors, WhatSurvivesExecIsInherited) {
  const UniqueFd passed(open("/dev/null", O_RDONLY));
  const UniqueFd own(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(InheritedDescriptors(), Contains(passed.get()));
  EXPECT_THAT(InheritedDescriptors(), Not(Contains(own.get())));
  EXPECT_THAT(InheritedDescriptors(), Not(Contains(STDERR_FILENO)));
}

TEST(Descriptors, AllButTheNamedOnesAreClosed) {
  EXPECT_EQ(InChild([] {
              rlimit limit = {};
              getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = limit.rlim_max;
              setrlimit(RLIMIT_NOFILE, &limit);
              const int first = open("/dev/null", O_RDONLY);
              const int second = open("/dev/null", O_RDONLY);
              const int third = open("/dev/null", O_RDONLY);
              // Above what a loop up to some limit would reach, where the limits allow one there.
              const int high = fcntl(first, F_DUPFD, 5000);
              const int kept[] = {third, first, -1, 0};
              CloseDescriptorsExcept(kept);
              const bool right = IsOpen(STDIN_FILENO) && IsOpen(first) && !IsOpen(second) &&
                                 IsOpen(third) && !IsOpen(high);
              return right ? 0 : 1;
            }),
            0);
}

// The descriptors of a spawned program, as its shell sees them.
std::string SeenBySpawned(std::span<const int> kept) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  CloseInSpawnedExcept(actions, kept);
  std::string script =
      "for fd in /proc/self/fd/*; do n=${fd##*/}; if [ -e \"/proc/$$/fd/$n\" ]; then echo "
      "\"<$n>\"; "
      "fi; done";
  std::string shell = "/bin/sh", flag = "-c";
  char* arguments[] = {shell.data(), flag.data(), script.data(), nullptr};
  pid_t process = -1;
  EXPECT_EQ(posix_spawn(&process, "/bin/sh", &actions, nullptr, arguments, environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string seen(4096, '\0');
  size_t size = 0;
  for (ssize_t count; (count = read(ends[0], seen.data() + size, seen.size() - size)) > 0;) {
    size += static_cast<size_t>(count);
  }
  close(ends[0]);
  seen.resize(size);
  waitpid(process, nullptr, 0);
  return seen;
}

TEST(Descriptors, ASpawnedProgramHasWhatIsNamed) {
  // As libraries open some: they would survive exec.
  const UniqueFd first(fcntl(STDERR_FILENO, F_DUPFD, 20));
  const UniqueFd second(fcntl(STDERR_FILENO, F_DUPFD, 24));
  const UniqueFd third(fcntl(STDERR_FILENO, F_DUPFD, 900));
  const auto name = [](const UniqueFd& descriptor) {
    return "<" + std::to_string(descriptor.get()) + ">";
  };
  const int kept[] = {second.get()};
  const std::string seen = SeenBySpawned(kept);
  EXPECT_THAT(seen, ::testing::HasSubstr(name(second)));
  EXPECT_THAT(seen, Not(::testing::HasSubstr(name(first))));
  EXPECT_THAT(seen, Not(::testing::HasSubstr(name(third))));
  EXPECT_THAT(SeenBySpawned({}), Not(::testing::HasSubstr(name(second))));
}

}  // namespace
}  // namespace secretfs
