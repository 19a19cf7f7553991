#pragma once

// The one place where a failure becomes the errno that a reader of a file gets. docs/errors.md
// shows the same table to users; tests/unit/base/errno_table_test.cc compares the two.

#include "absl/status/status.h"

namespace secretfs {

// The errno (positive) for `status`; 0 for OK.
int StatusToErrno(const absl::Status& status);

}  // namespace secretfs
