// Google's own client (Python, from PyPI) against the fake, and secretfs beside it: what the
// official client gets, secretfs must get, and what it is refused, secretfs must be refused.

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "tests/fakes/gcp_jwt.h"
#include "tests/integration/gcp/gcp_fixture.h"
#include "tests/integration/support/child_process.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using fakes::Base64;
using nlohmann::json;
using providers::GcpDefaultAuth;
using providers::GcpSecretRefAuth;
using providers::GcpStoreConfig;
using Role = fakes::GcpSecretManager::Role;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Lists of two texts would become objects if they stood in braces.
const json kReadDb = json::array({"access", "projects/demo/secrets/db/versions/latest"});
constexpr char kNumber[] = "projects/123456789012";

// The folder with Google's clients: from ./test, else made here.
std::string Clients() {
  if (const char* folder = std::getenv("SECRETFS_GCP_CLIENTS")) return folder;
  const Finished built = testing::Run({SECRETFS_GCP_BUILD});
  EXPECT_EQ(built.exit_code, 0) << built.errors;
  return built.output.substr(0, built.output.find('\n'));
}

class GcpOfficialClientTest : public GcpTest {
 protected:
  // What came of each call.
  json Official(const json& credentials, const json& calls,
                const std::map<std::string, std::string>& environment = {}) {
    static const std::string& clients = *new std::string(Clients());
    ChildOptions options;
    options.environment = environment;
    options.environment["no_proxy"] = "127.0.0.1";
    // Nothing of this machine's own.
    options.environment.try_emplace("GOOGLE_APPLICATION_CREDENTIALS", "");
    options.environment.try_emplace("CLOUDSDK_CONFIG", folder_.string());
    options.input =
        json{{"server", cloud_.url()}, {"credentials", credentials}, {"calls", calls}}.dump();
    const Finished run =
        testing::Run({clients + "/python/bin/python", SECRETFS_GCP_CLIENT}, options);
    EXPECT_EQ(run.exit_code, 0) << run.errors;
    return json::parse(run.output, nullptr, false);
  }
  json Token() { return {{"token", identity().MakeToken("serviceAccount:" + admin_)}}; }
  void SetUp() override { secrets().SetRole("serviceAccount:" + admin_, Role::kAdmin); }

  // What the official client reads, in secretfs' words.
  static std::string ValueOf(const json& result) {
    if (!result.contains("ok")) return result.value("error", "neither ok nor error");
    return fakes::FromBase64(result["ok"].value("value", "")).value_or("no base64");
  }
  // What secretfs reads, in the official client's words.
  std::string OwnValue(providers::Provider& provider, const std::string& key) {
    const auto secret = Fetch(provider, key);
    if (secret.ok()) return Text((*secret)->value);
    return absl::StatusCodeToString(secret.status().code());
  }

  const std::string admin_ = "admin@demo.iam.gserviceaccount.com";
};

