#include "providers/azure/azure_environment.h"

#include <gmock/gmock.h>

#include <map>

namespace secretfs::providers::azure {
namespace {

using ::testing::HasSubstr;

Variables From(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

AzureStoreConfig Config(std::map<std::string, std::string> values,
                        std::string_view vault = "team") {
  const auto config = ConfigFromEnvironment(vault, From(std::move(values)));
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(AzureStoreConfig{});
}

TEST(AzureEnvironment, CredentialsInTheOrderOfTheSdks) {
  std::map<std::string, std::string> all = {{"AZURE_CLIENT_ID", "app"},
                                            {"AZURE_TENANT_ID", "tenant"},
                                            {"AZURE_CLIENT_SECRET", "planted"},
                                            {"AZURE_CLIENT_CERTIFICATE_PATH", "/cert.pem"},
                                            {"AZURE_CLIENT_CERTIFICATE_PASSWORD", "planted"},
                                            {"AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "1"},
                                            {"AZURE_FEDERATED_TOKEN_FILE", "/token"}};
  AzureStoreConfig config = Config(all);
  EXPECT_EQ(config.vault_url, "https://team.vault.azure.net");
  EXPECT_EQ(config.tenant_id.text, "tenant");
  const auto& secret = std::get<AzureClientSecretAuth>(config.auth);
  EXPECT_EQ(secret.client_id.text, "app");
  EXPECT_EQ(secret.client_secret.environment, "AZURE_CLIENT_SECRET");

  all.erase("AZURE_CLIENT_SECRET");
  config = Config(all);
  const auto& certificate = std::get<AzureClientCertificateAuth>(config.auth);
  EXPECT_EQ(certificate.client_certificate.file, "/cert.pem");
  EXPECT_EQ(certificate.password.environment, "AZURE_CLIENT_CERTIFICATE_PASSWORD");
  EXPECT_TRUE(certificate.send_chain);

  all.erase("AZURE_CLIENT_CERTIFICATE_PATH");
  config = Config(all);
  const auto& workload = std::get<AzureWorkloadIdentityAuth>(config.auth);
  EXPECT_EQ(workload.client_id.text, "app");
  EXPECT_EQ(workload.token.file, "/token");

  all.erase("AZURE_FEDERATED_TOKEN_FILE");
  config = Config(all);
  EXPECT_EQ(std::get<AzureManagedIdentityAuth>(config.auth).client_id, "app");
  EXPECT_TRUE(config.tenant_id.empty());
}

TEST(AzureEnvironment, WhereManagedIdentitiesAreAsked) {
  AzureStoreConfig config = Config({});
  EXPECT_EQ(config.identity_endpoint, "");
  EXPECT_EQ(config.metadata_host, "");
  config =
      Config({{"IDENTITY_ENDPOINT", "http://127.0.0.1:41/msi/token"}, {"IDENTITY_HEADER", "x"}});
  EXPECT_EQ(config.identity_endpoint, "http://127.0.0.1:41/msi/token");
  EXPECT_EQ(config.identity_header.environment, "IDENTITY_HEADER");
  config = Config({{"AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:5"}});
  EXPECT_EQ(config.metadata_host, "http://127.0.0.1:5");
  const std::map<std::string, std::string> arc = {{"IDENTITY_ENDPOINT", "x"}};
  EXPECT_THAT(ConfigFromEnvironment("team", From(arc)).status().ToString(), HasSubstr("Azure Arc"));
  const std::map<std::string, std::string> shell = {{"MSI_ENDPOINT", "x"}};
  EXPECT_THAT(ConfigFromEnvironment("team", From(shell)).status().ToString(),
              HasSubstr("Cloud Shell"));
}

TEST(AzureEnvironment, TheAuthorityDecidesOnTheVaultsDomain) {
  EXPECT_EQ(Config({{"AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"}}).vault_url,
            "https://team.vault.usgovcloudapi.net");
  const AzureStoreConfig china = Config({{"AZURE_AUTHORITY_HOST", "login.chinacloudapi.cn"}});
  EXPECT_EQ(china.vault_url, "https://team.vault.azure.cn");
  EXPECT_EQ(china.authority_host, "https://login.chinacloudapi.cn");
  EXPECT_EQ(Config({}, "team.vault.azure.cn").vault_url, "https://team.vault.azure.cn");
  EXPECT_EQ(Config({}, "https://team.test:8443").vault_url, "https://team.test:8443");
  EXPECT_FALSE(ConfigFromEnvironment("te am", From({})).ok());
  EXPECT_FALSE(ConfigFromEnvironment("", From({})).ok());
}

TEST(AzureEnvironment, WhatIsConfiguredStays) {
  AzureStoreConfig config;
  config.tenant_id.text = "mine";
  config.environment_type = "ChinaCloud";
  AzureWorkloadIdentityAuth auth;
  auth.client_id.text = "mine";
  auth.token.file = "/mine";
  config.auth = auth;
  const auto filled = WithEnvironment(config, From({{"AZURE_TENANT_ID", "other"},
                                                    {"AZURE_CLIENT_ID", "other"},
                                                    {"AZURE_FEDERATED_TOKEN_FILE", "/other"},
                                                    {"AZURE_AUTHORITY_HOST", "https://other"}}));
  ASSERT_TRUE(filled.ok());
  EXPECT_EQ(filled->tenant_id.text, "mine");
  EXPECT_EQ(filled->authority_host, "");
  EXPECT_EQ(std::get<AzureWorkloadIdentityAuth>(filled->auth).client_id.text, "mine");
  EXPECT_EQ(std::get<AzureWorkloadIdentityAuth>(filled->auth).token.file, "/mine");
}

}  // namespace
}  // namespace secretfs::providers::azure
