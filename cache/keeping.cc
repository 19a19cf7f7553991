// Cache::Impl: what outlives this process. An entry is kept exactly while it has a value and an
// interest: Settle writes it before anybody hears of the change, so that the next server never
// knows less than the readers of this one.

#include <set>
#include <utility>

#include "base/log.h"
#include "cache/cache_impl.h"
#include "cache/kept_secret.h"

namespace secretfs::cache {

void Cache::Impl::Keep(Record& record) {
  KeptValues* const kept = environment_.options.kept;
  if (kept == nullptr || stage_ != Stage::kRunning) return;
  const Entry& entry = record.entry;
  if (!entry.has_value() || record.interests.empty()) {
    record.kept_revision = 0;
    if (!std::exchange(record.kept, false)) return;
    return kept->Erase(KeptSecretName(record.store.settings, entry.key().ref));
  }
  if (record.kept_revision == entry.revision()) return;
  record.kept_revision = entry.revision();
  const SecretBytes bytes = WriteKeptEntry(entry.Save());
  record.kept = kept->Put(KeptSecretName(record.store.settings, entry.key().ref), bytes.bytes());
  if (record.kept || std::exchange(told_that_kept_is_full_, true)) return;
  Log().warn(
      "\"{}\" of store \"{}\" does not fit into the memory that is kept for the next server, "
      "which will have to fetch what did not fit",
      entry.key().ref.key, record.store.settings.name);
}

// REQUIRES: the record has an interest.
void Cache::Impl::Restore(Record& record) {
  KeptValues* const kept = environment_.options.kept;
  if (kept == nullptr || std::exchange(record.looked_in_kept, true)) return;
  const std::optional<SecretBytes> bytes =
      kept->Get(KeptSecretName(record.store.settings, record.entry.key().ref));
  if (!bytes.has_value()) return;
  record.kept = true;  // from now on this entry's: Keep replaces or erases it
  // Asked for meanwhile: the store's answer is newer.
  if (record.entry.has_value() || record.asks_started > 0) return;
  std::optional<SavedEntry> saved = ReadKeptEntry(bytes->bytes(), environment_.Now());
  if (!saved.has_value()) return;
  record.entry.Restore(*std::move(saved), environment_.Now());
  record.kept_revision = record.entry.revision();
  record.asked = true;
  // Whether it changed while no server lived is looked for where a watch would have said so. A
  // credential of its own cannot have changed.
  if (record.store.capabilities.watch && !record.entry.holds_leases()) restored_.push_back(&record);
}

void Cache::Impl::CatchUp() {
  std::vector<Record*> concerned;
  for (Record* record : std::exchange(restored_, {})) {
    if (RecordChanged(*record)) concerned.push_back(record);
  }
  AskTogether(concerned, true);
}

void Cache::Impl::ForgetUnclaimed() {
  KeptValues* const kept = environment_.options.kept;
  if (kept == nullptr || stage_ != Stage::kRunning) return;
  std::set<std::string> claimed;
  for (const Store* store : AllStores()) {
    for (const auto& [ref, record] : store->records) {
      if (record->kept) claimed.insert(KeptSecretName(store->settings, ref));
    }
  }
  for (const std::string& name : kept->Names(kKeptSecretPrefix)) {
    if (!claimed.contains(name)) kept->Erase(name);
  }
}

}  // namespace secretfs::cache
