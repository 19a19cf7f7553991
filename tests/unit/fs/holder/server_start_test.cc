#include "fs/holder/server_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

namespace secretfs::fs {
namespace {

constexpr uid_t kUser = 60987;

TEST(ServerStart, WordsArriveWhole) {
  const auto with_user = ParseServerStart(
      FormatServerStart({.socket = 7, .holder = 4711, .user = uid_t{60000}, .group = 60001}));
  ASSERT_TRUE(with_user.has_value());
  EXPECT_EQ(with_user->socket, 7);
  EXPECT_EQ(with_user->holder, 4711);
  EXPECT_EQ(with_user->user, uid_t{60000});
  EXPECT_EQ(with_user->group, gid_t{60001});
  const auto without =
      ParseServerStart(FormatServerStart({.socket = 3, .holder = 1, .user = {}, .group = 0}));
  ASSERT_TRUE(without.has_value());
  EXPECT_EQ(without->user, std::nullopt);
  for (const char* wrong : {"", "7", "7 1 2", "7 1 2 3 4", "-1 1", "7 x", "7 1 2 4294967296",
                            "4294967295 1", "7 1 2 3 x"}) {
    EXPECT_FALSE(ParseServerStart(wrong).has_value()) << wrong;
  }
}

TEST(ServerStart, NobodyElseBecomesAServer) {
  unsetenv(kServerStartVariable);
  EXPECT_TRUE(absl::IsNotFound(BecomeServer().status()));
  setenv(kServerStartVariable, "nonsense", 1);
  EXPECT_TRUE(absl::IsInvalidArgument(BecomeServer().status()));
  EXPECT_EQ(getenv(kServerStartVariable), nullptr);
}

// In a child, whose exit code says what it found.
int InChild(const std::function<int()>& what) {
  const pid_t child = fork();
  if (child == 0) _exit(what());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void SetVariable(pid_t holder, std::optional<uid_t> user) {
  const ServerStartWords words{
      .socket = dup(STDERR_FILENO), .holder = holder, .user = user, .group = 60988};
  setenv(kServerStartVariable, FormatServerStart(words).c_str(), 1);
}

TEST(ServerStart, BecomesTheUserAndDiesWithItsHolder) {
  if (geteuid() != 0) GTEST_SKIP() << "changing the user takes root";
  EXPECT_EQ(InChild([] {
              SetVariable(getppid(), kUser);
              const absl::StatusOr<UniqueFd> socket = BecomeServer();
              if (!socket.ok()) return 1;
              uid_t real = 0, effective = 0, saved = 0;
              getresuid(&real, &effective, &saved);
              if (real != kUser || effective != kUser || saved != kUser) return 2;
              if (getgid() != 60988 || getgroups(0, nullptr) != 0) return 3;
              if (setuid(0) == 0) return 4;
              if (prctl(PR_GET_DUMPABLE) != 0) return 5;
              int on_death = 0;
              prctl(PR_GET_PDEATHSIG, &on_death);
              if (on_death != SIGKILL) return 6;
              if (getenv(kServerStartVariable) != nullptr) return 7;
              return CheckServerRights(getpid(), kUser).ok() ? 0 : 8;
            }),
            0);
}

TEST(ServerStart, AHolderThatHasEndedIsNotFollowed) {
  EXPECT_EQ(InChild([] {
              SetVariable(getppid() + 1, std::nullopt);
              return absl::IsUnavailable(BecomeServer().status()) ? 0 : 1;
            }),
            0);
}

TEST(ServerStart, RightsThatWereKeptAreSeen) {
  if (geteuid() != 0) GTEST_SKIP() << "the other user has to be somebody else than root";
  EXPECT_TRUE(absl::IsPermissionDenied(CheckServerRights(getpid(), kUser)));
  EXPECT_TRUE(absl::IsPermissionDenied(CheckServerRights(getpid(), 0)));  // has capabilities
}

}  // namespace
}  // namespace secretfs::fs
