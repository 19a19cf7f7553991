// The holder with a real mount and a server that is killed, hangs, fails or is replaced.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "base/sealed_memory.h"
#include "base/text.h"
#include "tests/integration/holder/holder_fixture.h"

namespace secretfs::fs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Dead is also what only waits for init to collect it.
bool IsAlive(pid_t process) {
  const std::string status = ReadAll(Format("/proc/{}/stat", process));
  return status.find(" (") != std::string::npos && status.find(") Z ") == std::string::npos;
}

TEST_F(HolderTest, StartsServesAndEndsOrderly) {
  StartAndAwait(Launch());
  EXPECT_EQ(ReadAll(value()), "server 1");
  const HolderStatus status = Status();
  EXPECT_EQ(status.holder, holder().pid());
  EXPECT_EQ(status.generation, 1u);
  EXPECT_EQ(status.restarts, 0u);
  EXPECT_EQ(status.last_death, "");
  EXPECT_THAT(status.directories, ::testing::ElementsAre(mount_point()));
  struct stat socket = {};
  ASSERT_EQ(stat(holder_path().c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0600u);

  holder().Signal(SIGTERM);
  EXPECT_EQ(holder().Wait(kPatience), 0);
  EXPECT_THAT(Events(), HasSubstr("end_mount 1\nexit\n"));
  EXPECT_TRUE(MountsAt(mount_point()).empty());
  EXPECT_FALSE(IsAlive(status.server));
  EXPECT_NE(access(holder_path().c_str(), F_OK), 0);
}

TEST_F(HolderTest, ServerHasNoRights) {
  StartAndAwait(Launch());
  const std::string events = Events();
  EXPECT_THAT(events, HasSubstr("user=65534 groups=[ ] effective=0000000000000000 "
                                "bounding=0000000000000000 no_new_privs=1 core=0 kept=true"));
  // Its three streams, the socket, and the two files that it has opened itself.
  EXPECT_THAT(events, ::testing::MatchesRegex("descriptors 0,1,2,[0-9]+,[0-9]+,[0-9]+\n(.|\n)*"));
}

TEST_F(HolderTest, KilledServerIsFollowedByTheNextOne) {
  StartAndAwait(Launch());
  EXPECT_EQ(ReadAll(value()), "server 1");
  for (uint64_t generation = 2; generation < 5; ++generation) {
    kill(Status().server, SIGKILL);
    // Asked while nobody serves: waits for the next one.
    EXPECT_EQ(ReadAll(value()), Format("server {}", generation));
  }
  ASSERT_TRUE(AwaitReady(4));
  EXPECT_EQ(Status().restarts, 3u);
  EXPECT_EQ(Status().last_death, "was killed by signal 9");
  const std::string events = Events();
  EXPECT_THAT(events, HasSubstr("mount 1 taken_over=false records=0"));
  EXPECT_THAT(events, HasSubstr("mount 1 taken_over=true records=1"));
  EXPECT_THAT(events, HasSubstr("mount 1 taken_over=true records=3"));
  EXPECT_THAT(events, HasSubstr("setup generation=4 restarts=3 upgrade=false"));
  EXPECT_THAT(events, HasSubstr("kept values 3"));
  holder().Signal(SIGTERM);
  EXPECT_EQ(holder().Wait(kPatience), 0);
  EXPECT_THAT(holder().errors(), HasSubstr("3 deaths within ten seconds"));
}

TEST_F(HolderTest, FirstServerThatFailsEndsTheHolderWithItsCode) {
  SetMode("fail-7");
  Start(Launch());
  EXPECT_EQ(holder().Wait(kPatience), 7);
  EXPECT_TRUE(MountsAt(mount_point()).empty());
  EXPECT_NE(access(holder_path().c_str(), F_OK), 0);
}

TEST_F(HolderTest, FirstServerThatDiesEndsTheHolder) {
  SetMode("die-prepared");
  Start(Launch());
  EXPECT_EQ(holder().Wait(kPatience), 1);
  EXPECT_THAT(holder().errors(), HasSubstr("was killed by signal 6 before the mount was usable"));
  EXPECT_TRUE(MountsAt(mount_point()).empty());

  SetMode("exit-3");
  Start(Launch());
  EXPECT_EQ(holder().Wait(kPatience), 3);
}

TEST_F(HolderTest, ProgramThatIsMissing) {
  HolderLaunch launch = Launch();
  launch.server_arguments[0] = folder() + "/missing";
  Start(launch);
  EXPECT_EQ(holder().Wait(kPatience), 1);
  EXPECT_THAT(holder().errors(), HasSubstr("cannot open the server " + folder() + "/missing"));
}

TEST_F(HolderTest, DirectoryThatCannotBeMounted) {
  HolderLaunch launch = Launch();
  launch.mounts[0].directory = folder() + "/missing";
  Start(launch);
  EXPECT_EQ(holder().Wait(kPatience), 3);
  EXPECT_THAT(holder().errors(), HasSubstr("mkdir -p"));
}

TEST_F(HolderTest, ReportsToTheWaitingProcess) {
  for (const std::string mode : {"serve", "fail-7"}) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    UniqueFd read_end(ends[0]), write_end(ends[1]);
    SetMode(mode);
    HolderLaunch launch = Launch();
    launch.report = write_end.get();
    fcntl(read_end.get(), F_SETFD, FD_CLOEXEC);
    Start(launch);
    write_end.Reset();
    unsigned char code = 99;
    EXPECT_EQ(read(read_end.get(), &code, 1), 1);
    EXPECT_EQ(code, mode == "serve" ? 0 : 7);
    if (mode != "serve") continue;
    // Nobody keeps the pipes of the terminal.
    EXPECT_TRUE(Eventually([&] { return !holder().WaitForLine("nothing", milliseconds(1)); }));
    EXPECT_EQ(ReadAll(value()), "server 1");
    holder().Signal(SIGTERM);
    EXPECT_EQ(holder().Wait(kPatience), 0);
    EXPECT_EQ(holder().errors(), "");
  }
}

