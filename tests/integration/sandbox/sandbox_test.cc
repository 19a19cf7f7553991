// What a server that was taken over gets at: files, other processes, programs, the machine.
// docs/security.md lists what still works.

#include "base/sandbox.h"

#include <linux/memfd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <thread>

#include "tests/integration/sandbox/sandbox_fixture.h"

namespace secretfs {
namespace {

using ::testing::AnyOf;

TEST_P(SandboxTest, WhatAServerNeedsWorks) {
  ExpectGranted({
      {"open an allowed file", [&] { return OpenErrno(folder_ / "allowed", O_RDONLY); }},
      {"the same with all that reading may say",
       [&] {
         return OpenErrno(folder_ / "allowed",
                          O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_LARGEFILE);
       }},
      {"resolve names", [] { return OpenErrno("/etc/nsswitch.conf", O_RDONLY); }},
      {"getaddrinfo",
       [] {
         addrinfo* found = nullptr;
         addrinfo wanted = {};
         wanted.ai_flags = AI_ADDRCONFIG;
         wanted.ai_socktype = SOCK_STREAM;
         const int result = getaddrinfo("localhost", "443", &wanted, &found);
         if (found != nullptr) freeaddrinfo(found);
         return result == 0 ? 0 : EIO;
       }},
      {"a TCP socket", [] { return ErrnoOf(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }},
      {"a UDP socket", [] { return ErrnoOf(socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0)); }},
      {"a socket that does not wait",
       [] {
         const UniqueFd made(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
         const int flags = fcntl(made.get(), F_GETFL);
         return flags < 0 ? errno : ErrnoOf(fcntl(made.get(), F_SETFL, flags | O_NONBLOCK));
       }},
      {"close on exec", [] { return ErrnoOf(fcntl(0, F_SETFD, FD_CLOEXEC)); }},
      {"a second descriptor", [] { return ErrnoOf(fcntl(0, F_DUPFD_CLOEXEC, 3)); }},
      {"a pair of streams",
       [] {
         int ends[2];
         return ErrnoOf(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
       }},
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
}

TEST_P(SandboxTest, OpensNoOtherFile) {
  const auto results = Behind({
      {"a file that everybody may read", [&] { return OpenErrno(folder_ / "other", O_RDONLY); }},
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
  if (GetParam() > 0) {
    EXPECT_TRUE(files_are_bounded_) << "this kernel has no Landlock";
  }
}

TEST_P(SandboxTest, OpensForReadingOnly) {
  const std::string allowed = folder_ / "allowed", other = folder_ / "other";
  const auto with = [](const std::string& path, int flags) {
    return [path, flags] { return OpenErrno(path, flags); };
  };
  // The list's own file and one that the user's rights would give away.
  for (const std::string& path : {allowed, other}) {
    ExpectRefused({
        {"writing", with(path, O_WRONLY)},
        {"reading and writing", with(path, O_RDWR)},
        {"neither, which still changes attributes", with(path, O_ACCMODE)},
        {"emptying while reading", with(path, O_RDONLY | O_TRUNC)},
        {"appending", with(path, O_RDONLY | O_APPEND)},
        {"creating", with(path, O_RDONLY | O_CREAT)},
        {"creating anew", with(path, O_RDONLY | O_CREAT | O_EXCL)},
        {"a mere path", with(path, O_PATH)},
        {"signals when it changes", with(path, O_RDONLY | O_ASYNC)},
        {"the old call",
         [path] { return ErrnoOf(syscall(SYS_open, path.c_str(), O_RDONLY | O_TRUNC, 0)); }},
        {"flags behind a half that the kernel ignores",
         [path] {
           return ErrnoOf(syscall(SYS_openat, AT_FDCWD, path.c_str(),
                                  (0x7fffffffL << 32) | O_WRONLY | O_TRUNC, 0));
         }},
        {"creat", [path] { return ErrnoOf(creat(path.c_str(), 0600)); }},
        {"truncate", [path] { return ErrnoOf(truncate(path.c_str(), 0)); }},
    });
  }
  const std::string open_folder = folder_ / "open";
  ExpectRefused({
      {"a new file", with(open_folder + "/new", O_WRONLY | O_CREAT)},
      {"a new file to read", with(open_folder + "/new", O_RDONLY | O_CREAT)},
      {"a file without a name", with(open_folder, O_RDWR | O_TMPFILE)},
      {"a file without a name to read", with(open_folder, O_RDONLY | O_TMPFILE)},
      {"a device for writing", with("/dev/null", O_RDWR)},
  });
  // What libraries take for an older kernel's answer.
  const auto results =
      Behind({{"openat2", [&] {
                 uint64_t how[3] = {O_RDONLY, 0, 0};
                 return ErrnoOf(syscall(SYS_openat2, AT_FDCWD, allowed.c_str(), how, sizeof(how)));
               }}});
  EXPECT_EQ(results.at("openat2"), ENOSYS);
  EXPECT_EQ(ContentOf("allowed"), "content");
  EXPECT_EQ(ContentOf("other"), "content");
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "open"));
}

TEST_P(SandboxTest, ChangesNoFile) {
  const std::string other = folder_ / "other", made = folder_ / "open/made";
  ExpectRefused({
      {"rename", [&] { return ErrnoOf(rename(other.c_str(), made.c_str())); }},
      {"unlink", [&] { return ErrnoOf(unlink(made.c_str())); }},
      {"chmod", [&] { return ErrnoOf(chmod(other.c_str(), 0777)); }},
      {"chown", [&] { return ErrnoOf(chown(other.c_str(), kSandboxUser, kSandboxUser)); }},
      {"times", [&] { return ErrnoOf(utimensat(AT_FDCWD, other.c_str(), nullptr, 0)); }},
      {"a folder", [&] { return ErrnoOf(mkdir(made.c_str(), 0700)); }},
      {"a link", [&] { return ErrnoOf(symlink("/etc/passwd", made.c_str())); }},
      {"a hard link", [&] { return ErrnoOf(link(other.c_str(), made.c_str())); }},
      {"a pipe with a name", [&] { return ErrnoOf(mkfifo(made.c_str(), 0600)); }},
      {"the size of an open file", [] { return ErrnoOf(ftruncate(2, 0)); }},
      {"the blocks of an open file", [] { return ErrnoOf(fallocate(2, 0, 0, 4096)); }},
      {"a lock", [] { return ErrnoOf(syscall(SYS_flock, 2, 2)); }},
      {"the list of a folder",
       [&] {
         char entries[4096];
         const UniqueFd folder(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
         return ErrnoOf(syscall(SYS_getdents64, folder.get(), entries, sizeof(entries)));
       }},
      {"a watch of a folder", [] { return ErrnoOf(syscall(SYS_inotify_init1, 0)); }},
      {"a watch of everything", [] { return ErrnoOf(syscall(SYS_fanotify_init, 0, 0)); }},
  });
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "open"));
}

TEST_P(SandboxTest, SeesNothingOfOtherProcesses) {
  const std::string other = "/proc/" + std::to_string(neighbour_);
  const auto results = Behind({
      {"file: its environment", [&] { return OpenErrno(other + "/environ", O_RDONLY); }},
      {"file: its memory", [&] { return OpenErrno(other + "/mem", O_RDONLY); }},
      {"file: its maps", [&] { return OpenErrno(other + "/maps", O_RDONLY); }},
      {"file: its command line", [&] { return OpenErrno(other + "/cmdline", O_RDONLY); }},
      {"file: init's status", [] { return OpenErrno("/proc/1/status", O_RDONLY); }},
      {"its memory for writing", [&] { return OpenErrno(other + "/mem", O_RDWR); }},
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
    // Without Landlock /proc is as open as the user's rights: docs/security.md says so.
    if (!files_are_bounded_ && name.starts_with("file: ")) continue;
    EXPECT_THAT(error, AnyOf(EACCES, EPERM)) << name << ": " << strerror(error);
  }
  EXPECT_EQ(kill(neighbour_, 0), 0) << "the other process was killed";
}

TEST_P(SandboxTest, StartsNoProgramAndChangesNothingOfTheMachine) {
  ExpectRefused({
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
      {"a thread in namespaces of its own",
       [] {
         return ErrnoOf(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWNET,
                                nullptr, nullptr, nullptr, 0));
       }},
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
      {"dumpable again", [] { return ErrnoOf(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }},
      {"core dumps again",
       [] {
         const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
         return ErrnoOf(setrlimit(RLIMIT_CORE, &limit));
       }},
      {"memory to execute",
       [] {
         void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return page == MAP_FAILED ? errno : 0;
       }},
      {"memory that becomes executable",
       [] {
         void* page =
             mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return page == MAP_FAILED ? 0 : ErrnoOf(mprotect(page, 4096, PROT_READ | PROT_EXEC));
       }},
  });
}

SECRETFS_WITH_EACH_LANDLOCK(SandboxTest);

}  // namespace
}  // namespace secretfs
