#pragma once

// Threads of fs/: named, and with all signals blocked, so that SIGINT and SIGTERM reach the thread
// that waits for them.

#include <functional>
#include <thread>

namespace secretfs::fs {

// `name` has at most 15 characters.
std::thread StartServiceThread(const char* name, std::function<void()> work);

}  // namespace secretfs::fs
