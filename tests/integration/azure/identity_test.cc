// Every way to log in, with Microsoft's own credential classes doing the same against the same
// fake; the challenge; clouds; and what happens when tokens end or are refused.

#include <filesystem>
#include <string>
#include <utility>

#include "base/status.h"
#include "tests/integration/azure/azure_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using nlohmann::json;
using providers::AzureClientCertificateAuth;
using providers::AzureClientSecretAuth;
using providers::AzureManagedIdentityAuth;
using providers::AzureStoreConfig;
using providers::AzureWorkloadIdentityAuth;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kApplication[] = "44444444-4444-4444-8444-444444444444";
constexpr char kLogin[] =
    "POST login.microsoftonline.com/11111111-1111-4111-8111-111111111111/oauth2/v2.0/token 200";
constexpr char kGet[] = "GET team.vault.azure.net/secrets/app 200";
constexpr char kGetRefused[] = "GET team.vault.azure.net/secrets/app 401";

class AzureIdentity : public AzureTest {
 protected:
  void SetUp() override {
    AzureTest::SetUp();
    cloud().Official("set_secret", {{"name", "app"}, {"value", "value"}});
    cloud().Requests();
  }

  void AddApplication(json more) {
    more["tenant"] = kAzureTenant;
    more["client_id"] = kApplication;
    cloud().Control("applications", more);
  }
  // Reads with secretfs and, with the same credential, with Microsoft's client.
  void BothRead(const AzureStoreConfig& config, const json& credential) {
    EXPECT_EQ(Read(*Make(config), "app"), "value");
    json how = credential;
    how["tenant"] = kAzureTenant;
    how["authority"] = "https://login.microsoftonline.com";
    cloud().Official("login", {{"vault", kAzureVault}, {"credential", how}});
    EXPECT_EQ(cloud().Official("get_secret", {{"name", "app"}})["value"], "value");
  }
  static std::string Reason(const absl::StatusOr<providers::SecretPtr>& secret) {
    return secret.status().ToString();
  }
  static AzureClientSecretAuth Secret(std::string_view secret) {
    AzureClientSecretAuth auth;
    auth.client_id.text = kAzureReader;
    auth.client_secret = Inline(secret);
    return auth;
  }
};

TEST_F(AzureIdentity, OneLoginServesAllAndNoChallengeIsNeededWhereTheCloudIsKnown) {
  const auto provider = Make(Config());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Read(*provider, "app"), "value");
  EXPECT_THAT(cloud().Requests(), ElementsAre(kLogin, kGet, kGet, kGet));
}

TEST_F(AzureIdentity, TheTenantComesFromTheChallengeWhenItIsNotConfigured) {
  AzureStoreConfig config = Config();
  config.tenant_id.text.clear();
  EXPECT_EQ(Read(*Make(config), "app"), "value");
  EXPECT_THAT(cloud().Requests(), ElementsAre(kGetRefused, kLogin, kGet));
}

