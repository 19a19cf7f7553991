// Which files a server gets, and where links may lead.

#include "fs/holder/allowed_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace secretfs::fs {
namespace {

namespace filesystem = std::filesystem;

class AllowedFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = filesystem::temp_directory_path() / "secretfs-allowed-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = filesystem::canonical(name);
    for (const char* sub : {"a", "b", "b/deep", "other"}) {
      filesystem::create_directory(folder_ / sub);
    }
    for (const char* file : {"a/token", "b/one", "b/deep/two", "other/secret", "other/more"})
      Write(file, file);
  }
  void TearDown() override { filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text;
  }
  void Link(const std::string& target, const std::string& name) {
    filesystem::remove(Path(name));
    filesystem::create_symlink(target, Path(name));
  }
  // The content, or the status code's name.
  std::string Open(const AllowedFiles& files, const std::string& name) {
    const absl::StatusOr<UniqueFd> file = files.Open(name.starts_with('/') ? name : Path(name));
    if (!file.ok()) return absl::StatusCodeToString(file.status().code());
    EXPECT_EQ(fcntl(file->get(), F_GETFL) & O_ACCMODE, O_RDONLY);
    EXPECT_NE(fcntl(file->get(), F_GETFD) & FD_CLOEXEC, 0);
    char text[64] = {};
    const ssize_t size = read(file->get(), text, sizeof(text) - 1);
    return size >= 0 ? text : "a folder";
  }

  filesystem::path folder_;
};

TEST_F(AllowedFilesTest, WhatIsListedAndNothingElse) {
  const AllowedFiles files({Path("a/token"), Path("b")});
  EXPECT_EQ(Open(files, "a/token"), "a/token");
  EXPECT_EQ(Open(files, "b/one"), "b/one");
  EXPECT_EQ(Open(files, "b"), "a folder");
  for (const char* denied : {"a", "other/secret", "b/deep/two", "b/../other/secret", "b//one",
                             "b/./one", "b/", "/etc/passwd", "/"}) {
    EXPECT_EQ(Open(files, denied), "PERMISSION_DENIED") << denied;
  }
  EXPECT_EQ(Open(files, "b/missing"), "NOT_FOUND");
}

TEST_F(AllowedFilesTest, AppearsLater) {
  const AllowedFiles files({Path("a/later"), Path("a/token")});
  EXPECT_EQ(Open(files, "a/later"), "NOT_FOUND");
  Write("a/later", "later");
  EXPECT_EQ(Open(files, "a/later"), "later");
  // Replaced by rename, as everybody does it.
  Write("a/new", "new token");
  filesystem::rename(Path("a/new"), Path("a/token"));
  EXPECT_EQ(Open(files, "a/token"), "new token");
}

// A Kubernetes volume: token -> ..data/token, ..data -> ..1, which moves on.
TEST_F(AllowedFilesTest, LinksBelowTheFolder) {
  for (const bool whole_folder : {false, true}) {
    filesystem::create_directories(Path("b/..1"));
    filesystem::create_directories(Path("b/..2"));
    Write("b/..1/token", "first");
    Write("b/..2/token", "second");
    Link("..1", "b/..data");
    Link("..data/token", "b/token");
    const AllowedFiles files({Path(whole_folder ? "b" : "b/token")});
    EXPECT_EQ(Open(files, "b/token"), "first");
    Link("..2", "b/..data");
    EXPECT_EQ(Open(files, "b/token"), "second");
  }
}

TEST_F(AllowedFilesTest, LinksThatLeadOut) {
  Link(Path("other/secret"), "a/link");
  const AllowedFiles files({Path("a/link"), Path("a/token"), Path("b")});
  // It was there when the list was made: whoever listed it meant where it leads.
  EXPECT_EQ(Open(files, "a/link"), "other/secret");
  // Afterwards the list stands.
  Link("/etc/passwd", "a/link");
  EXPECT_EQ(Open(files, "a/link"), "PERMISSION_DENIED");
  Link(Path("other/more"), "a/token");
  EXPECT_EQ(Open(files, "a/token"), "PERMISSION_DENIED");
  Link("../other/more", "b/one");
  EXPECT_EQ(Open(files, "b/one"), "PERMISSION_DENIED");
  // To another listed place.
  Link("../b/deep/two", "a/token");
  EXPECT_EQ(Open(files, "a/token"), "b/deep/two");
}

TEST_F(AllowedFilesTest, FolderOnTheWayIsReplacedByALink) {
  const AllowedFiles files({Path("b")});
  filesystem::rename(Path("b"), Path("b-before"));
  filesystem::create_directory_symlink(Path("other"), Path("b"));
  EXPECT_EQ(Open(files, "b/secret"), "PERMISSION_DENIED");
}

TEST_F(AllowedFilesTest, OnlyFilesAndFolders) {
  ASSERT_EQ(mkfifo(Path("b/pipe").c_str(), 0600), 0);
  const AllowedFiles files({Path("b"), "/dev/zero"});
  EXPECT_EQ(Open(files, "b/pipe"), "FAILED_PRECONDITION");
  EXPECT_EQ(Open(files, "/dev/zero"), "FAILED_PRECONDITION");
}

TEST_F(AllowedFilesTest, WatchesListedFilesOnly) {
  Link(Path("other/secret"), "a/link");
  const AllowedFiles files({Path("a/token"), Path("a/later"), Path("a/link"), Path("b")});
  const std::pair<const char*, const char*> leads[] = {{"a/token", "a/token"},
                                                       {"a/later", "a/later"},
                                                       {"a/link", "other/secret"},
                                                       {"b/one", "b/one"}};
  for (const auto& [listed, real] : leads) {
    const absl::StatusOr<WatchedFile> watch = files.Watch(Path(listed));
    ASSERT_TRUE(watch.ok()) << watch.status();
    EXPECT_EQ(watch->name, filesystem::path(real).filename());
    Write(real, "x");
    char events[4096];
    EXPECT_GT(read(watch->events.get(), events, sizeof(events)), 0) << listed;
  }
  for (const char* denied : {"a", "other", "other/secret", "a/other", "b/deep/../../other"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(files.Watch(Path(denied)).status())) << denied;
  }
  Link("/etc/passwd", "a/token");
  EXPECT_TRUE(absl::IsPermissionDenied(files.Watch(Path("a/token")).status()));
}

TEST_F(AllowedFilesTest, ListsThatSayNothing) {
  const AllowedFiles files({"", "relative", Path("b/../other"), "/"});
  EXPECT_EQ(Open(files, "other/secret"), "PERMISSION_DENIED");
  EXPECT_EQ(Open(files, "/etc/passwd"), "PERMISSION_DENIED");
}

}  // namespace
}  // namespace secretfs::fs
