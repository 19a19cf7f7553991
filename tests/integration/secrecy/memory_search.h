#pragma once

// Looks for a text in all memory of another process, as somebody who got hold of it would.
// Free functions; they need the right to read /proc/PID/mem (root).

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace secretfs::testing {

// One place where the text stands.
struct MemoryCopy {
  std::string mapping;  // "[heap]", "[stack]", a file's name, or "" for memory without a name
  std::string address;  // for messages
  bool is_guarded;      // left out of core dumps, as locked memory of values is and nothing else
  std::string Where() const { return mapping + " at " + address; }
};

// Nothing for a process that is gone.
std::vector<MemoryCopy> CopiesIn(pid_t process, std::string_view text);

// The same without those in guarded memory.
std::vector<MemoryCopy> UnguardedCopiesIn(pid_t process, std::string_view text);

// For messages: where all of them are.
std::string Describe(const std::vector<MemoryCopy>& copies);

// Whether this process may look into `process`.
bool CanSearch(pid_t process);

}  // namespace secretfs::testing
