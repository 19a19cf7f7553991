#pragma once

// One PublishPlan, step by step; what Publisher's thread does for each. Free functions; must run on
// the publisher's thread, because the mount knows it by that.

#include <vector>

#include "fs/publisher.h"

namespace secretfs::fs {

// Failures are logged and leave the tree switched: new lookups see the new version in any case.
// `hidden` belongs to the mount: inodes whose hidden names the kernel may still remember.
void CarryOut(const PublishPlan& plan, const PublishTarget& target,
              std::vector<InodeNumber>& hidden);

}  // namespace secretfs::fs
