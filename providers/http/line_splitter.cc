#include "providers/http/line_splitter.h"

#include <string_view>
#include <utility>

#include "base/text.h"

namespace secretfs::providers {

void LineSplitter::Add(SecretBytes piece) {
  piece_ = std::move(piece);
  position_ = 0;
}

absl::StatusOr<std::optional<SecretBytes>> LineSplitter::Next() {
  const std::string_view rest = piece_.ExposeAsText().substr(position_);
  if (rest.empty()) return std::nullopt;
  const size_t end = rest.find('\n');
  const std::string_view part = rest.substr(0, end);
  // The limit is the builder's.
  if (!begun_.Append(part).ok()) {
    return absl::OutOfRangeError(
        Format("a line of the answer is longer than the limit of {} bytes", limit_));
  }
  if (end == std::string_view::npos) {
    position_ = piece_.size();
    return std::nullopt;
  }
  position_ += end + 1;
  return begun_.Finish();
}

}  // namespace secretfs::providers
