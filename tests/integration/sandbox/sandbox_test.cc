// The model of a server that was taken over: a process behind the server's walls tries what an
// attacker would, and each try has to fail. docs/security.md lists what still works.

#include "base/sandbox.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace secretfs {
namespace {

using ::testing::AnyOf;

constexpr uid_t kNobody = 65534;

// What a try came to: 0 for success, otherwise the errno.
using Try = std::function<int()>;

int ErrnoOf(long result) { return result >= 0 ? 0 : errno; }

int OpenErrno(const std::string& path, int flags) {
  const UniqueFd file(open(path.c_str(), flags | O_CLOEXEC, 0600));
  return file.valid() ? 0 : errno;
}

class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers stay outside of the sandbox";
#endif
    if (geteuid() != 0) GTEST_SKIP() << "changing the user takes root";
    std::string pattern = std::filesystem::temp_directory_path() / "secretfs-sandbox.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));
    for (const char* name : {"allowed", "other"}) {
      std::ofstream(folder_ / name) << "content";
      std::filesystem::permissions(folder_ / name, std::filesystem::perms(0666));
    }
    std::filesystem::create_directory(folder_ / "open");
    std::filesystem::permissions(folder_ / "open", std::filesystem::perms(0777));
    // Somebody else of the same user, as another server on the machine is.
    neighbour_ = fork();
    if (neighbour_ == 0) {
      if (setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(1);
      prctl(PR_SET_DUMPABLE, 1);
      for (;;) pause();
    }
  }
  void TearDown() override {
    if (neighbour_ > 0) {
      kill(neighbour_, SIGKILL);
      waitpid(neighbour_, nullptr, 0);
    }
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // Each try's result, from a process behind the walls.
  std::map<std::string, int> Behind(const std::vector<std::pair<std::string, Try>>& tries) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(1);
      const auto walls = EnterSandbox({.readable = {folder_ / "allowed"}});
      if (!walls.ok()) _exit(2);
      for (const auto& [name, attempt] : tries) {
        const int result = attempt();
        if (write(ends[1], &result, sizeof(result)) != sizeof(result)) _exit(3);
      }
      _exit(walls->files_are_bounded ? 0 : 4);
    }
    close(ends[1]);
    std::map<std::string, int> results;
    for (const auto& [name, attempt] : tries) {
      int result = -1;
      if (read(ends[0], &result, sizeof(result)) != sizeof(result)) break;
      results[name] = result;
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    files_are_bounded_ = WEXITSTATUS(status) == 0;
    EXPECT_THAT(WEXITSTATUS(status), AnyOf(0, 4));
    EXPECT_EQ(results.size(), tries.size());
    return results;
  }

  std::filesystem::path folder_;
  pid_t neighbour_ = -1;
  bool files_are_bounded_ = false;
};