TEST_F(GcpOfficialClientTest, WhatItWritesSecretfsReads) {
  const std::string binary("\0\xff\x01 binary\n", 11);
  const json calls = json::array({
      {"create", kParent, "db"},
      {"create", kParent, "db"},
      {"add", "projects/demo/secrets/db", Base64("one")},
      {"add", "projects/demo/secrets/db", Base64(binary)},
      {"add", "projects/demo/secrets/db", Base64("three")},
      {"add_damaged", "projects/demo/secrets/db"},
      {"alias", "projects/demo/secrets/db", {{"live", 2}}},
      {"disable", "projects/demo/secrets/db/versions/3"},
      {"versions", "projects/demo/secrets/db"},
      {"versions", "projects/demo/secrets/db", "state:ENABLED"},
      {"access", "projects/demo/secrets/db/versions/latest"},
      {"access", "projects/demo/secrets/db/versions/1"},
      {"access", "projects/demo/secrets/db/versions/live"},
      {"access", "projects/demo/secrets/db/versions/9"},
      {"access", "projects/demo/secrets/db/versions/old"},
      {"access", "projects/demo/secrets/missing/versions/latest"},
      {"create", kParent, "without-versions"},
      {"access", "projects/demo/secrets/without-versions/versions/latest"},
      {"add", "projects/demo/secrets/without-versions", ""},
      {"create", "projects/demo/locations/europe-west3", "regional"},
      {"add", "projects/demo/locations/europe-west3/secrets/regional", Base64("there")},
      {"access", "projects/demo/locations/europe-west3/secrets/regional/versions/latest"},
  });
  const json results = Official(Token(), calls);
  ASSERT_EQ(results.size(), calls.size());
  const std::string db = std::string(kNumber) + "/secrets/db";
  EXPECT_EQ(results[0]["ok"], db);
  EXPECT_EQ(results[1]["error"], "ALREADY_EXISTS");
  EXPECT_EQ(results[2]["ok"], db + "/versions/1");
  EXPECT_EQ(results[5]["error"], "INVALID_ARGUMENT");
  EXPECT_EQ(results[6]["ok"], (json{{"live", 2}}));
  EXPECT_EQ(results[7]["ok"], "DISABLED");
  EXPECT_EQ(results[8]["ok"], (json::array({{db + "/versions/3", "DISABLED"},
                                            {db + "/versions/2", "ENABLED"},
                                            {db + "/versions/1", "ENABLED"}})));
  EXPECT_EQ(results[9]["ok"].size(), 2u);
  EXPECT_EQ(results[18]["error"], "INVALID_ARGUMENT");
  EXPECT_EQ(results[10]["error"], "FAILED_PRECONDITION");

  // The same reads, side by side. A disabled version is not there for secretfs.
  const auto provider = Make(Config());
  EXPECT_EQ(OwnValue(*provider, "db"), "NOT_FOUND");
  for (size_t i = 11; i < calls.size(); ++i) {
    if (calls[i][0] != "access") continue;
    EXPECT_EQ(OwnValue(*provider, calls[i][1]), ValueOf(results[i])) << calls[i];
  }
  EXPECT_EQ(ValueOf(results[12]), binary);
  EXPECT_EQ(ValueOf(results[21]), "there");
  // The policy that takes another version takes what the official client lists first.
  GcpStoreConfig fetches = Config();
  fetches.secret_version_selection_policy = providers::GcpVersionSelection::kLatestOrFetch;
  EXPECT_EQ(OwnValue(*Make(fetches), "db"), binary);
}

TEST_F(GcpOfficialClientTest, ItListsWhatSecretfsLists) {
  for (const char* name : {"app-a", "app-b", "app-c", "my-app-d", "z"}) {
    secrets().Put(kParent, name, "x");
  }
  secrets().SetPageLimit(2);
  const json results = Official(
      Token(), {{"list", kParent}, {"list", kParent, "name:app-"}, {"list", "projects/none"}});
  std::vector<std::string> names;
  for (const auto& name : results[0]["ok"]) names.push_back(name);
  EXPECT_THAT(names, ::testing::ElementsAre(kNumber + std::string("/secrets/app-a"),
                                            kNumber + std::string("/secrets/app-b"),
                                            kNumber + std::string("/secrets/app-c"),
                                            kNumber + std::string("/secrets/my-app-d"),
                                            kNumber + std::string("/secrets/z")));
  // The API filters by a part of the name, anywhere in it.
  EXPECT_EQ(results[1]["ok"].size(), 4u);
  EXPECT_EQ(results[2]["ok"], json::array());
  const auto provider = Make(Config());
  EXPECT_EQ(List(*provider), "3: app-a, app-b, app-c, my-app-d, z");
  EXPECT_EQ(List(*provider, "app-"), "2: app-a, app-b, app-c");
}

// Over REST the official client does not try again after a 429 (its rule names gRPC's exception).
TEST_F(GcpOfficialClientTest, ItIsThrottledWhereSecretfsIs) {
  secrets().Put(kParent, "db", "one");
  secrets().Throttle(1, 1);
  const json results = Official(Token(), json::array({kReadDb, kReadDb}));
  EXPECT_EQ(results[0]["error"], "RESOURCE_EXHAUSTED");
  EXPECT_EQ(ValueOf(results[1]), "one");
  const auto provider = Make(Config());
  EXPECT_EQ(OwnValue(*provider, "db"), "one");
  secrets().Throttle(1, 1);
  EXPECT_EQ(OwnValue(*provider, "db"), "RESOURCE_EXHAUSTED");
}

