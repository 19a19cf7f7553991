#include "providers/gcp/crc32c.h"

#include <array>

namespace secretfs::providers::gcp {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // bits reversed

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

}  // namespace

uint32_t Crc32c(std::span<const std::byte> bytes) {
  uint32_t value = ~uint32_t{0};
  for (const std::byte byte : bytes) {
    value = value >> 8 ^ kTable[(value ^ std::to_integer<uint32_t>(byte)) & 0xff];
  }
  return ~value;
}

}  // namespace secretfs::providers::gcp
