// The holder of a normal user, who mounts through fusermount3. The tests run this program again as
// another user, in a mount namespace where everybody may open /dev/fuse (as udev sets it up).

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/holder/holder_fixture.h"

namespace secretfs::fs {
namespace {

using ::testing::HasSubstr;

// What runs as the normal user; disabled for whoever runs all tests.
class AsNormalUser : public HolderTest {
 protected:
  AsNormalUser() { needs_root_ = false; }
  void SetUp() override {
    if (geteuid() == 0) GTEST_SKIP() << "runs within UnprivilegedHolderTest";
    HolderTest::SetUp();
  }
  HolderLaunch LaunchAsUser() {
    HolderLaunch launch = Launch();
    launch.server_user.reset();
    return launch;
  }
};

TEST_F(AsNormalUser, DISABLED_ServesAcrossADeath) {
  StartAndAwait(LaunchAsUser());
  EXPECT_EQ(ReadAll(value()), "server 1");
  kill(Status().server, SIGKILL);
  EXPECT_EQ(ReadAll(value()), "server 2");
  EXPECT_THAT(Events(), HasSubstr("effective=0000000000000000"));
  EXPECT_THAT(Events(), HasSubstr("no_new_privs=1"));
  holder().Signal(SIGTERM);
  EXPECT_EQ(holder().Wait(kPatience), 0);
  EXPECT_TRUE(MountsAt(mount_point()).empty());
}

TEST_F(AsNormalUser, DISABLED_UnmountsWithAServerThatIsStopped) {
  StartAndAwait(LaunchAsUser());
  EXPECT_EQ(ReadAll(value()), "server 1");
  const UniqueFd file(open(value().c_str(), O_RDONLY));
  kill(Status().server, SIGSTOP);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(UnmountThroughHolder(holder_path(), mount_point()), absl::OkStatus());
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  EXPECT_TRUE(MountsAt(mount_point()).empty());
  EXPECT_EQ(holder().Wait(kPatience), 0);
}

// Runs one of the tests above; its exit code.
int RunAsNormalUser(const std::string& test) {
  char program[4096] = {};
  if (readlink("/proc/self/exe", program, sizeof(program) - 1) <= 0) return -1;
  const std::string filter = "--gtest_filter=AsNormalUser.DISABLED_" + test;
  MountDirectory nodes;
  const std::string node = nodes / "fuse";
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("none", nodes.path().c_str(), "tmpfs", 0, nullptr) != 0 ||
        mknod(node.c_str(), S_IFCHR | 0666, makedev(10, 229)) != 0 ||
        chmod(node.c_str(), 0666) != 0 ||
        mount(node.c_str(), "/dev/fuse", nullptr, MS_BIND, nullptr) != 0 ||
        setgid(kServerUser) != 0 || setuid(kServerUser) != 0) {
      _exit(200);
    }
    execl(program, program, filter.c_str(), "--gtest_also_run_disabled_tests", nullptr);
    _exit(201);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class UnprivilegedHolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SECRETFS_NEEDS_FUSE();
    if (access("/usr/bin/fusermount3", X_OK) != 0) GTEST_SKIP() << "fusermount3 is missing";
  }
};

TEST_F(UnprivilegedHolderTest, ServesAcrossADeath) {
  EXPECT_EQ(RunAsNormalUser("ServesAcrossADeath"), 0);
}

TEST_F(UnprivilegedHolderTest, UnmountsWithAServerThatIsStopped) {
  EXPECT_EQ(RunAsNormalUser("UnmountsWithAServerThatIsStopped"), 0);
}

}  // namespace
}  // namespace secretfs::fs