TEST_F(GcpOfficialClientTest, ItIsRefusedWhereSecretfsIs) {
  secrets().Put(kParent, "db", "one");
  secrets().SetRole(std::string("serviceAccount:") + kReader, Role::kAccessor);
  GcpStoreConfig config = Config();
  secrets().SetRole(std::string("serviceAccount:") + kReader, Role::kAccessor);
  secrets().Put(kParent, "root", "x");
  secrets().Deny("root");
  const json calls = json::array(
      {kReadDb, {"access", "projects/demo/secrets/root/versions/latest"}, {"list", kParent}});
  const json token = {{"token", identity().MakeToken(std::string("serviceAccount:") + kReader)}};
  const json results = Official(token, calls);
  EXPECT_EQ(ValueOf(results[0]), "one");
  EXPECT_EQ(results[1]["error"], "PERMISSION_DENIED");
  EXPECT_EQ(results[2]["error"], "PERMISSION_DENIED");
  const auto provider = Make(config);
  EXPECT_EQ(OwnValue(*provider, "db"), "one");
  EXPECT_EQ(OwnValue(*provider, "root"), "PERMISSION_DENIED");
  EXPECT_THAT(List(*provider), StartsWith("PERMISSION_DENIED"));
  EXPECT_EQ(Official({{"token", "unknown"}}, json::array({calls[0]}))[0]["error"],
            "UNAUTHENTICATED");
}

// Every type of credentials file: the official client and secretfs read the same file.
class GcpOfficialCredentialsTest : public GcpOfficialClientTest {
 protected:
  GcpOfficialCredentialsTest() { secrets().Put(kParent, "db", "value"); }

  void Allow(const std::string& principal) { secrets().SetRole(principal, Role::kAccessor); }
  // What both read with the file `content`: "official, own".
  std::string Both(const std::string& content) {
    const std::string file = WriteFile("adc.json", content);
    GcpStoreConfig config = Config();
    config.auth = GcpDefaultAuth{file, ""};
    return Format("{}, {}", ReadOfficial({{"file", file}}), OwnValue(*Make(config), "db"));
  }
  std::string ReadOfficial(const json& credentials,
                           const std::map<std::string, std::string>& environment = {}) {
    const json results = Official(credentials, json::array({kReadDb}), environment);
    if (results[0].contains("why")) last_reason_ = results[0]["why"];
    return ValueOf(results[0]);
  }

  std::string last_reason_;
};

TEST_F(GcpOfficialCredentialsTest, ServiceAccount) {
  const std::string key = identity().MakeServiceAccountKey(kReader);
  Allow(std::string("serviceAccount:") + kReader);
  EXPECT_EQ(Both(key), "value, value") << last_reason_;
  // How this client would do it by itself: the fake takes that, too.
  const size_t logins = cloud_.Count("/token");
  EXPECT_EQ(ReadOfficial({{"file", WriteFile("adc.json", key)}, {"self_signed", true}}), "value");
  EXPECT_EQ(cloud_.Count("/token"), logins);
  identity().DeleteKeys(kReader);
  identity().EndTokens();
  EXPECT_EQ(Both(key), "UNAUTHENTICATED, UNAUTHENTICATED");
  EXPECT_THAT(last_reason_, HasSubstr("Invalid JWT Signature"));
}

TEST_F(GcpOfficialCredentialsTest, AuthorizedUser) {
  const std::string login = identity().MakeUserLogin("alice@example.com");
  Allow("user:alice@example.com");
  EXPECT_EQ(Both(login), "value, value") << last_reason_;
  identity().RevokeLogin("alice@example.com");
  EXPECT_EQ(Both(login), "UNAUTHENTICATED, UNAUTHENTICATED");
}

