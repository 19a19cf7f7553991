#pragma once

// Owners of OpenSSL's objects, and a BIO that writes into locked memory. Not thread-safe.

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <memory>
#include <span>

#include "base/secret_bytes.h"

namespace secretfs::providers::azure {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

inline void FreeCertificates(STACK_OF(X509) * list) { sk_X509_pop_free(list, X509_free); }
inline void FreeBags(STACK_OF(PKCS12_SAFEBAG) * list) {
  sk_PKCS12_SAFEBAG_pop_free(list, PKCS12_SAFEBAG_free);
}
inline void FreeSafes(STACK_OF(PKCS7) * list) { sk_PKCS7_pop_free(list, PKCS7_free); }

using UniqueBio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using UniqueBignum = std::unique_ptr<BIGNUM, Freer<BN_clear_free>>;
using UniqueKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using UniqueKeyContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using UniquePkcs12 = std::unique_ptr<PKCS12, Freer<PKCS12_free>>;
using UniqueX509 = std::unique_ptr<X509, Freer<X509_free>>;
using UniqueX509List = std::unique_ptr<STACK_OF(X509), Freer<FreeCertificates>>;
using UniqueBags = std::unique_ptr<STACK_OF(PKCS12_SAFEBAG), Freer<FreeBags>>;
using UniqueSafes = std::unique_ptr<STACK_OF(PKCS7), Freer<FreeSafes>>;
using UniqueParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using UniqueParams = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;

// Reads `bytes` in place; they outlive it.
UniqueBio ReadingBio(std::span<const std::byte> bytes);

// Appends what is written to `builder`, which outlives it; a write past its limit fails.
UniqueBio WritingBio(SecretBuilder& builder);

}  // namespace secretfs::providers::azure
