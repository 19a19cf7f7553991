#pragma once

// The `policy` block of secretfs.yaml: which fields of cache::Policy a file, a store or the whole
// manifest sets. A file's field wins over its store's, a store's over the manifest's, and
// cache/policy.h has the defaults. Free functions without state.

#include <optional>

#include "cache/policy.h"
#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

struct PolicyOverrides {
  std::optional<Duration> ttl, max_stale, stale_if_error, negative_ttl, deadline, grace_on_delete;
};

PolicyOverrides ReadPolicy(const Value& block);

// `base` with the fields that `overrides` sets.
cache::Policy ApplyPolicy(cache::Policy base, const PolicyOverrides& overrides);

}  // namespace secretfs::k8s
