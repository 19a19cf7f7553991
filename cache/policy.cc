#include "cache/policy.h"

#include <algorithm>

namespace secretfs::cache {

Policy Stricter(const Policy& a, const Policy& b) {
  Policy result;
  result.ttl = std::min(a.ttl, b.ttl);
  result.max_stale = std::min(a.max_stale, b.max_stale);
  result.stale_if_error = std::min(a.stale_if_error, b.stale_if_error);
  result.negative_ttl = std::min(a.negative_ttl, b.negative_ttl);
  result.deadline = std::min(a.deadline, b.deadline);
  // Not set means "until one more refresh confirms it", which no fixed time can be compared with;
  // a time that somebody chose wins over it.
  if (a.grace_on_delete.has_value() && b.grace_on_delete.has_value()) {
    result.grace_on_delete = std::min(*a.grace_on_delete, *b.grace_on_delete);
  } else {
    result.grace_on_delete = a.grace_on_delete.has_value() ? a.grace_on_delete : b.grace_on_delete;
  }
  return result;
}

}  // namespace secretfs::cache
