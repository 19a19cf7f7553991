#pragma once

// Turns what the readers collected into a Manifest: store names, policies, defaults of the mount,
// and the checks that need all documents together (paths that stand twice or inside one another,
// names that the atomic layout reserves, stores that nobody uses). Problems go into the draft's
// list. Free functions without state.

#include "k8s/manifest/draft.h"

namespace secretfs::k8s {

// What is returned is complete only if the draft has no problems afterwards.
Manifest ResolveDraft(Draft& draft);

}  // namespace secretfs::k8s
