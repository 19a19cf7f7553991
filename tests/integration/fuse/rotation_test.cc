// What readers and watchers see while secrets change under them.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "base/text.h"
#include "tests/integration/fuse/inotify_log.h"
#include "tests/integration/fuse/service_fixture.h"
#include "tests/support/slowness.h"

namespace secretfs::fs {
namespace {

using RotationTest = ServiceTest;

constexpr int kRotations = 10;

TEST_F(RotationTest, FlatWatchersHearOfEveryUpdate) {
  provider_->Set("db", "version 0");
  Mount({.files = {File("password", "db")}});
  ASSERT_EQ(ReadAll(directory_ / "password"), "version 0");
  InotifyLog log;
  ASSERT_TRUE(log.Watch(directory_.path(), "dir"));
  ASSERT_TRUE(log.Watch(directory_ / "password", "file"));
  for (int i = 1; i <= kRotations; ++i) {
    const std::string value = "version " + std::to_string(i);
    Rotate("db", value, "password");
    EXPECT_EQ(ReadAll(directory_ / "password"), value);
    EXPECT_TRUE(log.Await("dir: CLOSE_WRITE password")) << i;
  }
  InotifyLog only_file;  // a watch made before the last of many updates
  ASSERT_TRUE(only_file.Watch(directory_ / "password", "file"));
  for (int i = 1; i <= kRotations; ++i) {
    Rotate("db", "again " + std::to_string(i), "password");
    EXPECT_TRUE(only_file.Await("file: MODIFY")) << i;
    EXPECT_TRUE(only_file.Await("file: CLOSE_WRITE")) << i;
  }
}

TEST_F(RotationTest, AtomicWatchersHearOfEveryUpdate) {
  provider_->Set("db", "version 0");
  Mount({.files = {File("password", "db")}, .layout = Layout::kAtomic});
  ASSERT_EQ(ReadAll(directory_ / "password"), "version 0");
  InotifyLog root, file;
  ASSERT_TRUE(root.Watch(directory_.path(), "dir"));
  ASSERT_TRUE(file.Watch(directory_ / "password", "file"));
  struct stat before = {};
  ASSERT_EQ(stat(directory_.path().c_str(), &before), 0);
  for (int i = 1; i <= kRotations; ++i) {
    struct stat old = {}, fresh = {};
    ASSERT_EQ(stat((directory_ / "password").c_str(), &old), 0);
    const std::string value = "version " + std::to_string(i);
    Rotate("db", value, "password");
    EXPECT_EQ(ReadAll(directory_ / "password"), value);
    EXPECT_TRUE(root.Await("dir: CREATE ..data_tmp")) << i;
    EXPECT_TRUE(root.Await("dir: MOVED_TO ..data")) << i;
    EXPECT_TRUE(file.Await("file: MODIFY")) << i;
    EXPECT_TRUE(file.Await("file: CLOSE_WRITE")) << i;
    ASSERT_EQ(stat((directory_ / "password").c_str(), &fresh), 0);
    EXPECT_NE(fresh.st_ino, old.st_ino) << "a version is an inode";
    EXPECT_GT(std::pair(fresh.st_mtim.tv_sec, fresh.st_mtim.tv_nsec),
              std::pair(old.st_mtim.tv_sec, old.st_mtim.tv_nsec));
  }
  struct stat after = {};
  ASSERT_EQ(stat(directory_.path().c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
}

TEST_F(RotationTest, BrowsedFilesAreHeardOfToo) {
  provider_->Set("app/db", "version 0");
  Mount({.browse = {Browse("", "app")}});
  ASSERT_EQ(ReadAll(directory_ / "db"), "version 0");
  InotifyLog directory, file;
  ASSERT_TRUE(directory.Watch(directory_.path(), "dir"));
  ASSERT_TRUE(file.Watch(directory_ / "db", "file"));
  for (int i = 1; i <= kRotations; ++i) {
    const std::string value = "version " + std::to_string(i);
    Rotate("app/db", value, "db");
    EXPECT_EQ(ReadAll(directory_ / "db"), value);
    EXPECT_TRUE(directory.Await("dir: CLOSE_WRITE db")) << i;
    EXPECT_TRUE(file.Await("file: MODIFY")) << i;
    EXPECT_TRUE(file.Await("file: CLOSE_WRITE")) << i;
  }
}

// As a container sees it: a read-only bind mount in a mount namespace of its own.
TEST_F(RotationTest, HeardThroughAReadOnlyBindMountInAnotherNamespace) {
  provider_->Set("db", "version 0");
  Mount({.files = {File("password", "db")}, .layout = Layout::kAtomic});
  ASSERT_EQ(ReadAll(directory_ / "password"), "version 0");
  MountDirectory inside;
  std::atomic<bool> ready = false, failed = false;
  std::atomic<int> heard = 0, touched = 0;
  std::string last;
  std::thread container([&] {
    // Of this thread only.
    const auto path = inside.path();
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount(directory_.path().c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
        mount(nullptr, path.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      failed = true;
      ready = true;
      return;
    }
    {
      InotifyLog root, file;
      failed = !root.Watch(path, "dir") || !file.Watch(inside / "password", "file") ||
               open((inside / "password").c_str(), O_WRONLY) >= 0 || errno != EROFS;
      ready = true;
      for (int i = 0; i < kRotations; ++i) {
        heard += root.Await("dir: MOVED_TO ..data");
        touched += file.Await("file: MODIFY") && file.Await("file: CLOSE_WRITE");
      }
      last = ReadAll(inside / "password");
    }
    umount2(path.c_str(), MNT_DETACH);
  });
  ASSERT_TRUE(Eventually([&] { return ready.load(); }));
  for (int i = 1; i <= kRotations && !failed; ++i) {
    Rotate("db", "version " + std::to_string(i), "password");
  }
  container.join();
  EXPECT_FALSE(failed);
  EXPECT_EQ(heard, kRotations);
  EXPECT_EQ(touched, kRotations);
  EXPECT_EQ(last, "version " + std::to_string(kRotations));
}

// `number` written over and over: a mixture of two versions shows anywhere.
std::string Pattern(int number, size_t size) {
  std::string piece = std::to_string(number);
  piece.insert(0, 15 - piece.size(), '0');
  piece += '\n';
  std::string text;
  while (text.size() < size) text += piece;
  return text;
}

// The number that all of `text` is made of; -1 if it is torn, mixed or cut.
int NumberOf(const std::string& text, size_t size) {
  if (text.size() != size) return -1;
  const std::string_view first = std::string_view(text).substr(0, 16);
  for (size_t at = 0; at < text.size(); at += 16) {
    if (std::string_view(text).substr(at, 16) != first) return -1;
  }
  return std::stoi(std::string(first));
}

void NeverTorn(const std::string& path, const std::function<void(int)>& rotate, size_t size,
               int usual_rotations) {
  const int rotations = testing::Fewer(usual_rotations);
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0, bad = 0;
  std::string wrong;  // of the reader until it has ended
  std::thread reader([&] {
    int newest = 0;
    while (!stop) {
      const std::string text = ReadAll(path);
      const int number = NumberOf(text, size);
      if (number < newest && ++bad == 1) {
        wrong = Format("read {} after {}: {} bytes, \"{}\"", number, newest, text.size(),
                       text.substr(0, 16));
      }
      newest = std::max(newest, number);
      ++reads;
    }
  });
  EXPECT_TRUE(Eventually([&] { return reads > 0; }));
  for (int i = 1; i <= rotations; ++i) rotate(i);
  stop = true;
  reader.join();
  EXPECT_EQ(bad, 0) << wrong;
  EXPECT_GT(reads, rotations / 10);
  EXPECT_EQ(NumberOf(ReadAll(path), size), rotations);
}

TEST_F(RotationTest, ReaderNeverSeesATornOrMixedValueFlat) {
  constexpr size_t kSize = 200 << 10;
  provider_->Set("big", Pattern(0, kSize));
  Mount({.files = {File("big", "big")}});
  NeverTorn(
      directory_ / "big", [&](int i) { Rotate("big", Pattern(i, kSize), "big"); }, kSize, 1000);
}

TEST_F(RotationTest, ReaderNeverSeesATornOrMixedValueAtomic) {
  constexpr size_t kSize = 200 << 10;
  provider_->Set("big", Pattern(0, kSize));
  Mount({.files = {File("big", "big")}, .layout = Layout::kAtomic});
  NeverTorn(
      directory_ / "big", [&](int i) { Rotate("big", Pattern(i, kSize), "big"); }, kSize, 1000);
}

TEST_F(RotationTest, ReaderNeverSeesATornOrMixedValueInABrowseTree) {
  constexpr size_t kSize = 200 << 10;
  provider_->Set("app/big", Pattern(0, kSize));
  Mount({.browse = {Browse("", "app")}});
  NeverTorn(
      directory_ / "big", [&](int i) { Rotate("app/big", Pattern(i, kSize), "big"); }, kSize, 300);
}

TEST_F(RotationTest, SetsNeverMixGenerationsInTheAtomicLayout) {
  const auto value = [](int i) {
    const std::string number = std::to_string(i);
    return "{\"user\":\"" + number + "\",\"password\":\"" + number + "\"}";
  };
  provider_->Set("db", value(0));
  Mount({.files = {File("user", "db", "user"), File("password", "db", "password")},
         .layout = Layout::kAtomic});
  std::atomic<bool> stop = false;
  std::atomic<int> sets = 0, mixed = 0;
  std::thread reader([&] {
    while (!stop) {
      // Whoever wants a consistent set resolves ..data once.
      const UniqueFd data(open((directory_ / "..data").c_str(), O_RDONLY | O_DIRECTORY));
      if (!data.valid()) {
        ++mixed;
        continue;
      }
      const std::string base = "/proc/self/fd/" + std::to_string(data.get()) + "/";
      if (ReadAll(base + "user") != ReadAll(base + "password")) ++mixed;
      ++sets;
    }
  });
  const int rotations = testing::Fewer(500);
  for (int i = 1; i <= rotations; ++i) Rotate("db", value(i), "user");
  stop = true;
  reader.join();
  EXPECT_EQ(mixed, 0);
  EXPECT_GT(sets, 0);
  EXPECT_EQ(ReadAll(directory_ / "user"), std::to_string(rotations));
}

// What nobody watches or has open is given back; the work of a rotation does not grow.
TEST_F(RotationTest, OldVersionsAreForgotten) {
  for (const Layout layout : {Layout::kFlat, Layout::kAtomic}) {
    provider_->Set("db", "version 0");
    Mount({.files = {File("password", "db")}, .layout = layout});
    ASSERT_EQ(ReadAll(directory_ / "password").substr(0, 7), "version");
    const auto requests_of = [&](int rotations) {
      const uint64_t before = Status().requests;
      for (int i = 0; i < rotations; ++i) {
        Rotate("db", "version " + std::to_string(i), "password");
        ReadAll(directory_ / "password");
      }
      return Status().requests - before;
    };
    const uint64_t first = requests_of(20);
    const uint64_t later = requests_of(20);
    EXPECT_LE(later, first * 2) << "requests of 20 rotations, layout " << static_cast<int>(layout);
    ASSERT_TRUE(service_->Unmount(directory_.path()).ok());
  }
}

TEST_F(RotationTest, OpenDescriptorKeepsItsVersion) {
  provider_->Set("db", "old");
  Mount({.files = {File("password", "db")}});
  const UniqueFd file(open((directory_ / "password").c_str(), O_RDONLY));
  ASSERT_TRUE(file.valid());
  Rotate("db", "new value", "password");
  char buffer[64] = {};
  EXPECT_EQ(pread(file.get(), buffer, sizeof(buffer), 0), 3);
  EXPECT_EQ(std::string(buffer), "old");
  EXPECT_EQ(ReadAll(directory_ / "password"), "new value");
}

TEST_F(RotationTest, ValueOfTheSameSizeIsNotTakenFromThePageCache) {
  provider_->Set("db", "aaaa");
  Mount({.files = {File("password", "db")}});
  for (char c = 'a'; c < 'z'; ++c) {
    Rotate("db", std::string(4, c), "password");
    ASSERT_EQ(ReadAll(directory_ / "password"), std::string(4, c));
  }
}

TEST_F(RotationTest, DeletedSecretGoesAndComesBack) {
  policy_.grace_on_delete = std::chrono::seconds(0);
  policy_.negative_ttl = std::chrono::milliseconds(1);
  provider_->Set("db", "here");
  provider_->Set("other", "stays");
  Mount({.files = {File("password", "db"), File("other", "other")}});
  ASSERT_EQ(ReadAll(directory_ / "password"), "here");
  provider_->Remove("db");
  service_->Refresh(directory_.path(), "password").IgnoreError();
  EXPECT_TRUE(Eventually([&] { return ReadAll(directory_ / "password") == "errno ENOENT"; }));
  EXPECT_EQ(ReadAll(directory_ / "other"), "stays");
  provider_->Set("db", "again");
  EXPECT_TRUE(Eventually([&] { return ReadAll(directory_ / "password") == "again"; }));
}

TEST_F(RotationTest, RotationGoesOnWhileAnotherFileOfTheDirectoryWaits) {
  policy_.deadline = std::chrono::seconds(20);
  provider_->Set("db", "old");
  Mount({.files = {File("password", "db"), File("slow", "slow")}});
  ASSERT_EQ(ReadAll(directory_ / "password"), "old");
  provider_->HoldKey("slow");
  ChildProcess reader(
      [&] { return open((directory_ / "slow").c_str(), O_RDONLY) >= 0 ? 0 : errno; });
  ASSERT_TRUE(Eventually([&] { return Status().parked_requests == 1; }));
  const absl::Time start = absl::Now();
  InotifyLog log;
  ASSERT_TRUE(log.Watch(directory_.path(), "dir"));
  Rotate("db", "new", "password");
  EXPECT_EQ(ReadAll(directory_ / "password"), "new");
  EXPECT_TRUE(log.Await("dir: CLOSE_WRITE password"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_EQ(Status().parked_requests, 1u);
  provider_->Set("slow", "x");
  provider_->ReleaseKey("slow");
  EXPECT_EQ(reader.ExitCode(), 0);
}

}  // namespace
}  // namespace secretfs::fs
