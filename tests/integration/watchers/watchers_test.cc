// Watchers that nobody here wrote hear of rotations: Go's fsnotify and viper, Python's watchdog.
// Ten rotations each, because the usual failure is to go deaf after the first.

#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

constexpr int kRotations = 10;
constexpr std::chrono::seconds kPatience(10);

std::string Config(int i) { return "key: value-" + std::to_string(i) + "\n"; }

class WatchersTest : public MountedBinaryTest {
 protected:
  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (IsSkipped()) return;
    const char* programs = getenv("SECRETFS_WATCHERS");
    if (programs == nullptr) {
      GTEST_SKIP() << "SECRETFS_WATCHERS is not set; tests/integration/watchers/build prints it";
    }
    programs_ = programs;
    InitStore();
  }

  std::vector<std::string> Go(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), programs_ / "watchers");
    return arguments;
  }
  std::filesystem::path AtomicManifest(const std::string& file) {
    return WriteFile("secretfs.yaml",
                     "stores:\n  local:\n    local:\n      path: " + store().string() +
                         "\nmount:\n  layout: atomic\nfiles:\n  - path: " + file +
                         "\n    key: " + file + "\n");
  }

  // Mounts with `arguments`; viper reads the file at its start and hears of each rotation after it.
  void ExpectViperReloads(std::vector<std::string> arguments) {
    Put("config.yaml", Config(0));
    Mount(std::move(arguments));
    ChildProcess watcher(Go({"viper", mount_point() / "config.yaml", "key"}),
                         {.keep_input_open = true});
    ASSERT_TRUE(watcher.WaitForLine("ready value-0", kPatience)) << watcher.errors();
    for (int i = 1; i <= kRotations; ++i) {
      Put("config.yaml", Config(i));
      ASSERT_TRUE(watcher.WaitForLine("changed value-" + std::to_string(i), kPatience))
          << "rotation " << i << "\n"
          << watcher.output();
    }
  }

  std::filesystem::path programs_;
};

TEST_F(WatchersTest, FsnotifyOnADirectoryHearsEveryRotation) {
  Put("config.yaml", Config(0));
  Mount({"local:" + store().string()});
  ReadFile(mount_point() / "config.yaml");
  ChildProcess watcher(Go({"fsnotify", mount_point()}));
  ASSERT_TRUE(watcher.WaitForLine("ready", kPatience)) << watcher.errors();
  for (int i = 1; i <= kRotations; ++i) {
    Put("config.yaml", Config(i));
    ASSERT_TRUE(watcher.WaitForLine("WRITE " + (mount_point() / "config.yaml").string(), kPatience))
        << "rotation " << i;
    EXPECT_EQ(ReadFile(mount_point() / "config.yaml"), Config(i));
  }
}

TEST_F(WatchersTest, FsnotifyOnAFileHearsEveryRotation) {
  Put("config.yaml", Config(0));
  Mount({"local:" + store().string()});
  ReadFile(mount_point() / "config.yaml");
  ChildProcess watcher(Go({"fsnotify", mount_point() / "config.yaml"}));
  ASSERT_TRUE(watcher.WaitForLine("ready", kPatience)) << watcher.errors();
  for (int i = 1; i <= kRotations; ++i) {
    Put("config.yaml", Config(i));
    ASSERT_TRUE(watcher.WaitForLine("WRITE", kPatience)) << "rotation " << i;
  }
}

TEST_F(WatchersTest, FsnotifyOnAnAtomicMountHearsTheSwapOfData) {
  Put("config.yaml", Config(0));
  Mount({"-f", AtomicManifest("config.yaml")});
  ReadFile(mount_point() / "config.yaml");
  ChildProcess watcher(Go({"fsnotify", mount_point()}));
  ASSERT_TRUE(watcher.WaitForLine("ready", kPatience)) << watcher.errors();
  for (int i = 1; i <= kRotations; ++i) {
    Put("config.yaml", Config(i));
    // fsnotify reports IN_MOVED_TO as a creation.
    ASSERT_TRUE(watcher.WaitForLine("CREATE " + (mount_point() / "..data").string(), kPatience))
        << "rotation " << i;
    EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "config.yaml") == Config(i); }));
  }
}

TEST_F(WatchersTest, ViperReloadsOnEveryRotationOfAnAtomicMount) {
  ExpectViperReloads({"-f", AtomicManifest("config.yaml")});
}

TEST_F(WatchersTest, ViperReloadsOnEveryRotationOfAFlatMount) {
  ExpectViperReloads({"local:" + store().string()});
}

TEST_F(WatchersTest, PythonWatchdogHearsEveryRotation) {
  Put("config.yaml", Config(0));
  Mount({"local:" + store().string()});
  ReadFile(mount_point() / "config.yaml");
  ChildProcess watcher({programs_ / "python/bin/python", SECRETFS_WATCH_DIRECTORY, mount_point()});
  ASSERT_TRUE(watcher.WaitForLine("ready", kPatience)) << watcher.errors();
  for (int i = 1; i <= kRotations; ++i) {
    Put("config.yaml", Config(i));
    ASSERT_TRUE(
        watcher.WaitForLine("modified " + (mount_point() / "config.yaml").string(), kPatience))
        << "rotation " << i;
  }
}

}  // namespace
}  // namespace secretfs::testing
