// Mounts of a normal user, through fusermount3. The tests run this program again as another user,
// in a mount namespace where everybody may open /dev/fuse (as udev sets it up on a workstation).

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/sysmacros.h>

#include "tests/integration/fuse/inotify_log.h"
#include "tests/integration/fuse/service_fixture.h"

namespace secretfs::fs {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kUser = 65534;  // nobody: fusermount3 wants a user that has a name
constexpr int kUnprivilegedRotations = 10;

// What runs as the normal user; disabled for whoever runs all tests.
class AsNormalUser : public ServiceTest {
 protected:
  AsNormalUser() { needs_root_ = false; }
  void SetUp() override {
    if (geteuid() == 0) GTEST_SKIP() << "runs within UnprivilegedTest";
    ServiceTest::SetUp();
  }
};

TEST_F(AsNormalUser, DISABLED_ReadsAndHearsOfUpdates) {
  for (const Layout layout : {Layout::kFlat, Layout::kAtomic}) {
    provider_->Set("db", "version 0");
    Mount({.files = {File("password", "db")}, .layout = layout, .uid = getuid(), .gid = getgid()});
    ASSERT_EQ(ReadAll(directory_ / "password").substr(0, 7), "version");
    InotifyLog log, file;
    ASSERT_TRUE(log.Watch(directory_.path(), "dir"));
    ASSERT_TRUE(file.Watch(directory_ / "password", "file"));
    for (int i = 1; i <= kUnprivilegedRotations; ++i) {
      const std::string value = "version " + std::to_string(i);
      Rotate("db", value, "password");
      EXPECT_EQ(ReadAll(directory_ / "password"), value);
      EXPECT_TRUE(log.Await(layout == Layout::kFlat ? "dir: CLOSE_WRITE password"
                                                    : "dir: MOVED_TO ..data"));
      EXPECT_TRUE(file.Await("file: MODIFY"));
      EXPECT_TRUE(file.Await("file: CLOSE_WRITE"));
    }
    EXPECT_LT(open((directory_ / "password").c_str(), O_WRONLY | O_TRUNC), 0);
    EXPECT_EQ(errno, EROFS);
    EXPECT_LT(symlink("x", (directory_ / "..data_tmp").c_str()), 0);
    EXPECT_EQ(errno, layout == Layout::kFlat ? EACCES : EROFS);
    EXPECT_TRUE(service_->Unmount(directory_.path()).ok());
    EXPECT_TRUE(MountsAt(directory_.path()).empty());
  }
}

TEST_F(AsNormalUser, DISABLED_UnmountsLazilyWithOpenFiles) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}, .uid = getuid(), .gid = getgid()});
  // Not close-on-exec: fusermount3 inherits it, and closes it at its end.
  const UniqueFd file(open((directory_ / "password").c_str(), O_RDONLY));
  ASSERT_TRUE(file.valid());
  EXPECT_TRUE(service_->Unmount(directory_.path()).ok());
  EXPECT_TRUE(MountsAt(directory_.path()).empty());
}

TEST_F(AsNormalUser, DISABLED_AllowOtherNeedsTheAdministrator) {
  const absl::Status status = TryMount({.files = {File("password", "db")}},
                                       {.directory = directory_.path(), .allow_other = true});
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("user_allow_other"));
}

TEST_F(AsNormalUser, DISABLED_DirectoryOfSomebodyElse) {
  const absl::Status status =
      TryMount({.files = {File("password", "db")}}, {.directory = "/usr/share"});
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("/usr/share"));
}

// Runs one of the tests above; its exit code.
int RunAsNormalUser(const std::string& test) {
  char program[4096] = {};
  if (readlink("/proc/self/exe", program, sizeof(program) - 1) <= 0) return -1;
  const std::string filter = "--gtest_filter=AsNormalUser.DISABLED_" + test;
  MountDirectory nodes;
  const std::string node = nodes / "fuse";
  return ChildProcess([&] {
           if (unshare(CLONE_NEWNS) != 0 ||
               mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
               mount("none", nodes.path().c_str(), "tmpfs", 0, nullptr) != 0 ||
               mknod(node.c_str(), S_IFCHR | 0666, makedev(10, 229)) != 0 ||
               chmod(node.c_str(), 0666) != 0 ||
               mount(node.c_str(), "/dev/fuse", nullptr, MS_BIND, nullptr) != 0 ||
               setgid(kUser) != 0 || setuid(kUser) != 0) {
             return 200;
           }
           execl(program, program, filter.c_str(), "--gtest_also_run_disabled_tests", nullptr);
           return 201;
         })
      .ExitCode();
}

class UnprivilegedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SECRETFS_NEEDS_FUSE();
    if (access("/usr/bin/fusermount3", X_OK) != 0) GTEST_SKIP() << "fusermount3 is missing";
  }
};

TEST_F(UnprivilegedTest, ReadsAndHearsOfUpdates) {
  EXPECT_EQ(RunAsNormalUser("ReadsAndHearsOfUpdates"), 0);
}

TEST_F(UnprivilegedTest, UnmountsLazilyWithOpenFiles) {
  EXPECT_EQ(RunAsNormalUser("UnmountsLazilyWithOpenFiles"), 0);
}

TEST_F(UnprivilegedTest, AllowOtherNeedsTheAdministrator) {
  EXPECT_EQ(RunAsNormalUser("AllowOtherNeedsTheAdministrator"), 0);
}

TEST_F(UnprivilegedTest, DirectoryOfSomebodyElse) {
  EXPECT_EQ(RunAsNormalUser("DirectoryOfSomebodyElse"), 0);
}

}  // namespace
}  // namespace secretfs::fs
