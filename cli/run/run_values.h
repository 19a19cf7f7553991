#pragma once

// The values of `secretfs run`: fetched together at the start, kept mounted in the cache, and
// compared when the cache hears of changes. A value that goes away later does not count as a
// change: the program keeps what it has.
//
// Thread-safety: the public functions are for the main thread; OnEntriesChanged is called by the
// cache on the I/O thread.

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cli/run/variables.h"
#include "cli/runtime.h"

namespace secretfs::cli {

class RunValues final : public cache::Listener {
 public:
  // `changed` is called on the I/O thread whenever TakeChanges may have something.
  RunValues(Runtime& runtime, std::vector<Variable> variables, std::function<void()> changed);
  ~RunValues() override;
  RunValues(const RunValues&) = delete;
  RunValues& operator=(const RunValues&) = delete;

  // Reads all values. The failures of all variables that have one, each naming variable and file;
  // empty when every value is there.
  std::vector<absl::Status> Fetch();

  // Takes over what the cache has brought since; the names of variables whose bytes are different
  // now.
  std::vector<std::string> TakeChanges();

  // Every variable with its present value. Valid until the next Fetch or TakeChanges.
  std::vector<std::pair<std::string, const SecretBytes*>> Current() const;

  void OnEntriesChanged(std::span<const cache::EntrySnapshot> entries) override;

 private:
  // Puts the variable's value out of `snapshot` into current_[i]; false when it is the same as
  // before.
  absl::StatusOr<bool> Take(size_t i, const cache::EntrySnapshot& snapshot);

  Runtime& runtime_;
  const std::vector<Variable> variables_;
  const std::function<void()> changed_;
  std::vector<SecretBytes> current_;  // beside variables_
  std::vector<cache::Interest> interests_;

  absl::Mutex mutex_;
  // --- protected by mutex_: what the cache brought and TakeChanges has not seen.
  std::map<cache::EntryKey, cache::EntrySnapshot> news_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace secretfs::cli
