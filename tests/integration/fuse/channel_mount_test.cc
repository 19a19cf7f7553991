// The kernel's side on real mounts, with a filesystem that tests control: mounting and unmounting,
// the no-open connection, interrupts by real signals, publishing.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <atomic>
#include <thread>

#include "fs/channel_pool.h"
#include "fs/fuse_channel.h"
#include "fs/mount.h"
#include "fs/publisher.h"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_operations.h"
#include "tests/integration/fuse/inotify_log.h"
#include "tests/integration/fuse/mount_fixture.h"

namespace secretfs::fs {
namespace {

using fakes::FakeOperations;
using secretfs::fakes::Eventually;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(20);

class ChannelMountTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SECRETFS_NEEDS_FUSE();
    signal(SIGINT, SIG_DFL);  // a shell's background jobs inherit it ignored
  }

  void Start(bool serves_open = false, MountOptions options = {}) {
    operations_ = std::make_unique<FakeOperations>(serves_open);
    options.directory = directory_.path();
    auto mounted = MountFuse(options);
    ASSERT_TRUE(mounted.ok()) << mounted.status();
    device_number_ = mounted->device_number;
    auto_unmount_ = std::move(mounted->auto_unmount);
    FuseChannelOptions channel_options;
    channel_options.publisher_thread = publisher_.thread();
    channel_options.on_stopped = [this](StopReason reason) {
      absl::MutexLock lock(&mutex_);
      stopped_ = reason;
    };
    auto channel =
        FuseChannel::Make(std::move(mounted->device), *operations_, std::move(channel_options));
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *std::move(channel);
    pool_ = *ChannelPool::Start(2);
    ASSERT_TRUE(pool_->Add(channel_).ok());
    ASSERT_TRUE(channel_->WaitForInit(kPatience).ok());
    mount_ = publisher_.NewMount();
    mount_->Attach({.channel = channel_,
                    .operations = operations_.get(),
                    .hands = MakeLocalHands(directory_.path(), device_number_),
                    .directory = directory_.path()});
  }

  absl::Status Stop() {
    if (channel_ == nullptr) return absl::OkStatus();
    mount_.reset();
    channel_->Close();
    operations_.reset();
    const absl::Status status = UnmountFuse(directory_.path(), device_number_);
    pool_->Remove(*channel_);
    channel_.reset();
    auto_unmount_ = AutoUnmountHelper();
    return status;
  }

  void TearDown() override { EXPECT_TRUE(Stop().ok()); }

  void Publish(PublishPlan plan) {
    std::atomic<bool> done = false;
    plan.done = [&] { done = true; };
    mount_->Submit(std::move(plan));
    ASSERT_TRUE(Eventually([&] { return done.load(); }));
  }

  // Puts a new version of `name` and publishes it as the flat layout does.
  void Rotate(const std::string& name, std::string_view content) {
    const auto old = inodes_.find(name);
    PublishPlan plan;
    plan.stale_names = {{.parent = kRootInode, .name = name}};
    plan.stale_directories = {kRootInode};
    plan.touched_paths = {name};
    if (old != inodes_.end()) plan.touched_inodes = {old->second};
    inodes_[name] = operations_->PutFile(name, content);
    Publish(std::move(plan));
  }

  std::optional<StopReason> AwaitStopped() {
    Eventually([this] {
      absl::MutexLock lock(&mutex_);
      return stopped_.has_value();
    });
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }

  MountDirectory directory_;
  std::unique_ptr<FakeOperations> operations_;
  Publisher publisher_;
  dev_t device_number_ = 0;
  AutoUnmountHelper auto_unmount_;
  std::shared_ptr<FuseChannel> channel_;
  std::unique_ptr<ChannelPool> pool_;
  std::unique_ptr<MountPublisher> mount_;
  std::map<std::string, InodeNumber> inodes_;
  absl::Mutex mutex_;
  std::optional<StopReason> stopped_;
};

