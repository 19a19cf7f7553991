#include "base/kept_values.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace secretfs {
namespace {

// A record's payload: the size of the name in four bytes, the name, the value.
constexpr uint32_t kType = 1;
constexpr size_t kNameAt = sizeof(uint32_t);
// Room for records: one for so many bytes of values.
constexpr size_t kBytesPerRecord = 256;
constexpr size_t kLeastRecords = 64;

SecretBytes PayloadOf(std::string_view name, std::span<const std::byte> value) {
  SecretBytes payload(kNameAt + name.size() + value.size());
  std::byte* const bytes = payload.mutable_bytes().data();
  const auto name_size = static_cast<uint32_t>(name.size());
  std::memcpy(bytes, &name_size, kNameAt);
  if (!name.empty()) std::memcpy(bytes + kNameAt, name.data(), name.size());
  if (!value.empty()) std::memcpy(bytes + kNameAt + name.size(), value.data(), value.size());
  return payload;
}

// The name in a payload, if there is one.
std::optional<std::string> NameIn(std::span<const std::byte> payload) {
  uint32_t size = 0;
  if (payload.size() < kNameAt) return std::nullopt;
  std::memcpy(&size, payload.data(), kNameAt);
  if (size > payload.size() - kNameAt) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(payload.data()) + kNameAt, size);
}

}  // namespace

class KeptValues::Impl {
 public:
  // Not open.
  explicit Impl(UniqueFd memory) : memory_(std::move(memory)) {}
  explicit Impl(SharedRecords records) : records_(std::move(records)) {}

  absl::Status Open() {
    absl::MutexLock lock(&mutex_);
    if (records_.has_value()) return absl::OkStatus();
    SECRETFS_ASSIGN_OR_RETURN(SharedRecords records, SharedRecords::Attach(memory_.get()));
    Places places;
    // Otherwise what goes would not be wiped.
    bool sound = records.secret();
    records.ForEach([&](RecordId record, uint32_t type, std::span<const std::byte> payload) {
      std::optional<std::string> name = NameIn(payload);
      sound = sound && type == kType && name.has_value() &&
              places.emplace(*std::move(name), record).second;
    });
    if (!sound) return absl::DataLossError("the kept values are damaged");
    records_ = std::move(records);
    places_ = std::move(places);
    memory_.Reset();
    return absl::OkStatus();
  }

  absl::Status OpenAfresh() {
    absl::MutexLock lock(&mutex_);
    if (records_.has_value()) return absl::FailedPreconditionError("the values are open already");
    SECRETFS_ASSIGN_OR_RETURN(
        SharedRecords records,
        SharedRecords::Reset(memory_.get(), kBytesPerRecord, /*secret=*/true));
    records_ = std::move(records);
    places_.clear();
    memory_.Reset();
    return absl::OkStatus();
  }

  int memory() const {
    absl::MutexLock lock(&mutex_);
    return records_.has_value() ? records_->memory() : memory_.get();
  }

  bool Put(std::string_view name, std::span<const std::byte> value) {
    const SecretBytes payload = PayloadOf(name, value);
    absl::MutexLock lock(&mutex_);
    if (!records_.has_value()) return false;
    const auto place = places_.find(name);
    if (place != places_.end()) {
      if (records_->Replace(place->second, payload.bytes()).ok()) {
        records_->Commit();
        return true;
      }
      // Perhaps it fits once the old value's room is free.
      Remove(place);
      records_->Commit();
    }
    const absl::StatusOr<RecordId> record = records_->Insert(kType, payload.bytes());
    if (!record.ok()) return false;
    records_->Commit();
    places_.emplace(name, *record);
    return true;
  }

  void Erase(std::string_view name) {
    absl::MutexLock lock(&mutex_);
    const auto place = places_.find(name);
    if (place == places_.end()) return;
    Remove(place);
    records_->Commit();
  }

  void EraseAllBelow(std::string_view prefix) {
    absl::MutexLock lock(&mutex_);
    if (!records_.has_value()) return;
    auto place = places_.lower_bound(prefix);
    while (place != places_.end() && place->first.starts_with(prefix)) place = Remove(place);
    records_->Commit();
  }

  std::optional<SecretBytes> Get(std::string_view name) const {
    absl::MutexLock lock(&mutex_);
    const auto place = places_.find(name);
    if (place == places_.end()) return std::nullopt;
    const std::span<const std::byte> payload = records_->payload(place->second);
    const size_t value_at = kNameAt + name.size();
    // Checked when it was read or written; but the memory is shared.
    if (payload.size() < value_at) return std::nullopt;
    return SecretBytes::CopyOf(payload.subspan(value_at));
  }

  std::vector<std::string> Names(std::string_view prefix) const {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> names;
    for (auto place = places_.lower_bound(prefix);
         place != places_.end() && place->first.starts_with(prefix); ++place) {
      names.push_back(place->first);
    }
    return names;
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return places_.size();
  }

 private:
  using Places = std::map<std::string, RecordId, std::less<>>;

  Places::iterator Remove(Places::iterator place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    records_->Erase(place->second);
    return places_.erase(place);
  }

  mutable absl::Mutex mutex_;
  // protects the following:
  UniqueFd memory_ ABSL_GUARDED_BY(mutex_);  // valid until it is open
  std::optional<SharedRecords> records_ ABSL_GUARDED_BY(mutex_);
  // One for each record, and what its payload says; empty until it is open.
  Places places_ ABSL_GUARDED_BY(mutex_);
};

KeptValues::KeptValues(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KeptValues::~KeptValues() = default;

absl::StatusOr<std::unique_ptr<KeptValues>> KeptValues::Create(size_t bytes) {
  SECRETFS_ASSIGN_OR_RETURN(
      SharedRecords records,
      SharedRecords::Create({.bytes = bytes,
                             .records = std::max(kLeastRecords, bytes / kBytesPerRecord),
                             .secret = true}));
  return std::unique_ptr<KeptValues>(new KeptValues(std::make_unique<Impl>(std::move(records))));
}

absl::StatusOr<std::unique_ptr<KeptValues>> KeptValues::Attach(int memory) {
  std::unique_ptr<KeptValues> values = AttachLater(memory);
  SECRETFS_RETURN_IF_ERROR(values->Open());
  return values;
}

std::unique_ptr<KeptValues> KeptValues::AttachLater(int memory) {
  UniqueFd own(fcntl(memory, F_DUPFD_CLOEXEC, 0));
  return std::unique_ptr<KeptValues>(new KeptValues(std::make_unique<Impl>(std::move(own))));
}

absl::Status KeptValues::Open() { return impl_->Open(); }
absl::Status KeptValues::OpenAfresh() { return impl_->OpenAfresh(); }
int KeptValues::memory() const { return impl_->memory(); }
bool KeptValues::Put(std::string_view name, std::span<const std::byte> value) {
  return impl_->Put(name, value);
}
void KeptValues::Erase(std::string_view name) { impl_->Erase(name); }
void KeptValues::EraseAllBelow(std::string_view prefix) { impl_->EraseAllBelow(prefix); }
std::optional<SecretBytes> KeptValues::Get(std::string_view name) const { return impl_->Get(name); }
std::vector<std::string> KeptValues::Names(std::string_view prefix) const {
  return impl_->Names(prefix);
}
size_t KeptValues::size() const { return impl_->size(); }

}  // namespace secretfs
