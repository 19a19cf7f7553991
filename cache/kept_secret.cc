#include "cache/kept_secret.h"

#include <bit>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <utility>

#include "base/text.h"

namespace secretfs::cache {
namespace {

// Raised with every change of the form.
constexpr uint8_t kEntryForm = 1;
constexpr uint8_t kListingForm = 101;

// Longest that a lease may last: as nanoseconds it still fits many times.
constexpr int64_t kMostLeaseSeconds = 1'000'000'000;
constexpr size_t kLongestName = 64 << 10;

std::string Named(std::string_view prefix, std::initializer_list<std::string_view> parts) {
  std::string name(prefix);
  for (const std::string_view part : parts) name += Format("{}:{}/", part.size(), part);
  return name;
}

// --- writing

class Writer {
 public:
  void Number(int64_t number) { Raw(std::as_bytes(std::span(&number, 1))); }
  void Byte(uint8_t byte) { Raw(std::as_bytes(std::span(&byte, 1))); }
  void Flag(bool flag) { Byte(flag ? 1 : 0); }
  void Bytes(std::span<const std::byte> bytes) {
    Number(static_cast<int64_t>(bytes.size()));
    Raw(bytes);
  }
  void Text(std::string_view text) { Bytes(std::as_bytes(std::span(text.data(), text.size()))); }
  void Time(MonotonicTime time) { Number(time.time_since_epoch().count()); }
  // `write` writes what is there.
  template <typename T, typename Write>
  void Optional(const std::optional<T>& value, const Write& write) {
    Flag(value.has_value());
    if (value.has_value()) write(*value);
  }
  SecretBytes Finish() { return builder_.Finish(); }

 private:
  void Raw(std::span<const std::byte> bytes) { (void)builder_.Append(bytes); }

