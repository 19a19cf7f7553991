#pragma once

// Everything at once on one mount, for tests and benchmarks that kill or replace its server: hot
// readers, readers of what always takes the server, listers, a rotation a second and a watcher.
// Whatever they see that a reader of plain files would not is an error with its operation.
//
// A value tells its file and version and is made of nothing else, so that half of two versions, or
// another file's bytes, show. Thread-safe where said; the rest belongs to the one who made it.

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"

namespace secretfs::testing {

// Between 500 bytes and 12 KiB (1 KiB for cold files), of another size than its neighbours.
std::string LoadValue(const std::string& file, int version);
// The version of which `bytes` is a whole value; nothing when it is none of that file.
std::optional<int> VersionOf(const std::string& file, const std::string& bytes);

struct LoadOptions {
  std::string directory;  // the mount
  int hot_files = 4;      // hot/0 …, never rotated
  int cold_files = 0;     // cold/0 …, each read for the first time by somebody
  // All of them are files with LoadValue(name, 1); so is "rotating".

  // Stores `value` as what "rotating" shows; false when that failed. Without it nothing rotates.
  std::function<bool(const std::string& value)> rotate;
  // A store's tree: a file whose name the kernel has looked up anew shows no size and no version
  // before it is opened (docs/architecture.md).
  bool is_tree = false;
  std::chrono::milliseconds rotation_pause{1000};
  std::chrono::microseconds hot_pause{500};
  std::chrono::microseconds cold_pause{200};
  int hot_readers = 4;
  int cold_readers = 4;
  int listers = 2;
};

struct LoadProblem {
  std::string operation;  // "open hot/1"
  std::string what;       // "ENOTCONN", "is half of two versions"
  std::chrono::steady_clock::time_point time;
};

struct LoadResult {
  uint64_t hot_reads = 0, cold_requests = 0, listings = 0;
  int rotations = 0;
  uint64_t errors = 0;     // unexpected errno
  uint64_t torn = 0;       // values that never were
  uint64_t backwards = 0;  // an older version after a newer one, for one reader
  bool last_rotation_read = false;
  bool last_rotation_heard = false;          // by the watch on the directory
  bool last_rotation_heard_on_file = false;  // by the one on the file
  bool watches_alive = false;
  bool all_ended = false;             // nobody hung
  std::vector<LoadProblem> problems;  // the first of all of them

  // All of the above that should be so; the rest in words.
  bool IsClean() const;
  std::string Text() const;
};

class Load {
 public:
  using Clock = std::chrono::steady_clock;

  // The names that have to be in the store before the load starts, with their values.
  static std::vector<std::pair<std::string, std::string>> Values(const LoadOptions& options);

  explicit Load(LoadOptions options);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Watches, and starts all threads.
  void Start();
  // No rotation starts between the two. Thread-safe.
  void PauseRotations();
  void ResumeRotations();
  // A last rotation, then the end of all threads. Threads that hang are freed by aborting the
  // mount's connection.
  LoadResult Stop();

  // The longest wait of a cold request that was under way between the two times. Thread-safe.
  std::chrono::microseconds LongestColdWait(Clock::time_point from, Clock::time_point to) const;

 private:
  struct Wait {
    Clock::time_point began, ended;
  };

  void HotReader(int number);
  void ColdReader(int number);
  void Lister(int number);
  void Rotator();
  void Watcher();

  // False when there was something to report.
  bool ReadWhole(const std::string& name, int* newest);
  bool NextColdFile();
  void AskServer(std::minstd_rand& random);
  bool Check(bool good, const std::string& operation, const std::string& name);
  void Report(std::atomic<uint64_t>& counter, const std::string& operation,
              const std::string& what);
  void Pause(std::chrono::microseconds time) const;
  bool RotateOnce();
  void AwaitLastRotation(LoadResult& result);
  bool AwaitThreads(std::chrono::seconds limit) const;
  void AbortConnection() const;
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }

  const LoadOptions options_;
  std::vector<std::thread> threads_;
  std::atomic<int> running_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> hot_reads_ = 0, cold_requests_ = 0, listings_ = 0;
  std::atomic<uint64_t> errors_ = 0, torn_ = 0, backwards_ = 0;
  std::atomic<int> next_cold_ = 0;
  std::atomic<int> version_ = 1;  // of "rotating", as it was stored
  UniqueFd inotify_;
  int directory_watch_ = -1, file_watch_ = -1;
  dev_t device_ = 0;
  // Counted up; also by events that only say that the watch is over.
  std::atomic<uint64_t> directory_events_ = 0, file_events_ = 0, watches_over_ = 0;

  absl::Mutex rotating_;  // held while one is under way
  mutable absl::Mutex mutex_;
  bool paused_ ABSL_GUARDED_BY(rotating_) = false;
  std::vector<LoadProblem> problems_ ABSL_GUARDED_BY(mutex_);
  std::vector<Wait> waits_ ABSL_GUARDED_BY(mutex_);  // the longer ones, by their end
};

}  // namespace secretfs::testing
