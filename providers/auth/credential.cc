#include "providers/auth/credential.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/file_access.h"
#include "base/status.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace secretfs::providers {
namespace {

// Tokens are tens of bytes, JWTs a few KiB: a larger file is a mistake (or a device without end).
constexpr size_t kCredentialLimit = 256 << 10;

SecretBytes Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return SecretBytes();
  const size_t last = text.find_last_not_of(kSpace);
  return SecretBytes::CopyOf(text.substr(first, last - first + 1));
}

}  // namespace

Credential::Credential(CredentialSource source, std::string what)
    : source_(std::move(source)), what_(std::move(what)) {}

std::string Credential::Description() const {
  if (!source_.file.empty()) return Format("{} file {}", what_, source_.file);
  if (!source_.environment.empty()) return Format("environment variable {}", source_.environment);
  if (source_.inline_value != nullptr) return Format("{} of the manifest", what_);
  return Format("{} (not configured)", what_);
}

absl::StatusOr<SecretBytes> Credential::Read() {
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes whole, ReadExact());
  SecretBytes value = Trimmed(whole.ExposeAsText());
  if (value.empty()) {
    return absl::FailedPreconditionError(Format("the {} is empty", Description()));
  }
  return value;
}

absl::StatusOr<SecretBytes> Credential::ReadExact() {
  SecretBytes value;
  if (!source_.file.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(value, ReadFile());
  } else if (!source_.environment.empty()) {
    const char* text = std::getenv(source_.environment.c_str());
    if (text == nullptr) {
      return absl::FailedPreconditionError(
          Format("the {} is to come from the environment variable {}, which is not set", what_,
                 source_.environment));
    }
    value = SecretBytes::CopyOf(std::string_view(text));
  } else if (source_.inline_value != nullptr) {
    value = source_.inline_value->Clone();
  } else {
    return absl::FailedPreconditionError(
        Format("no {} is configured: give a file, an environment variable or a value", what_));
  }
  if (value.empty()) {
    return absl::FailedPreconditionError(Format("the {} is empty", Description()));
  }
  return value;
}

bool Credential::Changed() const {
  if (source_.file.empty() || !read_state_.has_value()) return false;
  struct stat status;
  if (StatFile(source_.file, status) != 0) return false;
  return !Same(*read_state_, StateOf(status));
}

Credential::FileState Credential::StateOf(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
}

bool Credential::Same(const FileState& a, const FileState& b) {
  return a.device == b.device && a.inode == b.inode && a.size == b.size &&
         a.modified.tv_sec == b.modified.tv_sec && a.modified.tv_nsec == b.modified.tv_nsec &&
         a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec;
}

absl::StatusOr<SecretBytes> Credential::ReadFile() {
  // Non-blocking, so that a FIFO in the file's place cannot stop the I/O thread.
  const UniqueFd fd = OpenFile(source_.file, O_NONBLOCK);
  struct stat status;
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) {
    return absl::FailedPreconditionError(
        Format("the {} cannot be read: {}", Description(), std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(Format("the {} is not a regular file", Description()));
  }
  // The state is taken before the content: a write in between shows as a change later.
  read_state_ = StateOf(status);
  SecretBuilder content(kCredentialLimit);
  SecretBytes buffer(8192);
  while (true) {
    const ssize_t count = ::read(fd.get(), buffer.mutable_bytes().data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return absl::FailedPreconditionError(
          Format("the {} cannot be read: {}", Description(), std::strerror(errno)));
    }
    if (count == 0) break;
    if (!content.Append(buffer.bytes().first(static_cast<size_t>(count))).ok()) {
      return absl::FailedPreconditionError(
          Format("the {} is larger than {} bytes", Description(), kCredentialLimit));
    }
  }
  return content.Finish();
}

}  // namespace secretfs::providers
