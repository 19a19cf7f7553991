#include "cli/control/control_path.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/text.h"
#include "tests/unit/cli/environment_fake.h"

namespace secretfs::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ControlPathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "secretfs-test.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  Environment environment() const { return FakeEnvironment({{"XDG_RUNTIME_DIR", folder_}}); }
  std::string place() const { return folder_ / "secretfs"; }
  std::filesystem::path folder_;
};

TEST_F(ControlPathTest, MakesAPrivateDirectoryInTheRuntimeDirectory) {
  const auto directory = MakeControlDirectory(environment());
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ(*directory, place());
  struct stat info{};
  ASSERT_EQ(stat(place().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  EXPECT_EQ(MakeControlDirectory(environment()).value(), place());  // and uses it again
}

TEST_F(ControlPathTest, NeverUsesADirectoryThatIsOpenToOthers) {
  ASSERT_EQ(mkdir(place().c_str(), 0700), 0);
  ASSERT_EQ(chmod(place().c_str(), 0755), 0);
  const auto directory = MakeControlDirectory(environment());
  EXPECT_TRUE(!directory.ok() || *directory != place());
  const absl::Status status = CheckPrivateDirectory(place());
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("mode 0755"));
  EXPECT_THAT(TrustedControlDirectories(environment()),
              ::testing::Not(::testing::Contains(place())));
}

TEST_F(ControlPathTest, NeverFollowsALink) {
  const std::string elsewhere = folder_ / "elsewhere";
  ASSERT_EQ(mkdir(elsewhere.c_str(), 0700), 0);
  std::filesystem::create_directory_symlink(elsewhere, place());
  EXPECT_FALSE(CheckPrivateDirectory(place()).ok());
  const auto directory = MakeControlDirectory(environment());
  EXPECT_TRUE(!directory.ok() || *directory != place());
}

TEST_F(ControlPathTest, NeverUsesADirectoryOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "giving a directory away takes root";
  ASSERT_EQ(mkdir(place().c_str(), 0700), 0);
  ASSERT_EQ(chown(place().c_str(), 65534, 65534), 0);
  EXPECT_THAT(std::string(MessageOf(CheckPrivateDirectory(place()))), HasSubstr("65534"));
  // Nor a runtime directory that `sudo -E` handed on.
  ASSERT_EQ(chown(folder_.c_str(), 65534, 65534), 0);
  EXPECT_THAT(TrustedControlDirectories(environment()),
              ::testing::Not(::testing::Contains(place())));
}

TEST_F(ControlPathTest, NamesAreStableDistinctAndShort) {
  // Written down: a daemon of one version is found by the commands of the next.
  EXPECT_EQ(ControlSocketName("/home/dev/secrets"), ControlSocketName("/home/dev/secrets"));
  EXPECT_EQ(ControlSocketName(""), "cbf29ce484222325.sock");
  EXPECT_EQ(ControlSocketName("a"), "af63dc4c8601ec8c.sock");
  EXPECT_NE(ControlSocketName("/a/b"), ControlSocketName("/a/c"));
}

TEST_F(ControlPathTest, ARuntimeDirectoryThatIsTooLongIsPassedOver) {
  const std::filesystem::path deep = folder_ / std::string(90, 'd');
  std::filesystem::create_directory(deep);
  const auto directory = MakeControlDirectory(FakeEnvironment({{"XDG_RUNTIME_DIR", deep}}));
  EXPECT_TRUE(!directory.ok() || !directory->starts_with(deep.string()));
}

TEST_F(ControlPathTest, ANamedDirectoryIsTheOnlyOne) {
  ASSERT_EQ(mkdir(place().c_str(), 0700), 0);
  std::ofstream(place() + "/" + ControlSocketName("/m")) << "";
  const std::string named = folder_ / "named";
  const Environment both =
      FakeEnvironment({{"XDG_RUNTIME_DIR", folder_}, {"SECRETFS_RUNTIME_DIR", named}});
  EXPECT_THAT(TrustedControlDirectories(both), IsEmpty());
  EXPECT_EQ(MakeControlDirectory(both).value_or(""), named);
  EXPECT_THAT(TrustedControlDirectories(both), ElementsAre(named));
  // The other mounts of this machine are none of its business.
  EXPECT_THAT(ControlSockets(both), IsEmpty());
  std::ofstream(named + "/" + HolderSocketName("/m")) << "";
  EXPECT_THAT(HolderSockets(both), ElementsAre(named + "/" + HolderSocketName("/m")));

  // One that cannot be used is an error, not a reason to look elsewhere.
  for (const std::string& unusable :
       {std::string("relative"), (folder_ / std::string(90, 'd')).string()}) {
    const auto directory = MakeControlDirectory(
        FakeEnvironment({{"XDG_RUNTIME_DIR", folder_}, {"SECRETFS_RUNTIME_DIR", unusable}}));
    EXPECT_THAT(std::string(MessageOf(directory.status())), HasSubstr("SECRETFS_RUNTIME_DIR"));
  }
}

TEST_F(ControlPathTest, ListsSocketsOnly) {
  ASSERT_EQ(mkdir(place().c_str(), 0700), 0);
  std::ofstream(place() + "/notes.txt") << "x";
  std::ofstream(place() + "/" + ControlSocketName("/m")) << "";
  std::vector<std::string> mine;
  for (const std::string& socket : ControlSockets(environment())) {
    if (socket.starts_with(folder_.string())) mine.push_back(socket);
  }
  EXPECT_THAT(mine, ElementsAre(place() + "/" + ControlSocketName("/m")));
}

}  // namespace
}  // namespace secretfs::cli
