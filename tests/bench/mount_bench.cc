// Time from starting a command until a directory is a mount that answers.
//
// mount_bench DIRECTORY FILE COMMAND…: starts COMMAND (a `secretfs mount …` in the foreground),
// waits until DIRECTORY/FILE can be read, prints {"usable_ms": N}, then ends the command with
// SIGTERM.

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <spawn.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

extern char** environ;

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: mount_bench DIRECTORY FILE COMMAND…\n");
    return 2;
  }
  const std::string directory = argv[1];
  const std::string file = directory + "/" + argv[2];
  const auto start = std::chrono::steady_clock::now();
  pid_t child = 0;
  if (posix_spawnp(&child, argv[3], nullptr, nullptr, argv + 3, environ) != 0) return 1;
  double milliseconds = 0;
  while (milliseconds < 10'000) {
    struct statfs info{};
    milliseconds =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    if (statfs(directory.c_str(), &info) == 0 && info.f_type == FUSE_SUPER_MAGIC &&
        access(file.c_str(), R_OK) == 0) {
      break;
    }
    usleep(200);
  }
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  if (milliseconds >= 10'000) return 1;
  printf("{\"usable_ms\": %.3f}\n", milliseconds);
  return 0;
}
