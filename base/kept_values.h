#pragma once

// Secret values that the holder keeps for the next server: a map from names (which hold no secret)
// to bytes, in the locked, never dumped memory of SharedRecords. What is put here survives the
// server; it is never needed by the server that put it.
//
// Thread-safety: all functions may be called from any thread.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "base/shared_records.h"

namespace secretfs {

class KeptValues {
 public:
  static absl::StatusOr<std::unique_ptr<KeptValues>> Create(size_t bytes);
  static absl::StatusOr<std::unique_ptr<KeptValues>> Attach(int memory);
  // For a server that prepares while another one still uses the memory: until Open it has no values
  // and keeps none. `memory` is duplicated.
  static std::unique_ptr<KeptValues> AttachLater(int memory);
  // REQUIRES: no other process changes the memory any more. After an error (as Attach's) it goes on
  // having and keeping nothing.
  absl::Status Open();
  // Instead of Open: throws away whatever stands there. For memory that Open found damaged, or
  // whose values are not to be believed.
  absl::Status OpenAfresh();
  ~KeptValues();
  KeptValues(const KeptValues&) = delete;
  KeptValues& operator=(const KeptValues&) = delete;

  int memory() const;

  // Replaces what stood under `name`, in one step. When it does not fit, the old value is gone too
  // and false is returned: an old value under a new name would be worse than none.
  bool Put(std::string_view name, std::span<const std::byte> value);
  void Erase(std::string_view name);
  void EraseAllBelow(std::string_view prefix);
  std::optional<SecretBytes> Get(std::string_view name) const;
  // All names that begin with `prefix`, sorted.
  std::vector<std::string> Names(std::string_view prefix) const;

  size_t size() const;  // values

 private:
  class Impl;
  explicit KeptValues(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace secretfs
