#include "tests/integration/survive/server_killer.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "fs/holder/holder_control.h"

namespace secretfs::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kPoll(2);
// A server that is never started again is what the tests are to find, not to wait for.
constexpr seconds kPatience(20);
// A wait that began this long after the last kill is none of its.
constexpr seconds kAftermath(2);

}  // namespace

bool IsAlive(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return false;
  if (text[name_end + 2] != 'Z') return true;
  // The first thread of a process that was killed may end before the others, which hold its files.
  std::error_code error;
  const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(process) + "/task",
                                                  error);
  return !error && std::distance(begin(tasks), end(tasks)) > 1;
}

ServerKiller::ServerKiller(std::string holder_path, unsigned seed)
    : holder_path_(std::move(holder_path)), random_(seed) {}

bool ServerKiller::Kill(int count, milliseconds longest_pause) {
  std::uniform_int_distribution<int64_t> pause(
      0, std::chrono::duration_cast<std::chrono::microseconds>(longest_pause).count());
  std::uniform_int_distribution<int> one_in_four(0, 3);
  auto give_up = Load::Clock::now() + kPatience;
  // Three in four wait until a server is ready: on a busy machine no server ever would be
  // otherwise, and the holder would rightly give up.
  for (const size_t goal = kills_.size() + count; kills_.size() < goal;) {
    if (one_in_four(random_) != 0) AwaitReady();
    std::this_thread::sleep_for(std::chrono::microseconds(pause(random_)));
    const absl::StatusOr<fs::HolderStatus> status = fs::AskHolder(holder_path_);
    if (!status.ok()) return false;
    // The last one may still be dying.
    if (status->server > 0 && status->generation != last_killed_ &&
        kill(status->server, SIGKILL) == 0) {
      last_killed_ = status->generation;
      kills_.push_back(Load::Clock::now());
      give_up = kills_.back() + kPatience;
      if (!status->server_is_ready) ++kills_while_starting_;
    } else if (Load::Clock::now() > give_up) {
      return false;
    }
  }
  return true;
}

bool ServerKiller::AwaitReady(milliseconds limit) const {
  const auto end = Load::Clock::now() + limit;
  while (Load::Clock::now() < end) {
    const absl::StatusOr<fs::HolderStatus> status = fs::AskHolder(holder_path_);
    if (status.ok() && status->server_is_ready && status->generation != last_killed_) return true;
    std::this_thread::sleep_for(kPoll);
  }
  return false;
}

std::vector<double> ServerKiller::ColdWaits(const Load& load) const {
  std::vector<double> waits;
  for (size_t i = 0; i < kills_.size(); ++i) {
    const auto end = i + 1 < kills_.size() ? std::min(kills_[i + 1], kills_[i] + kAftermath)
                                           : kills_[i] + kAftermath;
    waits.push_back(static_cast<double>(load.LongestColdWait(kills_[i], end).count()) / 1000);
  }
  std::sort(waits.begin(), waits.end());
  return waits;
}

}  // namespace secretfs::testing
