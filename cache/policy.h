#pragma once

// How long a cached secret may be used: the manifest's `policy` block. docs/manifest.md documents
// each field with its default; a field that is not set takes the mount's, then the default here.

#include <chrono>
#include <optional>

#include "base/clock.h"

namespace secretfs::cache {

struct Policy {
  // A fetched value is fresh this long; it is then refreshed (jitter: up to a tenth earlier). The
  // shortest of this, the store's own time to live and the lease wins.
  Duration ttl = std::chrono::seconds(60);
  // After `ttl`, a value may still be served this long while a refresh runs; then it is expired.
  Duration max_stale = std::chrono::minutes(5);
  // An expired value is still served while the store gives no answer (it is down, its certificate
  // ran out, its file is damaged), this long after `ttl` ended; zero: never.
  Duration stale_if_error = std::chrono::hours(24);
  // A NotFound or denied answer is remembered this long.
  Duration negative_ttl = std::chrono::seconds(5);
  // A reader waits at most this long for a value that is not cached.
  Duration deadline = std::chrono::seconds(10);
  // A secret that the store says is deleted stays readable this long. Not set: until one more
  // refresh confirms it. A denied secret is withdrawn at once.
  std::optional<Duration> grace_on_delete = std::nullopt;
};

// The stricter of the two in each field: for a secret that two mounts name.
Policy Stricter(const Policy& a, const Policy& b);

}  // namespace secretfs::cache
