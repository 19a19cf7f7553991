#include "tests/fakes/gcp_jwt.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <vector>

#include "base/text.h"

namespace secretfs::fakes {
namespace {

void RequireJwt(bool good) {
  if (!good) abort();  // only a broken OpenSSL gets here
}

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Base64Url(std::string_view bytes) {
  std::string text = Base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::optional<std::string> FromBase64Url(std::string_view text) {
  std::string standard(text);
  if (standard.find_first_of("+/=") != std::string::npos) return std::nullopt;
  for (char& c : standard) c = c == '-' ? '+' : c == '_' ? '/' : c;
  while (standard.size() % 4 != 0) standard += '=';
  return FromBase64(standard);
}

}  // namespace

struct RsaKey::Key {
  EVP_PKEY* pkey = nullptr;
};

RsaKey::RsaKey() : key_(std::make_unique<Key>()) {
  key_->pkey = EVP_RSA_gen(2048);
  RequireJwt(key_->pkey != nullptr);
}

RsaKey::~RsaKey() { EVP_PKEY_free(key_->pkey); }

std::string RsaKey::PrivatePem() const {
  BIO* out = BIO_new(BIO_s_mem());
  RequireJwt(
      PEM_write_bio_PKCS8PrivateKey(out, key_->pkey, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(out);
  return text;
}

std::string RsaKey::Sign(const nlohmann::json& claims, const std::string& key_id) const {
  const nlohmann::json header = {{"alg", "RS256"}, {"typ", "JWT"}, {"kid", key_id}};
  const std::string text = Base64Url(header.dump()) + "." + Base64Url(claims.dump());
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  size_t size = 0;
  RequireJwt(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_->pkey) == 1);
  RequireJwt(EVP_DigestSign(context, nullptr, &size, Bytes(text), text.size()) == 1);
  std::string signature(size, '\0');
  RequireJwt(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                            Bytes(text), text.size()) == 1);
  EVP_MD_CTX_free(context);
  return text + "." + Base64Url(signature);
}

bool RsaKey::Verifies(const ParsedJwt& token) const {
  if (token.header.value("alg", "") != "RS256") return false;
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  RequireJwt(EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key_->pkey) == 1);
  const bool good = EVP_DigestVerify(context, Bytes(token.signature), token.signature.size(),
                                     Bytes(token.signed_text), token.signed_text.size()) == 1;
  EVP_MD_CTX_free(context);
  return good;
}

std::optional<ParsedJwt> ParseJwt(std::string_view token) {
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  const auto header = FromBase64Url(token.substr(0, first));
  const auto claims = FromBase64Url(token.substr(first + 1, second - first - 1));
  const auto signature = FromBase64Url(token.substr(second + 1));
  if (!header || !claims || !signature) return std::nullopt;
  ParsedJwt parsed;
  parsed.header = nlohmann::json::parse(*header, nullptr, false);
  parsed.claims = nlohmann::json::parse(*claims, nullptr, false);
  if (!parsed.header.is_object() || !parsed.claims.is_object()) return std::nullopt;
  parsed.signed_text = token.substr(0, second);
  parsed.signature = *signature;
  return parsed;
}

std::string Base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), Bytes(bytes),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), Bytes(text),
                                   static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && text.size() > padding && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

std::string RandomText(size_t bytes) {
  std::vector<unsigned char> random(bytes);
  RequireJwt(RAND_bytes(random.data(), static_cast<int>(bytes)) == 1);
  std::string text;
  for (const unsigned char byte : random) text += Format("{:02x}", byte);
  return text;
}

}  // namespace secretfs::fakes
