#pragma once

// The fake of Azure (tests/fakes/azure) as a process of its own, and Microsoft's own clients as
// another, for tests: ready to use when they are made, ended by their pids at the end.
//
// Everything reaches Azure's real host names through the fake's proxy, which the constructor puts
// into this process's environment (https_proxy): make it before other threads run. The programs
// are those of tests/integration/azure/build: their folder comes from the environment variable
// SECRETFS_AZURE_CLIENTS, else the build script is run. Not thread-safe. What an administrator
// expects to work throws std::runtime_error when it does not, which fails the test.

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "providers/azure/azure_config.h"
#include "tests/integration/support/child_process.h"

namespace secretfs::testing {

inline constexpr char kAzureTenant[] = "11111111-1111-4111-8111-111111111111";
// Applications that exist from the start. The reader may do what Key Vault Reader and Secrets User
// may; the writer everything.
inline constexpr char kAzureReader[] = "22222222-2222-4222-8222-222222222222";
inline constexpr char kAzureReaderSecret[] = "re~ader&planted+secret=\xc3\xa4";
inline constexpr char kAzureWriter[] = "33333333-3333-4333-8333-333333333333";
inline constexpr char kAzureVault[] = "team.vault.azure.net";

class AzureCloud {
 public:
  AzureCloud();
  ~AzureCloud();
  AzureCloud(const AzureCloud&) = delete;
  AzureCloud& operator=(const AzureCloud&) = delete;

  // What only tests do: POST /control/WHAT (see fake_azure.py).
  nlohmann::json Control(const std::string& what, const nlohmann::json& body = nullptr) const;
  // The requests since the last call, as "METHOD host/path STATUS".
  std::vector<std::string> Requests() const;

  // A command for Microsoft's clients (see official_client.py), which are started with the first
  // one and logged in as the writer at kAzureVault.
  nlohmann::json Official(const std::string& operation,
                          const nlohmann::json& arguments = nlohmann::json::object());
  // The same with an error as {"error", "status"}, and what worked as {"result"}.
  nlohmann::json TryOfficial(const std::string& operation,
                             const nlohmann::json& arguments = nlohmann::json::object());

  // A store at kAzureVault, asked by the reader with its secret.
  providers::AzureStoreConfig Config() const;

  // Gone with this object.
  const std::filesystem::path& folder() const { return folder_; }
  const std::string& authority_file() const { return authority_file_; }
  // http://127.0.0.1:PORT: the proxy and the metadata services.
  const std::string& address() const { return address_; }
  // What the programs wrote to stderr.
  std::string Errors() const;

 private:
  std::filesystem::path folder_;
  std::string authority_file_;
  std::string address_;
  std::unique_ptr<ChildProcess> fake_;
  std::unique_ptr<ChildProcess> official_;
};

}  // namespace secretfs::testing
