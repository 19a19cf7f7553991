// What a reader of a mount sees: values, sizes, listings, names, permissions, attributes, errors.

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include <algorithm>
#include <set>

#include "tests/integration/fuse/service_fixture.h"

namespace secretfs::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

using ServingTest = ServiceTest;

std::vector<std::string> List(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return {std::string("errno ") + strerrorname_np(errno)};
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(directory);
  return names;
}

off_t SizeOf(const std::string& path) {
  struct stat attributes = {};
  return stat(path.c_str(), &attributes) == 0 ? attributes.st_size : -1;
}

std::string Attribute(const std::string& path, const std::string& name) {
  char value[256];
  const ssize_t size =
      getxattr(path.c_str(), ("user.secretfs." + name).c_str(), value, sizeof(value));
  return size < 0 ? strerrorname_np(errno) : std::string(value, static_cast<size_t>(size));
}

TEST_F(ServingTest, NothingIsFetchedBeforeItIsTouched) {
  provider_->Set("db", "geheim");
  provider_->Set("api", "auch geheim");
  Mount({.files = {File("db/password", "db"), File("api", "api")}});
  EXPECT_THAT(List(directory_.path()), UnorderedElementsAre("db", "api"));
  EXPECT_THAT(List(directory_ / "db"), ElementsAre("password"));
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_EQ(SizeOf(directory_ / "db/password"), 6) << "exact from the first stat";
  EXPECT_EQ(ReadAll(directory_ / "db/password"), "geheim");
  EXPECT_EQ(provider_->fetches_of("db"), 1u);
  EXPECT_EQ(provider_->fetches_of("api"), 0u);
  EXPECT_EQ(ReadAll(directory_ / "nothing"), "errno ENOENT");
}

TEST_F(ServingTest, HotReadsCostTheDaemonNoRequest) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("db/password", "db")}});
  const std::string path = directory_ / "db/password";
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(ReadAll(path), "geheim");
    ASSERT_EQ(SizeOf(path), 6);
  }
  const uint64_t before = Status().requests;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(ReadAll(path), "geheim");
    ASSERT_EQ(SizeOf(path), 6);
  }
  EXPECT_EQ(Status().requests, before);
  EXPECT_EQ(provider_->fetches_of("db"), 1u);
}

TEST_F(ServingTest, AtomicLayoutIsKubernetesLayout) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}, .layout = Layout::kAtomic});
  char target[256] = {};
  ASSERT_GT(readlink((directory_ / "password").c_str(), target, sizeof(target) - 1), 0);
  EXPECT_EQ(std::string(target), "..data/password");
  ASSERT_GT(readlink((directory_ / "..data").c_str(), target, sizeof(target) - 1), 0);
  EXPECT_EQ(std::string(target).substr(0, 4), "..20");
  EXPECT_EQ(ReadAll(directory_ / "password"), "geheim");
  EXPECT_EQ(ReadAll(directory_ / "..data/password"), "geheim");
}

TEST_F(ServingTest, BrowsedFileHasNoSizeBeforeItIsOpened) {
  const std::string value(150'000, 'b');
  provider_->Set("app/db", value);
  Mount({.browse = {Browse("", "app")}});
  const std::string path = directory_ / "db";
  EXPECT_EQ(SizeOf(path), 0);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  const UniqueFd file(open(path.c_str(), O_RDONLY));
  ASSERT_TRUE(file.valid());
  struct stat attributes = {};
  ASSERT_EQ(fstat(file.get(), &attributes), 0);
  ASSERT_EQ(attributes.st_size, static_cast<off_t>(value.size()));
  void* mapped = mmap(nullptr, value.size(), PROT_READ, MAP_SHARED, file.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(std::string_view(static_cast<char*>(mapped), value.size()), value);
  munmap(mapped, value.size());
  EXPECT_EQ(ReadAll(path), value);
  EXPECT_EQ(SizeOf(path), static_cast<off_t>(value.size()));
  EXPECT_EQ(provider_->fetches_of("app/db"), 1u);
}

TEST_F(ServingTest, TenThousandNamesInOneDirectory) {
  constexpr int kNames = 10'000;
  for (int i = 0; i < kNames; ++i) provider_->Set("many/secret-" + std::to_string(i), "x");
  Mount({.browse = {Browse("", "many")}});
  const absl::Time start = absl::Now();
  const std::vector<std::string> names = List(directory_.path());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), static_cast<size_t>(kNames));
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_EQ(ReadAll(directory_ / "secret-9999"), "x");
}

