#pragma once

// External Secrets' dataFrom: files whose names only the store knows. `extract` makes one file of
// each field of a secret, `find` one of each secret whose name matches. Names are rewritten as the
// manifest says, and what the operator would not take as a key of a Secret becomes '_', so that
// they are the names that the application has in production. Where two get one name, the later
// expansion wins, as with the operator.
//
// Thread-safety: coroutines run on the I/O thread.

#include <asio/awaitable.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cache/cache.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::cli {

// How a coroutine waits for a timer without an exception.
inline constexpr auto kAwait = asio::experimental::as_tuple(asio::use_awaitable);

struct Expansion {
  cache::StoreId store;
  k8s::ManifestExpansion what;
};

struct ExpandedFile {
  cache::EntryKey key;
  providers::Selection selection;
  cache::Policy policy;
  size_t expansion = 0;  // which of the manifest's it comes from
};
using ExpandedFiles = std::map<std::string, ExpandedFile>;  // by file name

// Asks the stores (through `cache`, so with its deadlines) for the names. An error of one expansion
// is the error of all: half of the files would look like the whole. `cache` outlives the coroutine.
asio::awaitable<absl::StatusOr<ExpandedFiles>> Expand(cache::Cache* cache,
                                                      std::vector<Expansion> expansions);

// cache.Read as something to wait for.
asio::awaitable<absl::StatusOr<cache::EntrySnapshot>> ReadEntry(cache::Cache* cache,
                                                                cache::EntryKey key);

// The file name of `name`: rewritten, then made a valid key. Empty when nothing usable is left.
std::string ExpandedName(const k8s::ManifestExpansion& expansion, const std::string& name);

// Whether `find` takes the secret of that key.
bool MatchesFind(const k8s::FindSecrets& find, const std::string& key);

// Whether an expanded name can be shown as a file.
bool IsFileName(std::string_view name);

// The names that `extract` makes files of: fields, or the keys of the JSON object that the value
// is. FailedPrecondition when it is neither.
absl::StatusOr<std::vector<std::string>> FieldNames(const providers::Secret& secret);

}  // namespace secretfs::cli
