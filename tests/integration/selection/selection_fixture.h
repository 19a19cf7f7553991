#pragma once

// Where the tests of this folder find what `build` made: in the environment variable
// SECRETFS_SELECTION, which ./test sets, else by running the script.

#include <filesystem>

namespace secretfs::testing {

// Throws std::runtime_error when there is nothing.
std::filesystem::path SelectionPrograms();

}  // namespace secretfs::testing