TEST_F(ServingTest, TenThousandFilesOfAManifest) {
  constexpr int kNames = 10'000;
  MountSpec spec;
  for (int i = 0; i < kNames; ++i) {
    spec.files.push_back(File("file-" + std::to_string(i), "key" + std::to_string(i)));
  }
  provider_->Set("key77", "found");
  Mount(std::move(spec));
  EXPECT_EQ(List(directory_.path()).size(), static_cast<size_t>(kNames));
  EXPECT_EQ(ReadAll(directory_ / "file-77"), "found");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(ServingTest, NamesWithEveryLegalByte) {
  MountSpec spec;
  std::set<std::string> expected;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    const std::string name = std::string("n") + static_cast<char>(byte) + "x";
    expected.insert(name);
    provider_->Set(name, "value " + std::to_string(byte));
    spec.files.push_back(File(name, name));
  }
  const std::string longest(255, 'l');
  expected.insert(longest);
  provider_->Set(longest, "long");
  spec.files.push_back(File(longest, longest));
  Mount(std::move(spec));
  const std::vector<std::string> names = List(directory_.path());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), expected);
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    EXPECT_EQ(ReadAll(directory_ / (std::string("n") + static_cast<char>(byte) + "x")),
              "value " + std::to_string(byte));
  }
  EXPECT_EQ(ReadAll(directory_ / longest), "long");
}

TEST_F(ServingTest, AnotherUserGetsEaccesAndNothingIsFetched) {
  provider_->Set("db", "geheim");
  MountSpec spec = {.files = {File("open/password", "db"), File("closed", "db")},
                    .uid = 0,
                    .gid = 0,
                    .file_mode = 0400,
                    .directory_mode = 0755};
  Mount(std::move(spec), {.directory = "", .allow_other = true});
  const auto as_other = [&](const std::string& path) {
    return ChildProcess([&] {
             if (setgid(54321) != 0 || setuid(54321) != 0) return 255;
             const int file = open(path.c_str(), O_RDONLY);
             return file >= 0 ? 0 : errno;
           })
        .ExitCode();
  };
  EXPECT_EQ(as_other(directory_ / "open/password"), EACCES);
  EXPECT_EQ(as_other(directory_ / "closed"), EACCES);
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
  EXPECT_EQ(ReadAll(directory_ / "closed"), "geheim");
  EXPECT_EQ(as_other(directory_ / "closed"), EACCES) << "also when it is cached";
}

TEST_F(ServingTest, AnotherUserMayReadWhatTheModesAllow) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}, .file_mode = 0444, .directory_mode = 0755},
        {.directory = "", .allow_other = true});
  EXPECT_EQ(ChildProcess([&] {
              if (setgid(54321) != 0 || setuid(54321) != 0) return 255;
              return ReadAll(directory_ / "password") == "geheim" ? 0 : 1;
            }).ExitCode(),
            0);
}

TEST_F(ServingTest, ExtendedAttributes) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}});
  const std::string path = directory_ / "password";
  ASSERT_EQ(ReadAll(path), "geheim");
  EXPECT_EQ(Attribute(path, "version"), "1");
  EXPECT_EQ(Attribute(path, "store"), "store1");
  EXPECT_EQ(Attribute(path, "key"), "db");
  EXPECT_EQ(Attribute(path, "state"), "fresh");
  EXPECT_NE(Attribute(path, "fetched"), "ENODATA");
  EXPECT_EQ(Attribute(path, "nothing"), "ENODATA");
  Rotate("db", "neu", "password");
  EXPECT_EQ(Attribute(path, "version"), "2");
}

TEST_F(ServingTest, WriteAttemptsGetErofs) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}, .file_mode = 0600, .directory_mode = 0700});
  const std::string path = directory_ / "password";
  ASSERT_EQ(ReadAll(path), "geheim");
  EXPECT_LT(open(path.c_str(), O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(open((directory_ / "new").c_str(), O_WRONLY | O_CREAT, 0600), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(unlink(path.c_str()), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(rename(path.c_str(), (directory_ / "other").c_str()), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(symlink("x", (directory_ / "..data_tmp").c_str()), 0);
  EXPECT_EQ(errno, EROFS);
  const UniqueFd writer(open(path.c_str(), O_WRONLY));
  if (writer.valid()) {
    EXPECT_LT(write(writer.get(), "x", 1), 0);
    EXPECT_EQ(errno, EROFS);
    EXPECT_LT(ftruncate(writer.get(), 6), 0);
    EXPECT_EQ(errno, EROFS);
  }
  EXPECT_EQ(ReadAll(path), "geheim");
}

TEST_F(ServingTest, ErrorsOfTheStoreAreErrnos) {
  provider_->Set("good", "fine");
  provider_->Fail("denied", absl::PermissionDeniedError("403"), fakes::FakeProvider::kForever);
  Mount({.files = {File("good", "good"), File("denied", "denied"), File("missing", "missing")}});
  EXPECT_EQ(ReadAll(directory_ / "denied"), "errno EACCES");
  EXPECT_EQ(ReadAll(directory_ / "missing"), "errno ENOENT");
  EXPECT_EQ(ReadAll(directory_ / "good"), "fine");
}

TEST_F(ServingTest, InvalidSpecsAreRefusedBeforeAnythingIsMounted) {
  EXPECT_TRUE(absl::IsInvalidArgument(TryMount({.files = {File("../escape", "db")}})));
  EXPECT_TRUE(absl::IsInvalidArgument(TryMount({.files = {File("/absolute", "db")}})));
  EXPECT_TRUE(MountsAt(directory_.path()).empty());
}

}  // namespace
}  // namespace secretfs::fs