// A process that reads a file, as cat does.
class Reader {
 public:
  explicit Reader(const std::string& path) : process_(fork()) {
    if (process_ != 0) return;
    const int file = open(path.c_str(), O_RDONLY);
    _exit(file >= 0 ? 0 : errno);
  }
  ~Reader() {
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
  }
  void Signal(int signal) { kill(process_, signal); }
  // The wait status, or nothing if it still runs after `timeout`.
  std::optional<int> Wait(absl::Duration timeout) {
    const absl::Time end = absl::Now() + timeout;
    int status = 0;
    while (absl::Now() < end) {
      if (waitpid(process_, &status, WNOHANG) == process_) {
        process_ = -1;
        return status;
      }
      absl::SleepFor(absl::Microseconds(200));
    }
    return std::nullopt;
  }

 private:
  pid_t process_;
};

TEST_F(ChannelMountTest, ReadsAFile) {
  Start();
  operations_->PutFile("password", "geheim");
  EXPECT_EQ(ReadAll(directory_ / "password"), "geheim");
  EXPECT_EQ(ReadAll(directory_ / "missing"), "errno ENOENT");
  const std::string big(1 << 20, 'x');
  operations_->PutFile("big", big + "end");
  EXPECT_EQ(ReadAll(directory_ / "big"), big + "end");
  operations_->PutFile("empty", "");
  EXPECT_EQ(ReadAll(directory_ / "empty"), "");
}

TEST_F(ChannelMountTest, HotReadsCostNoRequest) {
  Start();
  operations_->PutFile("password", "geheim");
  struct stat attributes = {};
  ASSERT_EQ(ReadAll(directory_ / "password"), "geheim");
  // The first READ made the kernel doubt the time of the last access, once.
  ASSERT_EQ(stat((directory_ / "password").c_str(), &attributes), 0);
  const uint64_t before = channel_->requests();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(ReadAll(directory_ / "password"), "geheim");
    ASSERT_EQ(stat((directory_ / "password").c_str(), &attributes), 0);
  }
  EXPECT_EQ(channel_->requests(), before);
}

TEST_F(ChannelMountTest, MountFlags) {
  Start();
  const auto mounts = MountsAt(directory_.path());
  ASSERT_EQ(mounts.size(), 1u);
  EXPECT_EQ(mounts[0].type, "fuse.secretfs");
  EXPECT_EQ(mounts[0].source, "secretfs");
  EXPECT_EQ(mounts[0].device_number, device_number_);
  struct statvfs flags = {};
  ASSERT_EQ(statvfs(directory_.path().c_str(), &flags), 0);
  EXPECT_EQ(flags.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC), ST_NOSUID | ST_NODEV | ST_NOEXEC);
}

