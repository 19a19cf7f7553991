#pragma once

// A number with a type of its own, so that an inode number cannot be passed where a store id is
// wanted. `Tag` is any type, declared in place: `using StoreId = StrongId<struct StoreIdTag>;`.

#include <compare>
#include <cstdint>
#include <functional>
#include <utility>

namespace secretfs {

template <typename Tag, typename Value = uint64_t>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Value value) : value_(value) {}
  constexpr Value value() const { return value_; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  template <typename H>
  friend H AbslHashValue(H state, StrongId id) {
    return H::combine(std::move(state), id.value_);
  }

 private:
  Value value_{};
};

}  // namespace secretfs

template <typename Tag, typename Value>
struct std::hash<secretfs::StrongId<Tag, Value>> {
  size_t operator()(secretfs::StrongId<Tag, Value> id) const {
    return std::hash<Value>{}(id.value());
  }
};
