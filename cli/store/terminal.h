#pragma once

// Talking to a person at a terminal: hidden input, a question, a line of progress. Questions go to
// the terminal itself, progress to stderr, nothing to stdout, which belongs to data. Main thread
// only.

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "cli/store/hidden_input.h"

namespace secretfs::cli {

// What is typed without being shown (hidden_input.h). FailedPrecondition without a terminal.
absl::StatusOr<SecretBytes> ReadHidden(std::string_view prompt, Lines lines = Lines::kOne,
                                       size_t limit = 64 << 10);

// The same, asked twice. InvalidArgument when the two differ or are empty.
absl::StatusOr<SecretBytes> ReadNewPassphrase();

// Whether somebody at the terminal wants it: "y" or "yes". FailedPrecondition without a terminal;
// where stdin, stdout and stderr lead does not matter.
absl::StatusOr<bool> Confirm(std::string_view question);

// "DOING 1200 of 100000" on stderr, updated in place; silent where stderr is no terminal. The line
// is cleared at the end.
class Progress {
 public:
  Progress(std::string doing, size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void Step();

 private:
  std::string doing_;
  size_t total_;
  size_t done_ = 0;
  size_t shown_ = 0;
  bool visible_;
};

}  // namespace secretfs::cli
