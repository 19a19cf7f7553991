// The life of mounts: many of them, ended from inside and outside, with files open.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/integration/fuse/service_fixture.h"

namespace secretfs::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using MountingTest = ServiceTest;

TEST_F(MountingTest, ManyMountsInOneProcess) {
  constexpr int kMounts = 200;
  provider_->Set("shared", "one fetch for all");
  std::vector<std::unique_ptr<MountDirectory>> directories;
  for (int i = 0; i < kMounts; ++i) {
    directories.push_back(std::make_unique<MountDirectory>());
    provider_->Set("own" + std::to_string(i), "of " + std::to_string(i));
    MountOptions options;
    options.directory = directories.back()->path();
    Mount({.files = {File("shared", "shared"), File("own", "own" + std::to_string(i))},
           .layout = i % 2 == 0 ? Layout::kFlat : Layout::kAtomic},
          std::move(options));
  }
  EXPECT_EQ(service_->Directories().size(), static_cast<size_t>(kMounts));
  std::vector<std::thread> readers;
  std::atomic<int> good = 0;
  for (int reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&, reader] {
      for (int i = reader; i < kMounts; i += 4) {
        good += ReadAll(*directories[i] / "shared") == "one fetch for all";
        good += ReadAll(*directories[i] / "own") == "of " + std::to_string(i);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(good, 2 * kMounts);
  EXPECT_EQ(provider_->fetches_of("shared"), 1u);
  provider_->Set("shared", "new");
  ASSERT_TRUE(service_->Refresh(directories[0]->path(), "shared").ok());
  for (const auto& directory : directories) {
    ASSERT_TRUE(Eventually([&] { return ReadAll(*directory / "shared") == "new"; }));
  }
  const absl::Time start = absl::Now();
  service_.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  for (const auto& directory : directories) EXPECT_TRUE(MountsAt(directory->path()).empty());
  EXPECT_EQ(stopped_.size(), static_cast<size_t>(kMounts));
}

TEST_F(MountingTest, UnmountWithOpenFiles) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}});
  const UniqueFd file(open((directory_ / "password").c_str(), O_RDONLY));
  ASSERT_TRUE(file.valid());
  const absl::Time start = absl::Now();
  EXPECT_TRUE(service_->Unmount(directory_.path()).ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_TRUE(MountsAt(directory_.path()).empty());
  EXPECT_THAT(AwaitStopped(), ElementsAre(StopReason::kUnmountRequested));
  EXPECT_THAT(service_->Directories(), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(service_->Unmount(directory_.path())));
  EXPECT_TRUE(absl::IsNotFound(service_->Status(directory_.path()).status()));
  EXPECT_TRUE(absl::IsNotFound(service_->Refresh(directory_.path(), "")));
}

TEST_F(MountingTest, OutsideUnmountIsNoticed) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}});
  ASSERT_EQ(ReadAll(directory_ / "password"), "geheim");
  ASSERT_EQ(umount(directory_.path().c_str()), 0);
  EXPECT_THAT(AwaitStopped(), ElementsAre(StopReason::kUnmountedByKernel));
  EXPECT_TRUE(Eventually([&] { return service_->Directories().empty(); }));
  Mount({.files = {File("password", "db")}});
  EXPECT_EQ(ReadAll(directory_ / "password"), "geheim");
}

TEST_F(MountingTest, RemountedBeforeTheOutsideUnmountIsNoticed) {
  provider_->Set("db", "geheim");
  // Whoever ends the first mount is held up in its callback, so that the second waits.
  MountDirectory other;
  absl::Notification busy, go_on;
  const absl::Status mounted = service_->Mount(
      {.directory = other.path()}, {.files = {File("password", "db")}}, [&](StopReason) {
        busy.Notify();
        go_on.WaitForNotification();
      });
  ASSERT_TRUE(mounted.ok()) << mounted;
  Mount({.files = {File("password", "db")}});
  EXPECT_EQ(umount(other.path().c_str()), 0);
  ASSERT_TRUE(busy.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(umount(directory_.path().c_str()), 0);
  EXPECT_TRUE(TryMount({.files = {File("password", "db")}}).ok());
  go_on.Notify();
  EXPECT_THAT(AwaitStopped(), ElementsAre(StopReason::kUnmountedByKernel));
  EXPECT_EQ(ReadAll(directory_ / "password"), "geheim");
}

TEST_F(MountingTest, AbortedConnectionIsNoticedAndTakenAway) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}});
  const UniqueFd file(open((directory_ / "password").c_str(), O_RDONLY));
  ASSERT_TRUE(file.valid());
  EXPECT_NE(umount2(directory_.path().c_str(), MNT_FORCE), 0) << "busy, but aborted all the same";
  EXPECT_THAT(AwaitStopped(), ElementsAre(StopReason::kConnectionAborted));
  EXPECT_TRUE(MountsAt(directory_.path()).empty());
}

TEST_F(MountingTest, MountAndUnmountMeetInEveryOrder) {
  provider_->Set("db", "geheim");
  for (int round = 0; round < 50; ++round) {
    std::thread outside([&] {
      for (int i = 0; i < 200; ++i) {
        if (umount2(directory_.path().c_str(), MNT_DETACH) == 0) return;
        std::this_thread::yield();
      }
    });
    TryMount({.files = {File("password", "db")}}).IgnoreError();
    outside.join();
    service_->Unmount(directory_.path()).IgnoreError();
    ASSERT_TRUE(Eventually([&] { return service_->Directories().empty(); }));
    ASSERT_TRUE(Eventually([&] { return MountsAt(directory_.path()).empty(); }));
  }
}

TEST_F(MountingTest, SameDirectoryTwiceIsRefused) {
  Mount({.files = {File("password", "db")}});
  const absl::Status status = TryMount({.files = {File("password", "db")}});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("already"));
}

TEST_F(MountingTest, DirectoryIsKnownByItsCanonicalName) {
  Mount({.files = {File("password", "db")}}, {.directory = directory_.path() + "/./"});
  EXPECT_THAT(service_->Directories(), ElementsAre(directory_.path()));
}

TEST_F(MountingTest, StatusNamesWhatIsServed) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db"), File("never", "never")}});
  ASSERT_EQ(ReadAll(directory_ / "password"), "geheim");
  const MountStatus status = Status();
  EXPECT_EQ(status.directory, directory_.path());
  ASSERT_EQ(status.files.size(), 2u);
  for (const FileStatus& file : status.files) {
    EXPECT_EQ(file.state,
              file.path == "password" ? cache::EntryState::kFresh : cache::EntryState::kAbsent);
  }
  EXPECT_GT(status.requests, 0u);
}

TEST_F(MountingTest, MountIsUsableAtOnceWithADeadStore) {
  provider_->Hold();
  const absl::Time start = absl::Now();
  Mount({.files = {File("password", "db")}});
  struct stat attributes = {};
  EXPECT_EQ(stat(directory_.path().c_str(), &attributes), 0);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_EQ(provider_->fetch_call_count(), 0u);
}

}  // namespace
}  // namespace secretfs::fs
