#pragma once

// The server of a holder's mounts: takes descriptors and the mount request over the holder's
// socket, brings up stores, cache and filesystem, and serves until the holder says otherwise. Gives
// up its privileges before it reads a manifest or talks to a store (base/sandbox.h).

#include "base/unique_fd.h"
#include "cli/environment.h"

namespace secretfs::cli {

// `socket` is the holder's. Returns the exit code. Main thread; no other thread may exist when it
// is called. After a hand-over it does not return: the process ends.
int RunServer(UniqueFd socket, const Environment& environment);

}  // namespace secretfs::cli
