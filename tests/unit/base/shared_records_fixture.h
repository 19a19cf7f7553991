#pragma once

// What the tests of SharedRecords share: payloads as text, and copies of the shared memory as it is
// at one instant. Free functions without state.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_records.h"

namespace secretfs {

inline std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "type:payload" of each record, in order.
inline std::vector<std::string> All(const SharedRecords& records) {
  std::vector<std::string> all;
  records.ForEach([&](RecordId, uint32_t type, std::span<const std::byte> payload) {
    all.push_back(std::to_string(type) + ":" + Text(payload));
  });
  return all;
}

inline SharedRecords MakeRecords(SharedRecords::Options options) {
  absl::StatusOr<SharedRecords> records = SharedRecords::Create(options);
  EXPECT_TRUE(records.ok()) << records.status();
  return *std::move(records);
}

inline std::string ContentOf(int memory) {
  struct stat attributes{};
  EXPECT_EQ(fstat(memory, &attributes), 0);
  std::string content(static_cast<size_t>(attributes.st_size), '\0');
  EXPECT_EQ(pread(memory, content.data(), content.size(), 0), attributes.st_size);
  return content;
}

inline UniqueFd MemoryWith(std::string_view content) {
  UniqueFd memory(memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(write(memory.get(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  EXPECT_EQ(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  return memory;
}

}  // namespace secretfs
