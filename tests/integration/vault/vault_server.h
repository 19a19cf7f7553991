#pragma once

// HashiCorp's own server in development mode, for tests: on a free port of 127.0.0.1, with a folder
// of its own, ready to use when Start returns, ended by its pid at the end (and by the kernel
// should the test die). Plus what an administrator does with it, as small calls of its HTTP API.
//
// The program is the one that tests/servers/vault/build makes: its folder comes from the
// environment variable SECRETFS_VAULT, else the build script is run. Not thread-safe. Calls that an
// administrator expects to work throw std::runtime_error when they do not, which fails the test.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace secretfs::testing {

struct VaultServerOptions {
  uint16_t port = 0;             // 0: a free one
  std::string more_config = {};  // HCL, for example another listener
  // Passed to `vault server` as they are, for example "-dev-leased-kv".
  std::vector<std::string> arguments = {};
};

struct VaultAnswer {
  long status = 0;
  nlohmann::json body;  // null if there is none
};

class VaultServer {
 public:
  static std::unique_ptr<VaultServer> Start(VaultServerOptions options = {});
  ~VaultServer();
  VaultServer(const VaultServer&) = delete;
  VaultServer& operator=(const VaultServer&) = delete;

  const std::string& address() const { return address_; }  // http://127.0.0.1:PORT
  uint16_t port() const { return port_; }
  const std::string& root_token() const { return root_token_; }
  // The server's own folder, for files of a test; gone with the server.
  const std::filesystem::path& folder() const { return folder_; }
  pid_t pid() const { return pid_; }

  // Any call; `path` is what follows /v1/, `headers` are whole lines. No body is sent for null.
  VaultAnswer Call(const std::string& method, const std::string& path,
                   const nlohmann::json& body = nullptr, const std::string& token = {},
                   const std::vector<std::string>& headers = {}) const;
  // Calls as root that have to succeed.
  nlohmann::json Read(const std::string& path) const;
  nlohmann::json Write(const std::string& path, const nlohmann::json& body) const;
  void Delete(const std::string& path) const;

  // `version`: "1" or "2".
  void MountKv(const std::string& path, const std::string& version) const;
  void WritePolicy(const std::string& name, const std::string& hcl) const;
  // The token itself, from parameters as POST auth/token/create takes them.
  std::string MakeToken(const nlohmann::json& parameters) const;

  // The last lines of what it logged.
  std::string LogEnd() const;
  // Ends the program; all data is gone. Idempotent.
  void Stop();

 private:
  VaultServer() = default;
  void Launch(const VaultServerOptions& options);
  bool WaitUntilHealthy(std::chrono::milliseconds limit);

  std::filesystem::path folder_;
  std::string address_;
  std::string root_token_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// The folder with the program `vault` and the folder `plugins`.
std::filesystem::path VaultPrograms();

}  // namespace secretfs::testing
