#pragma once

// The memory of secret values that outlives servers (base/kept_values.h), as the holder sees it:
// it keeps it mapped and locked, so that the pages stay out of swap also while no server is alive,
// and wipes it at the end. It does not read it.
//
// Pages that a server has used since the last Refresh are locked by that server alone: Refresh is
// therefore called when a server has died and every few seconds. Not thread-safe.

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs::fs {

class KeptMemory {
 public:
  // At most `bytes`; less where RLIMIT_MEMLOCK does not allow that much to be locked, with
  // `locked_besides` that are already.
  static absl::StatusOr<std::unique_ptr<KeptMemory>> Make(size_t bytes, size_t locked_besides = 0);
  ~KeptMemory();
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

  int memory() const { return memory_.get(); }

  // Locks what is in use now. Cheap when nothing has changed.
  void Refresh();
  // Overwrites all of it. No server may use it any more.
  void WipeAll();

 private:
  KeptMemory(UniqueFd memory, char* map, size_t size)
      : memory_(std::move(memory)), map_(map), size_(size) {}

  template <typename Function>
  void ForEachUsedRange(const Function& function) const;

  UniqueFd memory_;
  char* map_;
  size_t size_;
  long used_blocks_ = -1;  // at the last Refresh
};

}  // namespace secretfs::fs
