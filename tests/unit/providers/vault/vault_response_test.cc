#include "providers/vault/vault_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/text.h"
#include "providers/content_version.h"

namespace secretfs::providers::vault {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

const WallTime kNow{seconds(1'800'000'000)};

std::string Text(const SecretBytes& bytes) { return std::string(bytes.ExposeAsText()); }

std::string Versioned(std::string_view data, std::string_view metadata) {
  return Format(R"({{"lease_id":"","data":{{"data":{},"metadata":{}}}}})", data, metadata);
}

TEST(VaultResponseTest, VersionedSecret) {
  const auto secret = ParseVersionedSecret(
      Versioned(R"({"user":"alice","pin":42,"nested":{"b":1,"a":[true,null]},"empty":""})",
                R"({"created_time":"2026-11-24T15:23:24.028826223Z","deletion_time":"",
                    "destroyed":false,"version":7})"),
      kNow);
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->version, "7@2026-11-24T15:23:24.028826223Z");
  EXPECT_EQ(Text(secret->fields.at("user")), "alice");
  EXPECT_EQ(Text(secret->fields.at("pin")), "42");
  EXPECT_EQ(Text(secret->fields.at("nested")), R"({"a":[true,null],"b":1})");
  EXPECT_EQ(Text(secret->fields.at("empty")), "");
  EXPECT_EQ(Text(secret->value),
            R"({"empty":"","nested":{"a":[true,null],"b":1},"pin":42,"user":"alice"})");
  ASSERT_TRUE(secret->changed_at.has_value());
  EXPECT_EQ(secret->changed_at->time_since_epoch().count(), 1795533804028826223);
  EXPECT_FALSE(secret->time_to_live.has_value());
}

TEST(VaultResponseTest, PlannedDeletionBoundsTheTimeToLive) {
  const auto with = [](std::string_view time) {
    return ParseVersionedSecret(
        Versioned("{}", Format(R"({{"version":1,"deletion_time":"{}"}})", time)), kNow);
  };
  EXPECT_EQ(with("2027-01-15T08:01:00Z")->time_to_live, seconds(60));
  EXPECT_EQ(with("2027-01-15T07:00:00Z")->time_to_live, seconds(0));
  EXPECT_FALSE(with("soon")->time_to_live.has_value());
  EXPECT_FALSE(with("")->time_to_live.has_value());
}

TEST(VaultResponseTest, VersionedSecretsThatAreNone) {
  for (const char* body : {"", "not json", "[]", "null", "{}", R"({"data":null})",
                           R"({"data":{"data":{}}})", R"({"data":{"metadata":{"version":1}}})",
                           R"({"data":{"data":[],"metadata":{"version":1}}})",
                           R"({"data":{"data":{},"metadata":{"version":"1"}}})",
                           R"({"data":{"data":{},"metadata":{"version":1.5}}})",
                           R"({"data":{"data":{},"metadata":{"version":18446744073709551615}}})"}) {
    EXPECT_EQ(ParseVersionedSecret(body, kNow).status().code(), absl::StatusCode::kUnavailable)
        << body;
  }
}

TEST(VaultResponseTest, ErrorsNeverQuoteTheBody) {
  for (const std::string body : {R"({"data":{"data":{"p":"planted"},"metadata":{}}})",
                                 R"({"data":{"data":{"p":"planted"},)", R"("planted")"}) {
    EXPECT_THAT(ParseVersionedSecret(body, kNow).status().ToString(), Not(HasSubstr("planted")));
    EXPECT_THAT(ParseList(body).status().ToString(), Not(HasSubstr("planted")));
    EXPECT_THAT(ParseTokenGrant(body).status().ToString(), Not(HasSubstr("planted")));
  }
}

TEST(VaultResponseTest, AVersionHoldsNothingButNumberAndTime) {
  const auto secret =
      ParseVersionedSecret(Versioned("{}", R"({"version":1,"created_time":"planted"})"), kNow);
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(secret->version, "1@");
}

TEST(VaultResponseTest, PlainSecretWithoutLeaseIsVersionedByContent) {
  const auto first = ParsePlainSecret(R"({"lease_id":"","lease_duration":30,"data":{"a":"1"}})");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Text(first->fields.at("a")), "1");
  EXPECT_EQ(first->time_to_live, seconds(30));
  EXPECT_FALSE(first->lease.has_value());
  const auto same = ParsePlainSecret(R"({"request_id":"other","data":{"a":"1"}})");
  EXPECT_EQ(first->version, same->version);
  const auto other = ParsePlainSecret(R"({"data":{"a":"2"}})");
  EXPECT_NE(first->version, other->version);
  EXPECT_FALSE(other->time_to_live.has_value());
}

