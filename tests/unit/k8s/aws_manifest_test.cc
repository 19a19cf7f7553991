// Stores in AWS as manifests describe them: the aws block, and SecretProviderClass.

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

using providers::AwsContainerAuth;
using providers::AwsDefaultAuth;
using providers::AwsObjectName;
using providers::AwsService;
using providers::AwsStaticAuth;
using providers::AwsStoreConfig;
using providers::AwsWebIdentityAuth;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string AwsStore(const std::string& block) {
  return "stores:\n  team:\n    aws:\n" + block + "files:\n  - {path: f, key: k}\n";
}

const AwsStoreConfig& Only(const Manifest& manifest) {
  return std::get<AwsStoreConfig>(manifest.stores.at(0).provider);
}

TEST(AwsManifest, EveryField) {
  const Manifest manifest = ParseOk(AwsStore(R"(      service: ParameterStore
      region: eu-central-1
      failoverRegion: eu-west-1
      prefix: /team/
      role: arn:aws:iam::2:role/last
      additionalRoles: ["arn:aws:iam::1:role/first"]
      externalID: outside
      sessionTags: [{key: team, value: a}, {key: env, value: prod}]
      transitiveTagKeys: [team]
      endpoint: https://aws.test:8443
      failoverEndpoint: https://other.test
      stsEndpoint: https://sts.test
      fips: true
      dualStack: "true"
      tls: {caFile: /ca.pem}
      auth:
        accessKey:
          accessKeyID: {env: ID}
          secretAccessKey: {file: /secret}
          sessionToken: {file: /token}
)"));
  const AwsStoreConfig& aws = Only(manifest);
  EXPECT_EQ(aws.service, AwsService::kParameterStore);
  EXPECT_EQ(aws.region + " " + aws.failover_region, "eu-central-1 eu-west-1");
  EXPECT_EQ(aws.prefix, "/team/");
  EXPECT_EQ(aws.role, "arn:aws:iam::2:role/last");
  EXPECT_THAT(aws.additional_roles, ElementsAre("arn:aws:iam::1:role/first"));
  EXPECT_EQ(aws.external_id, "outside");
  EXPECT_THAT(aws.session_tags, ElementsAre(Pair("team", "a"), Pair("env", "prod")));
  EXPECT_THAT(aws.transitive_tag_keys, ElementsAre("team"));
  EXPECT_EQ(aws.endpoint, "https://aws.test:8443");
  EXPECT_EQ(aws.failover_endpoint, "https://other.test");
  EXPECT_EQ(aws.sts_endpoint, "https://sts.test");
  EXPECT_TRUE(aws.fips && aws.dual_stack);
  EXPECT_EQ(aws.tls.ca_file, "/ca.pem");
  const auto& auth = std::get<AwsStaticAuth>(aws.auth);
  EXPECT_EQ(auth.access_key_id.environment, "ID");
  EXPECT_EQ(auth.secret_access_key.file, "/secret");
  EXPECT_EQ(auth.session_token.file, "/token");
}

TEST(AwsManifest, EveryWayToLogIn) {
  const auto auth_of = [](const std::string& auth) {
    return Only(ParseOk(AwsStore("      service: SecretsManager\n" + auth))).auth;
  };
  EXPECT_EQ(std::get<AwsDefaultAuth>(auth_of("")).profile, "");
  EXPECT_EQ(std::get<AwsDefaultAuth>(auth_of("      auth: {profile: team}\n")).profile, "team");
  const auto identity = std::get<AwsWebIdentityAuth>(
      auth_of("      auth: {webIdentity: {role: arn, token: {file: /t}, sessionName: s}}\n"));
  EXPECT_EQ(identity.role_arn + identity.token.file + identity.session_name, "arn/ts");
  const auto container = std::get<AwsContainerAuth>(
      auth_of("      auth: {container: {url: \"http://127.0.0.1/c\", token: {env: T}}}\n"));
  EXPECT_EQ(container.url + container.token.environment, "http://127.0.0.1/cT");
}

TEST(AwsManifest, SecretStoreOfExternalSecrets) {
  const Manifest manifest = ParseOk({{"m.yaml", R"(apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: aws, namespace: app}
spec:
  provider:
    aws:
      service: SecretsManager
      region: eu-central-1
      auth:
        secretRef:
          accessKeyIDSecretRef: {name: keys, key: id}
          secretAccessKeySecretRef: {name: keys, key: secret}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: app}
stringData: {id: AKID, secret: planted}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: e, namespace: app}
spec:
  secretStoreRef: {name: aws}
  data:
    - secretKey: f
      remoteRef: {key: app/db, property: user, version: uuid/1}
)"}});
  const auto& auth = std::get<AwsStaticAuth>(Only(manifest).auth);
  EXPECT_EQ(auth.access_key_id.inline_value->ExposeAsText(), "AKID");
  EXPECT_EQ(manifest.files.at(0).ref, (providers::SecretRef{"app/db", "uuid/1"}));
}

// Every example of docs/aws.md is read without a problem.
TEST(AwsManifest, TheExamplesOfTheDocumentation) {
  std::ifstream stream(SECRETFS_SOURCE_DIR "/docs/aws.md");
  const std::string page{std::istreambuf_iterator<char>(stream), {}};
  const std::string begin = "```yaml\n";
  size_t count = 0;
  for (size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at)) {
    at += begin.size();
    const std::string text = page.substr(at, page.find("```", at) - at);
    EXPECT_EQ(ProblemsOf(text), "") << text;
    ++count;
  }
  EXPECT_GE(count, 6u);
}

