#include "tests/integration/azure/azure_cloud.h"

#include <curl/curl.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "base/text.h"

namespace secretfs::testing {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// Python and its modules take seconds to load on a busy machine.
constexpr milliseconds kStartLimit(60'000);
constexpr milliseconds kCommandLimit(60'000);

std::string Python() {
  static const std::string python = [] {
    const char* given = std::getenv("SECRETFS_AZURE_CLIENTS");
    std::string folder = given == nullptr ? "" : given;
    if (folder.empty()) {
      const Finished built = Run({SECRETFS_SOURCE_DIR "/tests/integration/azure/build"});
      folder = built.output.substr(0, built.output.find('\n'));
    }
    const std::string found = folder + "/python/bin/python";
    if (!std::filesystem::exists(found)) {
      throw std::runtime_error(
          "there is no " + found +
          " (SECRETFS_AZURE_CLIENTS, or the output of tests/integration/azure/build)");
    }
    return found;
  }();
  return python;
}

std::filesystem::path MakeFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "secretfs-azure.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  return name;
}

size_t Collect(char* data, size_t size, size_t count, void* target) {
  static_cast<std::string*>(target)->append(data, size * count);
  return size * count;
}

json ReadLine(ChildProcess& child, milliseconds limit, const char* what) {
  const auto line = child.WaitForLine("", limit);
  if (line.has_value()) return json::parse(*line);
  throw std::runtime_error(Format("{} does not answer:\n{}", what, child.errors()));
}

}  // namespace

AzureCloud::AzureCloud() : folder_(MakeFolder()) {
  ChildOptions options;
  options.keep_input_open = true;
  options.environment["PYTHONDONTWRITEBYTECODE"] = "1";
  fake_ = std::make_unique<ChildProcess>(
      std::vector<std::string>{Python(), SECRETFS_SOURCE_DIR "/tests/fakes/azure/fake_azure.py",
                               folder_.string()},
      options);
  const json started = ReadLine(*fake_, kStartLimit, "the fake of Azure");
  address_ = Format("http://127.0.0.1:{}", started["port"].get<int>());
  authority_file_ = started["authority"];
  for (const char* name : {"https_proxy", "HTTPS_PROXY"}) ::setenv(name, address_.c_str(), 1);
  for (const char* name : {"no_proxy", "NO_PROXY"}) ::setenv(name, "127.0.0.1,localhost", 1);

  Control("applications", {{"tenant", kAzureTenant},
                           {"client_id", kAzureReader},
                           {"secret", kAzureReaderSecret},
                           {"permissions",
                            {{"secrets", {"get", "list"}},
                             {"certificates", {"get", "list"}},
                             {"keys", {"get", "list"}}}}});
  Control("applications",
          {{"tenant", kAzureTenant}, {"client_id", kAzureWriter}, {"secret", "writer"}});
}

AzureCloud::~AzureCloud() {
  official_.reset();
  fake_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

json AzureCloud::Control(const std::string& what, const json& body) const {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  const std::string url = Format("{}/control/{}", address_, what);
  const std::string text = body.is_null() ? "" : body.dump();
  std::string answer;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, text.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  long status = 0;
  if (curl_easy_perform(curl.get()) == CURLE_OK) {
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  }
  if (status != 200) {
    throw std::runtime_error(
        Format("the fake of Azure: {}: {} {}\n{}", what, status, answer, fake_->errors()));
  }
  return json::parse(answer);
}

std::vector<std::string> AzureCloud::Requests() const {
  std::vector<std::string> requests;
  for (const json& request : Control("requests")) {
    requests.push_back(Format("{} {}{} {}", request["method"].get<std::string>(),
                              request["host"].get<std::string>(),
                              request["path"].get<std::string>(), request["status"].get<int>()));
  }
  return requests;
}

json AzureCloud::TryOfficial(const std::string& operation, const json& arguments) {
  if (official_ == nullptr) {
    ChildOptions options;
    options.keep_input_open = true;
    options.environment = {{"PYTHONDONTWRITEBYTECODE", "1"},
                           {"REQUESTS_CA_BUNDLE", authority_file_},
                           {"AZURE_POD_IDENTITY_AUTHORITY_HOST", address_}};
    official_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{Python(),
                                 SECRETFS_SOURCE_DIR "/tests/integration/azure/official_client.py"},
        options);
    Official("login", {{"vault", kAzureVault},
                       {"credential",
                        {{"kind", "secret"},
                         {"tenant", kAzureTenant},
                         {"client_id", kAzureWriter},
                         {"secret", "writer"},
                         {"authority", "https://login.microsoftonline.com"}}}});
  }
  json command = arguments;
  command["operation"] = operation;
  if (!official_->WriteInput(command.dump() + "\n")) {
    throw std::runtime_error("the official clients ended:\n" + official_->errors());
  }
  return ReadLine(*official_, kCommandLimit, "the official client");
}

json AzureCloud::Official(const std::string& operation, const json& arguments) {
  const json answer = TryOfficial(operation, arguments);
  if (answer.contains("result")) return answer["result"];
  throw std::runtime_error(
      Format("the official client: {}: {}", operation, answer["error"].get<std::string>()));
}

providers::AzureStoreConfig AzureCloud::Config() const {
  providers::AzureStoreConfig config;
  config.vault_url = Format("https://{}", kAzureVault);
  config.tenant_id.text = kAzureTenant;
  config.tls.ca_file = authority_file_;
  providers::AzureClientSecretAuth auth;
  auth.client_id.text = kAzureReader;
  auth.client_secret.inline_value = std::make_shared<const SecretBytes>(
      SecretBytes::CopyOf(std::string_view(kAzureReaderSecret)));
  config.auth = std::move(auth);
  return config;
}

std::string AzureCloud::Errors() const {
  return fake_->errors() + (official_ == nullptr ? "" : official_->errors());
}

}  // namespace secretfs::testing
