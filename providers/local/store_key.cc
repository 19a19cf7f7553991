#include "providers/local/store_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstdlib>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/local/store_file.h"

namespace secretfs::providers::local {
namespace {

constexpr size_t kPassphraseLimit = 64 << 10;
constexpr size_t kHexDigits = 2 * kKeyBytes;

int HexValue(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// Empty unless `line` is kHexDigits hexadecimal digits.
SecretBytes DecodeHex(std::string_view line) {
  if (line.size() != kHexDigits) return {};
  SecretBytes key(kKeyBytes);
  for (size_t i = 0; i < kKeyBytes; ++i) {
    const int high = HexValue(line[2 * i]);
    const int low = HexValue(line[2 * i + 1]);
    if (high < 0 || low < 0) return {};
    key.mutable_bytes()[i] = static_cast<std::byte>(high * 16 + low);
  }
  return key;
}

absl::StatusOr<std::string> CredentialPath(const std::string& name) {
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    return absl::InvalidArgumentError(
        Format("the systemd credential's name \"{}\" must be one file name", name));
  }
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr || *folder == '\0') {
    return absl::UnauthenticatedError(Format(
        "there is no systemd credential \"{}\": CREDENTIALS_DIRECTORY is not set; it is, in a "
        "unit with  LoadCredential={}:/path/of/the/key",
        name, name));
  }
  return Format("{}/{}", folder, name);
}

// NotFound is kept for secrets: a missing key is a failure to open the store.
absl::Status AsKeyError(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kNotFound) return status;
  return absl::UnauthenticatedError(MessageOf(status).empty() ? absl::string_view("no key")
                                                              : status.message());
}

SecretBytes WithoutLineEnd(SecretBytes text) {
  std::string_view view = text.ExposeAsText();
  if (view.ends_with('\n')) view.remove_suffix(1);
  if (view.ends_with('\r')) view.remove_suffix(1);
  return view.size() == text.size() ? std::move(text) : SecretBytes::CopyOf(view);
}

}  // namespace

absl::StatusOr<SecretBytes> DeriveFromPassphrase(const SecretBytes& passphrase,
                                                 const KeyParameters& parameters) {
  SECRETFS_RETURN_IF_ERROR(CheckKeyParameters(parameters));
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> algorithm(
      EVP_KDF_fetch(nullptr, "SCRYPT", nullptr), &EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(
      algorithm == nullptr ? nullptr : EVP_KDF_CTX_new(algorithm.get()), &EVP_KDF_CTX_free);
  uint64_t n = uint64_t{1} << parameters.scrypt_log2_n;
  uint32_t r = parameters.scrypt_r;
  uint32_t p = parameters.scrypt_p;
  uint64_t memory = 128 * r * (n + p + 2) + 4096;
  const auto octets = [](const char* name, std::span<const std::byte> bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()),
                                             bytes.size());
  };
  const OSSL_PARAM arguments[] = {
      octets(OSSL_KDF_PARAM_PASSWORD, passphrase.bytes()),
      octets(OSSL_KDF_PARAM_SALT, parameters.scrypt_salt),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
      OSSL_PARAM_construct_end(),
  };
  SecretBytes key(kKeyBytes);
  if (context == nullptr ||
      EVP_KDF_derive(context.get(), reinterpret_cast<unsigned char*>(key.mutable_bytes().data()),
                     kKeyBytes, arguments) != 1) {
    ERR_clear_error();
    return absl::ResourceExhaustedError(
        Format("scrypt failed; it needs {} MiB of memory", memory >> 20));
  }
  return key;
}

absl::StatusOr<std::vector<SecretBytes>> ParseKeys(const SecretBytes& content) {
  std::vector<SecretBytes> keys;
  if (content.size() == kKeyBytes) {
    keys.push_back(content.Clone());
    return keys;
  }
  std::string_view rest = content.ExposeAsText();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    SecretBytes key = DecodeHex(line);
    if (key.empty()) {
      keys.clear();
      break;
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) {
    return absl::InvalidArgumentError(Format(
        "a key is {} raw bytes, or {} hexadecimal digits on a line; what is there ({} bytes) "
        "is neither. Make one with  openssl rand -hex 32",
        kKeyBytes, kHexDigits, content.size()));
  }
  return keys;
}

SecretBytes FormatKeys(const std::vector<const SecretBytes*>& keys) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  SecretBytes content(keys.size() * (kHexDigits + 1));
  auto out = content.mutable_bytes().begin();
  for (const SecretBytes* key : keys) {
    for (const std::byte byte : key->bytes()) {
      *out++ = static_cast<std::byte>(kDigits[static_cast<size_t>(byte) >> 4]);
      *out++ = static_cast<std::byte>(kDigits[static_cast<size_t>(byte) & 15]);
    }
    *out++ = static_cast<std::byte>('\n');
  }
  return content;
}

absl::StatusOr<SecretBytes> NewRandomKey() {
  SecretBytes key(kKeyBytes);
  SECRETFS_RETURN_IF_ERROR(FillRandom(key.mutable_bytes()));
  return key;
}

absl::Status CreateKeyFile(const std::string& path) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes key, NewRandomKey());
  const SecretBytes content = FormatKeys({&key});
  return ReplaceFile(path, 0600, Replace::kNever,
                     [&content](int fd) { return WriteFully(fd, content.bytes()); });
}

KeySource::KeySource(LocalKeySource config, Prompt prompt)
    : config_(std::move(config)), prompt_(std::move(prompt)) {}

