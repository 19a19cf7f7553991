#include "providers/azure/key_material.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/jwt.h"
#include "providers/azure/openssl_objects.h"
#include "providers/azure/pkcs12_reader.h"
#include "providers/selection/codec.h"

namespace secretfs::providers::azure {
namespace {

// A chain of a dozen certificates with the largest keys is far below.
constexpr size_t kPemLimit = size_t{1} << 20;
constexpr size_t kMostCertificates = 100;

// What OpenSSL's error queue holds belongs to nobody afterwards.
struct ErrorQueue {
  ~ErrorQueue() { ERR_clear_error(); }
};

int GivePassword(char* buffer, int size, int, void* password) {
  const auto* text = static_cast<const SecretBytes*>(password);
  if (text == nullptr || text->empty() || text->size() > static_cast<size_t>(size)) return -1;
  std::memcpy(buffer, text->bytes().data(), text->size());
  return static_cast<int>(text->size());
}

// The leaf first, then whatever issued the one before; the others follow as they stood.
void OrderChain(std::vector<UniqueX509>& certificates, EVP_PKEY* key) {
  if (certificates.empty()) return;
  auto leaf = certificates.begin();
  if (key != nullptr) {
    const auto belongs = [key](const UniqueX509& one) {
      return X509_check_private_key(one.get(), key) == 1;
    };
    const auto found = std::find_if(certificates.begin(), certificates.end(), belongs);
    if (found != certificates.end()) leaf = found;
  }
  std::rotate(certificates.begin(), leaf, leaf + 1);
  for (size_t i = 0; i + 1 < certificates.size(); ++i) {
    X509* subject = certificates[i].get();
    const auto issued = [subject](const UniqueX509& one) {
      return X509_check_issued(one.get(), subject) == X509_V_OK;
    };
    const auto rest = certificates.begin() + static_cast<ptrdiff_t>(i) + 1;
    const auto issuer = std::find_if(rest, certificates.end(), issued);
    if (issuer == certificates.end()) break;
    std::rotate(rest, issuer, issuer + 1);
  }
}

absl::StatusOr<KeyAndCertificates> ReadPem(std::span<const std::byte> pem,
                                           const SecretBytes* password) {
  const ErrorQueue queue;
  KeyAndCertificates found;
  // One pass for the key, one for the certificates: they may stand in any order.
  if (const UniqueBio bio = ReadingBio(pem)) {
    found.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassword,
                                            const_cast<SecretBytes*>(password)));
  }
  ERR_clear_error();
  const UniqueBio bio = ReadingBio(pem);
  while (bio != nullptr && found.certificates.size() < kMostCertificates) {
    UniqueX509 certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    found.certificates.push_back(std::move(certificate));
  }
  if (found.key == nullptr && found.certificates.empty()) {
    return absl::InvalidArgumentError("there is neither a certificate nor a private key in it");
  }
  return found;
}

absl::StatusOr<SecretBytes> WritePem(KeyAndCertificates content, Part part) {
  const ErrorQueue queue;
  SecretBuilder builder(kPemLimit);
  const UniqueBio bio = WritingBio(builder);
  bool good = bio != nullptr;
  if (part != Part::kCertificates) {
    if (content.key == nullptr) return absl::InvalidArgumentError("it holds no private key");
    good = good && PEM_write_bio_PKCS8PrivateKey(bio.get(), content.key.get(), nullptr, nullptr, 0,
                                                 nullptr, nullptr) == 1;
  }
  if (part != Part::kPrivateKey) {
    if (content.certificates.empty()) return absl::InvalidArgumentError("it holds no certificate");
    OrderChain(content.certificates, content.key.get());
    for (const UniqueX509& certificate : content.certificates) {
      good = good && PEM_write_bio_X509(bio.get(), certificate.get()) == 1;
    }
  }
  if (!good) return absl::InternalError("OpenSSL could not write it as PEM");
  return builder.Finish();
}

