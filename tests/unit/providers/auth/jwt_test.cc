#include "providers/auth/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace secretfs::providers {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using UniqueKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string PemOf(EVP_PKEY* key, bool traditional = false, const char* passphrase = nullptr) {
  BIO* out = BIO_new(BIO_s_mem());
  const EVP_CIPHER* cipher = passphrase == nullptr ? nullptr : EVP_aes_128_cbc();
  auto* phrase = reinterpret_cast<unsigned char*>(const_cast<char*>(passphrase));
  const int size = passphrase == nullptr ? 0 : static_cast<int>(strlen(passphrase));
  if (traditional) {
    PEM_write_bio_PrivateKey_traditional(out, key, cipher, phrase, size, nullptr, nullptr);
  } else {
    PEM_write_bio_PKCS8PrivateKey(out, key, cipher, passphrase, size, nullptr, nullptr);
  }
  char* data = nullptr;
  std::string text;
  const long length = BIO_get_mem_data(out, &data);
  text.assign(data, static_cast<size_t>(length));
  BIO_free(out);
  return text;
}

// By OpenSSL's decoder, which wants the standard alphabet and padding.
std::string DecodeBase64Url(std::string text) {
  EXPECT_EQ(text.find_first_of("+/=\n"), std::string::npos) << text;
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  const size_t padding = (4 - text.size() % 4) % 4;
  text.append(padding, '=');
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  EXPECT_GE(size, 0);
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

std::vector<std::string> Parts(const std::string& token) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t dot; (dot = token.find('.', begin)) != std::string::npos; begin = dot + 1) {
    parts.push_back(token.substr(begin, dot - begin));
  }
  parts.push_back(token.substr(begin));
  return parts;
}

bool Verifies(EVP_PKEY* key, bool pss, const std::string& signed_text,
              const std::string& signature) {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_PKEY_CTX* context = nullptr;
  EXPECT_EQ(EVP_DigestVerifyInit(digest, &context, EVP_sha256(), nullptr, key), 1);
  if (pss) {
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, 32), 1);
  }
  const int result = EVP_DigestVerify(
      digest, reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
      reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size());
  EVP_MD_CTX_free(digest);
  return result == 1;
}

class JwtTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { rsa_ = EVP_RSA_gen(2048); }
  static void TearDownTestSuite() { EVP_PKEY_free(rsa_); }

  static absl::StatusOr<SecretBytes> Make(JwtAlgorithm algorithm, const std::string& pem) {
    SecretJson claims = SecretJson::object();
    claims["iss"] = "app@project.example";
    claims["exp"] = int64_t{1'800'003'600};
    const std::map<std::string, std::string> header{{"kid", "key-1"}};
    return SignJwt(algorithm, header, claims, SecretBytes::CopyOf(pem));
  }

  static inline EVP_PKEY* rsa_ = nullptr;
};

TEST_F(JwtTest, OpenSslVerifiesBothAlgorithmsAndEitherKeyForm) {
  for (const bool pss : {false, true}) {
    for (const bool traditional : {false, true}) {
      const auto token =
          Make(pss ? JwtAlgorithm::kPs256 : JwtAlgorithm::kRs256, PemOf(rsa_, traditional));
      ASSERT_TRUE(token.ok()) << token.status();
      const std::vector<std::string> parts = Parts(std::string(token->ExposeAsText()));
      ASSERT_EQ(parts.size(), 3u);
      EXPECT_EQ(DecodeBase64Url(parts[0]), pss ? R"({"alg":"PS256","kid":"key-1","typ":"JWT"})"
                                               : R"({"alg":"RS256","kid":"key-1","typ":"JWT"})");
      EXPECT_EQ(DecodeBase64Url(parts[1]), R"({"exp":1800003600,"iss":"app@project.example"})");
      const std::string text = parts[0] + "." + parts[1];
      const std::string signature = DecodeBase64Url(parts[2]);
      EXPECT_TRUE(Verifies(rsa_, pss, text, signature));
      EXPECT_FALSE(Verifies(rsa_, !pss, text, signature));
      EXPECT_FALSE(Verifies(rsa_, pss, text + "x", signature));
    }
  }
}

TEST_F(JwtTest, TakesTheKeyOutOfAFileWithCertificates) {
  const std::string certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
  EXPECT_TRUE(Make(JwtAlgorithm::kPs256, certificate + PemOf(rsa_)).ok());
  EXPECT_TRUE(Make(JwtAlgorithm::kPs256, PemOf(rsa_) + certificate).ok());
}

TEST_F(JwtTest, SaysWhatIsWrongWithAKeyWithoutItsContent) {
  const auto message = [](const std::string& pem) {
    const auto token = Make(JwtAlgorithm::kRs256, pem);
    EXPECT_EQ(token.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(token.status().message());
  };
  const std::string planted = message("planted-text");
  EXPECT_THAT(planted, HasSubstr("no private key in PEM form"));
  EXPECT_THAT(planted, Not(HasSubstr("planted")));
  EXPECT_THAT(message(""), HasSubstr("no private key"));
  EXPECT_THAT(message(PemOf(rsa_).substr(0, 600)), HasSubstr("no private key"));
  // Neither form of encryption may ask at the terminal.
  EXPECT_THAT(message(PemOf(rsa_, false, "phrase")), HasSubstr("encrypted with a passphrase"));
  EXPECT_THAT(message(PemOf(rsa_, true, "phrase")), HasSubstr("encrypted with a passphrase"));
  const UniqueKey curve(EVP_EC_gen("P-256"), EVP_PKEY_free);
  EXPECT_THAT(message(PemOf(curve.get())), HasSubstr("no RSA key"));
  const UniqueKey small(EVP_RSA_gen(1024), EVP_PKEY_free);
  EXPECT_THAT(message(PemOf(small.get())), HasSubstr("shorter than 2048 bits"));
}

TEST(Base64UrlTest, VectorsOfTheStandard) {
  const auto encode = [](std::string_view text) {
    const SecretBytes encoded = EncodeBase64Url(std::as_bytes(std::span(text.data(), text.size())));
    return std::string(encoded.ExposeAsText());
  };
  // RFC 4648 section 10, without padding.
  EXPECT_EQ(encode(""), "");
  EXPECT_EQ(encode("f"), "Zg");
  EXPECT_EQ(encode("fo"), "Zm8");
  EXPECT_EQ(encode("foo"), "Zm9v");
  EXPECT_EQ(encode("foob"), "Zm9vYg");
  EXPECT_EQ(encode("fooba"), "Zm9vYmE");
  EXPECT_EQ(encode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encode("\xfb\xff\xbf"), "-_-_");
}

}  // namespace
}  // namespace secretfs::providers