TEST_F(SandboxTest, WhatAServerNeedsWorks) {
  const auto results = Behind({
      {"open an allowed file", [&] { return OpenErrno(folder_ / "allowed", O_RDONLY); }},
      {"resolve names", [] { return OpenErrno("/etc/nsswitch.conf", O_RDONLY); }},
      {"a TCP socket", [] { return ErrnoOf(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }},
      {"a thread",
       [] {
         int value = 1;
         std::thread([&value] { value = 0; }).join();
         return value;
       }},
      {"locked memory",
       [] {
         void* page =
             mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return page == MAP_FAILED ? errno : ErrnoOf(mlock2(page, 4096, MLOCK_ONFAULT));
       }},
  });
  for (const auto& [name, error] : results) EXPECT_EQ(error, 0) << name << ": " << strerror(error);
}

TEST_F(SandboxTest, OpensNoOtherFile) {
  const auto results = Behind({
      {"a file that everybody may read", [&] { return OpenErrno(folder_ / "other", O_RDONLY); }},
      {"a file that everybody may write", [&] { return OpenErrno(folder_ / "other", O_WRONLY); }},
      {"the allowed file for writing", [&] { return OpenErrno(folder_ / "allowed", O_WRONLY); }},
      {"a new file", [&] { return OpenErrno(folder_ / "open/new", O_WRONLY | O_CREAT); }},
      {"a folder", [&] { return OpenErrno(folder_ / "open", O_RDONLY | O_DIRECTORY); }},
      {"memory of the machine", [] { return OpenErrno("/dev/mem", O_RDONLY); }},
      {"/dev/fuse", [] { return OpenErrno("/dev/fuse", O_RDWR); }},
      {"the shadow file", [] { return OpenErrno("/etc/shadow", O_RDONLY); }},
  });
  for (const auto& [name, error] : results) {
    // Without Landlock the user's rights are all there is: docs/security.md says so.
    if (!files_are_bounded_ && name.starts_with("a ")) continue;
    EXPECT_THAT(error, AnyOf(EACCES, EPERM, ENOENT)) << name << ": " << strerror(error);
  }
  EXPECT_TRUE(files_are_bounded_) << "this kernel has no Landlock";
}

TEST_F(SandboxTest, SeesNothingOfOtherProcesses) {
  const std::string other = "/proc/" + std::to_string(neighbour_);
  const auto results = Behind({
      {"its environment", [&] { return OpenErrno(other + "/environ", O_RDONLY); }},
      {"its memory", [&] { return OpenErrno(other + "/mem", O_RDONLY); }},
      {"its maps", [&] { return OpenErrno(other + "/maps", O_RDONLY); }},
      {"its command line", [&] { return OpenErrno(other + "/cmdline", O_RDONLY); }},
      {"init's status", [] { return OpenErrno("/proc/1/status", O_RDONLY); }},
      {"ptrace", [&] { return ErrnoOf(ptrace(PTRACE_ATTACH, neighbour_, nullptr, nullptr)); }},
      {"process_vm_readv",
       [&] {
         return ErrnoOf(syscall(SYS_process_vm_readv, neighbour_, nullptr, 0, nullptr, 0, 0));
       }},
      {"a signal", [&] { return ErrnoOf(kill(neighbour_, SIGUSR1)); }},
      {"tgkill", [&] { return ErrnoOf(syscall(SYS_tgkill, neighbour_, neighbour_, SIGUSR1)); }},
      {"pidfd_open", [&] { return ErrnoOf(syscall(SYS_pidfd_open, neighbour_, 0)); }},
      {"its limits",
       [&] {
         rlimit limit = {};
         return ErrnoOf(prlimit(neighbour_, RLIMIT_NOFILE, nullptr, &limit));
       }},
  });
  for (const auto& [name, error] : results) {
    EXPECT_THAT(error, AnyOf(EACCES, EPERM)) << name << ": " << strerror(error);
  }
}

TEST_F(SandboxTest, StartsNoProgramAndChangesNothingOfTheMachine) {
  const auto results = Behind({
      {"exec",
       [] {
         execl("/bin/true", "true", nullptr);
         return errno;
       }},
      {"exec of a descriptor",
       [] {
         const UniqueFd file(open("/usr/lib/os-release", O_RDONLY | O_CLOEXEC));
         char* none[] = {nullptr};
         return ErrnoOf(syscall(SYS_execveat, file.get(), "", none, none, AT_EMPTY_PATH));
       }},
      {"fork", [] { return ErrnoOf(syscall(SYS_fork)); }},
      {"vfork", [] { return ErrnoOf(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0)); }},
      {"mount", [&] { return ErrnoOf(mount("none", (folder_ / "open").c_str(), "tmpfs", 0, "")); }},
      {"umount", [] { return ErrnoOf(umount2("/proc", MNT_DETACH)); }},
      {"a user namespace", [] { return ErrnoOf(unshare(CLONE_NEWUSER)); }},
      {"open_tree", [] { return ErrnoOf(syscall(SYS_open_tree, AT_FDCWD, "/", 0)); }},
      {"bpf", [] { return ErrnoOf(syscall(SYS_bpf, 0, nullptr, 0)); }},
      {"io_uring", [] { return ErrnoOf(syscall(SYS_io_uring_setup, 1, nullptr)); }},
      {"userfaultfd", [] { return ErrnoOf(syscall(SYS_userfaultfd, 0)); }},
      {"perf", [] { return ErrnoOf(syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0)); }},
      {"add_key", [] { return ErrnoOf(syscall(SYS_add_key, "user", "x", "y", 1, -3)); }},
      {"memfd_create", [] { return ErrnoOf(memfd_create("x", MFD_CLOEXEC)); }},
      {"becoming root", [] { return ErrnoOf(setuid(0)); }},
      {"rename",
       [&] {
         return ErrnoOf(rename((folder_ / "other").c_str(), (folder_ / "open/other").c_str()));
       }},
      {"unlink", [&] { return ErrnoOf(unlink((folder_ / "open/x").c_str())); }},
      {"chmod", [&] { return ErrnoOf(chmod((folder_ / "other").c_str(), 0777)); }},
      {"dumpable again", [] { return ErrnoOf(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }},
      {"core dumps again",
       [] {
         const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
         return ErrnoOf(setrlimit(RLIMIT_CORE, &limit));
       }},
      {"raw packets", [] { return ErrnoOf(socket(AF_PACKET, SOCK_RAW, 0)); }},
      {"listening",
       [] {
         const UniqueFd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
         sockaddr_in address = {};
         address.sin_family = AF_INET;
         address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
         if (bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
           return errno;
         }
         return ErrnoOf(listen(server.get(), 1));
       }},
  });
  for (const auto& [name, error] : results) {
    EXPECT_THAT(error, AnyOf(EACCES, EPERM)) << name << ": " << strerror(error);
  }
}

}  // namespace
}  // namespace secretfs
