#include "tests/integration/aws/aws_fixture.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "base/text.h"

namespace secretfs::testing {

using providers::AwsService;
using providers::AwsStoreConfig;
using providers::ListEntry;
using providers::ListPage;
using providers::Provider;
using providers::SecretRef;

MotoServer& AwsTest::moto() {
  static MotoServer server;
  return server;
}

void AwsTest::SetUp() {
  std::string name = (std::filesystem::temp_directory_path() / "secretfs-aws.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  folder_ = name;
  moto().Requests();
  io_.Start();
}

void AwsTest::TearDown() {
  io_.Stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

AwsStoreConfig AwsTest::Config(AwsService service) {
  AwsStoreConfig config;
  config.service = service;
  config.region = MotoServer::kRegion;
  config.endpoint = moto().address();
  config.sts_endpoint = moto().address();
  providers::AwsStaticAuth keys;
  keys.access_key_id = Inline("AKIDTEST");
  keys.secret_access_key = Inline("secret/of+the=test");
  config.auth = std::move(keys);
  return config;
}

std::shared_ptr<Provider> AwsTest::Make(const AwsStoreConfig& config) {
  providers::AwsSurroundings surroundings;
  surroundings.variable = [variables =
                               variables_](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  surroundings.metadata_endpoint = metadata_endpoint_;
  auto provider = providers::MakeAwsProvider(config, io_.context(), clock_, io_.scheduler(),
                                             std::move(surroundings));
  if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
  // A provider belongs to the I/O thread, where it also has to go.
  Provider* raw = provider->get();
  return {raw, [this, owner = *std::move(provider)](Provider*) mutable {
            io_.Post([owner = std::move(owner)] {});
          }};
}

providers::RequestContext AwsTest::Deadline() const {
  return {clock_.Now() + std::chrono::seconds(20)};
}

std::vector<AwsTest::Result> AwsTest::FetchAll(Provider& provider, std::vector<SecretRef> refs) {
  return Await(provider.Fetch(std::move(refs), Deadline()));
}

AwsTest::Result AwsTest::Fetch(Provider& provider, const std::string& key,
                               const std::string& version) {
  return std::move(FetchAll(provider, {{key, version}}).at(0));
}

std::string AwsTest::Text(const Result& result) {
  if (!result.ok()) return result.status().ToString();
  return std::string((*result)->value.ExposeAsText());
}

std::string AwsTest::List(Provider& provider, const std::string& prefix, int* pages) {
  std::map<std::string, ListEntry> entries;
  std::string next;
  int count = 0;
  do {
    const absl::StatusOr<ListPage> page = Await(provider.List(prefix, next, Deadline()));
    if (!page.ok()) return page.status().ToString();
    for (const ListEntry& entry : page->entries) {
      entries[entry.name].is_secret |= entry.is_secret;
      entries[entry.name].is_prefix |= entry.is_prefix;
    }
    next = page->next_page;
    ++count;
  } while (!next.empty());
  if (pages != nullptr) *pages = count;
  std::string joined;
  for (const auto& [name, entry] : entries) {
    joined += joined.empty() ? "" : ", ";
    if (entry.is_secret) joined += name;
    if (entry.is_prefix) joined += (entry.is_secret ? " " : "") + name + "/";
  }
  return joined;
}

std::string AwsTest::WriteFile(const std::string& name, std::string_view text) {
  const std::filesystem::path path = folder_ / name;
  const std::filesystem::path beside = path.string() + ".new";
  std::ofstream(beside) << text;
  std::filesystem::rename(beside, path);
  return path.string();
}

providers::CredentialSource AwsTest::Inline(std::string_view value) {
  providers::CredentialSource source;
  source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value));
  return source;
}

std::string AwsTest::Create(const std::string& name, const std::string& value,
                            const std::string& region) {
  return moto().Call("secretsmanager", "create_secret", {{"Name", name}, {"SecretString", value}},
                     region)["VersionId"];
}

std::string AwsTest::Update(const std::string& name, const std::string& value) {
  return moto().Call("secretsmanager", "put_secret_value",
                     {{"SecretId", name}, {"SecretString", value}})["VersionId"];
}

int AwsTest::PutParameter(const std::string& name, const std::string& value,
                          const std::string& type) {
  return moto().Call(
      "ssm", "put_parameter",
      {{"Name", name}, {"Value", value}, {"Type", type}, {"Overwrite", true}})["Version"];
}

}  // namespace secretfs::testing
