#include "providers/local/key_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/local/store_file.h"
#include "providers/local/store_format.h"
#include "providers/local/store_key.h"

namespace secretfs::providers::local {
namespace {

absl::StatusOr<UniqueFd> LockKeyFile(const std::string& path, Duration patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!fd.valid()) return SystemError("open the key file", path, errno);
    struct stat opened{};
    if (fstat(fd.get(), &opened) != 0) return SystemError("look at", path, errno);
    if (!S_ISREG(opened.st_mode)) {
      return absl::FailedPreconditionError(
          Format("{} is no regular file, so its keys cannot be changed", path));
    }
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      struct stat named{};
      // Whoever had the lock before has put a new file in its place.
      if (stat(path.c_str(), &named) == 0 && named.st_dev == opened.st_dev &&
          named.st_ino == opened.st_ino) {
        return fd;
      }
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return SystemError("lock", path, errno);
    if (std::chrono::steady_clock::now() >= end) {
      return absl::UnavailableError(
          Format("another process is changing the key file {}: try again", path));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// The plain header of a store file; nothing for any other file.
std::optional<std::array<std::byte, kHeaderBytes>> HeaderIn(const std::string& path) {
  std::array<std::byte, kHeaderBytes> bytes{};
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  struct stat status{};
  if (!fd.valid() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const absl::StatusOr<size_t> size = ReadAt(fd.get(), bytes, 0);
  if (!size.ok() || *size != bytes.size() || !DecodeHeader(bytes).ok()) return std::nullopt;
  return bytes;
}

}  // namespace

absl::StatusOr<KeyFileEdit> KeyFileEdit::Begin(const std::string& path, Duration patience) {
  const std::string resolved = ResolveLinks(path);
  SECRETFS_ASSIGN_OR_RETURN(UniqueFd fd, LockKeyFile(resolved, patience));
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes content,
                            ReadSecretFile(resolved, kMaximumKeyFileBytes, Privacy::kOwnerOnly));
  absl::StatusOr<std::vector<SecretBytes>> keys = ParseKeys(content);
  if (!keys.ok()) return WithContext(keys.status(), resolved);
  return KeyFileEdit(resolved, std::move(fd), *std::move(keys));
}

absl::Status KeyFileEdit::InsertBefore(const SecretBytes& known, const SecretBytes& fresh) {
  const auto place = std::find_if(keys_.begin(), keys_.end(), [&known](const SecretBytes& key) {
    return key.ConstantTimeEquals(known);
  });
  if (place == keys_.end()) {
    return absl::FailedPreconditionError(
        Format("{} does not hold the key that opens the store", path_));
  }
  std::vector<SecretBytes> keys;
  for (auto key = keys_.begin(); key != keys_.end(); ++key) {
    if (key == place) keys.push_back(fresh.Clone());
    keys.push_back(key->Clone());
  }
  return Write(keys);
}

absl::Status KeyFileEdit::Write(const std::vector<SecretBytes>& keys) {
  std::vector<const SecretBytes*> lines;
  for (const SecretBytes& key : keys) lines.push_back(&key);
  const SecretBytes content = FormatKeys(lines);
  if (content.size() > kMaximumKeyFileBytes) {
    return absl::FailedPreconditionError(
        Format("{} would hold {} keys, which is too many: take the old ones out first, with  "
               "secretfs store rekey --drop-old-keys",
               path_, keys.size()));
  }
  RemoveLeftovers(path_);
  return ReplaceFile(path_, 0600, Replace::kExisting,
                     [&content](int fd) { return WriteFully(fd, content.bytes()); });
}

bool OpensStoreFile(const std::vector<SecretBytes>& keys, const std::string& path) {
  const auto bytes = HeaderIn(path);
  if (!bytes.has_value()) return false;
  const absl::StatusOr<StoreHeader> header = DecodeHeader(*bytes);
  if (!header.ok() || header->key.kind != KeyKind::kKey) return false;
  return std::any_of(keys.begin(), keys.end(), [&](const SecretBytes& key) {
    const absl::StatusOr<SecretBytes> file_key = FileKeyFor(*header, key);
    if (!file_key.ok()) return false;
    absl::StatusOr<RecordCipher> cipher = RecordCipher::Make(*file_key);
    return cipher.ok() && HeaderIsAuthentic(*bytes, *cipher);
  });
}

std::vector<std::string> StoreFilesIn(const std::vector<std::string>& folders,
                                      const std::string& store) {
  const absl::StatusOr<FileIdentity> own = IdentityOf(store);
  std::set<std::string> found;
  for (const std::string& folder : folders) {
    std::error_code error;
    std::filesystem::directory_iterator it(folder, error);
    for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
      const std::string path = ResolveLinks(it->path());
      if (!HeaderIn(path).has_value()) continue;
      if (const auto identity = IdentityOf(path); identity.ok() && own.ok() && *identity == *own) {
        continue;
      }
      found.insert(path);
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace secretfs::providers::local
