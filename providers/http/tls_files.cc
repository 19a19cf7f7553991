#include "providers/http/tls_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "base/file_access.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"

namespace secretfs::providers {
namespace {

// As often as libcurl looks anew at the system's authorities.
constexpr Duration kReadAgain = std::chrono::minutes(5);
constexpr size_t kFileLimit = size_t{4} << 20;

MonotonicTime TimeNow() { return std::chrono::steady_clock::now(); }

// Not merely missing: then the name has to stay, for curl's error to say it.
bool MayNotOpen(const std::string& path) {
  if (path.empty()) return false;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  return !fd.valid() && (errno == EACCES || errno == EPERM);
}

std::optional<SecretBytes> ReadBrokered(const std::string& path) {
  const UniqueFd fd = OpenFile(path, O_NONBLOCK);
  if (!fd.valid()) return std::nullopt;
  SecretBuilder content(kFileLimit);
  SecretBytes buffer(16 << 10);
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer.mutable_bytes().data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) return content.Finish();
    if (!content.Append(buffer.bytes().first(static_cast<size_t>(count))).ok()) return std::nullopt;
  }
}

bool Same(const std::shared_ptr<const SecretBytes>& a,
          const std::shared_ptr<const SecretBytes>& b) {
  return a == b || (a != nullptr && b != nullptr && a->ConstantTimeEquals(*b));
}

}  // namespace

TlsFiles::TlsFiles(TlsConfig given) : given_(std::move(given)), usable_(given_) { (void)Read(); }

bool TlsFiles::Refresh() {
  if (!is_brokered_ || TimeNow() - read_at_ < kReadAgain) return false;
  return Read();
}

bool TlsFiles::Read() {
  TlsConfig usable = given_;
  bool is_brokered = false;
  if (MayNotOpen(given_.ca_file)) {
    if (const auto content = ReadBrokered(given_.ca_file)) {
      is_brokered = true;
      usable.ca_file.clear();
      usable.ca_bundle += (usable.ca_bundle.empty() ? "" : "\n");
      usable.ca_bundle += content->ExposeAsText();
    }
  }
  const std::string& certificate = given_.client_certificate_file;
  const std::string& key = given_.client_key_file.empty() ? certificate : given_.client_key_file;
  if (given_.client_key == nullptr && (MayNotOpen(certificate) || MayNotOpen(key))) {
    std::optional<SecretBytes> certificate_text = ReadBrokered(certificate);
    std::optional<SecretBytes> key_text = ReadBrokered(key);
    if (certificate_text.has_value() && key_text.has_value()) {
      is_brokered = true;
      usable.client_certificate = std::make_shared<const SecretBytes>(*std::move(certificate_text));
      usable.client_key = std::make_shared<const SecretBytes>(*std::move(key_text));
    }
  }
  read_at_ = TimeNow();
  // A file that is away for the moment does not take away what was read of it.
  if (is_brokered_ && !is_brokered) return false;
  const bool differs = usable.ca_bundle != usable_.ca_bundle || usable.ca_file != usable_.ca_file ||
                       !Same(usable.client_certificate, usable_.client_certificate) ||
                       !Same(usable.client_key, usable_.client_key);
  is_brokered_ = is_brokered;
  if (differs) usable_ = std::move(usable);
  return differs;
}

}  // namespace secretfs::providers
