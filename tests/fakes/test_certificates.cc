#include "tests/fakes/test_certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdlib>

namespace secretfs::fakes {
namespace {

struct Deleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

void Require(bool good) {
  if (!good) abort();  // only a broken OpenSSL gets here
}

template <typename Write>
std::string ToPem(Write write) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  Require(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

void AddExtension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  Require(extension != nullptr);
  Require(X509_add_ext(certificate, extension.get(), -1) == 1);
}

// Unsigned, without extensions, valid from an hour ago for two hours.
Owned<X509> Draft(const std::string& name, EVP_PKEY* key) {
  static std::atomic<long> serial = 1;
  Owned<X509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

constexpr long kMinute = 60;
constexpr long kHour = 3600;

// Valid for `seconds` from now. Without `issuer` and `signer` it signs itself.
CertificateAndKey IssueUntil(long seconds, const std::string& common_name,
                             const std::vector<std::string>& names, X509* issuer,
                             EVP_PKEY* signer) {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate = Draft(common_name, key.get());
  if (issuer == nullptr) issuer = certificate.get();
  if (signer == nullptr) signer = key.get();
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), seconds);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer));
  AddExtension(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(certificate.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  if (issuer != certificate.get()) {
    AddExtension(certificate.get(), issuer, NID_authority_key_identifier, "keyid");
  }
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + name;
  if (!list.empty()) AddExtension(certificate.get(), issuer, NID_subject_alt_name, list);
  Require(X509_sign(certificate.get(), signer, EVP_sha256()) != 0);
  return {ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }),
          ToPem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace

struct TestAuthority::Keys {
  Owned<EVP_PKEY> key;
  Owned<X509> certificate;
};

TestAuthority::TestAuthority(const std::string& name) : keys_(std::make_unique<Keys>()) {
  keys_->key.reset(EVP_EC_gen("P-256"));
  keys_->certificate = Draft(name, keys_->key.get());
  X509* const certificate = keys_->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(certificate, certificate, NID_subject_key_identifier, "hash");
  Require(X509_sign(certificate, keys_->key.get(), EVP_sha256()) != 0);
  certificate_ = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

TestAuthority::~TestAuthority() = default;

CertificateAndKey TestAuthority::Issue(const std::string& common_name,
                                       const std::vector<std::string>& names) const {
  return IssueUntil(kHour, common_name, names, keys_->certificate.get(), keys_->key.get());
}

CertificateAndKey TestAuthority::IssueExpired(const std::string& common_name,
                                              const std::vector<std::string>& names) const {
  return IssueUntil(-kMinute, common_name, names, keys_->certificate.get(), keys_->key.get());
}

CertificateAndKey SelfSigned(const std::string& common_name,
                             const std::vector<std::string>& names) {
  return IssueUntil(kHour, common_name, names, nullptr, nullptr);
}

}  // namespace secretfs::fakes
