// PKCS#12 of every age, made here by OpenSSL; what Azure stores is in tests/integration/azure.

#include "providers/azure/key_material.h"

#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "base/text.h"
#include "providers/azure/openssl_objects.h"
#include "providers/selection/codec.h"
#include "tests/fakes/test_certificates.h"

namespace secretfs::providers::azure {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Pkcs12Options {
  int key_cipher = NID_aes_256_cbc, certificate_cipher = NID_aes_256_cbc;
  int rounds = 2048;
  std::string password;
};

class KeyMaterial : public ::testing::Test {
 protected:
  // The PKCS#12 of the identity with the authority's certificate.
  std::string MakePkcs12(const Pkcs12Options& options) {
    const UniqueBio key_text = ReadingBio(Bytes(identity_.key));
    const UniqueKey key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
    const UniqueBio leaf_text = ReadingBio(Bytes(identity_.certificate));
    const UniqueX509 leaf(PEM_read_bio_X509(leaf_text.get(), nullptr, nullptr, nullptr));
    const UniqueBio root_text = ReadingBio(Bytes(authority_.certificate()));
    UniqueX509 root(PEM_read_bio_X509(root_text.get(), nullptr, nullptr, nullptr));
    const UniqueX509List others(sk_X509_new_null());
    sk_X509_push(others.get(), root.release());
    const UniquePkcs12 made(PKCS12_create_ex(
        options.password.c_str(), nullptr, key.get(), leaf.get(), others.get(), options.key_cipher,
        options.certificate_cipher, options.rounds, options.rounds, 0, library_, nullptr));
    EXPECT_NE(made, nullptr);
    unsigned char* der = nullptr;
    const int size = i2d_PKCS12(made.get(), &der);
    std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    return bytes;
  }
  void SetUp() override {
    library_ = OSSL_LIB_CTX_new();
    OSSL_PROVIDER_load(library_, "default");
    legacy_ = OSSL_PROVIDER_load(library_, "legacy");
  }
  void TearDown() override { OSSL_LIB_CTX_free(library_); }
  bool has_legacy() const { return legacy_ != nullptr; }

