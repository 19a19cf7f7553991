// Where credentials come from, with moto's STS behind, and how they are replaced. Which access key
// a request was signed with is in the server's log.

#include <set>
#include <string>

#include "base/text.h"
#include "tests/fakes/http_test_server.h"
#include "tests/integration/aws/aws_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using fakes::HttpTestServer;
using providers::AwsContainerAuth;
using providers::AwsDefaultAuth;
using providers::AwsService;
using providers::AwsStaticAuth;
using providers::AwsStoreConfig;
using providers::AwsWebIdentityAuth;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kRole[] = "arn:aws:iam::123456789012:role/reader";

std::string CredentialsJson(const std::string& id, const std::string& expiration) {
  return nlohmann::json{{"Code", "Success"},
                        {"AccessKeyId", id},
                        {"SecretAccessKey", "planted-secret"},
                        {"Token", "planted-token"},
                        {"Expiration", expiration}}
      .dump();
}

class AwsAuth : public AwsTest {
 protected:
  static void SetUpTestSuite() { Create("auth", "read"); }
  void SetUp() override {
    AwsTest::SetUp();
    variables_ = {{"HOME", folder_.string()},
                  {"AWS_CONFIG_FILE", (folder_ / "config").string()},
                  {"AWS_SHARED_CREDENTIALS_FILE", (folder_ / "credentials").string()}};
    ::unsetenv("AWS_ACCESS_KEY_ID");
    ::unsetenv("AWS_SECRET_ACCESS_KEY");
    ::unsetenv("AWS_SESSION_TOKEN");
  }
  AwsStoreConfig Found() {
    AwsStoreConfig config = Config(AwsService::kSecretsManager);
    config.auth = AwsDefaultAuth{};
    return config;
  }
  // The access key that the read was signed with; or the status.
  std::string KeyOf(providers::Provider& provider) {
    moto().Requests();
    const Result result = Fetch(provider, "auth");
    if (!result.ok()) return result.status().ToString();
    std::string key;
    for (const auto& request : moto().Requests()) {
      if (request.action == "GetSecretValue") key = request.access_key;
    }
    return key;
  }
  // Environment variables for credentials are the process's own.
  void SetEnvironmentKeys(const std::string& id) {
    ::setenv("AWS_ACCESS_KEY_ID", id.c_str(), 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    variables_["AWS_ACCESS_KEY_ID"] = id;
    variables_["AWS_SECRET_ACCESS_KEY"] = "secret";
  }
};

TEST_F(AwsAuth, TheEnvironmentGoesFirst) {
  WriteFile("credentials", "[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n");
  EXPECT_EQ(KeyOf(*Make(Found())), "FILE");
  variables_["AWS_ROLE_ARN"] = kRole;
  variables_["AWS_WEB_IDENTITY_TOKEN_FILE"] = WriteFile("jwt", "header.body.signature");
  EXPECT_THAT(KeyOf(*Make(Found())), StartsWith("ASIA")) << "a web identity goes before plain keys";
  SetEnvironmentKeys("ENVIRONMENT");
  EXPECT_EQ(KeyOf(*Make(Found())), "ENVIRONMENT");
}

TEST_F(AwsAuth, ProfilesByNameAndByEnvironment) {
  WriteFile("credentials",
            "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
            "[team]\naws_access_key_id = TEAM\naws_secret_access_key = s\n");
  WriteFile("config", "[profile team]\nregion = eu-west-3\naws_access_key_id = LOSES\n");
  AwsStoreConfig config = Found();
  EXPECT_EQ(KeyOf(*Make(config)), "DEFAULT");
  variables_["AWS_PROFILE"] = "team";
  EXPECT_EQ(KeyOf(*Make(config)), "TEAM");
  config.auth = AwsDefaultAuth{"default"};
  EXPECT_EQ(KeyOf(*Make(config)), "DEFAULT");
  config.auth = AwsDefaultAuth{"missing"};
  EXPECT_THAT(KeyOf(*Make(config)), AllOf(StartsWith("FAILED_PRECONDITION"), HasSubstr("'missing'"),
                                          HasSubstr("config")));
}

TEST_F(AwsAuth, AProfileAssumesARoleWithAnothersKeys) {
  WriteFile("credentials", "[base]\naws_access_key_id=BASE\naws_secret_access_key=s\n");
  WriteFile("config", Format("[default]\nrole_arn = {}\nsource_profile = middle\n"
                             "[profile middle]\nrole_arn = {}\nsource_profile = base\n"
                             "[profile circle]\nrole_arn = {}\nsource_profile = circle2\n"
                             "[profile circle2]\nrole_arn = {}\nsource_profile = circle\n"
                             "[profile mfa]\nrole_arn = {}\nsource_profile = base\n"
                             "mfa_serial = x\n"
                             "[profile sso]\nsso_session = corp\n",
                             kRole, kRole, kRole, kRole, kRole));
  moto().Requests();
  EXPECT_EQ(Text(Fetch(*Make(Found()), "auth")), "read");
  const auto requests = moto().Requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].action + " " + requests[0].access_key, "AssumeRole BASE");
  EXPECT_EQ(requests[1].action, "AssumeRole");
  EXPECT_THAT(requests[1].access_key, StartsWith("ASIA"));
  EXPECT_THAT(requests[2].access_key, AllOf(StartsWith("ASIA"), Not(requests[1].access_key)));
  const std::map<std::string, std::string> problems{
      {"circle", "circle"}, {"mfa", "one-time password"}, {"sso", "single sign-on"}};
  for (const auto& [profile, problem] : problems) {
    AwsStoreConfig config = Found();
    config.auth = AwsDefaultAuth{profile};
    EXPECT_THAT(KeyOf(*Make(config)), AllOf(StartsWith("FAILED_PRECONDITION"), HasSubstr(problem)));
  }
}

