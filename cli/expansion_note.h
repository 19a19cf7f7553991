#pragma once

// The files that expansions came to, written down for the next server: in the atomic layout the set
// of files is fixed, so it must come out the same although the store may be down by then. Names and
// keys only, no value; in memory that outlives the server (base/kept_values.h). Free functions
// without state.

#include <optional>
#include <vector>

#include "base/kept_values.h"
#include "cli/expansion.h"

namespace secretfs::cli {

// `kept` may be null, for both: then nothing is written and nothing found.
void NoteExpandedFiles(const ExpandedFiles& files, KeptValues* kept);

// What an earlier server of the same mount noted; nothing if there is none, or if it is not what
// these expansions can come to: the note of a server that was taken over must not lead the next one
// to a secret that the manifest does not name, nor show one under the name of another.
std::optional<ExpandedFiles> NotedExpandedFiles(const std::vector<Expansion>& expansions,
                                                const KeptValues* kept);

}  // namespace secretfs::cli
