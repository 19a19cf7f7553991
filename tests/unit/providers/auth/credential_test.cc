#include "providers/auth/credential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace secretfs::providers {
namespace {

using ::testing::HasSubstr;

class CredentialTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/secretfs-credential.XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string File(const std::string& name = "token") const { return (folder_ / name).string(); }
  void Write(std::string_view text, const std::string& name = "token") {
    std::ofstream(File(name)) << text;
  }
  static Credential FromFile(const std::string& file) {
    CredentialSource source;
    source.file = file;
    return Credential(source, "token");
  }
  static std::string Text(const absl::StatusOr<SecretBytes>& value) {
    return value.ok() ? std::string(value->ExposeAsText()) : value.status().ToString();
  }

  std::filesystem::path folder_;
};

TEST_F(CredentialTest, DropsSpaceAroundTheValue) {
  Write(" \n hvs.abc def\t\r\n\n");
  Credential credential = FromFile(File());
  EXPECT_EQ(Text(credential.Read()), "hvs.abc def");
}

TEST_F(CredentialTest, NoticesReplacedAndRewrittenFilesButNotReadOnes) {
  Write("one");
  Credential credential = FromFile(File());
  EXPECT_FALSE(credential.Changed());  // never read: nothing to differ from
  EXPECT_EQ(Text(credential.Read()), "one");
  EXPECT_FALSE(credential.Changed());
  Write("two", "other");
  std::filesystem::rename(File("other"), File());
  EXPECT_TRUE(credential.Changed());
  EXPECT_EQ(Text(credential.Read()), "two");
  EXPECT_FALSE(credential.Changed());
  Write("three!");
  EXPECT_TRUE(credential.Changed());
  EXPECT_EQ(Text(credential.Read()), "three!");
  std::filesystem::remove(File());
  EXPECT_FALSE(credential.Changed());
}

TEST_F(CredentialTest, FollowsTheLinksOfAProjectedVolume) {
  std::filesystem::create_directory(folder_ / "..1");
  std::filesystem::create_directory(folder_ / "..2");
  Write("one", "..1/token");
  Write("two", "..2/token");
  std::filesystem::create_symlink("..1", folder_ / "..data");
  std::filesystem::create_symlink("..data/token", folder_ / "token");
  Credential credential = FromFile(File());
  EXPECT_EQ(Text(credential.Read()), "one");
  std::filesystem::create_symlink("..2", folder_ / "..data_tmp");
  std::filesystem::rename(folder_ / "..data_tmp", folder_ / "..data");
  EXPECT_TRUE(credential.Changed());
  EXPECT_EQ(Text(credential.Read()), "two");
}

TEST_F(CredentialTest, SaysWhatIsWrongWithAFile) {
  EXPECT_THAT(Text(FromFile(File("missing")).Read()), HasSubstr("missing cannot be read: No such"));
  Write("  \n");
  EXPECT_THAT(Text(FromFile(File()).Read()), HasSubstr("is empty"));
  Write(std::string(300 << 10, 'x'));
  EXPECT_THAT(Text(FromFile(File()).Read()), HasSubstr("is larger than"));
  EXPECT_THAT(Text(FromFile(folder_.string()).Read()), HasSubstr("is not a regular file"));
  ASSERT_EQ(::mkfifo(File("fifo").c_str(), 0600), 0);
  EXPECT_THAT(Text(FromFile(File("fifo")).Read()), HasSubstr("is not a regular file"));
}

TEST_F(CredentialTest, EnvironmentAndInlineValues) {
  CredentialSource source;
  source.environment = "SECRETFS_TEST_CREDENTIAL";
  Credential credential(source, "token");
  ::unsetenv("SECRETFS_TEST_CREDENTIAL");
  EXPECT_THAT(Text(credential.Read()), HasSubstr("SECRETFS_TEST_CREDENTIAL, which is not set"));
  ::setenv("SECRETFS_TEST_CREDENTIAL", "abc\n", 1);
  EXPECT_EQ(Text(credential.Read()), "abc");
  ::unsetenv("SECRETFS_TEST_CREDENTIAL");
  EXPECT_FALSE(credential.Changed());
  CredentialSource inline_source;
  inline_source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf("xyz\n"));
  EXPECT_EQ(Text(Credential(inline_source, "token").Read()), "xyz");
  EXPECT_THAT(Text(Credential({}, "token").Read()), HasSubstr("no token is configured"));
}

}  // namespace
}  // namespace secretfs::providers
