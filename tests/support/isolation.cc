// Linked into every test program: each run of it (ctest starts one for each test) has a runtime
// folder and a home of its own, and nothing of the environment that secretfs would read. So tests
// neither see nor touch the mounts, stores and credentials of whoever runs them. What a test sets
// itself holds.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace secretfs::testing {
namespace {

// Beginnings of names.
constexpr std::string_view kOfTheUser[] = {
    "AWS_",        "AZURE_",      "CLOUDSDK_", "CREDENTIALS_DIRECTORY",
    "GCE_",        "GOOGLE_",     "IDENTITY_", "IMDS_",
    "KUBECONFIG",  "KUBERNETES_", "MSI_",      "SECRETFS_STORE",
    "VAULT_",      "XDG_",        "all_proxy", "http_proxy",
    "https_proxy", "no_proxy",    "ALL_PROXY", "HTTPS_PROXY",
    "HTTP_PROXY",  "NO_PROXY",    "OTEL_"};

std::vector<std::string> NamesOfTheUser() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    for (const std::string_view beginning : kOfTheUser) {
      if (text.starts_with(beginning)) names.emplace_back(text.substr(0, text.find('=')));
    }
  }
  return names;
}

class Isolation : public ::testing::Environment {
 public:
  void SetUp() override {
    for (const std::string& name : NamesOfTheUser()) unsetenv(name.c_str());
    // Short: socket addresses hold 107 bytes.
    std::string folder = std::filesystem::temp_directory_path() / "secretfs-own.XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) {
      perror("mkdtemp");
      abort();
    }
    folder_ = folder;
    owner_ = getpid();
    std::filesystem::create_directory(folder_ / "home");
    setenv("SECRETFS_RUNTIME_DIR", (folder_ / "run").c_str(), 1);
    setenv("HOME", (folder_ / "home").c_str(), 1);
  }
  void TearDown() override {
    std::error_code ignored;
    if (getpid() == owner_) std::filesystem::remove_all(folder_, ignored);
  }

 private:
  std::filesystem::path folder_;
  pid_t owner_ = 0;
};

// GoogleTest deletes it.
const ::testing::Environment* const kIsolation = ::testing::AddGlobalTestEnvironment(new Isolation);

}  // namespace
}  // namespace secretfs::testing
