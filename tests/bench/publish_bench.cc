// From a change of the local store to the inotify event that a reader's watch on the mount hears.
//
// publish_bench STORE_FOLDER MOUNT_DIRECTORY ROUNDS COMMAND…: watches both folders, then runs
// COMMAND (a `secretfs store put … NAME`, with a fresh value on its stdin) ROUNDS times. A round's
// time runs from the rename that puts the new store file in place to the first event on the mount.
// Prints the percentiles in milliseconds.

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;

pid_t StartWithInput(char** command, const std::string& input) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  // Our stdout is for the result alone.
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  pid_t child = -1;
  if (posix_spawnp(&child, command[0], &actions, nullptr, command, environ) != 0) child = -1;
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  if (write(ends[1], input.data(), input.size()) != static_cast<ssize_t>(input.size())) child = -1;
  close(ends[1]);
  return child;
}

void Drain(int inotify) {
  char buffer[65536];
  pollfd wait{inotify, POLLIN, 0};
  while (poll(&wait, 1, 50) > 0 && read(inotify, buffer, sizeof buffer) > 0) {
  }
}

// Milliseconds between the two events of one round; nothing when they did not both come.
std::optional<double> Round(int store, int mount, char** command, int number) {
  const pid_t child = StartWithInput(command, "value-" + std::to_string(number));
  if (child < 0) return std::nullopt;
  std::optional<Clock::time_point> changed, heard;
  const Clock::time_point give_up = Clock::now() + std::chrono::seconds(10);
  char buffer[65536];
  while ((!changed || !heard) && Clock::now() < give_up) {
    pollfd waits[2] = {{changed ? -1 : store, POLLIN, 0}, {heard ? -1 : mount, POLLIN, 0}};
    if (poll(waits, 2, 1000) <= 0) continue;
    const Clock::time_point now = Clock::now();
    if (waits[0].revents != 0 && read(store, buffer, sizeof buffer) > 0) changed = now;
    if (waits[1].revents != 0 && read(mount, buffer, sizeof buffer) > 0) heard = now;
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!changed || !heard || status != 0) return std::nullopt;
  return std::chrono::duration<double, std::milli>(*heard - *changed).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: publish_bench STORE_FOLDER MOUNT_DIRECTORY ROUNDS COMMAND…\n");
    return 2;
  }
  const int store = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  const int mount = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (inotify_add_watch(store, argv[1], IN_MOVED_TO) < 0 ||
      inotify_add_watch(mount, argv[2], IN_MODIFY | IN_MOVED_TO) < 0) {
    perror("publish_bench: inotify_add_watch");
    return 1;
  }
  std::vector<double> times;
  const int rounds = atoi(argv[3]);
  for (int i = 0; i < rounds; ++i) {
    const std::optional<double> time = Round(store, mount, argv + 4, i);
    if (!time) {
      fprintf(stderr, "publish_bench: round %d heard no event within 10 s\n", i);
      return 1;
    }
    times.push_back(std::max(0.0, *time));
    Drain(store);
    Drain(mount);
  }
  std::sort(times.begin(), times.end());
  puts(nlohmann::json{{"p50_ms", times[times.size() / 2]},
                      {"p99_ms", times[std::min(times.size() - 1, times.size() * 99 / 100)]},
                      {"max_ms", times.back()}}
           .dump()
           .c_str());
}
