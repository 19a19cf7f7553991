// The parsers of the local store's file and key file. The first byte of an input chooses the
// parser: 0 header, 1 index, 2 key file, 3 header with its digest put right (so that the fields
// behind the digest are reached), 4 index of format 2.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "providers/local/store_format.h"
#include "providers/local/store_key.h"

namespace secretfs::providers::local {
namespace {

void Require(bool condition) {
  if (!condition) abort();
}

void FuzzHeader(std::span<const std::byte> bytes) {
  const absl::StatusOr<StoreHeader> header = DecodeHeader(bytes);
  if (header.ok()) Require(CheckKeyParameters(header->key).ok());
}

void FuzzHeaderWithDigest(std::span<const std::byte> bytes) {
  std::array<std::byte, kHeaderBytes> header{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), kHeaderBytes - kDigestBytes), header.begin());
  const auto digest = Sha256(std::span(header).first(kHeaderBytes - kDigestBytes));
  Require(digest.ok());
  std::copy(digest->begin(), digest->end(), header.end() - kDigestBytes);
  FuzzHeader(header);
}

void FuzzIndex(std::span<const std::byte> bytes, uint16_t format) {
  const absl::StatusOr<StoreIndex> index = DecodeIndex(bytes, format);
  if (!index.ok()) return;
  Require(index->format() == format);
  // What is accepted is exactly what a writer would make of it.
  const SecretBytes again = EncodeIndex(*index);
  Require(again.size() <= bytes.size());
  Require(std::equal(again.bytes().begin(), again.bytes().end(), bytes.begin()));
  for (const auto& [name, entry] : index->secrets) {
    Require(CheckSecretName(name).ok() && !entry.versions.empty());
  }
  for (const auto& [name, entry] : index->removed) {
    Require(CheckSecretName(name).ok() && !entry.versions.empty());
    const auto living = index->secrets.find(name);
    for (const RemovedVersion& one : entry.versions) {
      Require(living == index->secrets.end() || !HasVersion(living->second, one.version.number));
    }
  }
}

void FuzzKeys(std::span<const std::byte> bytes) {
  const absl::StatusOr<std::vector<SecretBytes>> keys = ParseKeys(SecretBytes::CopyOf(bytes));
  if (!keys.ok()) return;
  Require(!keys->empty());
  for (const SecretBytes& key : *keys) Require(key.size() == kKeyBytes);
}

}  // namespace
}  // namespace secretfs::providers::local

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace secretfs::providers::local;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 5) {
    case 0:
      FuzzHeader(bytes);
      break;
    case 1:
      FuzzIndex(bytes, 1);
      break;
    case 2:
      FuzzKeys(bytes);
      break;
    case 4:
      FuzzIndex(bytes, 2);
      break;
    default:
      FuzzHeaderWithDigest(bytes);
  }
  return 0;
}
