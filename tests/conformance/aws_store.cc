#include "tests/conformance/aws_store.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/text.h"
#include "providers/aws/aws_provider.h"
#include "tests/integration/aws/moto_server.h"

namespace secretfs::conformance {
namespace {

using fakes::FaultProxy;
using providers::AwsService;

providers::CredentialSource Inline(std::string_view value) {
  providers::CredentialSource source;
  source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value));
  return source;
}

bool IsUtf8(std::string_view text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

class AwsStoreUnderTest : public StoreUnderTest {
 public:
  explicit AwsStoreUnderTest(AwsService service) : service_(service) {}

  std::string address() const override { return server_.address(); }

  std::shared_ptr<providers::Provider> MakeProvider(const ProviderSettings& settings) override {
    providers::AwsStoreConfig config;
    config.service = service_;
    config.region = testing::MotoServer::kRegion;
    config.endpoint = settings.server.empty() ? address() : settings.server;
    config.sts_endpoint = address();
    config.tls = settings.tls;
    providers::AwsSurroundings surroundings;
    std::map<std::string, std::string> variables;
    if (settings.credential_file.empty()) {
      providers::AwsStaticAuth keys;
      keys.access_key_id = Inline("AKIDCONFORMANCE");
      keys.secret_access_key = Inline("secret");
      config.auth = keys;
      config.role = "arn:aws:iam::123456789012:role/reader";
    } else {
      variables["AWS_SHARED_CREDENTIALS_FILE"] = settings.credential_file;
      variables["AWS_EC2_METADATA_DISABLED"] = "true";
    }
    surroundings.variable = [variables](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
    auto provider = providers::MakeAwsProvider(config, settings.io->context(), *settings.clock,
                                               settings.io->scheduler(), std::move(surroundings));
    if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
    return *std::move(provider);
  }

  std::string ListPrefix() const override { return "suite"; }
  size_t secrets_to_list() const override {
    return service_ == AwsService::kSecretsManager ? 205 : 30;
  }
  void Deny(const std::string& key) override { server_.Deny(key); }
  void ExpireCredentials() override { server_.ExpireTemporaryKeys(); }
  void ReplaceCredentials(const std::string& path) override {
    if (std::filesystem::exists(path)) server_.ExpireTemporaryKeys();
    std::ofstream(path + ".new") << Format(
        "[default]\naws_access_key_id = AKIDFILE{}\naws_secret_access_key = secret\n"
        "aws_session_token = token\n",
        ++files_);
    std::filesystem::rename(path + ".new", path);
  }

  bool IsRead(const FaultProxy::Request& request, const std::string& key) const override {
    const std::string action = request.header("x-amz-target");
    const bool reads = action.ends_with("GetSecretValue") || action.ends_with("GetParameters");
    return reads && request.Mentions("\"" + key + "\"");
  }
  FaultProxy::Reply Throttled(std::optional<std::chrono::seconds> retry_after) const override {
    FaultProxy::Reply reply;
    reply.status = 400;
    reply.headers = {{"Content-Type", "application/x-amz-json-1.1"}};
    if (retry_after) reply.headers.emplace_back("Retry-After", Format("{}", retry_after->count()));
    reply.body = R"({"__type":"ThrottlingException","message":"Rate exceeded"})";
    return reply;
  }

 protected:
  const AwsService service_;
  testing::MotoServer server_;

 private:
  int files_ = 0;
};

class SecretsManagerUnderTest final : public AwsStoreUnderTest {
 public:
  SecretsManagerUnderTest() : AwsStoreUnderTest(AwsService::kSecretsManager) {}

  std::string Key(const std::string& name) const override { return "suite/" + name; }
  std::string Put(const std::string& key, std::string_view value) override {
    nlohmann::json arguments;
    if (IsUtf8(value)) {
      arguments["SecretString"] = std::string(value);
    } else {
      arguments["SecretBinary"] = {{"base64", testing::ToBase64(value)}};
    }
    const bool known = versions_.contains(key);
    arguments[known ? "SecretId" : "Name"] = key;
    const auto answer =
        server_.Call("secretsmanager", known ? "put_secret_value" : "create_secret", arguments);
    return versions_[key] = "uuid/" + answer["VersionId"].get<std::string>();
  }
  void Remove(const std::string& key) override {
    server_.Call("secretsmanager", "delete_secret", {{"SecretId", key}});
  }
  std::string UnknownVersion() const override {
    return "uuid/00000000-0000-0000-0000-000000000000";
  }

 private:
  std::map<std::string, std::string> versions_;
};

class ParameterStoreUnderTest final : public AwsStoreUnderTest {
 public:
  ParameterStoreUnderTest() : AwsStoreUnderTest(AwsService::kParameterStore) {}

  std::string Key(const std::string& name) const override { return "/suite/" + name; }
  std::string ListPrefix() const override { return "/suite"; }
  std::string Put(const std::string& key, std::string_view value) override {
    const auto answer = server_.Call("ssm", "put_parameter",
                                     {{"Name", key},
                                      {"Value", std::string(value)},
                                      {"Type", "SecureString"},
                                      {"Tier", value.size() > 4096 ? "Advanced" : "Standard"},
                                      {"Overwrite", true}});
    return std::to_string(answer["Version"].get<int>());
  }
  void Remove(const std::string& key) override {
    server_.Call("ssm", "delete_parameter", {{"Name", key}});
  }
};

}  // namespace

StoreKind AwsSecretsManagerKind() {
  StoreKind kind;
  kind.name = "aws-secretsmanager";
  kind.server = "moto, an emulator";
  kind.not_applicable["empty_value"] = "a secret has at least one character";
  kind.not_applicable["value_1m"] = "a secret has at most 64 KiB";
  kind.start = [] { return std::make_unique<SecretsManagerUnderTest>(); };
  return kind;
}

StoreKind AwsParameterStoreKind() {
  StoreKind kind;
  kind.name = "aws-parameterstore";
  kind.server = "moto, an emulator";
  kind.not_applicable["binary_value"] = "values are text: write base64 and decode it";
  kind.not_applicable["empty_value"] = "a parameter has at least one character";
  kind.not_applicable["value_64k"] = "a parameter has at most 8 KiB";
  kind.not_applicable["value_1m"] = "a parameter has at most 8 KiB";
  kind.start = [] { return std::make_unique<ParameterStoreUnderTest>(); };
  return kind;
}

}  // namespace secretfs::conformance