TEST_F(AzureIdentity, WrongSecretsAndApplicationsSayWhatToDo) {
  AzureStoreConfig config = Config();
  config.auth = Secret("planted-wrong");
  const auto wrong = Fetch(*Make(config), "app");
  EXPECT_THAT(wrong, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(Reason(wrong),
              AllOf(HasSubstr("AADSTS7000215"), HasSubstr("the client secret is wrong"),
                    HasSubstr("client secret of the manifest of the application 2222"),
                    Not(HasSubstr("planted"))));
  config.tenant_id.text = "nowhere.onmicrosoft.com";
  EXPECT_THAT(Reason(Fetch(*Make(config), "app")), HasSubstr("no such tenant"));
  config = Config();
  std::get<AzureClientSecretAuth>(config.auth).client_id.text = "unknown";
  EXPECT_THAT(Reason(Fetch(*Make(config), "app")), HasSubstr("no application with this client id"));
  AddApplication({{"secret", "s"}, {"secret_expired", true}});
  std::get<AzureClientSecretAuth>(config.auth).client_id.text = kApplication;
  EXPECT_THAT(Reason(Fetch(*Make(config), "app")), HasSubstr("the client secret has expired"));
}

TEST_F(AzureIdentity, ASecretInAFileIsReadAgainWhenItChanges) {
  AzureStoreConfig config = Config();
  AzureClientSecretAuth auth;
  auth.client_id.source = File(ReplaceFile("client-id", std::string(kAzureReader) + "\n"));
  auth.client_secret = File(ReplaceFile("secret", std::string(kAzureReaderSecret) + "\n"));
  config.auth = std::move(auth);
  const auto provider = Make(config);
  EXPECT_EQ(Read(*provider, "app"), "value");
  cloud().Requests();
  cloud().Control("applications",
                  {{"tenant", kAzureTenant}, {"client_id", kAzureReader}, {"secret", "new"}});
  // A bad replacement does not end what works …
  ReplaceFile("secret", "not the new one");
  EXPECT_EQ(Read(*provider, "app"), "value");
  // … a good one takes effect with the next read.
  ReplaceFile("secret", "new");
  cloud().Requests();
  EXPECT_EQ(Read(*provider, "app"), "value");
  EXPECT_THAT(cloud().Requests(), ElementsAre(kLogin, kGet));
}

TEST_F(AzureIdentity, ClientCertificates) {
  const std::string path = (cloud().folder() / "client").string();
  struct Case {
    const char* form;
    const char* password;
    bool send_chain;
  };
  for (const Case& one : {Case{"pem", nullptr, false}, Case{"pkcs12", nullptr, false},
                          Case{"pkcs12", "pass word", true}}) {
    SCOPED_TRACE(one.form);
    json arguments = {{"path", path}, {"form", one.form}};
    if (one.password != nullptr) arguments["password"] = one.password;
    const std::string certificate = cloud().Official("write_client_certificate", arguments);
    AddApplication({{"certificate", certificate}});
    AzureStoreConfig config = Config();
    AzureClientCertificateAuth auth;
    auth.client_id.text = kApplication;
    auth.client_certificate = File(path);
    if (one.password != nullptr) auth.password = Inline(one.password);
    auth.send_chain = one.send_chain;
    config.auth = auth;
    json credential = {{"kind", "certificate"},
                       {"client_id", kApplication},
                       {"path", path},
                       {"send_chain", one.send_chain}};
    if (one.password != nullptr) credential["password"] = one.password;
    BothRead(config, credential);
    // A second login makes a new assertion: the fake takes none twice.
    EXPECT_EQ(Read(*Make(config), "app"), "value");
  }
  // A certificate that is not the application's, and a file that is none.
  AzureStoreConfig config = Config();
  AzureClientCertificateAuth auth;
  auth.client_id.text = kApplication;
  cloud().Official("write_client_certificate", {{"path", path}});
  auth.client_certificate = File(path);
  config.auth = auth;
  EXPECT_THAT(Reason(Fetch(*Make(config), "app")),
              AllOf(HasSubstr("AADSTS700027"), HasSubstr("not registered")));
  auth.client_certificate = File(ReplaceFile("nonsense", "planted"));
  config.auth = auth;
  const auto nonsense = Fetch(*Make(config), "app");
  EXPECT_THAT(nonsense, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(Reason(nonsense), AllOf(HasSubstr("nonsense"), Not(HasSubstr("planted"))));
}

TEST_F(AzureIdentity, WorkloadIdentityReadsItsTokenFileAtEachLogin) {
  const std::string subject = "system:serviceaccount:team:app";
  AddApplication({{"subject", subject}});
  const auto token = [&](json wanted) {
    if (!wanted.contains("subject")) wanted["subject"] = subject;
    return cloud().Control("federated-token", wanted)["token"].get<std::string>();
  };
  const std::string path = ReplaceFile("token", token({}));
  AzureStoreConfig config = Config();
  AzureWorkloadIdentityAuth auth;
  auth.client_id.text = kApplication;
  auth.token = File(path);
  config.auth = auth;
  BothRead(config, {{"kind", "workload"}, {"client_id", kApplication}, {"path", path}});

  const auto provider = Make(config);
  EXPECT_EQ(Read(*provider, "app"), "value");
  // The kubelet replaces the file; the old token ends with the old access token.
  cloud().Control("settings", {{"advance", 3700}});
  EXPECT_THAT(Reason(Fetch(*Make(config), "app")),
              AllOf(HasSubstr("AADSTS700024"), HasSubstr("the token file fresh")));
  ReplaceFile("token", token({}) + "\n");
  EXPECT_EQ(Read(*Make(config), "app"), "value");

  ReplaceFile("token", token({{"subject", "system:serviceaccount:team:other"}}));
  EXPECT_THAT(Reason(Fetch(*Make(config), "app")), HasSubstr("the token's subject"));
  ReplaceFile("token", token({{"audience", "vault"}}));
  EXPECT_THAT(Reason(Fetch(*Make(config), "app")), HasSubstr("the token's audience"));
  std::filesystem::remove(path);
  EXPECT_THAT(Fetch(*Make(config), "app"), HasCode(StatusCode::kFailedPrecondition));
}

TEST_F(AzureIdentity, ManagedIdentitiesOfAMachine) {
  AzureStoreConfig config = Config();
  config.metadata_host = cloud().address();
  config.auth = AzureManagedIdentityAuth{};
  const auto none = Fetch(*Make(config), "app");
  EXPECT_THAT(none, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(Reason(none), HasSubstr("is the identity assigned to this machine"));

  const std::string resource_id =
      "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/"
      "userAssignedIdentities/id";
  cloud().Control("identities",
                  {{"tenant", kAzureTenant}, {"client_id", "system"}, {"system", true}});
  cloud().Control("identities", {{"tenant", kAzureTenant},
                                 {"client_id", kApplication},
                                 {"object_id", "the-object"},
                                 {"resource_id", resource_id}});
  // Tenants mean nothing here, and no challenge is needed.
  config.tenant_id.text.clear();
  BothRead(config, {{"kind", "managed"}});
  AzureManagedIdentityAuth by_client{.client_id = kApplication, .object_id = {}, .resource_id = {}};
  config.auth = by_client;
  BothRead(config, {{"kind", "managed"}, {"client_id", kApplication}});
  config.auth =
      AzureManagedIdentityAuth{.client_id = {}, .object_id = "the-object", .resource_id = {}};
  BothRead(config, {{"kind", "managed"}, {"identity", {{"object_id", "the-object"}}}});
  config.auth =
      AzureManagedIdentityAuth{.client_id = {}, .object_id = {}, .resource_id = resource_id};
  BothRead(config, {{"kind", "managed"}, {"identity", {{"resource_id", resource_id}}}});
  config.auth =
      AzureManagedIdentityAuth{.client_id = "unknown", .object_id = {}, .resource_id = {}};
  EXPECT_THAT(Fetch(*Make(config), "app"), HasCode(StatusCode::kUnauthenticated));

  // While the service starts or is updated, and under load.
  config.auth = by_client;
  const auto provider = Make(config);
  for (const auto& [status, code] :
       {std::pair{404, StatusCode::kUnavailable}, std::pair{410, StatusCode::kUnavailable},
        std::pair{429, StatusCode::kResourceExhausted}, std::pair{500, StatusCode::kUnavailable}}) {
    cloud().Control("faults", json::array({{{"path", "/metadata"}, {"status", status}}}));
    EXPECT_THAT(Fetch(*provider, "app"), HasCode(code)) << status;
  }
  EXPECT_EQ(Read(*provider, "app"), "value");
}

TEST_F(AzureIdentity, ManagedIdentitiesOfAppService) {
  cloud().Control("settings", {{"identity_header", "planted-header"}});
  cloud().Control("identities",
                  {{"tenant", kAzureTenant}, {"client_id", "system"}, {"system", true}});
  cloud().Control("identities", {{"tenant", kAzureTenant}, {"client_id", kApplication}});
  AzureStoreConfig config = Config();
  config.identity_endpoint = cloud().address() + "/msi/token";
  config.identity_header = Inline("planted-header");
  config.auth = AzureManagedIdentityAuth{};
  EXPECT_EQ(Read(*Make(config), "app"), "value");
  config.auth =
      AzureManagedIdentityAuth{.client_id = kApplication, .object_id = {}, .resource_id = {}};
  EXPECT_EQ(Read(*Make(config), "app"), "value");
  config.identity_header = Inline("planted-wrong");
  const auto wrong = Fetch(*Make(config), "app");
  EXPECT_THAT(wrong, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(Reason(wrong), Not(HasSubstr("planted")));
}

TEST_F(AzureIdentity, RevokedTokensAreReplacedOnce) {
  const auto provider = Make(Config());
  EXPECT_EQ(Read(*provider, "app"), "value");
  cloud().Requests();
  cloud().Control("revoke");
  EXPECT_EQ(Read(*provider, "app"), "value");
  EXPECT_THAT(cloud().Requests(), ElementsAre(kGetRefused, kLogin, kGet));
}

TEST_F(AzureIdentity, AVaultOfAnotherTenantSaysSo) {
  cloud().Control("vaults",
                  {{"host", kAzureVault}, {"tenant", "99999999-9999-4999-8999-999999999999"}});
  const auto secret = Fetch(*Make(Config()), "app");
  EXPECT_THAT(secret, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(Reason(secret), HasSubstr("the vault lives in the tenant 99999999"));
}

TEST_F(AzureIdentity, AVaultThatAsksForTokensOfAnotherResourceGetsNone) {
  AzureStoreConfig config = Config();
  config.vault_url = "https://team.vaults.private.test";
  const std::string host = "team.vaults.private.test";
  // Official clients refuse it, too.
  for (const char* resource : {"https://vault.azure.net", "https://management.azure.com",
                               "https://team.vaults.private.test", "https://private.test.evil"}) {
    cloud().Control("vaults", {{"host", host}, {"resource", resource}});
    cloud().Requests();
    const auto secret = Fetch(*Make(config), "app");
    EXPECT_THAT(secret, HasCode(StatusCode::kUnauthenticated)) << resource;
    EXPECT_THAT(Reason(secret), HasSubstr("which is not its own domain"));
    EXPECT_THAT(cloud().Requests(), ElementsAre("GET " + host + "/secrets/app 401"));
  }
  cloud().Official("login", {{"vault", host},
                             {"credential",
                              {{"kind", "secret"},
                               {"tenant", kAzureTenant},
                               {"client_id", kAzureWriter},
                               {"secret", "writer"},
                               {"authority", "https://login.microsoftonline.com"}}}});
  EXPECT_THAT(cloud().TryOfficial("get_secret", {{"name", "app"}})["error"].get<std::string>(),
              HasSubstr("does not match the requested domain"));
  // Its own domain is believed; anything, when the store says so.
  cloud().Control("vaults", {{"host", host}, {"resource", "https://vaults.private.test"}});
  EXPECT_THAT(Fetch(*Make(config), "app"), HasCode(StatusCode::kNotFound));
  cloud().Control("vaults", {{"host", host}, {"resource", "https://vault.azure.net"}});
  config.verify_challenge_resource = false;
  EXPECT_THAT(Fetch(*Make(config), "app"), HasCode(StatusCode::kNotFound));
}

TEST_F(AzureIdentity, EveryCloudHasItsAuthorityAndItsVaults) {
  struct Case {
    const char *environment, *vault, *authority;
  };
  for (const Case& one :
       {Case{"PublicCloud", "team.vault.azure.net", "login.microsoftonline.com"},
        Case{"USGovernmentCloud", "team.vault.usgovcloudapi.net", "login.microsoftonline.us"},
        Case{"ChinaCloud", "team.vault.azure.cn", "login.chinacloudapi.cn"}}) {
    AzureStoreConfig config = Config();
    config.environment_type = one.environment;
    config.vault_url = std::string("https://") + one.vault + "/";
    cloud().Requests();
    EXPECT_THAT(Fetch(*Make(config), "nothing"), HasCode(StatusCode::kNotFound)) << one.environment;
    EXPECT_THAT(cloud().Requests(),
                ElementsAre(std::string("POST ") + one.authority + "/" + kAzureTenant +
                                "/oauth2/v2.0/token 200",
                            std::string("GET ") + one.vault + "/secrets/nothing 404"));
  }
  // A cloud that only its operator knows.
  AzureStoreConfig config = Config();
  config.environment_type = "AzureStackCloud";
  config.vault_url = "https://team.vault.azurestack.test";
  config.authority_host = "https://login.azurestack.test";
  config.resource = "https://vault.azurestack.test";
  EXPECT_THAT(Fetch(*Make(config), "nothing"), HasCode(StatusCode::kNotFound));
}

TEST_F(AzureIdentity, EntraThrottledOrDownIsAnOutage) {
  const std::string host = "login.microsoftonline.com";
  const auto provider = Make(Config());
  cloud().Control(
      "faults", json::array({{{"host", host}, {"status", 429}, {"headers", {{"Retry-After", "3"}}}},
                             {{"host", host}, {"status", 503}},
                             {{"host", host}, {"status", 200}, {"body", {{"x", 1}}}},
                             {{"host", host}, {"cut", 10}}}));
  const auto throttled = Fetch(*provider, "app");
  EXPECT_THAT(throttled, HasCode(StatusCode::kResourceExhausted));
  EXPECT_EQ(RetryAfter(throttled.status()), std::chrono::milliseconds(3000));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Fetch(*provider, "app"), HasCode(StatusCode::kUnavailable)) << i;
  }
  EXPECT_EQ(Read(*provider, "app"), "value");
}

}  // namespace
}  // namespace secretfs::testing
