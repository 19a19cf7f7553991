#pragma once

// A real Kubernetes API server with its etcd, for tests: on free ports of 127.0.0.1, with
// certificates and a folder of its own, ready to use when Start returns, ended by pid at the end
// (and by the kernel should the test die). Plus what an administrator does with it, as small calls
// of its API. There are no nodes and no controllers: what they would make (default service
// accounts, token Secrets) is not there.
//
// The programs are those that tests/servers/kubernetes/build makes: their folder comes from the
// environment variable SECRETFS_KUBERNETES, else the build script is run. Not thread-safe. Calls
// that an administrator expects to work throw std::runtime_error when they do not, which fails the
// test.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/fakes/test_certificates.h"

namespace secretfs::testing {

struct KubernetesAnswer {
  long status = 0;
  nlohmann::json body;  // null if there is none
};

class KubernetesServer {
 public:
  static std::unique_ptr<KubernetesServer> Start();
  ~KubernetesServer();
  KubernetesServer(const KubernetesServer&) = delete;
  KubernetesServer& operator=(const KubernetesServer&) = delete;

  const std::string& address() const { return address_; }  // https://127.0.0.1:PORT
  const std::string& admin_token() const { return admin_token_; }
  // Signs the server's certificate and those of clients.
  const fakes::TestAuthority& authority() const { return authority_; }
  std::filesystem::path authority_file() const { return folder_ / "ca.crt"; }
  // The server's own folder, for files of a test; gone with the server.
  const std::filesystem::path& folder() const { return folder_; }
  pid_t api_server_pid() const { return api_server_; }

  // Any call, as the administrator unless a token is given; `path` begins with a slash. No body is
  // sent for null.
  KubernetesAnswer Call(const std::string& method, const std::string& path,
                        const nlohmann::json& body = nullptr,
                        const std::string& content_type = "application/json",
                        const std::string& token = {}) const;

  // --- calls that have to succeed
  nlohmann::json Get(const std::string& path) const;
  void CreateNamespace(const std::string& name) const;
  // Makes or replaces a Secret; values are any bytes. Returns its resourceVersion.
  std::string PutSecret(const std::string& name_space, const std::string& name,
                        const std::map<std::string, std::string>& data) const;
  // Changes the metadata alone. Returns the new resourceVersion.
  std::string LabelSecret(const std::string& name_space, const std::string& name,
                          const std::string& label, const std::string& value) const;
  void DeleteSecret(const std::string& name_space, const std::string& name) const;
  void CreateServiceAccount(const std::string& name_space, const std::string& name) const;
  std::string TokenOf(const std::string& name_space, const std::string& service_account) const;
  // Lets `user` ("alice", or "system:serviceaccount:NAMESPACE:NAME") do what `rules` say, in the
  // form of a Role's rules.
  void Grant(const std::string& name_space, const std::string& user,
             const nlohmann::json& rules) const;

  // Writes a kubeconfig with one context, for this server and the user given as in a kubeconfig.
  std::filesystem::path WriteKubeconfig(const std::string& name, const nlohmann::json& user,
                                        const nlohmann::json& cluster = {}) const;
  // Writes `text` as other programs replace files: beside it, then renamed.
  std::filesystem::path ReplaceFile(const std::string& name, std::string_view text) const;

  // Ends the API server; etcd keeps its objects. StartApiServer brings it back on the same port.
  void StopApiServer();
  void StartApiServer();
  // Forgets all history: what happened before now cannot be watched any more.
  void CompactHistory() const;

  // The last lines of what the API server logged.
  std::string LogEnd() const;

 private:
  KubernetesServer() = default;
  void StartEtcd();
  bool TryToStart();
  bool WaitUntilReady(std::chrono::milliseconds limit);
  void Stop(pid_t& pid);

  fakes::TestAuthority authority_;
  std::filesystem::path folder_;
  std::string address_;
  std::string etcd_address_;
  std::string admin_token_ = "administrator-of-the-test";
  uint16_t port_ = 0;
  pid_t etcd_ = -1;
  pid_t api_server_ = -1;
};

// "value" in standard base64.
std::string Base64(std::string_view value);

}  // namespace secretfs::testing
