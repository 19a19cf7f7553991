#pragma once

// Cuts a stream of bytes into lines, in locked memory: what arrives in pieces of any size comes out
// as whole lines without their line feeds. Not thread-safe.

#include <optional>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::providers {

class LineSplitter {
 public:
  // `limit`: bytes of the longest line that is taken.
  explicit LineSplitter(size_t limit) : limit_(limit), begun_(limit) {}

  // REQUIRES: Next has returned nothing since the last Add.
  void Add(SecretBytes piece);

  // The next whole line; nothing when more bytes are needed. OutOfRange for a line over the limit,
  // after which this object is of no more use.
  absl::StatusOr<std::optional<SecretBytes>> Next();

  // Whether a line has begun whose end has not come.
  bool has_part() const { return begun_.size() > 0; }

 private:
  const size_t limit_;
  // The last piece, of which the bytes before `position_` have been given out.
  SecretBytes piece_;
  size_t position_ = 0;
  SecretBuilder begun_;  // the begin of a line that the pieces before did not end
};

}  // namespace secretfs::providers
