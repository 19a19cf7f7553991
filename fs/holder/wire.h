#pragma once

// Plain values as bytes and back, for messages between processes of one machine: numbers as they
// are in memory, text with its length in front. Reading trusts nothing: once something does not
// fit, every further value is empty and Finished is false. Not thread-safe.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/strong_id.h"

namespace secretfs::fs {

// One text is never longer; keeps a length that was made up from allocating.
inline constexpr size_t kLongestWireText = 64 << 10;
inline constexpr size_t kMostWireItems = 64 << 10;

// Both have operator() for each kind of value, so that one template of a struct describes both
// directions:  template <typename W> void Fields(W& wire, T& t) { wire(t.a); wire(t.b); }
class WireWriter {
 public:
  template <typename Number>
    requires std::is_arithmetic_v<Number>
  void operator()(const Number& number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }
  void operator()(const std::string& text) {
    (*this)(static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  template <typename Tag, typename Value>
  void operator()(const StrongId<Tag, Value>& id) {
    (*this)(id.value());
  }
  void operator()(const WallTime& time) { (*this)(int64_t{time.time_since_epoch().count()}); }
  void operator()(const Duration& time) { (*this)(int64_t{time.count()}); }
  template <typename Item>
  void operator()(const std::vector<Item>& items) {
    (*this)(static_cast<uint32_t>(items.size()));
    for (const Item& item : items) (*this)(item);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <typename Number>
    requires std::is_arithmetic_v<Number>
  void operator()(Number& number) {
    number = Number{};
    if (!Has(sizeof(number))) return;
    if constexpr (std::is_same_v<Number, bool>) {
      // Any other byte would be undefined behaviour in a bool.
      const auto byte = static_cast<unsigned char>(rest_.front());
      if (byte > 1) good_ = false;
      number = byte == 1;
    } else {
      memcpy(&number, rest_.data(), sizeof(number));
    }
    rest_.remove_prefix(sizeof(number));
  }
  void operator()(std::string& text) {
    uint32_t size = 0;
    (*this)(size);
    text.clear();
    if (size > kLongestWireText) good_ = false;
    if (!Has(size)) return;
    text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    // Nobody sends one, and every use as a path would end at it.
    if (text.find('\0') != std::string::npos) good_ = false;
  }
  template <typename Tag, typename Value>
  void operator()(StrongId<Tag, Value>& id) {
    Value value{};
    (*this)(value);
    id = StrongId<Tag, Value>(value);
  }
  void operator()(WallTime& time) {
    int64_t count = 0;
    (*this)(count);
    time = WallTime(Duration(count));
  }
  void operator()(Duration& time) {
    int64_t count = 0;
    (*this)(count);
    time = Duration(count);
  }
  template <typename Item>
  void operator()(std::vector<Item>& items) {
    uint32_t size = 0;
    (*this)(size);
    items.clear();
    if (size > kMostWireItems) good_ = false;
    for (uint32_t i = 0; i < size && good_; ++i) (*this)(items.emplace_back());
    if (!good_) items.clear();
  }

  // Everything was read, and nothing was missing or wrong.
  bool Finished() const { return good_ && rest_.empty(); }

 private:
  bool Has(size_t size) {
    if (size > rest_.size()) good_ = false;
    return good_;
  }

  std::string_view rest_;
  bool good_ = true;
};

}  // namespace secretfs::fs
