// What a server hears of a folder that the holder watches for it.

#include "fs/holder/file_watches.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

namespace secretfs::fs {
namespace {

class FileWatchesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "secretfs-watches-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  UniqueFd Watch(FileWatches& watches, const std::string& name) {
    WatchedFile file{.events = UniqueFd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), .name = name};
    EXPECT_GE(inotify_add_watch(file.events.get(), folder_.c_str(),
                                IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF),
              0);
    absl::StatusOr<UniqueFd> heard = watches.Add(std::move(file));
    EXPECT_TRUE(heard.ok()) << heard.status();
    return heard.ok() ? *std::move(heard) : UniqueFd();
  }
  void Write(const std::string& name) { std::ofstream(folder_ / name) << "x"; }
  void PassOn() {
    for (int i = 0; i < 3; ++i) loop_.RunOnce(Duration::zero());
  }
  // The events' masks; -1: the end.
  static std::vector<int64_t> Heard(const UniqueFd& descriptor) {
    std::vector<int64_t> masks;
    inotify_event event = {};
    ssize_t size;
    while ((size = read(descriptor.get(), &event, sizeof(event))) > 0) {
      EXPECT_EQ(size, static_cast<ssize_t>(sizeof(event)));
      EXPECT_EQ(event.len, 0u);  // no name
      masks.push_back(event.mask);
    }
    if (size == 0) masks.push_back(-1);
    return masks;
  }

  std::filesystem::path folder_;
  PollLoop loop_;
};

TEST_F(FileWatchesTest, TellsOfTheOneFileOnly) {
  FileWatches watches(loop_);
  const UniqueFd heard = Watch(watches, "store");
  for (const char* other : {"diary", "store.lock", "stor"}) Write(other);
  PassOn();
  EXPECT_EQ(Heard(heard), std::vector<int64_t>{});
  Write("store");
  std::filesystem::rename(folder_ / "diary", folder_ / "store");
  PassOn();
  EXPECT_EQ(Heard(heard), (std::vector<int64_t>{IN_CLOSE_WRITE, IN_MOVED_TO}));
}

TEST_F(FileWatchesTest, EndsWithTheFolder) {
  FileWatches watches(loop_);
  const UniqueFd heard = Watch(watches, "store");
  std::filesystem::remove_all(folder_);
  PassOn();
  EXPECT_EQ(Heard(heard), (std::vector<int64_t>{IN_DELETE_SELF, IN_IGNORED, -1}));
}

TEST_F(FileWatchesTest, EndsWithTheServer) {
  FileWatches watches(loop_);
  // Many servers after each other, as many watches each as fit.
  for (int server = 0; server < 4; ++server) {
    std::vector<UniqueFd> heard;
    for (int i = 0; i < 100; ++i) heard.push_back(Watch(watches, "store"));
    heard.clear();
    PassOn();
  }
}

TEST_F(FileWatchesTest, ServerThatDoesNotListen) {
  FileWatches watches(loop_);
  const UniqueFd heard = Watch(watches, "store");
  ASSERT_GE(fcntl(heard.get(), F_SETPIPE_SZ, 4096), 4096);
  // Of two kinds, because the kernel joins events that are alike.
  for (int i = 0; i < 200; ++i) {
    Write("store");
    Write("next");
    std::filesystem::rename(folder_ / "next", folder_ / "store");
    PassOn();
  }
  const size_t fits = 4096 / sizeof(inotify_event);
  EXPECT_EQ(Heard(heard).size(), fits);
  Write("store");
  PassOn();
  EXPECT_EQ(Heard(heard), std::vector<int64_t>{IN_CLOSE_WRITE});
}

}  // namespace
}  // namespace secretfs::fs
