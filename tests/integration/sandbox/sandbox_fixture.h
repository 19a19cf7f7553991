#pragma once

// The model of a server that was taken over: a process behind the server's sandbox tries what an
// attacker would. Each try is made with all of the kernel's Landlock, with what older kernels have
// of it, and without it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/sandbox.h"
#include "base/unique_fd.h"

namespace secretfs {

inline constexpr uid_t kSandboxUser = 65534;
inline constexpr int kWholeLandlock = std::numeric_limits<int>::max();

// What a try came to: 0 for success, otherwise the errno.
using Try = std::function<int()>;
using Tries = std::vector<std::pair<std::string, Try>>;

inline int ErrnoOf(long result) { return result >= 0 ? 0 : errno; }

inline int OpenErrno(const std::string& path, int flags) {
  const UniqueFd file(open(path.c_str(), flags | O_CLOEXEC, 0600));
  return file.valid() ? 0 : errno;
}

// The parameter is the newest ABI of Landlock that is there; 0: none.
class SandboxTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers stay outside of the sandbox";
#endif
    if (geteuid() != 0) GTEST_SKIP() << "changing the user takes root";
    std::string pattern = std::filesystem::temp_directory_path() / "secretfs-sandbox.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));
    for (const char* name : {"allowed", "other"}) {
      std::ofstream(folder_ / name) << "content";
      std::filesystem::permissions(folder_ / name, std::filesystem::perms(0666));
    }
    std::filesystem::create_directory(folder_ / "open");
    std::filesystem::permissions(folder_ / "open", std::filesystem::perms(0777));
    // Somebody else of the same user, as another server on the machine is.
    neighbour_ = fork();
    if (neighbour_ == 0) {
      if (setgid(kSandboxUser) != 0 || setuid(kSandboxUser) != 0) _exit(1);
      prctl(PR_SET_DUMPABLE, 1);
      for (;;) pause();
    }
  }
  void TearDown() override {
    if (neighbour_ > 0) {
      kill(neighbour_, SIGKILL);
      waitpid(neighbour_, nullptr, 0);
    }
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // Each try's result, from a process behind the sandbox.
  std::map<std::string, int> Behind(const Tries& tries) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(0, nullptr) != 0 || setgid(kSandboxUser) != 0 || setuid(kSandboxUser) != 0) {
        _exit(1);
      }
      const auto sandbox =
          EnterSandbox({.readable = {folder_ / "allowed"}, .most_landlock_abi = GetParam()});
      if (!sandbox.ok()) _exit(2);
      for (const auto& [name, attempt] : tries) {
        const int result = attempt();
        if (write(ends[1], &result, sizeof(result)) != sizeof(result)) _exit(3);
      }
      _exit(sandbox->files_are_bounded ? 0 : 4);
    }
    close(ends[1]);
    std::map<std::string, int> results;
    for (const auto& [name, attempt] : tries) {
      int result = -1;
      if (read(ends[0], &result, sizeof(result)) != sizeof(result)) break;
      results[name] = result;
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    files_are_bounded_ = WEXITSTATUS(status) == 0;
    EXPECT_THAT(WEXITSTATUS(status), ::testing::AnyOf(0, 4));
    EXPECT_EQ(results.size(), tries.size());
    if (GetParam() == 0) {
      EXPECT_FALSE(files_are_bounded_);
    }
    return results;
  }

  // Each of them is refused.
  void ExpectRefused(const Tries& tries) {
    for (const auto& [name, error] : Behind(tries)) {
      EXPECT_THAT(error, ::testing::AnyOf(EACCES, EPERM)) << name << ": " << strerror(error);
    }
  }
  void ExpectGranted(const Tries& tries) {
    for (const auto& [name, error] : Behind(tries)) {
      EXPECT_EQ(error, 0) << name << ": " << strerror(error);
    }
  }

  std::string ContentOf(const std::string& name) const {
    std::ifstream file(folder_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
  pid_t neighbour_ = -1;
  bool files_are_bounded_ = false;
};

inline std::string LandlockName(const ::testing::TestParamInfo<int>& info) {
  if (info.param == 0) return "WithoutLandlock";
  if (info.param == kWholeLandlock) return "WholeLandlock";
  return "LandlockAbi" + std::to_string(info.param);
}

#define SECRETFS_WITH_EACH_LANDLOCK(Fixture)                                                       \
  INSTANTIATE_TEST_SUITE_P(Landlock, Fixture, ::testing::Values(0, 1, 2, 3, 4, 5, kWholeLandlock), \
                           LandlockName)

}  // namespace secretfs
