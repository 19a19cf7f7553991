// Certificates and keys: the parts of a certificate together and apart, from PKCS#12 and from PEM,
// and public keys, all compared with what Microsoft's client and Python's cryptography make.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <string>

#include "providers/selection/codec.h"
#include "tests/integration/azure/azure_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// Whether both are PEM of the same private key.
bool SameKey(const std::string& a, const std::string& b) {
  const auto read = [](const std::string& pem) {
    const std::unique_ptr<BIO, int (*)(BIO*)> bio(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
    return std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>(
        PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  };
  const auto first = read(a), second = read(b);
  return first && second && EVP_PKEY_eq(first.get(), second.get()) == 1;
}

class AzureCertificates : public AzureTest {
 protected:
  json Import(const std::string& name, const std::string& kind, const std::string& form) {
    const json made =
        cloud().Official("make_certificate", {{"subject", name + ".test"}, {"kind", kind}});
    cloud().Official("import_certificate",
                     {{"name", name}, {"subject", name + ".test"}, {"form", form}});
    return made;
  }
  static std::string Text(const json& made, const char* member) { return made[member]; }
};

TEST_F(AzureCertificates, TogetherAndApartFromEveryForm) {
  const auto provider = Make(Config());
  for (const std::string kind : {"rsa", "ec"}) {
    for (const std::string form : {"pkcs12", "pem"}) {
      SCOPED_TRACE(kind + " " + form);
      const std::string name = kind + "-" + form;
      const json made = Import(name, kind, form);
      const std::string chain =
          Text(made, "leaf") + Text(made, "middle") + Text(made, "root");  // leaf first
      const std::string secret = "secret/" + name;

      const std::string stored =
          cloud().Official("get_secret", {{"name", name}})["value"].get<std::string>();
      EXPECT_EQ(Read(*provider, secret), stored);
      const std::string whole = Read(*provider, secret + "?format=auto");
      EXPECT_TRUE(SameKey(whole, made["key"])) << whole;
      EXPECT_THAT(whole, HasSubstr(chain));
      EXPECT_TRUE(whole.starts_with("-----BEGIN PRIVATE KEY-----\n")) << whole;
      EXPECT_EQ(Read(*provider, secret + "?format=certificate"), chain);
      const std::string key = Read(*provider, secret + "?format=private-key");
      EXPECT_TRUE(SameKey(key, made["key"]));
      EXPECT_THAT(key, Not(HasSubstr("CERTIFICATE")));
      EXPECT_EQ(Read(*provider, secret + "?format=pem"), key + chain);

      // The certificate alone, of the same version as its secret.
      const json official = cloud().Official("get_certificate", {{"name", name}});
      EXPECT_EQ(Read(*provider, "cert/" + name), Text(made, "leaf"));
      const auto der = Fetch(*provider, "cert/" + name + "?format=der");
      ASSERT_TRUE(der.ok()) << der.status();
      EXPECT_EQ(providers::EncodeBase64((*der)->value.bytes()).ExposeAsText(),
                official["cer"].get<std::string>());
      EXPECT_EQ((*der)->version, official["version"]);
      EXPECT_EQ((*Fetch(*provider, secret))->version, official["version"]);

      // Its public key.
      EXPECT_EQ(Read(*provider, "key/" + name),
                cloud().Official("get_key", {{"name", name}})["pem"].get<std::string>());
    }
  }
  EXPECT_EQ(List(*provider, "cert"), "ec-pem, ec-pkcs12, rsa-pem, rsa-pkcs12");
  EXPECT_EQ(cloud().Official("list_certificates").size(), 4u);
  EXPECT_EQ(List(*provider, "key"), "ec-pem, ec-pkcs12, rsa-pem, rsa-pkcs12");
}

TEST_F(AzureCertificates, WhatIsNoCertificateStaysAsItIsOrSaysSo) {
  cloud().Official("set_secret", {{"name", "plain"}, {"value", "text"}});
  cloud().Official(
      "set_secret",
      {{"name", "liar"}, {"value", "planted!"}, {"content_type", "application/x-pkcs12"}});
  const auto provider = Make(Config());
  EXPECT_EQ(Read(*provider, "plain?format=auto"), "text");
  EXPECT_EQ(Read(*provider, "liar?format=auto"), "planted!");  // belongs to no certificate
  EXPECT_THAT(Fetch(*provider, "plain?format=pem"), HasCode(StatusCode::kInvalidArgument));
  const auto liar = Fetch(*provider, "liar?format=pem");
  EXPECT_THAT(liar, HasCode(StatusCode::kInvalidArgument));
  EXPECT_THAT(liar.status().ToString(), Not(HasSubstr("planted")));
  EXPECT_THAT(Fetch(*provider, "cert/plain"), HasCode(StatusCode::kNotFound));
}

TEST_F(AzureCertificates, KeysOfEveryKindAsPemAndAsJsonWebKey) {
  const auto provider = Make(Config());
  cloud().Official("create_key", {{"name", "rsa"}, {"kind", "RSA"}});
  for (const std::string curve : {"P-256", "P-384", "P-521", "P-256K"}) {
    cloud().Official("create_key", {{"name", "ec-" + curve}, {"kind", "EC"}, {"curve", curve}});
  }
  for (const std::string name : {"rsa", "ec-P-256", "ec-P-384", "ec-P-521", "ec-P-256K"}) {
    const json official = cloud().Official("get_key", {{"name", name}});
    EXPECT_EQ(Read(*provider, "key/" + name), official["pem"].get<std::string>());
    const json web_key = json::parse(Read(*provider, "key/" + name + "?format=jwk"));
    EXPECT_TRUE(
        web_key["kid"].get<std::string>().ends_with(official["version"].get<std::string>()));
    EXPECT_FALSE(web_key.contains("d"));
  }
  EXPECT_EQ(cloud().Official("list_keys").size(), 5u);
}

TEST_F(AzureCertificates, ExternalSecretsFormats) {
  const json made = Import("www", "rsa", "pkcs12");
  providers::AzureStoreConfig config = Config();
  config.external_secrets_formats = true;
  const auto provider = Make(config);
  const auto der = Fetch(*provider, "cert/www");
  ASSERT_TRUE(der.ok()) << der.status();
  EXPECT_EQ(providers::EncodeBase64((*der)->value.bytes()).ExposeAsText(),
            made["der"].get<std::string>());
  EXPECT_EQ(json::parse(Read(*provider, "key/www"))["kty"], "RSA");
  EXPECT_EQ(Read(*provider, "secret/www"),
            cloud().Official("get_secret", {{"name", "www"}})["value"].get<std::string>());
  EXPECT_EQ(Read(*provider, "cert/www?format=pem"), Text(made, "leaf"));
}

}  // namespace
}  // namespace secretfs::testing
