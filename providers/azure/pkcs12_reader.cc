#include "providers/azure/pkcs12_reader.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include <cstring>
#include <utility>

namespace secretfs::providers::azure {
namespace {

constexpr long kMostRounds = 600'000;

// Its own library context, so that the old ciphers are not there for anybody else.
OSSL_LIB_CTX* Library() {
  static OSSL_LIB_CTX* const library = [] {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    if (made == nullptr) return made;
    OSSL_PROVIDER_load(made, "default");
    OSSL_PROVIDER_load(made, "legacy");  // may be missing: then only old files cannot be read
    return made;
  }();
  return library;
}

bool Bounded(const ASN1_INTEGER* rounds) {
  if (rounds == nullptr) return true;
  int64_t count = 0;
  return ASN1_INTEGER_get_int64(&count, rounds) == 1 && count >= 0 && count <= kMostRounds;
}

// Whether deriving the key of this password-based encryption is bounded work.
bool Bounded(const X509_ALGOR* algorithm) {
  const ASN1_OBJECT* name = nullptr;
  int type = V_ASN1_UNDEF;
  const void* parameters = nullptr;
  X509_ALGOR_get0(&name, &type, &parameters, algorithm);
  if (type != V_ASN1_SEQUENCE) return true;  // OpenSSL will refuse it
  const auto* sequence = static_cast<const ASN1_STRING*>(parameters);
  if (OBJ_obj2nid(name) != NID_pbes2) {
    const std::unique_ptr<PBEPARAM, Freer<PBEPARAM_free>> pbe(
        static_cast<PBEPARAM*>(ASN1_item_unpack(sequence, ASN1_ITEM_rptr(PBEPARAM))));
    return pbe == nullptr || Bounded(pbe->iter);
  }
  const std::unique_ptr<PBE2PARAM, Freer<PBE2PARAM_free>> pbes2(
      static_cast<PBE2PARAM*>(ASN1_item_unpack(sequence, ASN1_ITEM_rptr(PBE2PARAM))));
  if (pbes2 == nullptr) return true;
  X509_ALGOR_get0(&name, &type, &parameters, pbes2->keyfunc);
  // Others (scrypt) OpenSSL bounds by memory.
  if (OBJ_obj2nid(name) != NID_id_pbkdf2 || type != V_ASN1_SEQUENCE) return true;
  const std::unique_ptr<PBKDF2PARAM, Freer<PBKDF2PARAM_free>> derivation(static_cast<PBKDF2PARAM*>(
      ASN1_item_unpack(static_cast<const ASN1_STRING*>(parameters), ASN1_ITEM_rptr(PBKDF2PARAM))));
  return derivation == nullptr || Bounded(derivation->iter);
}

bool KeysAreBounded(PKCS7* safe) {
  const UniqueBags bags(PKCS12_unpack_p7data(safe));
  for (int i = 0; bags != nullptr && i < sk_PKCS12_SAFEBAG_num(bags.get()); ++i) {
    const PKCS12_SAFEBAG* bag = sk_PKCS12_SAFEBAG_value(bags.get(), i);
    if (PKCS12_SAFEBAG_get_nid(bag) != NID_pkcs8ShroudedKeyBag) continue;
    const X509_ALGOR* algorithm = nullptr;
    X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &algorithm, nullptr);
    if (!Bounded(algorithm)) return false;
  }
  return true;
}

bool IsBounded(const PKCS12* pkcs12) {
  const ASN1_INTEGER* rounds = nullptr;
  PKCS12_get0_mac(nullptr, nullptr, nullptr, &rounds, pkcs12);
  if (!Bounded(rounds)) return false;
  const UniqueSafes safes(PKCS12_unpack_authsafes(pkcs12));
  for (int i = 0; safes != nullptr && i < sk_PKCS7_num(safes.get()); ++i) {
    PKCS7* safe = sk_PKCS7_value(safes.get(), i);
    if (PKCS7_type_is_encrypted(safe)) {
      if (!Bounded(safe->d.encrypted->enc_data->algorithm)) return false;
    } else if (PKCS7_type_is_data(safe) && !KeysAreBounded(safe)) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<KeyAndCertificates> ReadPkcs12(std::span<const std::byte> pkcs12,
                                              const SecretBytes& password) {
  const auto* data = reinterpret_cast<const unsigned char*>(pkcs12.data());
  PKCS12* parsed = PKCS12_init_ex(NID_pkcs7_data, Library(), nullptr);
  // On failure it frees and clears what it was given.
  if (parsed != nullptr) d2i_PKCS12(&parsed, &data, static_cast<long>(pkcs12.size()));
  const UniquePkcs12 owner(parsed);
  if (owner == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("it is no PKCS#12");
  }
  if (!IsBounded(owner.get())) {
    ERR_clear_error();
    return absl::InvalidArgumentError("its key derivation asks for more rounds than are done here");
  }
  ERR_clear_error();
  // OpenSSL wants an end of the text.
  SecretBytes text(password.size() + 1);
  if (!password.empty()) {
    std::memcpy(text.mutable_bytes().data(), password.bytes().data(), password.size());
  }
  EVP_PKEY* key = nullptr;
  X509* leaf = nullptr;
  STACK_OF(X509)* others = nullptr;
  const int good = PKCS12_parse(owner.get(), text.ExposeAsText().data(), &key, &leaf, &others);
  KeyAndCertificates content;
  content.key.reset(key);
  const UniqueX509 leaf_owner(leaf);
  const UniqueX509List others_owner(others);
  ERR_clear_error();
  if (good != 1) {
    return absl::InvalidArgumentError(
        "the PKCS#12 cannot be read: its password is another, or its cipher is not known here");
  }
  if (leaf != nullptr && X509_up_ref(leaf) == 1) content.certificates.emplace_back(leaf);
  for (int i = 0; others != nullptr && i < sk_X509_num(others); ++i) {
    X509* certificate = sk_X509_value(others, i);
    if (X509_up_ref(certificate) == 1) content.certificates.emplace_back(certificate);
  }
  return content;
}

}  // namespace secretfs::providers::azure
