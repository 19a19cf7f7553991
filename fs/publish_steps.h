#pragma once

// One PublishPlan, step by step; what Publisher's thread does for each. Free functions; must run on
// the publisher's thread, because the mount knows it by that.

#include <vector>

#include "fs/publisher.h"

namespace secretfs::fs {

// Failures are logged and leave the tree switched: new lookups see the new version in any case.
// `later` belongs to the mount: names that the kernel may still remember and should not.
void CarryOut(const PublishPlan& plan, const PublishTarget& target,
              std::vector<PublishPlan::CachedName>& later);

// Drops the names in `later`, unless something waits in the mount: that takes the lock of a
// directory, which a waiting lookup holds.
void ForgetLater(const PublishTarget& target, std::vector<PublishPlan::CachedName>& later);

}  // namespace secretfs::fs