TEST(VaultResponseTest, PlainSecretWithLease) {
  const auto secret = ParsePlainSecret(
      R"({"lease_id":"db/creds/x/1","lease_duration":3600,"renewable":true,"data":{"a":"1"}})");
  ASSERT_TRUE(secret.ok()) << secret.status();
  ASSERT_TRUE(secret->lease.has_value());
  EXPECT_EQ(secret->lease->id, "db/creds/x/1");
  EXPECT_EQ(secret->lease->duration, seconds(3600));
  EXPECT_TRUE(secret->lease->renewable);
  EXPECT_EQ(secret->time_to_live, seconds(3600));
  const auto again = ParsePlainSecret(
      R"({"lease_id":"db/creds/x/2","lease_duration":3600,"renewable":true,"data":{"a":"1"}})");
  EXPECT_NE(secret->version, again->version);
  EXPECT_FALSE(ParsePlainSecret(R"({"data":null,"auth":{}})").ok());
}

TEST(VaultResponseTest, DurationsThatMakeNoSenseAreBounded) {
  const auto huge = ParsePlainSecret(R"({"lease_duration":9223372036854775807,"data":{}})");
  ASSERT_TRUE(huge.ok());
  EXPECT_GT(*huge->time_to_live, std::chrono::hours(24 * 365));
  EXPECT_FALSE(ParsePlainSecret(R"({"lease_duration":-5,"data":{}})")->time_to_live.has_value());
  EXPECT_FALSE(ParsePlainSecret(R"({"lease_duration":"5","data":{}})")->time_to_live.has_value());
}

TEST(VaultResponseTest, ContentVersionsAreEqualForEqualContentOnly) {
  const auto version = [](std::string_view text) {
    return ContentVersion(std::as_bytes(std::span(text.data(), text.size())));
  };
  EXPECT_EQ(version("a"), version("a"));
  EXPECT_NE(version("a"), version("b"));
  EXPECT_NE(version(""), version("a"));
  // The plain SHA-256 of "a" begins like this; a version must not give content away.
  EXPECT_THAT(version("a"), Not(HasSubstr("ca978112")));
}

TEST(VaultResponseTest, DeletedVersions) {
  const auto deleted = ParseDeletedVersion(
      R"({"data":{"data":null,"metadata":{"version":2,"destroyed":false,
          "deletion_time":"2026-11-24T15:23:24Z"}}})");
  ASSERT_TRUE(deleted.has_value());
  EXPECT_EQ(deleted->number, 2);
  EXPECT_EQ(deleted->deleted_at, "2026-11-24T15:23:24Z");
  EXPECT_FALSE(deleted->destroyed);
  EXPECT_TRUE(
      ParseDeletedVersion(R"({"data":{"metadata":{"version":1,"destroyed":true}}})")->destroyed);
  EXPECT_FALSE(ParseDeletedVersion(R"({"errors":[]})").has_value());
  EXPECT_FALSE(ParseDeletedVersion("").has_value());
}

std::string Names(std::string_view keys) {
  const auto entries = ParseList(Format(R"({{"data":{{"keys":{}}}}})", keys));
  if (!entries.ok()) return "error";
  std::string text;
  for (const ListEntry& entry : *entries) {
    text += Format("{}{}{} ", entry.name, entry.is_secret ? "" : "-", entry.is_prefix ? "/" : "");
  }
  return text;
}

