// The memory in which a server keeps values for the next one, written by a server that was taken
// over: the next one finds values or none, keeps its own, and is never led to believe a time that
// it could not go on from. The input is laid over memory with a good header (its first byte says
// where), and is a kept entry and a listing besides.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "base/kept_values.h"
#include "cache/entry.h"
#include "cache/kept_secret.h"

namespace secretfs {
namespace {

using std::chrono::hours;

constexpr MonotonicTime kNow{hours(5)};
constexpr size_t kBytes = 8192;
constexpr size_t kDirectory = 128;  // base/shared_records_layout.h
constexpr size_t kCommitted = 40;

void Require(bool condition) {
  if (!condition) std::abort();
}

void UseEntry(std::span<const std::byte> bytes) {
  std::optional<cache::SavedEntry> saved = cache::ReadKeptEntry(bytes, kNow);
  if (!saved.has_value()) return;
  cache::Entry entry(cache::EntryKey{cache::StoreId(1), {"key", ""}});
  entry.Restore(*std::move(saved), kNow);
  entry.AdvanceTo(kNow);
  for (const MonotonicTime now : {kNow, kNow + hours(100)}) {
    (void)entry.SnapshotAt({now, WallTime(hours(500'000))}, false, std::max(now, entry.AskAt()));
    (void)entry.NextBoundary(now);
    (void)entry.WhatToAsk(now);
    (void)entry.Decide(now);
  }
  if (entry.has_value()) (void)cache::WriteKeptEntry(entry.Save());
  // A refusal is not remembered for longer than the policy says.
  const MonotonicTime later = kNow + entry.policy().negative_ttl;
  Require(entry.freshness().state().negative_until <= later);
}

void UseListing(std::span<const std::byte> bytes) {
  const auto listing = cache::ReadKeptListing(bytes, kNow);
  if (!listing.has_value()) return;
  for (const providers::ListEntry& entry : *listing->entries) {
    Require(!entry.name.empty() && entry.name.find('/') == std::string::npos);
  }
  (void)cache::WriteKeptListing(*listing);
}

void UseMemory(std::span<const std::byte> input) {
  if (input.empty()) return;
  const auto made = *KeptValues::Create(kBytes);
  const std::string_view text = "something";
  for (const char* name : {"cache/secret/a", "f/1/2", "note/expansions"}) {
    made->Put(name, std::as_bytes(std::span(text.data(), text.size())));
  }
  const size_t block = static_cast<size_t>(input[0]) * 64;
  const size_t offset = block == 0 ? kCommitted : kDirectory + block - 64;
  if (pwrite(made->memory(), input.data() + 1, input.size() - 1, static_cast<off_t>(offset)) < 0) {
    return;
  }
  const auto next = KeptValues::AttachLater(made->memory());
  if (!next->Open().ok()) Require(next->OpenAfresh().ok());
  for (const std::string& name : next->Names("")) {
    const auto value = next->Get(name);
    if (!value.has_value()) continue;
    UseEntry(value->bytes());
    UseListing(value->bytes());
  }
  const bool fits = next->Put("own", input.subspan(0, std::min<size_t>(input.size(), 256)));
  const auto own = next->Get("own");
  Require(own.has_value() == fits);
  next->EraseAllBelow("cache/");
  const auto after = KeptValues::AttachLater(next->memory());
  Require(after->Open().ok());
  Require(after->Names("cache/").empty());
  Require(after->Get("own").has_value() == fits);
}

}  // namespace
}  // namespace secretfs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  secretfs::UseEntry(input);
  secretfs::UseListing(input);
  if (size <= 16384) secretfs::UseMemory(input);
  return 0;
}
