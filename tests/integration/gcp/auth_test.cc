// Each way to get an access token, against the fake of Google's identity services.

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "providers/gcp/gcp_provider.h"
#include "tests/integration/gcp/gcp_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using nlohmann::json;
using providers::GcpDefaultAuth;
using providers::GcpSecretRefAuth;
using providers::GcpStoreConfig;
using providers::GcpWorkloadIdentityAuth;
using providers::GcpWorkloadIdentityFederationAuth;
using Role = fakes::GcpSecretManager::Role;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPool[] =
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/ci/"
    "providers/forge";
constexpr char kPoolPrincipal[] =
    "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/"
    "ci/subject/{}";
constexpr char kBuilder[] =
    "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/"
    "ci/subject/builder";
constexpr char kTokenAudience[] = "https://forge.example";
constexpr char kTarget[] = "target@demo.iam.gserviceaccount.com";

class GcpAuthTest : public GcpTest {
 protected:
  GcpAuthTest() {
    secrets().Put(kParent, "db", "value");
    identity().AddPoolProvider(kPool, kTokenAudience, kPoolPrincipal);
  }
  void Allow(const std::string& principal) { secrets().SetRole(principal, Role::kAccessor); }
  void AllowAccount(const std::string& email) { Allow("serviceAccount:" + email); }

  // A store with the credentials file `content` under the name that ADC has in the environment.
  GcpStoreConfig WithFile(const std::string& content) {
    GcpStoreConfig config = Config();
    config.auth = GcpDefaultAuth{WriteFile("adc.json", content), ""};
    return config;
  }
  std::string Read(const GcpStoreConfig& config) { return Value(*Make(config), "db"); }
};