TEST_F(HolderTest, NobodyServesForTooLong) {
  HolderLaunch launch = Launch();
  launch.server_timeout = seconds(2);
  StartAndAwait(launch);
  const pid_t first = Status().server;
  SetMode("never-ready never-prepared");
  kill(first, SIGKILL);
  const auto began = steady_clock::now();
  // A reader that waits gets an error.
  EXPECT_THAT(ReadAll(value()), HasSubstr("errno"));
  EXPECT_LT(steady_clock::now() - began, seconds(10));
  EXPECT_EQ(holder().Wait(kPatience), 1);
  EXPECT_THAT(holder().errors(), HasSubstr("no server has become ready within 2 s"));
  EXPECT_TRUE(MountsAt(mount_point()).empty());
}

// The bound counts from the first death, however many follow.
TEST_F(HolderTest, ServersThatDieForTooLong) {
  HolderLaunch launch = Launch();
  launch.server_timeout = seconds(2);
  StartAndAwait(launch);
  const pid_t first = Status().server;
  SetMode("die");
  kill(first, SIGKILL);
  EXPECT_THAT(ReadAll(value()), HasSubstr("errno"));
  EXPECT_EQ(holder().Wait(kPatience), 1);
}

TEST_F(HolderTest, ServersThatNeverBecomeReadyAreRetriedSlowly) {
  HolderLaunch launch = Launch();
  launch.server_timeout = seconds(20);
  StartAndAwait(launch);
  SetMode("die");
  kill(Status().server, SIGKILL);
  ASSERT_TRUE(AwaitEvent("setup generation=4"));
  SetMode("serve");
  ASSERT_TRUE(AwaitReady(5));
  EXPECT_THAT(ReadAll(value()), HasSubstr("server"));
}

TEST_F(HolderTest, UnmountOfOneOfTwo) {
  StartAndAwait(Launch(2));
  EXPECT_EQ(UnmountThroughHolder(holder_path(), mount_point(0)), absl::OkStatus());
  EXPECT_TRUE(MountsAt(mount_point(0)).empty());
  EXPECT_EQ(ReadAll(value(1)), "server 1");
  EXPECT_TRUE(absl::IsNotFound(UnmountThroughHolder(holder_path(), mount_point(0))));
  EXPECT_EQ(UnmountThroughHolder(holder_path(), mount_point(1)), absl::OkStatus());
  EXPECT_EQ(holder().Wait(kPatience), 0);
}