TEST_F(ChannelMountTest, WriteAttemptsAreRefused) {
  Start();
  operations_->PutFile("password", "geheim");
  ASSERT_EQ(ReadAll(directory_ / "password"), "geheim");
  const std::string file = directory_ / "password";
  EXPECT_LT(open(file.c_str(), O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(errno, EROFS);
  const UniqueFd writer(open(file.c_str(), O_WRONLY));
  if (writer.valid()) {
    EXPECT_LT(write(writer.get(), "x", 1), 0);
    EXPECT_EQ(errno, EROFS);
  }
  EXPECT_LT(open((directory_ / "new").c_str(), O_WRONLY | O_CREAT, 0600), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(truncate(file.c_str(), 0), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(unlink(file.c_str()), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(mkdir((directory_ / "directory").c_str(), 0700), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(rename(file.c_str(), (directory_ / "other").c_str()), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(symlink("x", (directory_ / "link").c_str()), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(chmod(file.c_str(), 0777), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(setxattr(file.c_str(), "user.x", "1", 1, 0), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(ReadAll(file), "geheim");
}

TEST_F(ChannelMountTest, BrowsedFileHasItsSizeAfterOpen) {
  Start(/*serves_open=*/true);
  const std::string content(300'000, 'b');
  operations_->PutFile("browsed", content);
  struct stat attributes = {};
  ASSERT_EQ(stat((directory_ / "browsed").c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_size, 0);
  const UniqueFd file(open((directory_ / "browsed").c_str(), O_RDONLY));
  ASSERT_TRUE(file.valid());
  ASSERT_EQ(fstat(file.get(), &attributes), 0);
  EXPECT_EQ(attributes.st_size, static_cast<off_t>(content.size()));
  void* mapped = mmap(nullptr, content.size(), PROT_READ, MAP_PRIVATE, file.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(std::string_view(static_cast<char*>(mapped), content.size()), content);
  munmap(mapped, content.size());
  EXPECT_EQ(ReadAll(directory_ / "browsed"), content);
}

TEST_F(ChannelMountTest, PrefillFromManyThreadsAtOnce) {
  Start(/*serves_open=*/true);
  for (int round = 0; round < 50; ++round) {
    const std::string name = "browsed" + std::to_string(round);
    const std::string content(200'000, static_cast<char>('a' + round % 26));
    const InodeNumber inode = operations_->PutFile(name, content);
    const std::string hold = "open " + std::to_string(inode.value());
    operations_->Hold(hold);
    std::vector<std::thread> readers;
    std::atomic<int> good = 0;
    for (int i = 0; i < 8; ++i) {
      readers.emplace_back([&] { good += ReadAll(directory_ / name) == content; });
    }
    ASSERT_TRUE(operations_->AwaitParked(1, kPatience));
    operations_->Release(hold);
    for (std::thread& reader : readers) reader.join();
    ASSERT_EQ(good, 8) << "round " << round;
  }
}

TEST_F(ChannelMountTest, SignalEndsAWaitingReaderAtOnce) {
  Start();
  operations_->Hold("slow");
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    Reader reader(directory_ / "slow");
    ASSERT_TRUE(operations_->AwaitParked(1, kPatience));
    reader.Signal(signal);
    const auto status = reader.Wait(absl::Seconds(5));
    ASSERT_TRUE(status.has_value()) << "signal " << signal;
    EXPECT_TRUE(WIFSIGNALED(*status));
    EXPECT_EQ(WTERMSIG(*status), signal);
    EXPECT_EQ(operations_->parked_requests(), 0u);
  }
}

TEST_F(ChannelMountTest, ManySignalsAtRandomMoments) {
  Start();
  operations_->PutFile("slow", "x");
  operations_->Hold("slow");
  for (int round = 0; round < 200; ++round) {
    Reader reader(directory_ / "slow");
    absl::SleepFor(absl::Microseconds((round * 37) % 1500));
    reader.Signal(SIGINT);
    ASSERT_TRUE(reader.Wait(absl::Seconds(10)).has_value()) << "round " << round;
  }
  operations_->Release("slow");
  EXPECT_EQ(ReadAll(directory_ / "slow"), "x");
}

TEST_F(ChannelMountTest, OtherFilesAreServedWhileOneWaits) {
  Start();
  operations_->PutFile("ready", "now");
  operations_->Hold("slow");
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < 20; ++i) readers.push_back(std::make_unique<Reader>(directory_ / "slow"));
  ASSERT_TRUE(operations_->AwaitParked(1, kPatience));
  EXPECT_EQ(ReadAll(directory_ / "ready"), "now");
  EXPECT_EQ(ReadAll(directory_ / "missing"), "errno ENOENT");
  // The kernel lets one of them ask; the others wait for it, and cannot be killed meanwhile.
  operations_->Release("slow");
  for (const auto& reader : readers) EXPECT_TRUE(reader->Wait(kPatience).has_value());
}

TEST_F(ChannelMountTest, RotationIsSeenByReadersAndWatchers) {
  Start();
  Rotate("password", "version 0");
  ASSERT_EQ(ReadAll(directory_ / "password"), "version 0");
  InotifyLog log;
  ASSERT_TRUE(log.Watch(directory_.path(), "dir"));
  for (int i = 1; i <= 10; ++i) {
    const UniqueFd old(open((directory_ / "password").c_str(), O_RDONLY));
    const std::string content = "version " + std::to_string(i);
    Rotate("password", content);
    EXPECT_EQ(ReadAll(directory_ / "password"), content);
    EXPECT_TRUE(log.Await("dir: MODIFY password")) << i;
    EXPECT_TRUE(log.Await("dir: CLOSE_WRITE password")) << i;
    char buffer[64] = {};
    EXPECT_GT(pread(old.get(), buffer, sizeof(buffer), 0), 0);
    EXPECT_EQ(std::string(buffer), "version " + std::to_string(i - 1))
        << "an open file is a version";
  }
}

TEST_F(ChannelMountTest, AtomicSwapIsHeardInTheDirectory) {
  Start();
  InotifyLog log;
  ASSERT_TRUE(log.Watch(directory_.path(), "dir"));
  for (int i = 1; i <= 10; ++i) {
    const std::string target = "..generation_" + std::to_string(i);
    Publish({.stale_names = {{.parent = kRootInode, .name = "..data"}}, .data_target = target});
    EXPECT_EQ(operations_->data_target(), target);
    char buffer[256] = {};
    EXPECT_GT(readlink((directory_ / "..data").c_str(), buffer, sizeof(buffer) - 1), 0);
    EXPECT_EQ(std::string(buffer), target);
    EXPECT_TRUE(log.Await("dir: CREATE ..data_tmp")) << i;
    EXPECT_TRUE(log.Await("dir: MOVED_FROM ..data_tmp")) << i;
    EXPECT_TRUE(log.Await("dir: MOVED_TO ..data")) << i;
  }
}

TEST_F(ChannelMountTest, RotationDoesNotWaitForAParkedLookup) {
  Start();
  Rotate("password", "old");
  ASSERT_EQ(ReadAll(directory_ / "password"), "old");
  operations_->Hold("slow");
  Reader reader(directory_ / "slow");
  ASSERT_TRUE(operations_->AwaitParked(1, kPatience));
  const absl::Time start = absl::Now();
  Rotate("password", "new");
  EXPECT_EQ(ReadAll(directory_ / "password"), "new");
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_EQ(operations_->parked_requests(), 1u) << "the reader still waits";
}

TEST_F(ChannelMountTest, HiddenMountGetsItsChangeAndHoldsNobodyUp) {
  Start();
  ASSERT_EQ(mount("none", directory_.path().c_str(), "tmpfs", 0, nullptr), 0);
  Publish({.data_target = "..generation_1", .touched_paths = {"password"}});
  EXPECT_EQ(operations_->data_target(), "..generation_1");
  EXPECT_NE(access((directory_ / "..data").c_str(), F_OK), 0) << "nothing in the other filesystem";
  const absl::Status status = UnmountFuse(directory_.path(), device_number_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("tmpfs"));
  ASSERT_EQ(umount(directory_.path().c_str()), 0);
}

TEST_F(ChannelMountTest, NoDescriptorOfTheMountStaysOpen) {
  Start();
  Publish({.data_target = "..generation_1"});
  EXPECT_EQ(umount(directory_.path().c_str()), 0) << strerror(errno);
  EXPECT_EQ(AwaitStopped(), StopReason::kUnmountedByKernel);
}

TEST_F(ChannelMountTest, OutsideUnmountIsNoticed) {
  Start();
  ASSERT_EQ(umount(directory_.path().c_str()), 0);
  EXPECT_EQ(AwaitStopped(), StopReason::kUnmountedByKernel);
  EXPECT_FALSE(IsMounted(directory_.path(), device_number_));
}

TEST_F(ChannelMountTest, UnmountsWithOpenFiles) {
  Start();
  operations_->PutFile("password", "geheim");
  const UniqueFd file(open((directory_ / "password").c_str(), O_RDONLY));
  ASSERT_TRUE(file.valid());
  const absl::Time start = absl::Now();
  EXPECT_TRUE(Stop().ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_TRUE(MountsAt(directory_.path()).empty());
  struct stat attributes = {};
  EXPECT_EQ(stat((directory_ / "password").c_str(), &attributes), -1);
}

TEST_F(ChannelMountTest, UnmountsWithWaitingReaders) {
  Start();
  operations_->Hold("slow");
  Reader reader(directory_ / "slow");
  ASSERT_TRUE(operations_->AwaitParked(1, kPatience));
  EXPECT_TRUE(Stop().ok());
  const auto status = reader.Wait(absl::Seconds(5));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), ENOTCONN);
}

TEST_F(ChannelMountTest, DeadMountIsTakenAway) {
  MountOptions options;
  options.directory = directory_.path();
  ASSERT_TRUE(MountFuse(options).ok());  // the result, and with it the device, is dropped
  struct stat attributes = {};
  ASSERT_EQ(stat(directory_.path().c_str(), &attributes), -1);
  ASSERT_EQ(errno, ENOTCONN);
  Start();
  EXPECT_EQ(MountsAt(directory_.path()).size(), 1u);
}

TEST_F(ChannelMountTest, SecondMountOnTheSameDirectoryIsRefused) {
  Start();
  MountOptions options;
  options.directory = directory_.path();
  const auto second = MountFuse(options);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("secretfs umount"));
}

TEST_F(ChannelMountTest, DirectoryErrorsSayWhatToDo) {
  MountOptions options;
  options.directory = directory_ / "missing";
  EXPECT_THAT(std::string(MountFuse(options).status().message()), HasSubstr("mkdir -p"));
  options.directory = "relative";
  EXPECT_TRUE(absl::IsInvalidArgument(MountFuse(options).status()));
  options.directory = "/proc/self/status";
  EXPECT_TRUE(absl::IsFailedPrecondition(MountFuse(options).status()));
}

TEST_F(ChannelMountTest, MountsThroughFusermount) {
  MountOptions options;
  options.auto_unmount = true;
  options.source = "with,comma";
  Start(/*serves_open=*/false, options);
  operations_->PutFile("password", "geheim");
  EXPECT_EQ(ReadAll(directory_ / "password"), "geheim");
  ASSERT_EQ(MountsAt(directory_.path()).size(), 1u);
  EXPECT_EQ(MountsAt(directory_.path())[0].source, "with,comma");
  EXPECT_EQ(MountsAt(directory_.path())[0].type, "fuse.secretfs");
  EXPECT_TRUE(auto_unmount_.running());
}

TEST_F(ChannelMountTest, AutoUnmountWorksWhenTheProcessIsKilled) {
  const pid_t child = fork();
  if (child == 0) {
    MountOptions options;
    options.directory = directory_.path();
    options.auto_unmount = true;
    auto mounted = MountFuse(options);
    if (!mounted.ok()) _exit(1);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  for (int i = 0; i < 500 && !MountsAt(directory_.path()).empty(); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(MountsAt(directory_.path()).empty());
}

TEST_F(ChannelMountTest, ExtendedAttributes) {
  Start();
  const InodeNumber inode = operations_->PutFile("password", "geheim");
  char value[100] = {};
  const std::string path = directory_ / "password";
  ASSERT_GT(getxattr(path.c_str(), "user.secretfs.version", value, sizeof(value)), 0);
  EXPECT_EQ(std::string(value), "version " + std::to_string(inode.value()));
  char names[100] = {};
  EXPECT_EQ(listxattr(path.c_str(), names, sizeof(names)), 22);
  EXPECT_EQ(getxattr(path.c_str(), "user.other", value, sizeof(value)), -1);
  EXPECT_EQ(errno, ENODATA);
}

}  // namespace
}  // namespace secretfs::fs
