#include "providers/azure/azure_key.h"

#include <gmock/gmock.h>

#include "base/text.h"

namespace secretfs::providers::azure {
namespace {

using ::testing::HasSubstr;

ObjectKey ParsedKey(const std::string& key, const std::string& version = {},
                    bool external = false) {
  const absl::StatusOr<ObjectKey> parsed = ParseKey({key, version}, external);
  EXPECT_TRUE(parsed.ok()) << key << ": " << parsed.status();
  return parsed.value_or(ObjectKey{});
}

std::string ErrorOf(const std::string& key, const std::string& version = {}) {
  const absl::StatusOr<ObjectKey> parsed = ParseKey({key, version}, false);
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << key << " " << version;
  return std::string(MessageOf(parsed.status()));
}

TEST(AzureKey, KindsAndTheirUsualForms) {
  EXPECT_EQ(ParsedKey("db").kind, Kind::kSecret);
  EXPECT_EQ(ParsedKey("db").form, Form::kValue);
  EXPECT_EQ(ParsedKey("secret/db").name, "db");
  EXPECT_EQ(ParsedKey("cert/www").kind, Kind::kCertificate);
  EXPECT_EQ(ParsedKey("cert/www").form, Form::kPem);
  EXPECT_EQ(ParsedKey("cert/www", "", true).form, Form::kDer);
  EXPECT_EQ(ParsedKey("key/k").kind, Kind::kKey);
  EXPECT_EQ(ParsedKey("key/k").form, Form::kPem);
  EXPECT_EQ(ParsedKey("key/k", "", true).form, Form::kJwk);
  EXPECT_EQ(ParsedKey("secret/db", "", true).form, Form::kValue);
  // Names that are words of ours.
  EXPECT_EQ(ParsedKey("secret").name, "secret");
  EXPECT_EQ(ParsedKey("cert/key").name, "key");
}

TEST(AzureKey, Formats) {
  EXPECT_EQ(ParsedKey("www?format=auto").form, Form::kAuto);
  EXPECT_EQ(ParsedKey("www?format=pem").form, Form::kPem);
  EXPECT_EQ(ParsedKey("secret/www?format=certificate").form, Form::kCertificate);
  EXPECT_EQ(ParsedKey("www?format=private-key").form, Form::kPrivateKey);
  EXPECT_EQ(ParsedKey("cert/www?format=der").form, Form::kDer);
  EXPECT_EQ(ParsedKey("key/k?format=jwk").form, Form::kJwk);
  EXPECT_THAT(ErrorOf("www?format=der"),
              HasSubstr("expected value, auto, pem, certificate, private-key"));
  EXPECT_THAT(ErrorOf("cert/www?format=jwk"), HasSubstr("expected pem, der"));
  EXPECT_THAT(ErrorOf("www?colour=red"), HasSubstr("unknown option"));
}

TEST(AzureKey, Versions) {
  EXPECT_EQ(ParsedKey("db").version, "");
  EXPECT_FALSE(ParsedKey("db").before.has_value());
  EXPECT_EQ(ParsedKey("db", "0123456789abcdef0123456789abcdef").version,
            "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(ParsedKey("secret/db/v1").version, "v1");
  EXPECT_EQ(ParsedKey("db?version=v1").version, "v1");
  EXPECT_EQ(ParsedKey("db?version=v1&format=pem").form, Form::kPem);
  EXPECT_EQ(ParsedKey("db", "latest").version, "");
  EXPECT_FALSE(ParsedKey("db", "latest").before.has_value());
  EXPECT_EQ(ParsedKey("db", "latest~2").before, 2);
  EXPECT_EQ(ParsedKey("db", "v1~3").version, "v1");
  EXPECT_EQ(ParsedKey("db", "v1~3").before, 3);
  EXPECT_THAT(ErrorOf("db", "v1~"), HasSubstr("behind its '~'"));
  EXPECT_THAT(ErrorOf("db", "latest~-1"), HasSubstr("behind its '~'"));
  EXPECT_THAT(ErrorOf("db", "latest~1001"), HasSubstr("behind its '~'"));
  EXPECT_THAT(ErrorOf("db", "~1"), HasSubstr("is none"));
  EXPECT_THAT(ErrorOf("db", "a/b"), HasSubstr("is none"));
  EXPECT_THAT(ErrorOf("db?version=v1", "v2"), HasSubstr("twice"));
  EXPECT_THAT(ErrorOf("secret/db/v1", "v1"), HasSubstr("twice"));
}

TEST(AzureKey, RefusesWhatNoVaultCanHave) {
  for (const char* name : {"", "a_b", "a.b", "..", "a b", "ä", "a%2fb", "secret/"}) ErrorOf(name);
  ErrorOf(std::string(128, 'a'));
  EXPECT_EQ(ParsedKey(std::string(127, 'a')).name.size(), 127u);
  EXPECT_THAT(ErrorOf("secrets/db"), HasSubstr("secret/NAME, cert/NAME or key/NAME"));
  EXPECT_THAT(ErrorOf("secret/db/"), HasSubstr("ends with '/'"));
  ErrorOf("secret/db/v1/x");
}

TEST(AzureKey, Prefixes) {
  EXPECT_EQ(*ParsePrefix(""), Kind::kSecret);
  EXPECT_EQ(*ParsePrefix("secret"), Kind::kSecret);
  EXPECT_EQ(*ParsePrefix("cert"), Kind::kCertificate);
  EXPECT_EQ(*ParsePrefix("key"), Kind::kKey);
  EXPECT_EQ(ParsePrefix("db").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace secretfs::providers::azure