TEST(AwsManifest, WrongFieldsAreNamed) {
  const std::string begin = "      service: SecretsManager\n";
  const std::vector<std::pair<std::string, std::string>> table{
      {"      region: x\n", "m.yaml:3:5: stores.team.aws.service: missing"},
      {"      service: SecretManager\n", "did you mean 'SecretsManager'"},
      {begin + "      regoin: x\n", "did you mean 'region'"},
      {begin + "      externalID: x\n", "no role that they go with"},
      {begin + "      endpoint: aws.test\n", "m.yaml:5:7: stores.team.aws.endpoint: 'aws.test'"},
      {begin + "      region: a\n      failoverRegion: a\n", "the same failoverRegion"},
      {begin + "      auth: {jwt: {serviceAccountRef: {name: a}}}\n", "webIdentity"},
      {begin + "      auth: {accessKey: {accessKeyID: AKID}}\n", "is not a reference"},
      {begin + "      auth: {profile: a, container: {url: u}}\n", "auth"},
  };
  for (const auto& [block, problem] : table) {
    EXPECT_THAT(ProblemsOf(AwsStore(block)), HasSubstr(problem)) << block;
  }
}

std::string AwsClass(const std::string& parameters, const std::string& objects) {
  return "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\n"
         "metadata:\n  name: app\nspec:\n  provider: aws\n  parameters:\n" +
         parameters + "    objects: |\n" + objects;
}

