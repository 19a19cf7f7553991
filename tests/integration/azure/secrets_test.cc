// Secrets, versions, lists and soft delete of the fake vault: what Microsoft's clients read and
// write, secretfs must read the same way.

#include <string>

#include "base/status.h"
#include "tests/integration/azure/azure_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class AzureSecrets : public AzureTest {
 protected:
  std::string Set(const std::string& name, const std::string& value) {
    return cloud().Official("set_secret", {{"name", name}, {"value", value}});
  }
  json Get(const std::string& name) { return cloud().Official("get_secret", {{"name", name}}); }
};

TEST_F(AzureSecrets, ValuesVersionsAndTimesAreThoseOfTheOfficialClient) {
  const auto provider = Make(Config());
  const std::string odd = "a\"\\\n\t\xc3\xa4\xf0\x9f\x94\x91 {\"json\": [1.50, 1e5]}";
  for (const std::string& value : {std::string("simple"), odd, std::string(25'000, 'x')}) {
    Set("db-password", value);
    const json official = Get("db-password");
    EXPECT_EQ(official["value"], value);
    const auto secret = Fetch(*provider, "db-password");
    ASSERT_TRUE(secret.ok()) << secret.status();
    EXPECT_EQ((*secret)->value.ExposeAsText(), value);
    EXPECT_EQ((*secret)->version, official["version"]);
    ASSERT_TRUE((*secret)->changed_at.has_value());
    EXPECT_EQ(*(*secret)->changed_at,
              WallTime(std::chrono::seconds(official["created"].get<int64_t>())));
    EXPECT_EQ(Read(*provider, "secret/db-password"), value);
  }
}

TEST_F(AzureSecrets, OldVersionsByIdentifierAndByCount) {
  const std::string first = Set("app", "one");
  cloud().Control("settings", {{"advance", 10}});
  const std::string second = Set("app", "two");
  cloud().Control("settings", {{"advance", 10}});
  const std::string third = Set("app", "three");
  const auto provider = Make(Config());
  EXPECT_EQ(Read(*provider, "app"), "three");
  EXPECT_EQ(Read(*provider, "app", first), "one");
  EXPECT_EQ(Read(*provider, "secret/app/" + second), "two");
  EXPECT_EQ(Read(*provider, "app?version=" + first), "one");
  EXPECT_EQ(Read(*provider, "app", "latest"), "three");
  EXPECT_EQ(Read(*provider, "app", "latest~0"), "three");
  EXPECT_EQ(Read(*provider, "app", "latest~2"), "one");
  EXPECT_EQ(Read(*provider, "app", second + "~1"), "one");
  EXPECT_THAT(Fetch(*provider, "app", "latest~3"), HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "app", "00000000000000000000000000000000"),
              HasCode(StatusCode::kNotFound));
  EXPECT_THAT(Fetch(*provider, "app", "not a version"), HasCode(StatusCode::kInvalidArgument));

  // Disabled versions do not count, and cannot be read, for the official client either.
  cloud().Official("enable_secret", {{"name", "app"}, {"version", third}, {"enabled", false}});
  EXPECT_EQ(cloud().TryOfficial("get_secret", {{"name", "app"}})["status"], 403);
  const auto disabled = Fetch(*provider, "app");
  EXPECT_THAT(disabled, HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(disabled.status().ToString(), HasSubstr("it is disabled"));
  EXPECT_EQ(Read(*provider, "app", "latest~0"), "two");
}

TEST_F(AzureSecrets, MissingDeletedRecoveredAndPurged) {
  Set("app", "value");
  const auto provider = Make(Config());
  EXPECT_EQ(Read(*provider, "app"), "value");
  const auto missing = Fetch(*provider, "nothing");
  EXPECT_THAT(missing, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(missing.status().ToString(),
              HasSubstr("Key Vault at team.vault.azure.net, reading the secret 'nothing'"));
  cloud().Official("delete_secret", {{"name", "app"}});
  EXPECT_EQ(cloud().TryOfficial("get_secret", {{"name", "app"}})["status"], 404);
  EXPECT_EQ(cloud().Official("get_deleted_secret", {{"name", "app"}}), "app");
  EXPECT_THAT(Fetch(*provider, "app"), HasCode(StatusCode::kNotFound));
  EXPECT_EQ(List(*provider, ""), "");
  // Its name is taken until it is purged.
  EXPECT_EQ(cloud().TryOfficial("set_secret", {{"name", "app"}, {"value", "x"}})["status"], 409);
  cloud().Official("recover_secret", {{"name", "app"}});
  EXPECT_EQ(Read(*provider, "app"), "value");
  cloud().Official("delete_secret", {{"name", "app"}});
  cloud().Official("purge_secret", {{"name", "app"}});
  EXPECT_THAT(Fetch(*provider, "app"), HasCode(StatusCode::kNotFound));
  Set("app", "another");
  EXPECT_EQ(Read(*provider, "app"), "another");
}

TEST_F(AzureSecrets, DeletedObjectsAreNotFoundWhateverTheStatusSays) {
  const auto provider = Make(Config());
  for (const int status : {403, 409}) {
    cloud().Control(
        "faults",
        json::array({{{"path", "/secrets/app"},
                      {"status", status},
                      {"body",
                       {{"error",
                         {{"code", "Conflict"},
                          {"message", "planted-message"},
                          {"innererror", {{"code", "ObjectIsDeletedButRecoverable"}}}}}}}}}));
    const auto secret = Fetch(*provider, "app");
    EXPECT_THAT(secret, HasCode(StatusCode::kNotFound));
    EXPECT_THAT(secret.status().ToString(),
                AllOf(HasSubstr("it was deleted and can be recovered"), Not(HasSubstr("planted"))));
  }
}

TEST_F(AzureSecrets, ListsComeInPagesAndLeaveOutWhatIsDisabled) {
  cloud().Control("vaults", {{"host", kAzureVault}, {"page_size", 3}});
  std::string expected;
  for (char c = 'a'; c <= 'h'; ++c) {
    Set(std::string("app-") + c, "x");
    expected += (expected.empty() ? "" : ", ") + std::string("app-") + c;
  }
  const std::string version = Set("app-d", "y");
  cloud().Official("enable_secret", {{"name", "app-d"}, {"version", version}, {"enabled", false}});
  expected.erase(expected.find("app-d, "), 7);
  const auto provider = Make(Config());
  cloud().Requests();
  EXPECT_EQ(List(*provider, ""), expected);
  EXPECT_EQ(cloud().Requests().size(), 4u);  // a login and three pages
  EXPECT_EQ(List(*provider, "secret"), expected);
  std::string official;
  for (const json& name : cloud().Official("list_secrets")) {
    official += (official.empty() ? "" : ", ") + name.get<std::string>();
  }
  EXPECT_EQ(official, expected);
  EXPECT_EQ(List(*provider, "cert"), "");
  EXPECT_THAT(List(*provider, "other"), HasSubstr("NOT_FOUND"));

  // Old versions beyond the first page of versions.
  for (int i = 0; i < 8; ++i) {
    cloud().Control("settings", {{"advance", 2}});
    Set("many", std::to_string(i));
  }
  EXPECT_EQ(Read(*provider, "many", "latest~7"), "0");
  EXPECT_EQ(cloud().Official("list_versions", {{"name", "many"}}).size(), 8u);
}

TEST_F(AzureSecrets, ANextPageElsewhereIsRefusedAndTheTokenNotSentThere) {
  const auto provider = Make(Config());
  for (const char* link : {"https://evil.vault.azure.net/secrets?api-version=7.4&$skiptoken=x",
                           "https://team.vault.azure.net:8443/secrets?$skiptoken=x",
                           "http://team.vault.azure.net/secrets?$skiptoken=x",
                           "https://team.vault.azure.net@evil.vault.azure.net/secrets?$skiptoken=x",
                           "https://team.vault.azure.net/keys?$skiptoken=x"}) {
    cloud().Control("faults",
                    json::array({{{"path", "/secrets"},
                                  {"status", 200},
                                  {"body", {{"value", json::array()}, {"nextLink", link}}}}}));
    cloud().Requests();
    EXPECT_THAT(List(*provider, ""),
                AllOf(HasSubstr("FAILED_PRECONDITION"), HasSubstr("elsewhere")))
        << link;
    for (const std::string& request : cloud().Requests()) {
      EXPECT_THAT(request, Not(HasSubstr("evil")));
    }
  }
}

TEST_F(AzureSecrets, OneOfManyDeniedLeavesTheOthers) {
  Set("app", "value");
  cloud().Control("applications", {{"tenant", kAzureTenant},
                                   {"client_id", kAzureReader},
                                   {"secret", kAzureReaderSecret},
                                   {"permissions", {{"secrets", {"get"}}}}});
  const auto provider = Make(Config());
  EXPECT_EQ(Read(*provider, "app"), "value");
  const auto denied = Fetch(*provider, "key/signing");
  EXPECT_THAT(denied, HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(denied.status().ToString(), HasSubstr("no role assignment allows it"));
  EXPECT_THAT(List(*provider, ""), HasSubstr("PERMISSION_DENIED"));
  EXPECT_EQ(Read(*provider, "app"), "value");
  // Without the right to list, the login is good all the same.
  EXPECT_THAT(CheckLogin(*provider), HasCode(StatusCode::kOk));
  cloud().Control("vaults", {{"host", kAzureVault}, {"firewall", true}});
  EXPECT_THAT(CheckLogin(*provider), HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(Fetch(*provider, "app").status().ToString(), HasSubstr("the vault's firewall"));
}

TEST_F(AzureSecrets, ThrottlingCarriesRetryAfter) {
  Set("app", "value");
  const auto provider = Make(Config());
  cloud().Control("faults", json::array({{{"path", "/secrets/app"},
                                          {"status", 429},
                                          {"headers", {{"Retry-After", "7"}}},
                                          {"body", {{"error", {{"code", "Throttled"}}}}}},
                                         {{"path", "/secrets/app"}, {"status", 429}},
                                         {{"path", "/secrets/app"}, {"status", 503}}}));
  const auto first = Fetch(*provider, "app");
  EXPECT_THAT(first, HasCode(StatusCode::kResourceExhausted));
  EXPECT_EQ(RetryAfter(first.status()), std::chrono::milliseconds(7000));
  const auto second = Fetch(*provider, "app");
  EXPECT_THAT(second, HasCode(StatusCode::kResourceExhausted));
  EXPECT_FALSE(RetryAfter(second.status()).has_value());
  EXPECT_THAT(Fetch(*provider, "app"), HasCode(StatusCode::kUnavailable));
  EXPECT_EQ(Read(*provider, "app"), "value");
}

TEST_F(AzureSecrets, BrokenAnswersAreOutagesAndNotQuoted) {
  const auto provider = Make(Config());
  ASSERT_THAT(CheckLogin(*provider), HasCode(StatusCode::kOk));
  const json bodies = {"planted", json::array(), {{"value", "planted"}}, {{"id", "x"}}};
  for (const json& body : bodies) {
    cloud().Control("faults",
                    json::array({{{"path", "/secrets/app"}, {"status", 200}, {"body", body}}}));
    const auto secret = Fetch(*provider, "app");
    EXPECT_THAT(secret, HasCode(StatusCode::kUnavailable)) << body;
    EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("planted")));
  }
  Set("app", std::string(1000, 'x'));
  cloud().Control("faults", json::array({{{"path", "/secrets/app"}, {"cut", 500}}}));
  EXPECT_THAT(Fetch(*provider, "app"), HasCode(StatusCode::kUnavailable));
}

}  // namespace
}  // namespace secretfs::testing
