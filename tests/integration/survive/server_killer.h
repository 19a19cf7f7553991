#pragma once

// Kills or replaces the server of a mount, under a Load, and says how long cold readers waited for
// it. Not thread-safe.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/integration/survive/load.h"

namespace secretfs::testing {

// Runs and is no zombie.
bool IsAlive(pid_t process);

class ServerKiller {
 public:
  // `holder_path`: where the mount's holder listens.
  ServerKiller(std::string holder_path, unsigned seed);

  // SIGKILL, `count` times, each a random pause of at most `longest_pause` after a server was
  // ready; one in four does not wait for that, and meets servers that are just taking over. False
  // when the holder does not answer any more.
  bool Kill(int count, std::chrono::milliseconds longest_pause);
  // True when a server is ready within `limit`.
  bool AwaitReady(std::chrono::milliseconds limit = std::chrono::seconds(10)) const;

  // The longest wait of a cold request between each kill and the next, sorted; milliseconds.
  std::vector<double> ColdWaits(const Load& load) const;
  size_t kills() const { return kills_.size(); }
  int kills_while_starting() const { return kills_while_starting_; }

 private:
  const std::string holder_path_;
  std::mt19937 random_;
  std::vector<Load::Clock::time_point> kills_;
  int kills_while_starting_ = 0;
  uint64_t last_killed_ = 0;  // its generation
};

}  // namespace secretfs::testing
