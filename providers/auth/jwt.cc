#include "providers/auth/jwt.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace secretfs::providers {
namespace {

constexpr int kLeastKeyBits = 2048;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using UniqueBio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using UniqueKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using UniqueDigest = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;

// OpenSSL's own would ask at the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::StatusOr<UniqueKey> ParseKey(const SecretBytes& pem) {
  const UniqueBio text(BIO_new_mem_buf(pem.bytes().data(), static_cast<int>(pem.size())));
  UniqueKey key(text == nullptr
                    ? nullptr
                    : PEM_read_bio_PrivateKey(text.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();  // what is left there may quote nothing, but belongs to nobody
  if (key == nullptr) {
    const bool encrypted = pem.ExposeAsText().find("ENCRYPTED") != std::string_view::npos;
    return absl::InvalidArgumentError(
        encrypted ? "the private key is encrypted with a passphrase; expected one that is not"
                  : "there is no private key in PEM form (-----BEGIN PRIVATE KEY-----) in it");
  }
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) {
    return absl::InvalidArgumentError("the private key is no RSA key");
  }
  if (EVP_PKEY_get_bits(key.get()) < kLeastKeyBits) {
    return absl::InvalidArgumentError("the RSA key is shorter than 2048 bits");
  }
  return key;
}

bool UsePss(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

absl::StatusOr<SecretBytes> Sign(JwtAlgorithm algorithm, EVP_PKEY* key, std::string_view text) {
  const UniqueDigest digest(EVP_MD_CTX_new());
  EVP_PKEY_CTX* context = nullptr;  // belongs to `digest`
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  const bool ready = digest != nullptr &&
                     EVP_DigestSignInit(digest.get(), &context, EVP_sha256(), nullptr, key) == 1 &&
                     (algorithm != JwtAlgorithm::kPs256 || UsePss(context)) &&
                     EVP_DigestSign(digest.get(), nullptr, &size, data, text.size()) == 1;
  SecretBytes signature(size);
  auto* out = reinterpret_cast<unsigned char*>(signature.mutable_bytes().data());
  const bool done = ready && EVP_DigestSign(digest.get(), out, &size, data, text.size()) == 1 &&
                    size == signature.size();
  ERR_clear_error();
  if (!done) return absl::InternalError("OpenSSL could not sign with the private key");
  return signature;
}

SecretBytes EncodeText(std::string_view text) {
  return EncodeBase64Url(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace

SecretBytes EncodeBase64Url(std::span<const std::byte> bytes) {
  constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  SecretBytes result((bytes.size() * 4 + 2) / 3);
  std::byte* out = result.mutable_bytes().data();
  uint32_t bits = 0;
  int count = 0;
  for (const std::byte byte : bytes) {
    bits = bits << 8 | std::to_integer<uint32_t>(byte);
    for (count += 8; count >= 6; count -= 6) {
      *out++ = static_cast<std::byte>(kCharacters[bits >> (count - 6) & 63]);
    }
  }
  if (count > 0) *out = static_cast<std::byte>(kCharacters[bits << (6 - count) & 63]);
  return result;
}

absl::StatusOr<SecretBytes> SignJwt(JwtAlgorithm algorithm,
                                    const std::map<std::string, std::string>& header,
                                    const SecretJson& claims, const SecretBytes& key) {
  SecretJson whole_header = SecretJson::object();
  for (const auto& [name, value] : header) {
    whole_header[SecretString(std::string_view(name))] = SecretString(std::string_view(value));
  }
  return SignJwt(algorithm, std::move(whole_header), claims, key);
}

absl::StatusOr<SecretBytes> SignJwt(JwtAlgorithm algorithm, SecretJson header,
                                    const SecretJson& claims, const SecretBytes& key) {
  SECRETFS_ASSIGN_OR_RETURN(const UniqueKey parsed, ParseKey(key));
  header["alg"] = algorithm == JwtAlgorithm::kPs256 ? "PS256" : "RS256";
  header["typ"] = "JWT";
  SecretString token;
  token += EncodeText(DumpSecretJson(header).ExposeAsText()).ExposeAsText();
  token += '.';
  token += EncodeText(DumpSecretJson(claims).ExposeAsText()).ExposeAsText();
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes signature, Sign(algorithm, parsed.get(), token));
  token += '.';
  token += EncodeBase64Url(signature.bytes()).ExposeAsText();
  return SecretBytes::CopyOf(std::string_view(token));
}

}  // namespace secretfs::providers
