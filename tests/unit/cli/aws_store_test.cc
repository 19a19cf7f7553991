// Stores in AWS on the command line: their URLs, what they become, who asks.

#include "cli/stores/aws_store.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/store_factory.h"
#include "cli/store_url.h"

namespace secretfs::cli {
namespace {

using providers::AwsService;
using providers::AwsStoreConfig;

TEST(AwsStoreTest, UrlsNameTheServiceAndAPrefix) {
  EXPECT_EQ(*ParseStoreUrl("aws-secretsmanager:app/db/"),
            (StoreUrl{StoreScheme::kAwsSecretsManager, "app/db"}));
  EXPECT_EQ(*ParseStoreUrl("aws-parameterstore:/app"),
            (StoreUrl{StoreScheme::kAwsParameterStore, "/app"}));
  EXPECT_EQ(*ParseStoreUrl("aws-parameterstore"), (StoreUrl{StoreScheme::kAwsParameterStore, ""}));
  EXPECT_FALSE(ParseStoreUrl("aws:app").ok());
  for (const auto& [text, service] : std::vector<std::pair<const char*, AwsService>>{
           {"aws-secretsmanager:x", AwsService::kSecretsManager},
           {"aws-parameterstore:x", AwsService::kParameterStore}}) {
    const auto store = StoreConfigFor(
        *ParseStoreUrl(text), [](const std::string&) { return std::optional<std::string>(); });
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ(std::get<AwsStoreConfig>(store->provider).service, service);
  }
}

TEST(AwsStoreTest, ReferencesAreNamesOrArns) {
  const auto part = ParseSecretReference("aws-secretsmanager:app/db#users.0?version=AWSPREVIOUS");
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_EQ(part->store, (StoreUrl{StoreScheme::kAwsSecretsManager, ""}));
  EXPECT_EQ(part->ref, (providers::SecretRef{"app/db", "AWSPREVIOUS"}));
  EXPECT_EQ(part->property, "users.0");
  const std::string arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app/db-AbCdEf";
  EXPECT_EQ(ParseSecretReference("aws-secretsmanager:" + arn)->ref.key, arn);
  EXPECT_EQ(ParseSecretReference("aws-parameterstore:/app/db")->ref.key, "/app/db");
  EXPECT_FALSE(ParseSecretReference("aws-secretsmanager:").ok());
}

TEST(AwsStoreTest, IdentityTellsApartWhoAsksAndWhom) {
  AwsStoreConfig config;
  config.region = "eu-central-1";
  providers::AwsStaticAuth keys;
  keys.secret_access_key.file = "/key";
  config.auth = keys;
  const std::vector<std::function<void(AwsStoreConfig&)>> changes{
      [](AwsStoreConfig& c) { c.service = AwsService::kParameterStore; },
      [](AwsStoreConfig& c) { c.region = "eu-west-1"; },
      [](AwsStoreConfig& c) { c.prefix = "x"; },
      [](AwsStoreConfig& c) { c.role = "x"; },
      [](AwsStoreConfig& c) { c.additional_roles = {"x"}; },
      [](AwsStoreConfig& c) { c.external_id = "x"; },
      [](AwsStoreConfig& c) { c.session_tags = {{"a", "b"}}; },
      [](AwsStoreConfig& c) { c.transitive_tag_keys = {"a"}; },
      [](AwsStoreConfig& c) { c.failover_region = "x"; },
      [](AwsStoreConfig& c) { c.failover_names[{"a", ""}] = {"b", ""}; },
      [](AwsStoreConfig& c) { c.endpoint = "x"; },
      [](AwsStoreConfig& c) { c.sts_endpoint = "x"; },
      [](AwsStoreConfig& c) { c.fips = true; },
      [](AwsStoreConfig& c) { c.dual_stack = true; },
      [](AwsStoreConfig& c) { c.tls.ca_file = "x"; },
      [](AwsStoreConfig& c) { c.auth = providers::AwsDefaultAuth{}; },
      [](AwsStoreConfig& c) { c.auth = providers::AwsDefaultAuth{"team"}; },
      [](AwsStoreConfig& c) { c.auth = providers::AwsContainerAuth{"x", {}}; },
      [](AwsStoreConfig& c) { c.auth = providers::AwsWebIdentityAuth{"x", {}, ""}; },
  };
  std::set<std::string> identities{IdentityOf(config)};
  for (const auto& change : changes) {
    AwsStoreConfig other = config;
    change(other);
    EXPECT_TRUE(identities.insert(IdentityOf(other)).second) << IdentityOf(other);
  }
  EXPECT_EQ(IdentityOf(config), IdentityOf(AwsStoreConfig(config)));
}

TEST(AwsStoreTest, EveryPathIsVisited) {
  AwsStoreConfig config;
  providers::AwsStaticAuth keys;
  keys.access_key_id.file = "id";
  keys.secret_access_key.file = "secret";
  keys.session_token.file = "token";
  config.auth = keys;
  config.tls.ca_file = "ca";
  std::set<std::string> paths;
  VisitPaths(config, [&paths](std::string& path) {
    if (!path.empty()) paths.insert(path);
  });
  EXPECT_EQ(paths, (std::set<std::string>{"id", "secret", "token", "ca"}));
}

}  // namespace
}  // namespace secretfs::cli
