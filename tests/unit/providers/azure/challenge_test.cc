#include "providers/azure/challenge.h"

#include <gtest/gtest.h>

#include "providers/azure/cloud.h"
#include "providers/azure/key_vault.h"

namespace secretfs::providers::azure {
namespace {

Challenge ParsedChallenge(std::string_view header) {
  const absl::StatusOr<Challenge> parsed = ParseChallenge(header);
  EXPECT_TRUE(parsed.ok()) << header;
  return parsed.value_or(Challenge{});
}

TEST(AzureChallenge, AsVaultsWriteIt) {
  const Challenge vault = ParsedChallenge(
      R"(Bearer authorization="https://login.microsoftonline.com/72f988bf-86f1", resource="https://vault.azure.net")");
  EXPECT_EQ(vault.tenant, "72f988bf-86f1");
  EXPECT_EQ(vault.resource, "https://vault.azure.net");
  const Challenge scope = ParsedChallenge(
      R"(bearer Authorization_URI="https://login.windows.net/contoso.com/oauth2", scope="https://managedhsm.azure.net/.default", resource="https://x.test")");
  EXPECT_EQ(scope.tenant, "contoso.com");
  EXPECT_EQ(scope.resource, "https://managedhsm.azure.net");
  const Challenge bare = ParsedChallenge(
      "Bearer authorization=https://login.windows.net/t,resource=https://vault.azure.net/, "
      "error=\"invalid_token\"");
  EXPECT_EQ(bare.tenant, "t");
  EXPECT_EQ(bare.resource, "https://vault.azure.net");
}

TEST(AzureChallenge, WithoutATenantOrWithAStrangeOne) {
  EXPECT_EQ(ParsedChallenge(R"(Bearer resource="https://v.test")").tenant, "");
  for (const char* authorization :
       {"http://login.test/t", "https://login.test", "https://login.test/..", "//t",
        "https://login.test/a%2f", "https://login.test/a@b"}) {
    EXPECT_EQ(ParsedChallenge(std::string(R"(Bearer resource="https://v.test", authorization=")") +
                              authorization + "\"")
                  .tenant,
              "")
        << authorization;
  }
}

TEST(AzureChallenge, WhatIsNone) {
  for (const char* header :
       {"", "Bearer", "Bearer ", "Basic realm=\"x\"", "Bearer resource=\"\"",
        "Bearer resource=\"vault.azure.net\"", "Bearer resource=\"http://vault.azure.net\"",
        "Bearer resource=\"https://user@vault.azure.net\"", "Bearer resource=\"https://a b\"",
        "Bearer ====,,,\"\"\"", "PoP resource=\"https://vault.azure.net\""}) {
    EXPECT_EQ(ParseChallenge(header).status().code(), absl::StatusCode::kUnauthenticated) << header;
  }
}

TEST(AzureChallenge, OnlyTheVaultsOwnDomainFits) {
  EXPECT_TRUE(ResourceFitsHost("https://vault.azure.net", "team.vault.azure.net"));
  EXPECT_TRUE(ResourceFitsHost("https://VAULT.azure.net/", "Team.Vault.Azure.net"));
  EXPECT_TRUE(ResourceFitsHost("https://azure.net", "team.vault.azure.net"));
  EXPECT_FALSE(ResourceFitsHost("https://vault.azure.net", "vault.azure.net"));
  EXPECT_FALSE(ResourceFitsHost("https://vault.azure.net", "evilvault.azure.net"));
  EXPECT_FALSE(ResourceFitsHost("https://management.azure.com", "team.vault.azure.net"));
  EXPECT_FALSE(ResourceFitsHost("https://vault.azure.net.evil.test", "team.vault.azure.net"));
  EXPECT_FALSE(ResourceFitsHost("https://", "team."));
  EXPECT_FALSE(ResourceFitsHost("", "team.vault.azure.net"));
}

TEST(AzureClouds, ByNameByAuthorityAndByHost) {
  EXPECT_EQ(FindCloud("")->vault_domain, "vault.azure.net");
  EXPECT_EQ(FindCloud("USGovernmentCloud")->authority_host, "https://login.microsoftonline.us");
  EXPECT_EQ(FindCloud("AzureChinaCloud")->vault_domain, "vault.azure.cn");
  EXPECT_FALSE(FindCloud("AzureStackCloud").has_value());
  EXPECT_EQ(CloudOfAuthority("https://login.partner.microsoftonline.cn/")->vault_domain,
            "vault.azure.cn");
  EXPECT_FALSE(CloudOfAuthority("https://login.example.test").has_value());
  EXPECT_EQ(ResourceOfHost("team.vault.azure.net"), "https://vault.azure.net");
  EXPECT_EQ(ResourceOfHost("TEAM.MANAGEDHSM.azure.net"), "https://managedhsm.azure.net");
  EXPECT_EQ(ResourceOfHost("vault.azure.net"), "");
  EXPECT_EQ(ResourceOfHost("teamvault.azure.net"), "");
}

TEST(AzurePages, OnlyTheSameListGoesOn) {
  const std::string vault = "https://team.vault.azure.net";
  EXPECT_TRUE(
      IsNextPage("https://team.vault.azure.net:443/secrets?$skiptoken=x", vault, "secrets"));
  EXPECT_TRUE(
      IsNextPage("https://team.vault.azure.net/secrets/a/versions?x", vault, "secrets/a/versions"));
  for (const char* link :
       {"", "/secrets?x", "https://team.vault.azure.net/secrets",
        "http://team.vault.azure.net/secrets?x", "https://team.vault.azure.net:444/secrets?x",
        "https://evil.test/secrets?x", "https://team.vault.azure.net@evil.test/secrets?x",
        "https://u@team.vault.azure.net/secrets?x", "https://team.vault.azure.net/keys?x",
        "https://team.vault.azure.net/secretsx?x", "https://team.vault.azure.net/secrets/../keys?x",
        "https://team.vault.azure.net/secrets?x#y", "https://team.vault.azure.net\\secrets?x"}) {
    EXPECT_FALSE(IsNextPage(link, vault, "secrets")) << link;
  }
}

}  // namespace
}  // namespace secretfs::providers::azure