TEST_F(AwsAuth, RolesAreAssumedInOrderWithTheirOptions) {
  AwsStoreConfig config = Config(AwsService::kSecretsManager);
  config.additional_roles = {"arn:aws:iam::111111111111:role/first"};
  config.role = "arn:aws:iam::222222222222:role/second";
  config.external_id = "outside & in";
  config.session_tags = {{"team", "a b"}, {"env", "x=y"}};
  config.transitive_tag_keys = {"team"};
  // moto puts a role's secrets into the role's account.
  EXPECT_THAT(Fetch(*Make(config), "auth"), HasCode(StatusCode::kNotFound));
  const auto requests = moto().Requests();
  ASSERT_GE(requests.size(), 3u);
  EXPECT_EQ(requests[0].action + " " + requests[0].access_key, "AssumeRole AKIDTEST");
  EXPECT_EQ(requests[1].action, "AssumeRole");
  EXPECT_THAT(requests[1].access_key, StartsWith("ASIA"));
  EXPECT_THAT(requests[2].access_key, AllOf(StartsWith("ASIA"), Not(requests[1].access_key)));
}

TEST_F(AwsAuth, TheWebIdentityTokenIsReadAgainAtEachLogin) {
  AwsStoreConfig config = Config(AwsService::kSecretsManager);
  providers::CredentialSource token;
  token.file = WriteFile("jwt", "first.body.signature\n");
  config.auth = AwsWebIdentityAuth{kRole, token, "session"};
  std::set<std::string> bodies;
  HttpTestServer sts([&bodies](const HttpTestServer::Request& request) {
    bodies.insert(request.body);
    HttpTestServer::Response response;
    response.body = Format(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        "<AccessKeyId>ASIAWEB{}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        "<SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        bodies.size());
    return response;
  });
  config.sts_endpoint = sts.Url("");
  const auto provider = Make(config);
  EXPECT_EQ(KeyOf(*provider), "ASIAWEB1");
  WriteFile("jwt", "second.body.signature\n");
  EXPECT_EQ(KeyOf(*provider), "ASIAWEB1") << "a rotated token alone is no reason to log in";
  moto().ExpireTemporaryKeys();
  EXPECT_EQ(KeyOf(*provider), "ASIAWEB2");
  ASSERT_EQ(sts.request_count(), 2u);
  EXPECT_THAT(sts.requests()[0].body,
              AllOf(HasSubstr("Action=AssumeRoleWithWebIdentity"),
                    HasSubstr("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader"),
                    HasSubstr("RoleSessionName=session"),
                    HasSubstr("WebIdentityToken=first.body.signature")));
  EXPECT_EQ(sts.requests()[0].header("authorization"), "");
  EXPECT_THAT(sts.requests()[1].body, HasSubstr("WebIdentityToken=second.body.signature"));
}