std::optional<std::vector<unsigned char>> Number(const SecretJson& web_key, const char* name) {
  const auto member = web_key.find(name);
  if (member == web_key.end() || !member->is_string()) return std::nullopt;
  const auto& text = member->get_ref<const SecretString&>();
  const std::optional<SecretBytes> bytes = DecodeBase64(text, Base64Form::kUrlPaddingOptional);
  // 16,384 bits is OpenSSL's own limit for RSA.
  if (!bytes.has_value() || bytes->empty() || bytes->size() > 2048) return std::nullopt;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes->bytes().data());
  return std::vector<unsigned char>(data, data + bytes->size());  // public: no secret
}

std::string_view Text(const SecretJson& web_key, const char* name) {
  const auto member = web_key.find(name);
  if (member == web_key.end() || !member->is_string()) return {};
  return member->get_ref<const SecretString&>();
}

UniqueKey MakePublicKey(const char* type, OSSL_PARAM_BLD* builder) {
  const UniqueParams parameters(OSSL_PARAM_BLD_to_param(builder));
  const UniqueKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (parameters == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return nullptr;
  }
  return UniqueKey(key);
}

UniqueKey MakeRsaKey(const SecretJson& web_key) {
  const auto modulus = Number(web_key, "n");
  const auto exponent = Number(web_key, "e");
  if (!modulus.has_value() || !exponent.has_value()) return nullptr;
  const UniqueBignum n(BN_bin2bn(modulus->data(), static_cast<int>(modulus->size()), nullptr));
  const UniqueBignum e(BN_bin2bn(exponent->data(), static_cast<int>(exponent->size()), nullptr));
  const UniqueParamBuilder builder(OSSL_PARAM_BLD_new());
  if (n == nullptr || e == nullptr || builder == nullptr ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  return MakePublicKey("RSA", builder.get());
}

struct Curve {
  std::string_view name;
  const char* group;
  size_t size;  // of a coordinate, in bytes
};
constexpr Curve kCurves[] = {{"P-256", "prime256v1", 32},
                             {"P-256K", "secp256k1", 32},
                             {"SECP256K1", "secp256k1", 32},
                             {"P-384", "secp384r1", 48},
                             {"P-521", "secp521r1", 66}};

UniqueKey MakeCurveKey(const SecretJson& web_key) {
  const std::string_view name = Text(web_key, "crv");
  const auto* curve =
      std::find_if(std::begin(kCurves), std::end(kCurves),
                   [name](const Curve& candidate) { return candidate.name == name; });
  const auto x = Number(web_key, "x");
  const auto y = Number(web_key, "y");
  if (curve == std::end(kCurves) || !x || !y || x->size() > curve->size ||
      y->size() > curve->size) {
    return nullptr;
  }
  std::vector<unsigned char> point(1 + 2 * curve->size, 0);
  point[0] = 4;  // not compressed
  std::copy_backward(x->begin(), x->end(), point.begin() + 1 + static_cast<ptrdiff_t>(curve->size));
  std::copy_backward(y->begin(), y->end(), point.end());
  const UniqueParamBuilder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  return MakePublicKey("EC", builder.get());
}

std::string Base64Url(std::span<const unsigned char> digest) {
  return std::string(EncodeBase64Url(std::as_bytes(digest)).ExposeAsText());
}

absl::StatusOr<std::vector<unsigned char>> DerOf(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return absl::InternalError("OpenSSL could not write the certificate");
  std::vector<unsigned char> der(static_cast<size_t>(size));
  unsigned char* end = der.data();
  i2d_X509(certificate, &end);
  return der;
}

absl::StatusOr<KeyAndCertificates> ReadAny(const SecretBytes& material,
                                           const SecretBytes& password) {
  const std::string_view text = material.ExposeAsText();
  if (text.find("-----BEGIN") != std::string_view::npos) {
    return ReadPem(material.bytes(), &password);
  }
  if (const auto decoded = DecodeBase64(text, Base64Form::kStandard)) {
    return ReadPkcs12(decoded->bytes(), password);
  }
  return ReadPkcs12(material.bytes(), password);
}

}  // namespace

