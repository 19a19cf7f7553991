#include "fs/mount_spec.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace secretfs::fs {
namespace {

FileSpec File(const std::string& path) {
  FileSpec file;
  file.path = path;
  return file;
}

MountSpec Files(const std::vector<std::string>& paths) {
  MountSpec spec;
  for (const std::string& path : paths) spec.files.push_back(File(path));
  return spec;
}

std::string Message(const MountSpec& spec) {
  const absl::Status status = ValidateMountSpec(spec);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(MessageOf(status));
}

TEST(MountSpec, OrdinaryNamesAreFine) {
  EXPECT_TRUE(ValidateMountSpec(Files({})).ok());
  EXPECT_TRUE(ValidateMountSpec(Files({"a", "b/c", "b/d/e", ".hidden", "with space", "é\n\xff",
                                       "a.b..c", std::string(255, 'x')}))
                  .ok());
}

TEST(MountSpec, NothingLeavesTheMount) {
  EXPECT_NE(Message(Files({""})).find("is empty"), std::string::npos);
  EXPECT_NE(Message(Files({"/etc/passwd"})).find("is absolute"), std::string::npos);
  for (const char* path : {"../x", "a/../b", "a/..", "..", "./a", "a/.", "a/./b"}) {
    EXPECT_NE(Message(Files({path})).find("could leave the mount"), std::string::npos) << path;
  }
  for (const char* path : {"a//b", "a/", "a/b//"}) {
    EXPECT_NE(Message(Files({path})).find("empty component"), std::string::npos) << path;
  }
  for (const char* path : {"..data", "a/..hidden", "..2027_01_15"}) {
    EXPECT_NE(Message(Files({path})).find("reserved"), std::string::npos) << path;
  }
  EXPECT_NE(Message(Files({std::string(256, 'x')})).find("255"), std::string::npos);
  std::string deep = "a";
  for (int i = 0; i < 2100; ++i) deep += "/a";
  EXPECT_NE(Message(Files({deep})).find("4095"), std::string::npos);
  EXPECT_NE(Message(Files({std::string("a\0b", 3)})).find("NUL"), std::string::npos);
}

TEST(MountSpec, EachPathShowsOneThing) {
  EXPECT_NE(Message(Files({"a", "b", "a"})).find("\"a\": stands twice"), std::string::npos);
  EXPECT_NE(Message(Files({"a/b", "a"})).find("both a file and a directory"), std::string::npos);
  EXPECT_NE(Message(Files({"a", "a/b/c"})).find("both a file and a directory"), std::string::npos);
}

TEST(MountSpec, BrowseTreesStandForThemselves) {
  MountSpec spec = Files({"a/x", "b"});
  spec.browse.push_back({.path = "a/tree", .store = {}, .prefix = "", .policy = {}});
  EXPECT_TRUE(ValidateMountSpec(spec).ok());
  spec.layout = Layout::kAtomic;
  EXPECT_NE(Message(spec).find("atomic layout"), std::string::npos);
  spec.layout = Layout::kFlat;
  spec.files.push_back(File("a/tree/inside"));
  EXPECT_NE(Message(spec).find("inside the browse tree \"a/tree\""), std::string::npos);
  spec.files.back().path = "a/tree";
  EXPECT_NE(Message(spec).find("stands twice"), std::string::npos);
  spec.files.pop_back();
  spec.browse.push_back({.path = "", .store = {}, .prefix = "", .policy = {}});
  EXPECT_NE(Message(spec).find("inside the browse tree \"\""), std::string::npos);
  spec = Files({});
  spec.browse.push_back({.path = "", .store = {}, .prefix = "", .policy = {}});
  EXPECT_TRUE(ValidateMountSpec(spec).ok());
}

TEST(MountSpec, ModesArePermissionBits) {
  MountSpec spec = Files({"a"});
  spec.files[0].mode = 04755;
  EXPECT_NE(Message(spec).find("4755"), std::string::npos);
  spec.files[0].mode = 0755;
  spec.directory_mode = 01777;
  EXPECT_NE(Message(spec).find("directory mode"), std::string::npos);
}

}  // namespace
}  // namespace secretfs::fs