  SecretBuilder builder_{std::numeric_limits<size_t>::max()};
};

void Write(Writer& to, const Freshness::State& state) {
  to.Time(state.fetched->monotonic);
  to.Number(state.fetched->wall.time_since_epoch().count());
  to.Number(state.bound.count());
  to.Flag(state.bound_alone);
  to.Time(state.fresh_limit);
  to.Flag(state.must_ask);
  to.Number(static_cast<int64_t>(state.last_error.code()));
  to.Text(MessageOf(state.last_error));
  to.Number(state.failures_in_a_row);
  to.Time(state.failed_at);
  to.Time(state.negative_until);
}

void Write(Writer& to, const providers::Lease& lease) {
  to.Text(lease.id);
  to.Number(lease.duration.count());
  to.Flag(lease.renewable);
}

void Write(Writer& to, const providers::Secret& secret) {
  to.Bytes(secret.value.bytes());
  to.Number(static_cast<int64_t>(secret.fields.size()));
  for (const auto& [name, value] : secret.fields) {
    to.Text(name);
    to.Bytes(value.bytes());
  }
  to.Text(secret.version);
  to.Optional(secret.changed_at,
              [&](WallTime time) { to.Number(time.time_since_epoch().count()); });
  to.Optional(secret.time_to_live, [&](Duration duration) { to.Number(duration.count()); });
  to.Optional(secret.lease, [&](const providers::Lease& lease) { Write(to, lease); });
}

// --- reading

// After the first thing that is wrong, everything reads as empty and `sound` is false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  int64_t Number() {
    int64_t number = 0;
    const std::span<const std::byte> bytes = Raw(sizeof(number));
    if (!bytes.empty()) std::memcpy(&number, bytes.data(), sizeof(number));
    return number;
  }
  // A number in this range.
  int64_t Number(int64_t least, int64_t most) {
    const int64_t number = Number();
    Expect(least <= number && number <= most);
    return sound_ ? number : least;
  }
  uint8_t Byte() {
    const std::span<const std::byte> bytes = Raw(1);
    return bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  }
  bool Flag() {
    const uint8_t byte = Byte();
    Expect(byte <= 1);
    return byte == 1;
  }
  std::span<const std::byte> Bytes() {
    const int64_t size = Number(0, std::numeric_limits<int64_t>::max());
    return Raw(static_cast<size_t>(size));
  }
  std::string Text() {
    const std::span<const std::byte> bytes = Bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  template <typename Read>
  auto Optional(const Read& read) -> std::optional<decltype(read())> {
    if (!Flag()) return std::nullopt;
    return read();
  }

  void Expect(bool condition) { sound_ = sound_ && condition; }
  bool sound() const { return sound_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::span<const std::byte> Raw(size_t size) {
    Expect(size <= rest_.size());
    if (!sound_) return {};
    const std::span<const std::byte> bytes = rest_.subspan(0, size);
    rest_ = rest_.subspan(size);
    return bytes;
  }

  std::span<const std::byte> rest_;
  bool sound_ = true;
};

// Times and durations are added to each other: no sum of a few may overflow.
constexpr int64_t kMostTime = std::numeric_limits<int64_t>::max() / 8;

WallTime ReadWallTime(Reader& from) {
  return WallTime(Duration(from.Number(-4 * kMostTime, 4 * kMostTime)));
}

// Not negative; the largest of all stands for no end.
Duration ReadDuration(Reader& from) {
  const Duration duration(from.Number());
  from.Expect(duration == Duration::max() ||
              (duration.count() >= 0 && duration.count() <= kMostTime));
  return from.sound() ? duration : Duration(0);
}

MonotonicTime ReadTime(Reader& from) { return MonotonicTime(ReadDuration(from)); }

// The smallest of all stands for never.
MonotonicTime ReadPastTime(Reader& from, MonotonicTime latest) {
  const MonotonicTime time(Duration(from.Number()));
  from.Expect(time == MonotonicTime::min() ||
              (time.time_since_epoch().count() >= 0 && time <= latest));
  return from.sound() ? time : MonotonicTime::min();
}

Freshness::State ReadFreshness(Reader& from, MonotonicTime now) {
  const int64_t latest = now.time_since_epoch().count();
  Freshness::State state;
  const MonotonicTime fetched(Duration(from.Number(0, latest)));
  state.fetched = Moment{fetched, ReadWallTime(from)};
  state.bound = ReadDuration(from);
  state.bound_alone = from.Flag();
  state.fresh_limit = ReadTime(from);
  state.must_ask = from.Flag();
  const auto code = static_cast<absl::StatusCode>(
      from.Number(0, static_cast<int64_t>(absl::StatusCode::kUnauthenticated)));
  const std::string message = from.Text();
  state.last_error = absl::Status(code, ToAbsl(message));
  state.failures_in_a_row =
      static_cast<int>(from.Number(0, std::numeric_limits<int32_t>::max() / 2));
  state.failed_at = ReadPastTime(from, now);
  state.negative_until = ReadPastTime(from, MonotonicTime::max());
  return state;
}

providers::Lease ReadLease(Reader& from) {
  providers::Lease lease;
  lease.id = from.Text();
  lease.duration = std::chrono::seconds(from.Number(0, kMostLeaseSeconds));
  lease.renewable = from.Flag();
  return lease;
}

providers::SecretPtr ReadSecret(Reader& from) {
  auto secret = std::make_shared<providers::Secret>();
  secret->value = SecretBytes::CopyOf(from.Bytes());
  for (int64_t count = from.Number(); from.sound() && count > 0; --count) {
    std::string name = from.Text();
    SecretBytes value = SecretBytes::CopyOf(from.Bytes());
    from.Expect(secret->fields.emplace(std::move(name), std::move(value)).second);
  }
  secret->version = from.Text();
  from.Expect(!secret->version.empty());
  secret->changed_at = from.Optional([&] { return ReadWallTime(from); });
  secret->time_to_live = from.Optional([&] { return Duration(from.Number()); });
  secret->lease = from.Optional([&] { return ReadLease(from); });
  return secret;
}

HeldLease ReadHeldLease(Reader& from, MonotonicTime now) {
  HeldLease held;
  held.lease = ReadLease(from);
  held.started = MonotonicTime(Duration(from.Number(0, now.time_since_epoch().count())));
  held.ends = ReadTime(from);
  held.first_duration = std::chrono::seconds(from.Number(0, kMostLeaseSeconds));
  held.of_current_value = from.Flag();
  return held;
}

// One part of a key: anything else, in a listing that another process left, would lead elsewhere.
// (A store that lists such names is asked again.)
bool IsNameOfListing(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= kLongestName &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

}  // namespace

std::string KeptSecretName(const StoreSettings& store, const providers::SecretRef& ref) {
  return Named(kKeptSecretPrefix, {store.name, store.identity, ref.key, ref.version});
}

std::string KeptListingName(const StoreSettings& store, std::string_view prefix) {
  return Named(kKeptListingPrefix, {store.name, store.identity, prefix});
}

SecretBytes WriteKeptEntry(const SavedEntry& entry) {
  Writer to;
  to.Byte(kEntryForm);
  Write(to, *entry.secret);
  to.Optional(entry.time_to_live, [&](Duration duration) { to.Number(duration.count()); });
  Write(to, entry.freshness);
  to.Number(std::bit_cast<int64_t>(entry.jitter));
  to.Time(entry.retry_at);
  to.Flag(entry.deleted);
  to.Optional(entry.withdraw_at, [&](MonotonicTime time) { to.Time(time); });
  to.Number(static_cast<int64_t>(entry.leases.size()));
  for (const HeldLease& held : entry.leases) {
    Write(to, held.lease);
    to.Time(held.started);
    to.Time(held.ends);
    to.Number(held.first_duration.count());
    to.Flag(held.of_current_value);
  }
  return to.Finish();
}

std::optional<SavedEntry> ReadKeptEntry(std::span<const std::byte> bytes, MonotonicTime now) {
  Reader from(bytes);
  from.Expect(from.Byte() == kEntryForm);
  SavedEntry entry;
  entry.secret = ReadSecret(from);
  entry.time_to_live = from.Optional([&] { return Duration(from.Number()); });
  entry.freshness = ReadFreshness(from, now);
  entry.jitter = std::bit_cast<double>(from.Number());
  from.Expect(entry.jitter >= 0 && entry.jitter <= 1);
  entry.retry_at = ReadPastTime(from, MonotonicTime(Duration(kMostTime)));
  entry.deleted = from.Flag();
  entry.withdraw_at = from.Optional([&] { return ReadTime(from); });
  for (int64_t count = from.Number(); from.sound() && count > 0; --count) {
    entry.leases.push_back(ReadHeldLease(from, now));
  }
  if (!from.sound() || !from.at_end()) return std::nullopt;
  return entry;
}

SecretBytes WriteKeptListing(const SavedListing& listing) {
  Writer to;
  to.Byte(kListingForm);
  Write(to, listing.freshness);
  to.Number(static_cast<int64_t>(listing.entries->size()));
  for (const providers::ListEntry& entry : *listing.entries) {
    to.Text(entry.name);
    to.Flag(entry.is_secret);
    to.Flag(entry.is_prefix);
  }
  return to.Finish();
}

std::optional<SavedListing> ReadKeptListing(std::span<const std::byte> bytes, MonotonicTime now) {
  Reader from(bytes);
  from.Expect(from.Byte() == kListingForm);
  SavedListing listing;
  listing.freshness = ReadFreshness(from, now);
  auto entries = std::make_shared<std::vector<providers::ListEntry>>();
  for (int64_t count = from.Number(); from.sound() && count > 0; --count) {
    providers::ListEntry entry;
    entry.name = from.Text();
    from.Expect(IsNameOfListing(entry.name));
    entry.is_secret = from.Flag();
    entry.is_prefix = from.Flag();
    entries->push_back(std::move(entry));
  }
  if (!from.sound() || !from.at_end()) return std::nullopt;
  listing.entries = std::move(entries);
  return listing;
}

}  // namespace secretfs::cache