TEST_F(HolderTest, UnmountWithAServerThatHangs) {
  SetMode("hang");
  StartAndAwait(Launch());
  const pid_t server = Status().server;
  for (const bool stopped : {false, true}) {
    if (stopped) {
      SetMode("serve");
      StartAndAwait(Launch());
      kill(Status().server, SIGSTOP);
    }
    const std::string directory = Status().directories.at(0);
    std::thread reader;
    std::string read;
    if (stopped) reader = std::thread([&] { read = ReadAll(directory + "/value"); });
    const auto began = steady_clock::now();
    EXPECT_EQ(UnmountThroughHolder(holder_path(), directory), absl::OkStatus());
    EXPECT_LT(steady_clock::now() - began, seconds(5));
    EXPECT_TRUE(MountsAt(directory).empty());
    if (stopped) {
      reader.join();
      EXPECT_THAT(read, HasSubstr("errno"));
    }
    // It does not exit when told to either.
    EXPECT_EQ(holder().Wait(kPatience), 0);
  }
  EXPECT_FALSE(IsAlive(server));
}

TEST_F(HolderTest, UnmountFromOutside) {
  StartAndAwait(Launch());
  ASSERT_EQ(umount2(mount_point().c_str(), 0), 0) << strerror(errno);
  EXPECT_EQ(holder().Wait(kPatience), 0);
  EXPECT_THAT(Events(), HasSubstr("exit\n"));
}

TEST_F(HolderTest, UnmountWithOpenFiles) {
  StartAndAwait(Launch());
  const UniqueFd file(open(value().c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file.valid());
  EXPECT_EQ(UnmountThroughHolder(holder_path(), mount_point()), absl::OkStatus());
  EXPECT_TRUE(MountsAt(mount_point()).empty());
  EXPECT_EQ(holder().Wait(kPatience), 0);
  char byte;
  EXPECT_LT(read(file.get(), &byte, 1), 0);
}

TEST_F(HolderTest, Upgrade) {
  StartAndAwait(Launch());
  const pid_t old = Status().server;
  EXPECT_EQ(UpgradeThroughHolder(holder_path()), absl::OkStatus());
  EXPECT_EQ(ReadAll(value()), "server 2");
  EXPECT_FALSE(IsAlive(old));
  EXPECT_EQ(Status().restarts, 0u);
  EXPECT_THAT(Events(), HasSubstr("setup generation=2 restarts=0 upgrade=true"));
  EXPECT_THAT(Events(), HasSubstr("hand_over 1\nmount 1 taken_over=true records=1"));
  // The same by a signal.
  holder().Signal(SIGHUP);
  EXPECT_TRUE(AwaitReady(3));
  EXPECT_EQ(ReadAll(value()), "server 3");
}

TEST_F(HolderTest, UpgradeThatFails) {
  StartAndAwait(Launch());
  const pid_t old = Status().server;
  SetMode("fail-7");
  const absl::Status failed = UpgradeThroughHolder(holder_path());
  EXPECT_TRUE(absl::IsFailedPrecondition(failed)) << failed;
  EXPECT_THAT(std::string(failed.message()), HasSubstr("the test wanted a failure"));
  SetMode("die");
  EXPECT_THAT(std::string(UpgradeThroughHolder(holder_path()).message()),
              HasSubstr("was killed by signal 6"));
  std::filesystem::remove(folder() + "/server");
  WriteFile("server", "no program");
  EXPECT_THAT(std::string(UpgradeThroughHolder(holder_path()).message()),
              HasSubstr("could not start the program"));
  EXPECT_EQ(Status().server, old);
  EXPECT_EQ(ReadAll(value()), "server 1");

  // And a death now: the program that had served is still known.
  SetMode("serve");
  kill(old, SIGKILL);
  EXPECT_THAT(ReadAll(value()), HasSubstr("server"));
}

TEST_F(HolderTest, UpgradeOfAServerThatHangs) {
  SetMode("hang");
  StartAndAwait(Launch());
  SetMode("serve");
  EXPECT_EQ(UpgradeThroughHolder(holder_path()), absl::OkStatus());
  EXPECT_EQ(ReadAll(value()), "server 2");
}

TEST_F(HolderTest, WhatTheHolderDoesOnRequest) {
  SetMode("serve check");
  WriteFile("allowed", "allowed");
  WriteFile("denied", "denied");
  std::filesystem::create_directories(folder() + "/listed/deeper");
  WriteFile("listed/file", "listed file");
  WriteFile("listed/deeper/file", "deeper file");
  std::filesystem::create_symlink("listed/deeper/file", folder() + "/link-inside");
  std::filesystem::create_symlink("/etc/hostname", folder() + "/link-outside");
  const HolderLaunch launch = Launch();
  // Points elsewhere only after the holder has seen it.
  StartAndAwait(launch);
  ASSERT_TRUE(AwaitEvent("checked"));
  const std::string events = Events();
  for (const char* line : {
           "early open true",
           "touch 0",
           "touched by hands true",
           "touch missing 2",
           "touch outside 22",
           "touch absolute 22",
           "touch nothing 107",
           "look up 0",
           "switch outside 22",
           "open allowed: allowed",
           "open denied: PERMISSION_DENIED",
           "open link-inside: deeper file",
           "open listed/file: listed file",
           "open listed/deeper/file: PERMISSION_DENIED",
           "open listed/../denied: PERMISSION_DENIED",
           "watch allowed true",
           "watch denied false",
           "watch /etc false",
           "groups of the holder true",
           "groups of nobody false",
       }) {
    EXPECT_THAT(events, HasSubstr(std::string(line) + "\n"));
  }
  EXPECT_THAT(events, Not(HasSubstr("WRITABLE")));
}

TEST_F(HolderTest, HolderIsKilled) {
  StartAndAwait(Launch());
  const pid_t server = Status().server;
  holder().Signal(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(server); }));
  // A request that was on its way says aborted.
  EXPECT_THAT(ReadAll(value()), AnyOf("errno ENOTCONN", "errno ECONNABORTED"));

  // Its socket and its mount are in nobody's way.
  HolderLaunch again = Launch();
  again.mounts.erase(again.mounts.begin());
  again.mounts.push_back({.directory = mount_point(0), .source = "test"});
  StartAndAwait(again);
  EXPECT_THAT(ReadAll(value()), HasSubstr("server 1"));
}