KeyKind KeySource::kind() const {
  if (!config_.key_file.empty()) return KeyKind::kKey;
  if (!config_.passphrase.empty()) return KeyKind::kPassphrase;
  return config_.systemd_credential.empty() ? KeyKind::kPassphrase : KeyKind::kKey;
}

std::string KeySource::Describe() const {
  if (!config_.key_file.empty()) return Format("key file {}", config_.key_file);
  const CredentialSource& passphrase = config_.passphrase;
  if (!passphrase.file.empty()) return Format("the passphrase in file {}", passphrase.file);
  if (!passphrase.environment.empty()) {
    return Format("the passphrase in environment variable {}", passphrase.environment);
  }
  if (!passphrase.empty()) return "the passphrase of the manifest";
  if (!config_.systemd_credential.empty()) {
    return Format("systemd credential {}", config_.systemd_credential);
  }
  return prompt_ ? "the passphrase" : "no key";
}

absl::StatusOr<std::vector<SecretBytes>> KeySource::ReadKeys() const {
  std::string path = config_.key_file;
  Privacy privacy = Privacy::kOwnerOnly;
  if (path.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(path, CredentialPath(config_.systemd_credential));
    privacy = Privacy::kAny;  // the folder is private; files in it may carry an access list
  }
  absl::StatusOr<SecretBytes> content = ReadSecretFile(path, kMaximumKeyFileBytes, privacy);
  if (!content.ok()) return WithContext(AsKeyError(content.status()), "the store's key");
  absl::StatusOr<std::vector<SecretBytes>> keys = ParseKeys(*content);
  if (!keys.ok())
    return absl::UnauthenticatedError(Format("{}: {}", path, MessageOf(keys.status())));
  return keys;
}

absl::StatusOr<SecretBytes> KeySource::ReadPassphrase() const {
  const CredentialSource& source = config_.passphrase;
  absl::StatusOr<SecretBytes> passphrase;
  if (source.inline_value != nullptr) {
    passphrase = source.inline_value->Clone();
  } else if (!source.file.empty()) {
    passphrase = ReadSecretFile(source.file, kPassphraseLimit, Privacy::kOwnerOnly);
    if (!passphrase.ok()) {
      return WithContext(AsKeyError(passphrase.status()), "the store's passphrase");
    }
    passphrase = WithoutLineEnd(*std::move(passphrase));
  } else if (!source.environment.empty()) {
    const char* value = std::getenv(source.environment.c_str());
    if (value == nullptr) {
      return absl::UnauthenticatedError(
          Format("the store's passphrase: environment variable {} is not set", source.environment));
    }
    passphrase = SecretBytes::CopyOf(std::string_view(value));
  } else if (prompt_) {
    passphrase = prompt_();
  } else {
    return absl::UnauthenticatedError(
        "the store is closed with a passphrase, and none was given: name a file with it");
  }
  if (!passphrase.ok()) return passphrase;
  if (passphrase->empty()) return absl::UnauthenticatedError(Format("{} is empty", Describe()));
  return passphrase;
}

absl::StatusOr<SecretBytes> KeySource::Find(const KeyParameters& parameters,
                                            const std::function<bool(const SecretBytes&)>& opens) {
  if (found_.has_value() && found_->parameters == parameters && opens(found_->key)) {
    return found_->key.Clone();
  }
  if (parameters.kind != kind()) {
    const bool wants_key = parameters.kind == KeyKind::kKey;
    return absl::UnauthenticatedError(
        Format("the store is closed with {}, not with {}: {}", wants_key ? "a key" : "a passphrase",
               Describe(),
               wants_key ? "give the key file or systemd credential"
                         : "give the passphrase, in a file or an environment variable"));
  }
  std::vector<SecretBytes> keys;
  if (parameters.kind == KeyKind::kKey) {
    SECRETFS_ASSIGN_OR_RETURN(keys, ReadKeys());
  } else {
    SECRETFS_ASSIGN_OR_RETURN(const SecretBytes passphrase, ReadPassphrase());
    SECRETFS_ASSIGN_OR_RETURN(SecretBytes key, DeriveFromPassphrase(passphrase, parameters));
    keys.push_back(std::move(key));
  }
  for (SecretBytes& key : keys) {
    if (!opens(key)) continue;
    found_.emplace(MasterKey{parameters, key.Clone()});
    return std::move(key);
  }
  return absl::UnauthenticatedError(
      Format("{} does not open the store: it is another store's, or wrong", Describe()));
}

absl::StatusOr<MasterKey> KeySource::ForNewStore(ScryptCost cost) {
  MasterKey result;
  result.parameters.kind = kind();
  if (kind() == KeyKind::kKey) {
    SECRETFS_ASSIGN_OR_RETURN(std::vector<SecretBytes> keys, ReadKeys());
    result.key = std::move(keys.front());
    found_.emplace(MasterKey{result.parameters, result.key.Clone()});
    return result;
  }
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes passphrase, ReadPassphrase());
  result.parameters.scrypt_log2_n = cost.log2_n;
  result.parameters.scrypt_r = cost.r;
  result.parameters.scrypt_p = cost.p;
  SECRETFS_RETURN_IF_ERROR(FillRandom(result.parameters.scrypt_salt));
  SECRETFS_ASSIGN_OR_RETURN(result.key, DeriveFromPassphrase(passphrase, result.parameters));
  found_.emplace(MasterKey{result.parameters, result.key.Clone()});
  return result;
}

}  // namespace secretfs::providers::local