  fakes::TestAuthority authority_;
  fakes::CertificateAndKey identity_ = authority_.Issue("leaf.test");
  OSSL_LIB_CTX* library_ = nullptr;
  OSSL_PROVIDER* legacy_ = nullptr;
};

std::string Text(const absl::StatusOr<SecretBytes>& bytes) {
  return bytes.ok() ? std::string(bytes->ExposeAsText()) : bytes.status().ToString();
}

TEST_F(KeyMaterial, EveryAgeOfPkcs12) {
  std::vector<Pkcs12Options> cases = {{},
                                      {.key_cipher = NID_pbe_WithSHA1And3_Key_TripleDES_CBC,
                                       .certificate_cipher = NID_pbe_WithSHA1And3_Key_TripleDES_CBC,
                                       .rounds = 2000,
                                       .password = {}},
                                      {.key_cipher = -1, .certificate_cipher = -1, .password = {}}};
  if (has_legacy()) {
    cases.push_back({.key_cipher = NID_pbe_WithSHA1And3_Key_TripleDES_CBC,
                     .certificate_cipher = NID_pbe_WithSHA1And40BitRC2_CBC,
                     .password = {}});
  }
  for (const Pkcs12Options& options : cases) {
    const std::string pkcs12 = MakePkcs12(options);
    const std::string chain = identity_.certificate + authority_.certificate();
    EXPECT_EQ(Text(Pkcs12ToPem(Bytes(pkcs12), Part::kCertificates)), chain);
    EXPECT_EQ(Text(Pkcs12ToPem(Bytes(pkcs12), Part::kPrivateKey)), identity_.key);
    EXPECT_EQ(Text(Pkcs12ToPem(Bytes(pkcs12), Part::kEverything)), identity_.key + chain);
  }
}

TEST_F(KeyMaterial, DamagedOrForeignPkcs12IsAnError) {
  const std::string pkcs12 = MakePkcs12({});
  for (size_t size = 0; size < pkcs12.size(); size += 97) {
    EXPECT_EQ(Pkcs12ToPem(Bytes(pkcs12.substr(0, size)), Part::kEverything).status().code(),
              StatusCode::kInvalidArgument);
  }
  std::string damaged = pkcs12;
  damaged[pkcs12.size() / 2] = static_cast<char>(damaged[pkcs12.size() / 2] ^ 1);
  EXPECT_FALSE(Pkcs12ToPem(Bytes(damaged), Part::kEverything).ok());
  EXPECT_THAT(Text(Pkcs12ToPem(Bytes(MakePkcs12({.password = "planted"})), Part::kEverything)),
              AllOf(HasSubstr("its password is another"), Not(HasSubstr("planted"))));
}

TEST_F(KeyMaterial, EndlessKeyDerivationIsRefusedAtOnce) {
  // 700,000 rounds are made in a second here, and refused without being done there.
  const std::string slow = MakePkcs12({.rounds = 700'000, .password = {}});
  EXPECT_THAT(Text(Pkcs12ToPem(Bytes(slow), Part::kEverything)), HasSubstr("more rounds"));
}

TEST_F(KeyMaterial, PemInAnyOrder) {
  const std::string mixed = authority_.certificate() + identity_.key + identity_.certificate;
  EXPECT_EQ(Text(PemToPem(mixed, Part::kEverything)),
            identity_.key + identity_.certificate + authority_.certificate());
  EXPECT_EQ(Text(PemToPem(mixed, Part::kCertificates)),
            identity_.certificate + authority_.certificate());
  EXPECT_EQ(Text(PemToPem(mixed, Part::kPrivateKey)), identity_.key);
  EXPECT_THAT(Text(PemToPem(identity_.certificate, Part::kPrivateKey)),
              HasSubstr("holds no private key"));
  EXPECT_THAT(Text(PemToPem(identity_.key, Part::kCertificates)),
              HasSubstr("holds no certificate"));
  EXPECT_EQ(PemToPem("planted", Part::kEverything).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(KeyMaterial, SigningIdentitiesFromEveryForm) {
  const SecretBytes no_password;
  const std::string pem = identity_.key + identity_.certificate;
  const std::string protected_pkcs12 = MakePkcs12({.password = "secret"});
  const auto from_pem =
      ReadSigningIdentity(SecretBytes::CopyOf(std::string_view(pem)), no_password);
  ASSERT_TRUE(from_pem.ok()) << from_pem.status();
  EXPECT_EQ(from_pem->chain.size(), 1u);
  EXPECT_EQ(from_pem->sha256.size(), 43u);
  EXPECT_EQ(from_pem->key.ExposeAsText(), identity_.key);
  const SecretBytes password = SecretBytes::CopyOf(std::string_view("secret"));
  const auto binary =
      ReadSigningIdentity(SecretBytes::CopyOf(std::string_view(protected_pkcs12)), password);
  ASSERT_TRUE(binary.ok()) << binary.status();
  EXPECT_EQ(binary->sha256, from_pem->sha256);
  EXPECT_EQ(binary->chain.size(), 2u);
  const SecretBytes base64 = EncodeBase64(Bytes(protected_pkcs12));
  const auto encoded = ReadSigningIdentity(base64, password);
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(encoded->sha256, from_pem->sha256);
  EXPECT_FALSE(ReadSigningIdentity(base64, no_password).ok());
  // A key that is another certificate's.
  const std::string wrong = authority_.Issue("other").key + identity_.certificate;
  EXPECT_THAT(ReadSigningIdentity(SecretBytes::CopyOf(std::string_view(wrong)), no_password)
                  .status()
                  .ToString(),
              HasSubstr("belongs to none of its certificates"));
}

TEST_F(KeyMaterial, PublicKeysThatAreNone) {
  const auto to_pem = [](std::string_view text) {
    return Text(PublicKeyToPem(*ParseSecretJson(text)));
  };
  EXPECT_THAT(to_pem(R"({"kty":"oct-HSM"})"), HasSubstr("symmetric"));
  EXPECT_THAT(to_pem(R"({"kty":"x"})"), HasSubstr("neither RSA nor EC"));
  EXPECT_THAT(to_pem(R"({"kty":"RSA","n":"!!","e":"AQAB"})"), HasSubstr("no public key"));
  EXPECT_THAT(to_pem(R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})"),
              HasSubstr("no public key"));
  EXPECT_THAT(to_pem(R"({"kty":"EC","crv":"P-1","x":"AQ","y":"AQ"})"), HasSubstr("no public key"));
  // RFC 7517's example.
  EXPECT_THAT(to_pem(R"({"kty":"EC","crv":"P-256",
      "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
      "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})"),
              StartsWith("-----BEGIN PUBLIC KEY-----\n"));
}

}  // namespace
}  // namespace secretfs::providers::azure