TEST(VaultResponseTest, ListsMergeNamesAndPrefixes) {
  EXPECT_EQ(Names(R"(["b","a/","a","c/"])"), "a/ b c-/ ");
  EXPECT_EQ(Names("[]"), "");
  // Names that no key can have are left out.
  EXPECT_EQ(Names(R"(["","/",".","../","x//","a/b","ok"])"), "ok ");
  EXPECT_EQ(Names(R"(["a",1])"), "error");
  EXPECT_EQ(Names(R"({"a":1})"), "error");
}

TEST(VaultResponseTest, Mounts) {
  const auto engine = [](std::string_view description) {
    const auto mount = ParseMount(Format(R"({{"data":{}}})", description));
    return mount.ok() ? mount->engine : Engine::kUnknown;
  };
  EXPECT_EQ(engine(R"({"path":"a/","type":"kv","options":{"version":"2"}})"), Engine::kKv2);
  EXPECT_EQ(engine(R"({"path":"a/","type":"kv","options":{"version":"1"}})"), Engine::kKv1);
  EXPECT_EQ(engine(R"({"path":"a/","type":"kv","options":null})"), Engine::kKv1);
  EXPECT_EQ(engine(R"({"path":"a/","type":"generic"})"), Engine::kKv1);
  EXPECT_EQ(engine(R"({"path":"a/","type":"pki","options":{"version":"2"}})"), Engine::kOther);
  EXPECT_EQ(ParseMount(R"({"data":{"path":"team/kv/","type":"kv"}})")->path, "team/kv");
  EXPECT_FALSE(ParseMount(R"({"data":{"path":"/","type":"kv"}})").ok());
  const auto all = ParseMounts(
      R"({"data":{"auth":{"token/":{}},"secret":{"kv/":{"type":"kv"},"pki/":{"type":"pki"}}}})");
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0], (Mount{"kv", Engine::kKv1}));
  EXPECT_EQ((*all)[1], (Mount{"pki", Engine::kOther}));
}

TEST(VaultResponseTest, TokensAndLeases) {
  const auto grant =
      ParseTokenGrant(R"({"auth":{"client_token":"t","lease_duration":60,"renewable":true}})");
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(Text(grant->token), "t");
  EXPECT_EQ(grant->duration, seconds(60));
  EXPECT_TRUE(grant->renewable);
  EXPECT_FALSE(ParseTokenGrant(R"({"auth":null})").ok());
  EXPECT_FALSE(ParseTokenGrant(R"({"auth":{"client_token":""}})").ok());
  const auto lookup = ParseTokenLookup(R"({"data":{"ttl":0,"renewable":false,"id":"t"}})");
  ASSERT_TRUE(lookup.ok());
  EXPECT_EQ(lookup->duration, seconds(0));
  EXPECT_FALSE(ParseTokenLookup(R"({"data":{}})").ok());
  EXPECT_EQ(ParseLease(R"({"lease_id":"l","lease_duration":9,"renewable":true})")->duration,
            seconds(9));
  EXPECT_FALSE(ParseLease("{}").ok());
  EXPECT_EQ(Text(*ParseDataField(R"({"data":{"secret_id":"s"}})", "secret_id")), "s");
  EXPECT_FALSE(ParseDataField(R"({"data":{"secret_id":1}})", "secret_id").ok());
}

TEST(VaultResponseTest, ErrorTextsAreOneBoundedPrintableLine) {
  EXPECT_EQ(
      ErrorTexts(
          R"({"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]})"),
      "2 errors occurred: * permission denied * invalid token");
  EXPECT_EQ(ErrorTexts(R"({"errors":["a","b"]})"), "a; b");
  EXPECT_EQ(ErrorTexts(R"({"errors":[]})"), "");
  EXPECT_EQ(ErrorTexts("<html>"), "");
  EXPECT_EQ(ErrorTexts("{\"errors\":[\"a\\u001b[31mb\\u0000c\"]}"), "a [31mb c");
  EXPECT_LE(ErrorTexts(R"({"errors":[")" + std::string(1000, 'x') + R"(","y"]})").size(), 200u);
  EXPECT_TRUE(HasErrorText(R"({"errors":["x","an invalid token"]})", "invalid token"));
  EXPECT_FALSE(HasErrorText(R"({"data":"invalid token"})", "invalid token"));
}

}  // namespace
}  // namespace secretfs::providers::vault