absl::StatusOr<SecretBytes> Pkcs12ToPem(std::span<const std::byte> pkcs12, Part part) {
  const ErrorQueue queue;
  SECRETFS_ASSIGN_OR_RETURN(KeyAndCertificates content, ReadPkcs12(pkcs12, SecretBytes()));
  return WritePem(std::move(content), part);
}

absl::StatusOr<SecretBytes> PemToPem(std::string_view pem, Part part) {
  SECRETFS_ASSIGN_OR_RETURN(KeyAndCertificates content,
                            ReadPem(std::as_bytes(std::span(pem.data(), pem.size())), nullptr));
  return WritePem(std::move(content), part);
}

absl::StatusOr<SecretBytes> CertificateToPem(std::span<const std::byte> der) {
  const ErrorQueue queue;
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* end = data;
  const UniqueX509 certificate(d2i_X509(nullptr, &end, static_cast<long>(der.size())));
  if (certificate == nullptr || end != data + der.size()) {
    return absl::InvalidArgumentError("it is no X.509 certificate");
  }
  SecretBuilder builder(kPemLimit);
  const UniqueBio bio = WritingBio(builder);
  // The bytes as they came, not as OpenSSL would write them anew.
  if (bio == nullptr ||
      PEM_write_bio(bio.get(), PEM_STRING_X509, "", data, static_cast<long>(der.size())) <= 0) {
    return absl::InternalError("OpenSSL could not write it as PEM");
  }
  return builder.Finish();
}

absl::StatusOr<SecretBytes> PublicKeyToPem(const SecretJson& web_key) {
  const ErrorQueue queue;
  if (!web_key.is_object()) return absl::InvalidArgumentError("it is no JSON Web Key");
  const std::string_view type = Text(web_key, "kty");
  UniqueKey key;
  if (type == "RSA" || type == "RSA-HSM") {
    key = MakeRsaKey(web_key);
  } else if (type == "EC" || type == "EC-HSM") {
    key = MakeCurveKey(web_key);
  } else if (type == "oct" || type == "oct-HSM") {
    return absl::InvalidArgumentError("it is a symmetric key, which has no public part");
  } else {
    return absl::InvalidArgumentError("its type is neither RSA nor EC");
  }
  if (key == nullptr) return absl::InvalidArgumentError("its numbers make no public key");
  SecretBuilder builder(kPemLimit);
  const UniqueBio bio = WritingBio(builder);
  if (bio == nullptr || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1) {
    return absl::InternalError("OpenSSL could not write it as PEM");
  }
  return builder.Finish();
}

absl::StatusOr<SigningIdentity> ReadSigningIdentity(const SecretBytes& material,
                                                    const SecretBytes& password) {
  const ErrorQueue queue;
  SECRETFS_ASSIGN_OR_RETURN(KeyAndCertificates content, ReadAny(material, password));
  if (content.key == nullptr) {
    return absl::InvalidArgumentError("there is no private key in it, or its password is another");
  }
  if (content.certificates.empty())
    return absl::InvalidArgumentError("there is no certificate in it");
  OrderChain(content.certificates, content.key.get());
  if (X509_check_private_key(content.certificates.front().get(), content.key.get()) != 1) {
    return absl::InvalidArgumentError("the private key in it belongs to none of its certificates");
  }
  SigningIdentity identity;
  for (const UniqueX509& certificate : content.certificates) {
    SECRETFS_ASSIGN_OR_RETURN(const std::vector<unsigned char> der, DerOf(certificate.get()));
    if (identity.chain.empty()) {
      unsigned char digest[SHA256_DIGEST_LENGTH];
      identity.sha256 = Base64Url({SHA256(der.data(), der.size(), digest), SHA256_DIGEST_LENGTH});
    }
    identity.chain.emplace_back(EncodeBase64(std::as_bytes(std::span(der))).ExposeAsText());
  }
  SECRETFS_ASSIGN_OR_RETURN(identity.key, WritePem(std::move(content), Part::kPrivateKey));
  return identity;
}

}  // namespace secretfs::providers::azure
