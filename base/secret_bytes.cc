#include "base/secret_bytes.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace secretfs {

SecretBytes SecretBytes::CopyOf(std::span<const std::byte> bytes) {
  SecretBytes result(bytes.size());
  if (result.data_ != nullptr) std::memcpy(result.data_, bytes.data(), bytes.size());
  return result;
}

SecretBytes SecretBytes::CopyOf(std::string_view text) {
  return CopyOf(std::as_bytes(std::span(text.data(), text.size())));
}

absl::Status SecretBuilder::Append(std::span<const std::byte> bytes) {
  if (bytes.size() > limit_ - used_) {
    return absl::ResourceExhaustedError(Format("larger than the limit of {} bytes", limit_));
  }
  if (bytes.empty()) return absl::OkStatus();
  if (used_ + bytes.size() > storage_.size()) {
    const size_t wanted = std::max({used_ + bytes.size(), storage_.size() * 2, size_t{1024}});
    SecretBytes larger(std::min(limit_, wanted));
    if (used_ != 0) std::memcpy(larger.mutable_bytes().data(), storage_.bytes().data(), used_);
    storage_ = std::move(larger);
  }
  std::memcpy(storage_.mutable_bytes().data() + used_, bytes.data(), bytes.size());
  used_ += bytes.size();
  return absl::OkStatus();
}

SecretBytes SecretBuilder::Finish() {
  SecretBytes result = used_ == storage_.size()
                           ? std::move(storage_)
                           : SecretBytes::CopyOf(storage_.bytes().subspan(0, used_));
  storage_ = SecretBytes();
  used_ = 0;
  return result;
}

}  // namespace secretfs