// By the kernel, not by its own will: one that hangs or was taken over would stay.
TEST_F(HolderTest, AServerDoesNotOutliveItsHolder) {
  StartAndAwait(Launch());
  const pid_t server = Status().server;
  kill(server, SIGSTOP);
  holder().Signal(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(server); }));
}

TEST_F(HolderTest, NoServerCanChangeWhatTheNextOneReads) {
  const std::string words = "mount this";
  const auto payload =
      MakeSealedMemory("test", std::as_bytes(std::span(words.data(), words.size())));
  ASSERT_TRUE(payload.ok());
  fcntl(payload->get(), F_SETFD, 0);
  HolderLaunch launch = Launch();
  launch.payload = payload->get();
  launch.use_sandbox = false;
  StartAndAwait(launch);
  kill(Status().server, SIGKILL);
  EXPECT_EQ(ReadAll(value()), "server 2");
  const std::string tried = "payload \"mount this\" written=false resized=false mapped=false\n";
  const std::string events = Events();
  const size_t first = events.find(tried);
  ASSERT_NE(first, std::string::npos);
  EXPECT_NE(events.find(tried, first + 1), std::string::npos);
  EXPECT_THAT(events, HasSubstr(Format("bound sandbox=false readable={}", launch.openable.size())));
}

TEST_F(HolderTest, RefusesARequestThatIsNotSealed) {
  const UniqueFd payload(memfd_create("test", MFD_ALLOW_SEALING));
  ASSERT_EQ(write(payload.get(), "mount this", 10), 10);
  ASSERT_EQ(fcntl(payload.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  HolderLaunch launch = Launch();
  launch.payload = payload.get();
  Start(launch);
  EXPECT_EQ(holder().Wait(kPatience), 1);
  EXPECT_THAT(holder().errors(), HasSubstr("not sealed"));
  EXPECT_TRUE(MountsAt(mount_point()).empty());
}

// A lock, or the end of a pipe, that the caller did not mean to lend for the life of the mount.
TEST_F(HolderTest, KeepsNothingOfItsCallers) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  // One of them where no loop over numbers comes.
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]), high_end(fcntl(ends[1], F_DUPFD, 5000));
  StartAndAwait(Launch());
  write_end.Reset();
  high_end.Reset();
  pollfd waited{.fd = read_end.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&waited, 1, 5000), 1);
  EXPECT_NE(waited.revents & POLLHUP, 0) << "somebody has the other end";
}

