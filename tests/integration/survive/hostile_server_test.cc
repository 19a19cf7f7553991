// A server that was taken over, and others of its user, against the server after it: with the real
// program.

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/integration/survive/survive_fixture.h"

namespace secretfs::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uid_t kServerUser = 60999;

class HostileServerTest : public SurviveTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "servers of their own user take root";
    SurviveTest::SetUp();
  }
  // A descriptor that the process has, as it has it.
  static UniqueFd Borrow(pid_t process, const std::string& part) {
    const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
    const std::filesystem::path folder = "/proc/" + std::to_string(process) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry.path(), gone);
      if (target.find(part) == std::string::npos) continue;
      const int number = std::stoi(entry.path().filename());
      return UniqueFd(static_cast<int>(syscall(SYS_pidfd_getfd, handle.get(), number, 0)));
    }
    return UniqueFd();
  }
  static std::string StatusLine(pid_t process, const std::string& name) {
    std::istringstream lines(ReadFile("/proc/" + std::to_string(process) + "/status"));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(name + ":")) return line;
    }
    return "";
  }
  pid_t NextServer(pid_t before) {
    EXPECT_TRUE(Eventually([&] { return Status().server_is_ready && Status().server != before; }));
    NoteProcesses();
    return Status().server;
  }
};

TEST_F(HostileServerTest, TheNextServerReadsTheSameRequestBehindTheSameWalls) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  const pid_t first = Status().server;
  const UniqueFd request = Borrow(first, "secretfs-mount-request");
  ASSERT_TRUE(request.valid());
  std::string text(1 << 16, '\0');
  const ssize_t size = pread(request.get(), text.data(), text.size(), 0);
  ASSERT_GT(size, 0);
  text.resize(static_cast<size_t>(size));
  EXPECT_THAT(text, Not(HasSubstr("sandbox"))) << "that is the holder's to say";
  const std::string hostile = "{\"sandbox\": false}";
  EXPECT_EQ(pwrite(request.get(), hostile.data(), hostile.size(), 0), -1);
  EXPECT_EQ(ftruncate(request.get(), 0), -1);
  ASSERT_EQ(kill(first, SIGKILL), 0);
  const pid_t second = NextServer(first);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_EQ(StatusLine(second, "Seccomp"), "Seccomp:\t2");
#endif
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  EXPECT_THAT(StatusLine(second, "CapPrm"), HasSubstr("0000000000000000"));
  EXPECT_THAT(StatusLine(second, "CapBnd"), HasSubstr("0000000000000000"));
}

// Garbage in everything that a server can write: the next one serves.
TEST_F(HostileServerTest, TheNextServerServesWhateverItFinds) {
  Put("a", "value");
  Put("b", "other");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({"-f", ManifestOf({"a", "b"}, "atomic")}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  for (const std::string part : {"memfd:secretfs-journal", "memfd:secretfs "}) {
    const pid_t before = Status().server;
    ASSERT_EQ(kill(before, SIGSTOP), 0);
    const UniqueFd memory = Borrow(before, part);
    ASSERT_TRUE(memory.valid()) << part;
    const std::string garbage(1 << 16, '\x5a');
    ASSERT_EQ(pwrite(memory.get(), garbage.data(), garbage.size(), 64),
              static_cast<ssize_t>(garbage.size()));
    ASSERT_EQ(kill(before, SIGKILL), 0);
    NextServer(before);
    EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "b") == "other"; })) << part;
    EXPECT_EQ(ReadFile(mount_point() / "a"), "value") << part;
  }
}

// Opens /proc/N/mem of whatever of its user comes to be, as fast as it can, until it is killed; how
// many it could open stands in `found`.
pid_t StartSpinner(const std::filesystem::path& found, uid_t user) {
  const UniqueFd output(open(found.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const pid_t spinner = fork();
  if (spinner != 0) return spinner;
  if (setgid(user) != 0 || setuid(user) != 0) _exit(1);
  const UniqueFd load(open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  char text[128], path[64];
  while (true) {
    const ssize_t size = pread(load.get(), text, sizeof(text) - 1, 0);
    if (size <= 0) _exit(2);
    text[size] = '\0';
    const pid_t last = atoi(strrchr(text, ' ') + 1);
    for (pid_t process = last - 8; process <= last + 2; ++process) {
      if (process == getpid()) continue;
      snprintf(path, sizeof(path), "/proc/%d/mem", process);
      const int memory = open(path, O_RDONLY | O_CLOEXEC);
      if (memory < 0) continue;
      if (write(output.get(), "x", 1) != 1) _exit(3);
      close(memory);
    }
  }
}

TEST_F(HostileServerTest, NobodyOfItsUserLooksIntoANewServer) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({"--server-user", std::to_string(kServerUser), Url()}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  pid_t server = Status().server;
  EXPECT_THAT(StatusLine(server, "Uid"), HasSubstr(std::to_string(kServerUser)));
  const std::filesystem::path found = folder() / "found";
  const pid_t spinner = StartSpinner(found, kServerUser);
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(kill(server, SIGKILL), 0);
    server = NextServer(server);
  }
  EXPECT_EQ(ReadFile(found), "");
  // It would have seen one that lets itself be seen.
  const Finished seen =
      testing::Run({"setpriv", "--reuid", std::to_string(kServerUser), "--regid", std::to_string(kServerUser),
                    "--clear-groups", "sh", "-c", "for i in 1 2 3 4 5; do sleep 0.1; done"});
  EXPECT_EQ(seen.exit_code, 0) << seen.errors;
  EXPECT_TRUE(Eventually([&] { return !ReadFile(found).empty(); }));
  kill(spinner, SIGKILL);
  waitpid(spinner, nullptr, 0);
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
}

TEST_F(HostileServerTest, WithoutAUserOfItsOwnAMountSaysWhatItUses) {
  Put("a", "value");
  const Finished mounted = TryMount({Url()});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.errors;
  const std::string uid = StatusLine(Status().server, "Uid");
  EXPECT_THAT(uid, Not(HasSubstr("65534")));
  EXPECT_THAT(uid, Not(HasSubstr("\t0")));
  if (getpwnam("secretfs") == nullptr) {
    EXPECT_THAT(mounted.errors, HasSubstr("there is no user 'secretfs'"));
  }
}

// As around `secretfs mount` in a script: the lock is the caller's, not the mount's.
TEST_F(HostileServerTest, AMountKeepsNoDescriptorOfItsCaller) {
  Put("a", "value");
  const std::filesystem::path lock = folder() / "lock";
  {
    const UniqueFd low(open(lock.c_str(), O_RDWR | O_CREAT, 0600));
    const UniqueFd high(fcntl(low.get(), F_DUPFD, 4500));
    ASSERT_EQ(flock(low.get(), LOCK_EX), 0);
    ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  }
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  const UniqueFd again(open(lock.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(flock(again.get(), LOCK_EX | LOCK_NB), 0) << "the holder or its server has it";
}

}  // namespace
}  // namespace secretfs::testing