TEST(AwsSecretProviderClass, ObjectsOfBothServices) {
  const Manifest manifest =
      ParseOk(AwsClass("    region: eu-central-1\n    usePodIdentity: \"true\"\n"
                       "    preferredAddressType: ipv6\n",
                       R"(      - objectName: "app/db"
        objectType: "secretsmanager"
        objectVersion: "0a1b2c3d-0000-4444-8888-abcdef012345"
        filePermission: "0400"
        jmesPath:
          - path: user
            objectAlias: db-user
          - path: '"pass word"'
            objectAlias: db/password
            filePermission: "0440"
      - objectName: /app/level
        objectType: ssmparameter
        objectAlias: level
        objectVersionLabel: prod
      - objectName: arn:aws:secretsmanager:eu-central-1:1:secret:other-AbCdEf
        objectAlias: other
        objectVersionLabel: AWSPREVIOUS
)"));
  ASSERT_EQ(manifest.stores.size(), 2u);
  EXPECT_EQ(manifest.stores[0].name, "app");
  EXPECT_EQ(manifest.stores[1].name, "app/parameters");
  EXPECT_EQ(Only(manifest).region, "eu-central-1");
  EXPECT_EQ(std::get<AwsStoreConfig>(manifest.stores[1].provider).service,
            AwsService::kParameterStore);
  ASSERT_EQ(manifest.files.size(), 5u);
  const auto shown = [&manifest](size_t i) {
    const ManifestFile& file = manifest.files[i];
    return Format("{} = {} {}@{} {}", file.path, file.store, file.ref.key, file.ref.version,
                  file.selection.property);
  };
  const std::string uuid = "uuid/0a1b2c3d-0000-4444-8888-abcdef012345";
  EXPECT_EQ(shown(0), "app_db = app app/db@" + uuid + " ");
  EXPECT_EQ(shown(1), "db-user = app app/db@" + uuid + " user");
  EXPECT_EQ(shown(2), "db_password = app app/db@" + uuid + " \"pass word\"");
  EXPECT_EQ(shown(3), "level = app/parameters /app/level@prod ");
  EXPECT_EQ(shown(4),
            "other = app arn:aws:secretsmanager:eu-central-1:1:secret:other-AbCdEf"
            "@AWSPREVIOUS ");
  EXPECT_EQ(manifest.files[0].mode, 0400u);
  EXPECT_EQ(manifest.files[2].mode, 0440u);
  EXPECT_EQ(manifest.files[2].selection.language, providers::Language::kJmesPath);
}

TEST(AwsSecretProviderClass, PathsAreTranslatedAsToldAndFailoverHasItsOwnNames) {
  const Manifest manifest =
      ParseOk(AwsClass("    region: eu-central-1\n    failoverRegion: eu-west-1\n"
                       "    pathTranslation: \"False\"\n",
                       R"(      - objectName: /app/db
        objectType: secretsmanager
        objectAlias: /a/b
        failoverObject: {objectName: other/db}
)"));
  EXPECT_EQ(manifest.files.at(0).path, "a/b");
  EXPECT_EQ(Only(manifest).failover_region, "eu-west-1");
  EXPECT_EQ(Only(manifest).failover_names.at(AwsObjectName{"/app/db", ""}).key, "other/db");
}

TEST(AwsSecretProviderClass, WrongObjectsAreNamed) {
  const std::string name = "      - objectName: a\n        objectType: secretsmanager\n";
  const std::vector<std::array<std::string, 3>> table{
      {"", "      - objectName: a\n", "lacks objectType"},
      {"", "      - objectType: secretsmanager\n", "objectName"},
      {"", "      - {objectName: a, objectType: secret}\n", "secretsmanager or ssmparameter"},
      {"", "      - {objectName: \"arn:aws:ssm:r:1:parameter/a\", objectType: secretsmanager}\n",
       "what the ARN"},
      {"",
       "      - {objectName: a, objectType: ssmparameter, objectVersion: 1, "
       "objectVersionLabel: x}\n",
       "expected one of them"},
      {"    pathTranslation: \"False\"\n",
       "      - {objectName: ../a, objectType: secretsmanager}\n", "'../a'"},
      {"    pathTranslation: ab\n", name, "neither False nor one character"},
      {"    region: a\n    failoverRegion: a\n", name, "expected another one"},
      {"", name + "        objectAlias: b\n        failoverObject: {objectName: c}\n",
       "needs failoverRegion"},
      {"    failoverRegion: b\n", name + "        failoverObject: {objectName: c}\n",
       "needs an objectAlias"},
      {"    failoverRegion: b\n",
       name + "        objectAlias: b\n        objectVersion: x\n"
              "        failoverObject: {objectName: c, objectVersion: y}\n",
       "another version"},
      {"", name + "        jmesPath: [{path: \"a[\", objectAlias: x}]\n", "jmesPath"},
      {"", name + "        jmesPath: [{path: a}]\n", "objectAlias"},
      {"", name + name, "stands twice"},
      {"    regoin: x\n", name, "did you mean 'region'"},
      {"", "      []\n", "empty list"},
  };
  for (const auto& [parameters, objects, problem] : table) {
    EXPECT_THAT(ProblemsOf(AwsClass(parameters, objects)), HasSubstr(problem)) << objects;
  }
}

}  // namespace
}  // namespace secretfs::k8s