// fusermount3 3.14 looks whether the mount is dead when its socket closes, and leaves it otherwise:
// it must not close before the server has ended too. (For normal users it never finds out: the
// kernel tells a set-user-id program EACCES.)
TEST_F(HolderTest, AutoUnmountWhenTheHolderIsKilled) {
  if (access("/usr/bin/fusermount3", X_OK) != 0) GTEST_SKIP() << "fusermount3 is missing";
  HolderLaunch launch = Launch();
  launch.mounts[0].auto_unmount = true;
  StartAndAwait(launch);
  kill(Status().server, SIGKILL);
  EXPECT_EQ(ReadAll(value()), "server 2");
  holder().Signal(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return MountsAt(mount_point()).empty(); }));

  // In order, nobody waits for anybody.
  StartAndAwait(launch);
  const auto began = steady_clock::now();
  EXPECT_EQ(UnmountThroughHolder(holder_path(), mount_point()), absl::OkStatus());
  EXPECT_LT(steady_clock::now() - began, seconds(2));
  EXPECT_EQ(holder().Wait(kPatience), 0);
}

TEST_F(HolderTest, SecondHolderAtTheSameSocket) {
  StartAndAwait(Launch());
  HolderLaunch second = Launch();
  absl::StatusOr<UniqueFd> memory = WriteHolderLaunch(second);
  ASSERT_TRUE(memory.ok());
  testing::ChildProcess other({SECRETFS_HOLDER, std::to_string(memory->get())});
  EXPECT_EQ(other.Wait(kPatience), 1);
  EXPECT_THAT(other.errors(), HasSubstr("another holder answers at"));
  EXPECT_EQ(Status().holder, holder().pid());
}

TEST_F(HolderTest, SocketWithALongPath) {
  HolderLaunch launch = Launch();
  const std::string deep = folder() + "/private/" + std::string(120, 'd');
  ASSERT_EQ(mkdir(deep.c_str(), 0700), 0);
  launch.holder_path = deep + "/holder.sock";
  Start(launch);
  EXPECT_TRUE(Eventually([&] {
    const absl::StatusOr<HolderStatus> status = AskHolder(launch.holder_path);
    return status.ok() && status->server_is_ready;
  }));
  EXPECT_EQ(UnmountThroughHolder(launch.holder_path, mount_point()), absl::OkStatus());
  EXPECT_EQ(holder().Wait(kPatience), 0);
}

TEST_F(HolderTest, SecondSignalEndsAtOnce) {
  SetMode("hang");
  StartAndAwait(Launch());
  const pid_t server = Status().server;
  holder().Signal(SIGTERM);
  ASSERT_TRUE(AwaitEvent("end_mount"));
  holder().Signal(SIGINT);
  EXPECT_EQ(holder().Wait(seconds(5)), 128 + SIGINT);
  EXPECT_TRUE(MountsAt(mount_point()).empty());
  EXPECT_FALSE(IsAlive(server));
}

// DESIGN.md, section 8: 3 MB besides the kept values.
TEST_F(HolderTest, IsSmall) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take memory of their own";
#endif
  for (const int mounts : {1, 200}) {
    HolderLaunch launch = Launch(mounts);
    launch.mounts.erase(launch.mounts.begin(), launch.mounts.end() - mounts);
    StartAndAwait(launch);
    ASSERT_EQ(Status().directories.size(), static_cast<size_t>(mounts));
    const std::string status = ReadAll(Format("/proc/{}/status", holder().pid()));
    const size_t at = status.find("VmRSS:");
    ASSERT_NE(at, std::string::npos);
    const int kilobytes = atoi(status.c_str() + at + 6);
    RecordProperty(Format("rss_kilobytes_{}", mounts), kilobytes);
#if defined(__OPTIMIZE__)
    EXPECT_LT(kilobytes, 3 << 10) << mounts;
#else
    EXPECT_LT(kilobytes, 4 << 10) << mounts;  // its code alone is twice the size
#endif
    holder().Signal(SIGTERM);
    EXPECT_EQ(holder().Wait(kPatience), 0);
  }
}

}  // namespace
}  // namespace secretfs::fs
