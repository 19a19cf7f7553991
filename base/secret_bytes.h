#pragma once

// SecretBytes is the only type that holds a secret value. Its memory is locked, left out of core
// dumps and wiped on release (base/locked_memory.h). It is move-only, cannot be printed, logged or
// converted to a string by accident: reading it takes a call whose name says so. Immutable once
// made, except through mutable_bytes() before it is handed on. Not thread-safe while being made; a
// const SecretBytes may be read from any thread.
//
// SecretBuilder grows a SecretBytes piece by piece up to a limit. SecretString is a std::string
// whose memory is the same kind; it exists for parsers (see providers/secret_json.h).

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "base/locked_memory.h"

namespace secretfs {

class SecretBytes {
 public:
  SecretBytes() = default;
  // `size` zero bytes.
  explicit SecretBytes(size_t size)
      : data_(size == 0 ? nullptr : static_cast<std::byte*>(AllocateLocked(size))), size_(size) {}
  static SecretBytes CopyOf(std::span<const std::byte> bytes);
  static SecretBytes CopyOf(std::string_view text);

  SecretBytes(SecretBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      ReleaseLocked(data_, size_);
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { ReleaseLocked(data_, size_); }

  SecretBytes Clone() const { return CopyOf(bytes()); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::span<std::byte> mutable_bytes() { return {data_, size_}; }
  // The value as text, for parsers and for handing it to the one place that needs it. The view is
  // valid as long as this object; what is copied out of it is no longer guarded.
  std::string_view ExposeAsText() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // Equality in time that depends on the sizes only.
  bool ConstantTimeEquals(const SecretBytes& other) const;

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Appends until `limit` bytes; grows by doubling, old memory is wiped.
class SecretBuilder {
 public:
  explicit SecretBuilder(size_t limit) : limit_(limit) {}
  // ResourceExhausted when the limit would be passed; what was there stays.
  absl::Status Append(std::span<const std::byte> bytes);
  absl::Status Append(std::string_view text) {
    return Append(std::as_bytes(std::span(text.data(), text.size())));
  }
  size_t size() const { return used_; }
  // What was appended; the builder is empty afterwards.
  SecretBytes Finish();

 private:
  size_t limit_;
  size_t used_ = 0;
  SecretBytes storage_;
};

template <typename T>
class SecretAllocator {
 public:
  using value_type = T;
  SecretAllocator() = default;
  template <typename U>
  SecretAllocator(const SecretAllocator<U>&) {}  // NOLINT(google-explicit-constructor)
  T* allocate(size_t count) { return static_cast<T*>(AllocateLocked(count * sizeof(T))); }
  void deallocate(T* memory, size_t count) { ReleaseLocked(memory, count * sizeof(T)); }
  template <typename U>
  bool operator==(const SecretAllocator<U>&) const {
    return true;
  }
};

using SecretString = std::basic_string<char, std::char_traits<char>, SecretAllocator<char>>;

}  // namespace secretfs
