#pragma once

// Memory whose content is fixed: what one process writes down for others that may read it and must
// not change it. Whoever gets the descriptor, by whatever way, can neither write to it nor resize
// it (F_SEAL_WRITE, SHRINK, GROW and SEAL). It may hold secrets: mapped, it is locked as far as the
// limits allow and left out of core dumps.
//
// Free functions, and a move-only view. Not thread-safe.

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace secretfs {

// A close-on-exec memfd with that content.
absl::StatusOr<UniqueFd> MakeSealedMemory(const char* name, std::span<const std::byte> content);

// FailedPrecondition unless all four seals are there.
absl::Status CheckSealed(int memory);

// The content, mapped. Privately: before Linux 6.7 a shared mapping and the seal exclude each
// other.
class SealedView {
 public:
  // FailedPrecondition when it is not sealed, InvalidArgument when it is longer than `most`.
  static absl::StatusOr<SealedView> Of(int memory, size_t most);
  SealedView() = default;
  SealedView(SealedView&& other) noexcept
      : map_(std::exchange(other.map_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        locked_(other.locked_) {}
  SealedView& operator=(SealedView&& other) noexcept {
    std::swap(map_, other.map_);
    std::swap(size_, other.size_);
    std::swap(locked_, other.locked_);
    return *this;
  }
  ~SealedView();

  std::string_view text() const { return {static_cast<const char*>(map_), size_}; }
  size_t size() const { return size_; }
  bool locked() const { return locked_; }

 private:
  SealedView(void* map, size_t size, bool locked) : map_(map), size_(size), locked_(locked) {}
  void* map_ = nullptr;  // null: empty
  size_t size_ = 0;
  bool locked_ = true;
};

}  // namespace secretfs
