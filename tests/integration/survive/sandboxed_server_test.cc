// The server of a real mount behind its sandbox, on a kernel with Landlock and without: what it has
// open, and that all of its work goes on, which needs the holder for much of it.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/integration/survive/survive_fixture.h"

namespace secretfs::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

class SandboxedServerTest : public SurviveTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    SurviveTest::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directory(folder() / ".ssh");
    WriteFile(".ssh/id_rsa", "another secret");
  }
  void MountDaemon(std::vector<std::string> arguments) {
    std::vector<std::string> command;
    if (!GetParam()) command.emplace_back(SECRETFS_WITHOUT_LANDLOCK);
    for (const std::string& word : {SecretfsBinary(), std::string("mount"), std::string("--daemon"),
                                    std::string("--log-file"), log().string(),
                                    std::string("--log-level"), std::string("debug")}) {
      command.push_back(word);
    }
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.push_back(mount_point());
    const Finished mounted = testing::Run(std::move(command));
    NoteProcesses();
    ASSERT_EQ(mounted.exit_code, 0) << mounted.errors;
    said_ = mounted.errors;
  }

  std::string said_;  // before the mount was usable
};

// The store is replaced by rename, which only somebody who watches its folder hears of in time.
TEST_P(SandboxedServerTest, HearsOfEveryNewValue) {
  Put("a", "first");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url(), "--ttl", "1h"}));
  if (GetParam()) {
    EXPECT_THAT(said_, Not(HasSubstr("no Landlock")));
  } else {
    EXPECT_THAT(said_, HasSubstr("no Landlock"));
  }
  EXPECT_EQ(ReadFile(mount_point() / "a"), "first");
  for (const char* value : {"second", "third"}) {
    Put("a", value);
    EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "a") == value; }, seconds(10)));
  }
  const pid_t before = Status().server;
  ASSERT_EQ(kill(before, SIGKILL), 0);
  Put("a", "fourth");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "a") == "fourth"; }, seconds(10)));
}

TEST_P(SandboxedServerTest, AStoreBehindALink) {
  Put("a", "first");
  std::filesystem::create_symlink(store(), folder() / "link.sfs");
  std::filesystem::copy(store().string() + ".key", folder() / "link.sfs.key");
  ASSERT_NO_FATAL_FAILURE(
      MountDaemon({"local:" + (folder() / "link.sfs").string(), "--ttl", "1h"}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "first");
  Put("a", "second");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "a") == "second"; }, seconds(10)));
}

// No terminal, no log file, no socket with a name, no folder: what is open needs no opening.
TEST_P(SandboxedServerTest, HasNothingElseOpen) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  const std::filesystem::path descriptors =
      std::filesystem::path("/proc") / std::to_string(Status().server) / "fd";
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(descriptors)) {
    std::error_code closed;
    const std::string target = std::filesystem::read_symlink(entry.path(), closed).string();
    if (closed) continue;
    ++seen;
    const bool has_no_name = target.starts_with("/memfd:") || target.find('/') == std::string::npos;
    EXPECT_TRUE(has_no_name || target == "/dev/fuse" || target == "/dev/null" ||
                target.starts_with(store().string()))
        << target;
  }
  EXPECT_GT(seen, 5);
  // Its lines are in the log nevertheless: those of the first one were for who waited.
  EXPECT_THAT(said_, HasSubstr("server 1 serves"));
  ASSERT_EQ(kill(Status().server, SIGKILL), 0);
  EXPECT_TRUE(Eventually(
      [&] { return ReadFile(log()).find("info server 2 serves") != std::string::npos; }));
}

INSTANTIATE_TEST_SUITE_P(Landlock, SandboxedServerTest, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& tested) {
                           return tested.param ? "With" : "Without";
                         });

}  // namespace
}  // namespace secretfs::testing
