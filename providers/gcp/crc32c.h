#pragma once

// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum that Secret Manager sends with each
// payload. Written out because Debian's Abseil is older than its absl/crc, and no other dependency
// has this polynomial. Free function without state.

#include <cstddef>
#include <cstdint>
#include <span>

namespace secretfs::providers::gcp {

uint32_t Crc32c(std::span<const std::byte> bytes);

}  // namespace secretfs::providers::gcp