TEST_F(GcpOfficialCredentialsTest, ExternalAccounts) {
  const std::string pool =
      "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/ci/"
      "providers/forge";
  const std::string target = "target@demo.iam.gserviceaccount.com";
  identity().AddPoolProvider(pool, "https://forge.example", "principal://pool/subject/{}");
  Allow("principal://pool/subject/builder");
  Allow("serviceAccount:" + target);
  const std::string token = identity().SubjectToken("builder", "https://forge.example");
  const std::string file = WriteFile("token", token);
  const std::string json_file = WriteFile("token.json", json{{"value", token}}.dump());
  cloud_.SetSubjectToken(token);
  const json format = {{"type", "json"}, {"subject_token_field_name", "value"}};
  const json headers = {{"X-Audience", "pool"}};
  const json from_file = {{"file", file}};
  const json from_url = {
      {"url", cloud_.url() + "/subject-token.json"}, {"headers", headers}, {"format", format}};
  EXPECT_EQ(Both(identity().ExternalAccount(pool, from_file, "")), "value, value") << last_reason_;
  EXPECT_EQ(Both(identity().ExternalAccount(pool, {{"file", json_file}, {"format", format}}, "")),
            "value, value")
      << last_reason_;
  EXPECT_EQ(Both(identity().ExternalAccount(pool, from_url, "")), "value, value") << last_reason_;
  identity().AllowImpersonation("principal://pool/subject/builder", target);
  EXPECT_EQ(Both(identity().ExternalAccount(pool, from_url, target)), "value, value")
      << last_reason_;
  WriteFile("token", identity().SubjectToken("builder", "https://forge.example", -10));
  EXPECT_EQ(Both(identity().ExternalAccount(pool, from_file, "")),
            "UNAUTHENTICATED, UNAUTHENTICATED");
}

TEST_F(GcpOfficialCredentialsTest, ImpersonatedServiceAccount) {
  const std::string middle = "middle@demo.iam.gserviceaccount.com";
  const std::string target = "target@demo.iam.gserviceaccount.com";
  Allow("serviceAccount:" + target);
  identity().AllowImpersonation(std::string("serviceAccount:") + kReader, middle);
  identity().AllowImpersonation("serviceAccount:" + middle, target);
  const std::string key = identity().MakeServiceAccountKey(kReader);
  EXPECT_EQ(
      Both(identity().ImpersonatedAccount(key, target, {"projects/-/serviceAccounts/" + middle})),
      "value, value")
      << last_reason_;
}

TEST_F(GcpOfficialCredentialsTest, UserOfAWorkforcePool) {
  Allow("principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/bob");
  EXPECT_EQ(Both(identity().MakeWorkforceLogin("bob")), "value, value") << last_reason_;
}

TEST_F(GcpOfficialCredentialsTest, FoundByDefault) {
  Allow("serviceAccount:vm@demo.iam.gserviceaccount.com");
  Allow("user:alice@example.com");
  cloud_.SetMachine("vm@demo.iam.gserviceaccount.com");
  const std::map<std::string, std::string> machine = {{"GCE_METADATA_HOST", cloud_.host()},
                                                      {"GCE_METADATA_IP", cloud_.host()}};
  EXPECT_EQ(ReadOfficial({{"default", true}}, machine), "value") << last_reason_;
  GcpStoreConfig config = Config();
  config.auth = GcpDefaultAuth{};
  EXPECT_EQ(OwnValue(*Make(config), "db"), "value");
  // gcloud's file comes before the metadata server, for both.
  const std::string login = WriteFile("application_default_credentials.json",
                                      identity().MakeUserLogin("alice@example.com"));
  const size_t machine_tokens = cloud_.Count("service-accounts/default/token");
  EXPECT_EQ(ReadOfficial({{"default", true}}, machine), "value") << last_reason_;
  config.auth = GcpDefaultAuth{"", login};
  EXPECT_EQ(OwnValue(*Make(config), "db"), "value");
  EXPECT_EQ(cloud_.Count("service-accounts/default/token"), machine_tokens);
}

}  // namespace
}  // namespace secretfs::testing
