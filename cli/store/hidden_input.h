#pragma once

// Text typed or pasted at a terminal without being shown. The terminal's own line editing would cut
// a line at 4,095 bytes and hand out the first line of a paste; so bytes are read as they come, and
// erasing is done here. A paste of several lines is known by the terminal's marks around it
// (bracketed paste), or else by more input that is there when a line ends.
//
// Ctrl-C and other signals that end the program put the terminal right before; after Ctrl-Z and fg
// (or a stop by somebody else) the input begins anew, hidden again. Main thread only, one at a
// time.

#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::cli {

enum class Lines {
  kOne,      // several are refused
  kSeveral,  // a line end after each; ended by an empty line or Ctrl-D. One line has none
};

// What is typed at the terminal `fd` behind `prompt`, at most `limit` bytes. InvalidArgument for
// several lines where one is wanted; FailedPrecondition if the echo cannot be switched off.
absl::StatusOr<SecretBytes> ReadHiddenText(int fd, std::string_view prompt, Lines lines,
                                           size_t limit);

}  // namespace secretfs::cli