TEST_F(GcpAuthTest, ServiceAccountKey) {
  GcpStoreConfig config = Config();
  EXPECT_EQ(Read(config), "value");
  EXPECT_TRUE(CheckLogin(*Make(config)).ok());
  identity().DeleteKeys(kReader);
  const auto refused = Fetch(*Make(config), "db");
  EXPECT_THAT(refused, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(refused.status().ToString(),
              AllOf(HasSubstr("invalid_grant (Invalid JWT Signature.)"), HasSubstr(kReader)));
  EXPECT_THAT(CheckLogin(*Make(config)), HasCode(StatusCode::kUnauthenticated));
}

TEST_F(GcpAuthTest, AKeyThatWasReplacedInItsFileIsUsedAtOnce) {
  GcpStoreConfig config = WithFile(identity().MakeServiceAccountKey(kReader));
  const auto provider = Make(config);
  EXPECT_EQ(Value(*provider, "db"), "value");
  identity().DeleteKeys(kReader);
  identity().EndTokens();
  WriteFile("adc.json", identity().MakeServiceAccountKey(kReader));
  EXPECT_EQ(Value(*provider, "db"), "value");
  EXPECT_EQ(cloud_.Count("/token"), 2u);
  // A broken new one does not end the use of the old one's token.
  WriteFile("adc.json", "{}");
  EXPECT_EQ(Value(*provider, "db"), "value");
}

TEST_F(GcpAuthTest, AnAccessTokenThatEndedEarlyIsReplacedOnce) {
  const auto provider = Make(Config());
  EXPECT_EQ(Value(*provider, "db"), "value");
  identity().EndTokens();
  EXPECT_EQ(Value(*provider, "db"), "value");
  EXPECT_EQ(cloud_.Count("/token"), 2u);
  EXPECT_EQ(secrets().reads(), 2u);
}

TEST_F(GcpAuthTest, AWrongClockIsCorrectedByTheServers) {
  for (const int64_t offset : {4000, -4000}) {
    identity().SetClockOffset(offset);
    EXPECT_EQ(Read(Config()), "value");
  }
}

TEST_F(GcpAuthTest, UserLoginOfGcloud) {
  Allow("user:alice@example.com");
  GcpStoreConfig config = Config();
  const std::string login = identity().MakeUserLogin("alice@example.com");
  config.auth = GcpDefaultAuth{"", WriteFile("application_default_credentials.json", login)};
  EXPECT_EQ(Read(config), "value");
  EXPECT_EQ(secrets().quota_project(), "demo");
  config.quota_project = "other";
  EXPECT_EQ(Read(config), "value");
  EXPECT_EQ(secrets().quota_project(), "other");
  identity().RevokeLogin("alice@example.com");
  const auto refused = Fetch(*Make(config), "db");
  EXPECT_THAT(refused, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("gcloud auth application-default login"));
}

TEST_F(GcpAuthTest, UserOfAWorkforcePool) {
  Allow("principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/bob");
  EXPECT_EQ(Read(WithFile(identity().MakeWorkforceLogin("bob"))), "value");
}

TEST_F(GcpAuthTest, FederationWithATokenFile) {
  Allow(kBuilder);
  const std::string token =
      WriteFile("token", identity().SubjectToken("builder", kTokenAudience) + "\n");
  const auto provider = Make(WithFile(identity().ExternalAccount(kPool, {{"file", token}}, "")));
  EXPECT_EQ(Value(*provider, "db"), "value");
  // The next login takes what is in the file by then.
  identity().EndTokens();
  WriteFile("token", identity().SubjectToken("builder", "https://wrong.example"));
  const auto refused = Fetch(*provider, "db");
  EXPECT_THAT(refused, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("audience"));
  WriteFile("token", identity().SubjectToken("builder", kTokenAudience));
  EXPECT_EQ(Value(*provider, "db"), "value");
}

TEST_F(GcpAuthTest, FederationWithATokenInAJsonFile) {
  Allow(kBuilder);
  const std::string token = WriteFile(
      "token.json", json{{"value", identity().SubjectToken("builder", kTokenAudience)}}.dump());
  const json format = {{"type", "json"}, {"subject_token_field_name", "value"}};
  EXPECT_EQ(
      Read(WithFile(identity().ExternalAccount(kPool, {{"file", token}, {"format", format}}, ""))),
      "value");
  WriteFile("token.json", R"({"other":"planted"})");
  const auto refused = Fetch(
      *Make(WithFile(identity().ExternalAccount(kPool, {{"file", token}, {"format", format}}, ""))),
      "db");
  EXPECT_THAT(refused, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(refused.status().ToString(), AllOf(HasSubstr("'value'"), Not(HasSubstr("planted"))));
}

TEST_F(GcpAuthTest, FederationWithATokenFromAUrlAndImpersonation) {
  AllowAccount(kTarget);
  cloud_.SetSubjectToken(identity().SubjectToken("builder", kTokenAudience));
  for (const bool as_json : {false, true}) {
    json source = {{"url", cloud_.url() + (as_json ? "/subject-token.json" : "/subject-token")},
                   {"headers", {{"X-Audience", "pool"}}}};
    if (as_json) source["format"] = {{"type", "json"}, {"subject_token_field_name", "value"}};
    const GcpStoreConfig config = WithFile(identity().ExternalAccount(kPool, source, kTarget));
    if (!as_json) {
      const auto denied = Fetch(*Make(config), "db");
      EXPECT_THAT(denied, HasCode(StatusCode::kPermissionDenied));
      EXPECT_THAT(denied.status().ToString(),
                  AllOf(HasSubstr("IAM_PERMISSION_DENIED"), HasSubstr("workloadIdentityUser"),
                        HasSubstr(kTarget)));
      identity().AllowImpersonation(kBuilder, kTarget);
    }
    EXPECT_EQ(Read(config), "value");
  }
}

TEST_F(GcpAuthTest, ImpersonationOfAServiceAccountWithDelegates) {
  const std::string middle = "middle@demo.iam.gserviceaccount.com";
  AllowAccount(kTarget);
  const std::string key = identity().MakeServiceAccountKey(kReader);
  const std::string direct = identity().ImpersonatedAccount(key, kTarget, {});
  EXPECT_THAT(Fetch(*Make(WithFile(direct)), "db"), HasCode(StatusCode::kPermissionDenied));
  identity().AllowImpersonation(std::string("serviceAccount:") + kReader, middle);
  identity().AllowImpersonation("serviceAccount:" + middle, kTarget);
  EXPECT_THAT(Fetch(*Make(WithFile(direct)), "db"), HasCode(StatusCode::kPermissionDenied));
  for (const std::string& delegate : {middle, "projects/-/serviceAccounts/" + middle}) {
    EXPECT_EQ(Read(WithFile(identity().ImpersonatedAccount(key, kTarget, {delegate}))), "value");
  }
  // … from a user's login.
  identity().AllowImpersonation("user:alice@example.com", kTarget);
  const std::string login = identity().MakeUserLogin("alice@example.com");
  EXPECT_EQ(Read(WithFile(identity().ImpersonatedAccount(login, kTarget, {}))), "value");
}

TEST_F(GcpAuthTest, MetadataServer) {
  AllowAccount("vm@demo.iam.gserviceaccount.com");
  cloud_.SetMachine("vm@demo.iam.gserviceaccount.com");
  GcpStoreConfig config = Config();
  config.auth = GcpDefaultAuth{};
  EXPECT_EQ(Read(config), "value");
  config.auth = GcpWorkloadIdentityAuth{};
  EXPECT_EQ(Read(config), "value");
  // Something that answers there but is none.
  cloud_.SetMachine("");
  const auto other = Fetch(*Make(config), "db");
  EXPECT_THAT(other, HasCode(StatusCode::kUnavailable));
  EXPECT_THAT(other.status().ToString(), HasSubstr("Metadata-Flavor"));
}

TEST_F(GcpAuthTest, WithoutAnyCredentialsTheErrorSaysWhatToDo) {
  GcpStoreConfig config = Config();
  config.auth = GcpDefaultAuth{(folder_ / "missing.json").string(), ""};
  const auto missing = Fetch(*Make(config), "db");
  EXPECT_THAT(missing, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(missing.status().ToString(), HasSubstr("missing.json cannot be read"));
  // Nobody listens at port 9 of this machine.
  config.auth = GcpDefaultAuth{};
  config.endpoints.metadata = "127.0.0.1:9";
  EXPECT_THAT(Fetch(*Make(config), "db"), HasCode(StatusCode::kUnavailable));
}

TEST_F(GcpAuthTest, WorkloadIdentityOfAGkeCluster) {
  const std::string token_file = WriteFile(
      "pod-token", identity().SubjectToken("system:serviceaccount:web:app", "demo.svc.id.goog"));
  identity().AddPoolProvider(
      "identitynamespace:demo.svc.id.goog:https://container.googleapis.com/v1/projects/demo/"
      "locations/europe-west3/clusters/main",
      "demo.svc.id.goog", "serviceAccount:demo.svc.id.goog[{}]");
  const std::string pod = "serviceAccount:demo.svc.id.goog[system:serviceaccount:web:app]";
  Allow(pod);
  GcpWorkloadIdentityAuth auth;
  auth.token = File(token_file);
  auth.cluster_project_id = "demo";
  auth.cluster_location = "europe-west3";
  auth.cluster_name = "main";
  GcpStoreConfig config = Config();
  config.auth = auth;
  EXPECT_EQ(Read(config), "value");
  EXPECT_EQ(cloud_.Count("/computeMetadata"), 0u);
  // What is not given the metadata server knows.
  cloud_.SetMachine("node@demo.iam.gserviceaccount.com");
  cloud_.SetAttribute("cluster-location", "europe-west3");
  cloud_.SetAttribute("cluster-name", "main");
  GcpWorkloadIdentityAuth token_only;
  token_only.token = File(token_file);
  config.auth = token_only;
  EXPECT_EQ(Read(config), "value");
  EXPECT_EQ(cloud_.Count("/computeMetadata"), 3u);
  // … and as a Google service account.
  identity().AllowImpersonation(pod, kTarget);
  secrets().SetRole(pod, Role::kNone);
  AllowAccount(kTarget);
  auth.service_account = kTarget;
  config.auth = auth;
  EXPECT_EQ(Read(config), "value");
}

TEST_F(GcpAuthTest, FederationAsAStoreDescribesIt) {
  Allow(kBuilder);
  const std::string token = WriteFile("token", identity().SubjectToken("builder", kTokenAudience));
  GcpStoreConfig config = Config();
  GcpWorkloadIdentityFederationAuth auth;
  auth.audience = kPool;
  auth.token = File(token);
  config.auth = auth;
  EXPECT_EQ(Read(config), "value");

  cloud_.SetSubjectToken(identity().SubjectToken("builder", kTokenAudience));
  const json source = {{"url", cloud_.url() + "/subject-token"},
                       {"headers", {{"X-Audience", "pool"}}}};
  auth = {};
  auth.cred_config = Inline(identity().ExternalAccount("//wrong", source, ""));
  auth.audience = kPool;  // instead of the file's
  auth.external_token_endpoint = cloud_.url() + "/subject-token";
  config.auth = auth;
  EXPECT_EQ(Read(config), "value");
  auth.external_token_endpoint = "https://other.example/token";
  config.auth = auth;
  const auto refused = Fetch(*Make(config), "db");
  EXPECT_THAT(refused, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("externalTokenEndpoint"));
  auth.cred_config = Inline(identity().MakeServiceAccountKey(kReader));
  config.auth = auth;
  EXPECT_THAT(Fetch(*Make(config), "db").status().ToString(), HasSubstr("external_account"));
}

TEST_F(GcpAuthTest, ManyReadersShareOneLogin) {
  const auto provider = Make(Config());
  std::vector<std::future<std::vector<absl::StatusOr<providers::SecretPtr>>>> reads;
  for (int i = 0; i < 30; ++i) {
    reads.push_back(
        asio::co_spawn(io_.context(), provider->Fetch({{"db", ""}}, Deadline()), asio::use_future));
  }
  for (auto& read : reads) EXPECT_TRUE(read.get()[0].ok());
  EXPECT_EQ(cloud_.Count("/token"), 1u);
}

TEST_F(GcpAuthTest, ConfigurationsThatCannotWork) {
  const auto code = [this](const GcpStoreConfig& config) {
    return providers::MakeGcpProvider(config, io_.context(), clock_, io_.scheduler())
        .status()
        .code();
  };
  EXPECT_EQ(code(Config()), StatusCode::kOk);
  GcpStoreConfig config = Config();
  config.project_id = "a/b";
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config = Config();
  config.location = "europe/west";
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config = Config();
  config.endpoints.secret_manager = "http://secrets.example";
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config = Config();
  config.auth = GcpSecretRefAuth{};
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  config.auth = GcpWorkloadIdentityFederationAuth{};
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
  GcpWorkloadIdentityFederationAuth without_audience;
  without_audience.token = Inline("x");
  config.auth = without_audience;
  EXPECT_EQ(code(config), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace secretfs::testing