TEST_F(AwsAuth, ExpiredCredentialsCostOneLoginWhateverTheNumberOfRequests) {
  AwsStoreConfig config = Config(AwsService::kSecretsManager);
  config.role = kRole;
  const auto provider = Make(config);
  EXPECT_EQ(Text(Fetch(*provider, "auth", "AWSCURRENT")), "read");
  moto().ExpireTemporaryKeys();
  moto().Requests();
  std::vector<providers::SecretRef> refs;
  for (int i = 0; i < 8; ++i) refs.push_back({"auth", Format("{}AWSCURRENT", i == 0 ? "" : "x")});
  const auto results = FetchAll(*provider, refs);
  EXPECT_EQ(Text(results[0]), "read");
  int logins = 0;
  for (const auto& request : moto().Requests()) logins += request.action == "AssumeRole";
  EXPECT_EQ(logins, 1);
}

TEST_F(AwsAuth, KeysThatEndedAndAreNotReplacedSaySo) {
  AwsStoreConfig config = Config(AwsService::kSecretsManager);
  AwsStaticAuth keys;
  keys.access_key_id.file = WriteFile("id", "FILEKEY1\n");
  keys.secret_access_key.file = WriteFile("secret", "planted-secret");
  keys.session_token.file = WriteFile("token", "planted-token");
  config.auth = keys;
  const auto provider = Make(config);
  EXPECT_EQ(KeyOf(*provider), "FILEKEY1");
  moto().ExpireTemporaryKeys();
  const Result refused = Fetch(*provider, "auth");
  EXPECT_THAT(refused, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(refused.status().ToString(),
              AllOf(HasSubstr("put new ones"), Not(HasSubstr("plant"))));
  WriteFile("id", "FILEKEY2");
  EXPECT_EQ(KeyOf(*provider), "FILEKEY2") << "replaced files are taken without a restart";
}

TEST_F(AwsAuth, TheContainerEndpointGetsTheTokenOfTheFile) {
  HttpTestServer agent([](const HttpTestServer::Request& request) {
    HttpTestServer::Response response;
    response.body =
        CredentialsJson("ASIAPOD" + request.header("authorization"), "2099-01-01T00:00:00Z");
    return response;
  });
  variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = agent.Url("/v1/credentials");
  variables_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = WriteFile("token", "ONE\n");
  const auto provider = Make(Found());
  EXPECT_EQ(KeyOf(*provider), "ASIAPODONE");
  WriteFile("token", "TWO\n");
  moto().ExpireTemporaryKeys();
  EXPECT_EQ(KeyOf(*provider), "ASIAPODTWO");
  ASSERT_EQ(agent.request_count(), 2u);
  EXPECT_EQ(agent.requests()[0].target, "/v1/credentials");

  AwsStoreConfig config = Config(AwsService::kSecretsManager);
  config.auth = AwsContainerAuth{agent.Url("/again"), Inline("THREE")};
  EXPECT_EQ(KeyOf(*Make(config)), "ASIAPODTHREE");
  config.auth = AwsContainerAuth{"http://203.0.113.7/creds", {}};
  EXPECT_THROW(Make(config), std::runtime_error) << "credentials over plain HTTP from elsewhere";
}

TEST_F(AwsAuth, InstanceMetadataOfVersionTwo) {
  HttpTestServer metadata([](const HttpTestServer::Request& request) {
    HttpTestServer::Response response;
    const std::string roles = "/latest/meta-data/iam/security-credentials/";
    if (request.method == "PUT" && request.target == "/latest/api/token") {
      response.body = "session-of-metadata";
    } else if (request.header("x-aws-ec2-metadata-token") != "session-of-metadata") {
      response.status = 401;
    } else if (request.target == roles) {
      response.body = "instance-role\n";
    } else if (request.target == roles + "instance-role") {
      response.body = CredentialsJson("ASIAEC2", "2099-01-01T00:00:00Z");
    } else {
      response.status = 404;
    }
    return response;
  });
  variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata.Url("/");
  const auto provider = Make(Found());
  EXPECT_EQ(KeyOf(*provider), "ASIAEC2");
  EXPECT_EQ(KeyOf(*provider), "ASIAEC2");
  EXPECT_EQ(metadata.request_count(), 3u);
  variables_["AWS_EC2_METADATA_DISABLED"] = "true";
  EXPECT_THAT(KeyOf(*Make(Found())),
              AllOf(StartsWith("FAILED_PRECONDITION"), HasSubstr("AWS_EC2_METADATA_DISABLED")));
}

TEST_F(AwsAuth, CredentialsAreReplacedBeforeTheyEnd) {
  HttpTestServer* self = nullptr;
  HttpTestServer agent([&self](const HttpTestServer::Request&) {
    HttpTestServer::Response response;
    // Two seconds, then an hour: the first ones are in the margin in which requests wait.
    const bool first = self->request_count() == 1;
    response.headers.emplace_back("Date", "Tue, 24 Nov 2026 12:00:00 GMT");
    response.body = CredentialsJson(first ? "ASIASHORT" : "ASIALONG",
                                    first ? "2026-11-24T12:00:02Z" : "2026-11-24T13:00:00Z");
    return response;
  });
  self = &agent;
  AwsStoreConfig config = Config(AwsService::kSecretsManager);
  config.auth = AwsContainerAuth{agent.Url("/"), {}};
  const auto provider = Make(config);
  EXPECT_EQ(Text(Fetch(*provider, "auth")), "read");
  EXPECT_EQ(KeyOf(*provider), "ASIALONG");
  EXPECT_EQ(Text(Fetch(*provider, "auth")), "read");
  EXPECT_EQ(agent.request_count(), 2u) << "an hour by the server's clock, whatever ours says";
}

TEST_F(AwsAuth, NothingFoundSaysWhereItWasLookedFor) {
  const auto provider = Make(Found());
  const Result result = Fetch(*provider, "auth");
  EXPECT_THAT(result, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(result.status().ToString(),
              AllOf(HasSubstr("AWS_ACCESS_KEY_ID"), HasSubstr((folder_ / "config").string()),
                    HasSubstr("AWS_WEB_IDENTITY_TOKEN_FILE"), HasSubstr("instance metadata")));
}

// Last, because moto then checks everything: signatures with botocore's own code, and policies.
TEST_F(AwsAuth, SignaturesAndPoliciesAreAccepted) {
  const nlohmann::json policy = {
      {"Version", "2012-10-17"},
      {"Statement",
       nlohmann::json::array(
           {{{"Effect", "Allow"},
             {"Action", nlohmann::json::array({"secretsmanager:GetSecretValue", "ssm:GetParameters",
                                               "sts:AssumeRole"})},
             {"Resource", "*"}}})}};
  moto().Call("iam", "create_user", {{"UserName", "u"}});
  moto().Call("iam", "put_user_policy",
              {{"UserName", "u"}, {"PolicyName", "p"}, {"PolicyDocument", policy.dump()}});
  const auto key = moto().Call("iam", "create_access_key", {{"UserName", "u"}})["AccessKey"];
  moto().Call("iam", "create_role",
              {{"RoleName", "reader"}, {"AssumeRolePolicyDocument", policy.dump()}});
  moto().Call("iam", "put_role_policy",
              {{"RoleName", "reader"}, {"PolicyName", "p"}, {"PolicyDocument", policy.dump()}});
  moto().EnforcePolicies();
  AwsStoreConfig config = Config(AwsService::kSecretsManager);
  AwsStaticAuth keys;
  keys.access_key_id = Inline(key["AccessKeyId"].get<std::string>());
  keys.secret_access_key = Inline(key["SecretAccessKey"].get<std::string>());
  config.auth = keys;
  const auto provider = Make(config);
  EXPECT_EQ(Text(Fetch(*provider, "auth")), "read");
  EXPECT_THAT(List(*provider, ""), StartsWith("PERMISSION_DENIED"));
  EXPECT_TRUE(Await(provider->CheckLogin(Deadline())).ok()) << "denied is logged in";
  config.role = kRole;
  EXPECT_EQ(Text(Fetch(*Make(config), "auth")), "read") << "with a session token";
  config.role.clear();
  keys.secret_access_key = Inline("not the secret");
  config.auth = keys;
  const Result refused = Fetch(*Make(config), "auth");
  EXPECT_THAT(refused, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("SignatureDoesNotMatch"));
}

}  // namespace
}  // namespace secretfs::testing
