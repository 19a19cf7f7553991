#include "tests/integration/kubernetes/kubernetes_server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/text.h"
#include "base/unique_fd.h"
#include "tests/integration/support/server_programs.h"

namespace secretfs::testing {
namespace {

constexpr int kStartAttempts = 3;
constexpr std::chrono::seconds kStartLimit(90);

std::filesystem::path Programs() {
  static const std::filesystem::path folder = [] {
    const char* given = std::getenv("SECRETFS_KUBERNETES");
    std::filesystem::path found = given != nullptr && *given != '\0'
                                      ? std::filesystem::path(given)
                                      : std::filesystem::path(RunAndRead(
                                            SECRETFS_SOURCE_DIR "/tests/servers/kubernetes/build"));
    if (!std::filesystem::exists(found / "kube-apiserver")) {
      throw std::runtime_error(
          "there is no program 'kube-apiserver' in '" + found.string() +
          "' (SECRETFS_KUBERNETES, or the output of tests/servers/kubernetes/build)");
    }
    return found;
  }();
  return folder;
}

std::filesystem::path MakeFolder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "secretfs-kubernetes.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  return name;
}

// Starts a program in `folder`, with its output in the file `log` there.
pid_t Spawn(std::vector<std::string> command, const std::filesystem::path& folder,
            const std::string& log) {
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<std::string> environment = {"HOME=" + folder.string(), "TMPDIR=" + folder.string(),
                                          "PATH=" + std::string(std::getenv("PATH"))};
  std::vector<char*> variables;
  for (std::string& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);
  const UniqueFd output(
      ::open((folder / log).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid > 0) return pid;
  // Only async-signal-safe calls from here on: other threads may have held locks.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(output.get(), STDOUT_FILENO);
  ::dup2(output.get(), STDERR_FILENO);
  ::execve(arguments[0], arguments.data(), variables.data());
  ::_exit(127);
}

size_t Collect(char* data, size_t size, size_t count, void* target) {
  static_cast<std::string*>(target)->append(data, size * count);
  return size * count;
}

struct Exchange {
  std::string url;
  std::string method;
  std::string body;
  std::string authority_file;
  std::vector<std::string> headers;
};

// Status 0: no answer.
KubernetesAnswer Perform(const Exchange& exchange) {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  std::string answer;
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");
  for (const std::string& line : exchange.headers) {
    headers = curl_slist_append(headers, line.c_str());
  }
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> owner(headers, curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_URL, exchange.url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, exchange.method.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(curl.get(), CURLOPT_CAINFO, exchange.authority_file.c_str());
  if (!exchange.body.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, exchange.body.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(exchange.body.size()));
  }
  KubernetesAnswer result;
  if (curl_easy_perform(curl.get()) != CURLE_OK) return result;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &result.status);
  result.body = nlohmann::json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (result.body.is_discarded()) result.body = answer;
  return result;
}

std::string SecretPath(const std::string& name_space, const std::string& name) {
  return Format("/api/v1/namespaces/{}/secrets/{}", name_space, name);
}

}  // namespace

std::string Base64(std::string_view value) {
  std::string text(4 * (value.size() / 3 + 1), '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(value.data()),
                                   static_cast<int>(value.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::unique_ptr<KubernetesServer> KubernetesServer::Start() {
  // Another process may take a free port first.
  for (int attempt = 1;; ++attempt) {
    std::unique_ptr<KubernetesServer> server(new KubernetesServer);
    if (server->TryToStart()) return server;
    if (attempt == kStartAttempts) {
      throw std::runtime_error("the Kubernetes API server did not start:\n" + server->LogEnd());
    }
  }
}

bool KubernetesServer::TryToStart() {
  folder_ = MakeFolder();
  const fakes::CertificateAndKey identity = authority_.Issue("kube-apiserver");
  const fakes::CertificateAndKey accounts = authority_.Issue("service-accounts");
  ReplaceFile("ca.crt", authority_.certificate());
  ReplaceFile("server.crt", identity.certificate);
  ReplaceFile("server.key", identity.key);
  ReplaceFile("accounts.key", accounts.key);
  ReplaceFile("accounts.crt", accounts.certificate);  // its public key
  ReplaceFile("tokens.csv", admin_token_ + ",administrator,1,\"system:masters\"\n");
  StartEtcd();
  port_ = FreePort();
  address_ = Format("https://127.0.0.1:{}", port_);
  StartApiServer();
  return WaitUntilReady(kStartLimit);
}

void KubernetesServer::StartEtcd() {
  etcd_address_ = Format("http://127.0.0.1:{}", FreePort());
  const std::string peers = Format("http://127.0.0.1:{}", FreePort());
  etcd_ =
      Spawn({(Programs() / "etcd").string(), "--data-dir=" + (folder_ / "etcd").string(),
             "--listen-client-urls=" + etcd_address_, "--advertise-client-urls=" + etcd_address_,
             "--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers,
             "--initial-cluster=default=" + peers, "--unsafe-no-fsync", "--log-level=warn"},
            folder_, "etcd.log");
}

void KubernetesServer::StartApiServer() {
  const auto file = [this](const char* name) { return (folder_ / name).string(); };
  api_server_ = Spawn(
      {(Programs() / "kube-apiserver").string(), "--etcd-servers=" + etcd_address_,
       Format("--secure-port={}", port_), "--bind-address=127.0.0.1",
       "--advertise-address=127.0.0.1", "--cert-dir=" + file("certificates"),
       "--tls-cert-file=" + file("server.crt"), "--tls-private-key-file=" + file("server.key"),
       "--client-ca-file=" + file("ca.crt"), "--token-auth-file=" + file("tokens.csv"),
       "--service-account-key-file=" + file("accounts.crt"),
       "--service-account-signing-key-file=" + file("accounts.key"),
       "--service-account-issuer=https://kubernetes.default.svc",
       "--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC",
       "--endpoint-reconciler-type=none", "--etcd-compaction-interval=0"},
      folder_, "log");
  // A start that fails is told by TryToStart, or by the test's next call.
  if (!WaitUntilReady(kStartLimit)) Stop(api_server_);
}

bool KubernetesServer::WaitUntilReady(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    for (pid_t* pid : {&etcd_, &api_server_}) {
      if (*pid < 0) return false;
      if (::waitpid(*pid, nullptr, WNOHANG) == *pid) {
        *pid = -1;
        return false;
      }
    }
    if (Call("GET", "/readyz").status == 200 &&
        Call("GET", "/api/v1/namespaces/default").status == 200) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

KubernetesServer::~KubernetesServer() {
  Stop(api_server_);
  Stop(etcd_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void KubernetesServer::Stop(pid_t& pid) {
  if (pid < 0) return;
  // Nothing has to be shut down in order: etcd's data goes with the folder.
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  pid = -1;
}

void KubernetesServer::StopApiServer() { Stop(api_server_); }

std::string KubernetesServer::LogEnd() const {
  constexpr size_t kShown = 3000;
  std::ifstream stream(folder_ / "log");
  std::stringstream content;
  content << stream.rdbuf();
  const std::string text = content.str();
  return text.size() > kShown ? text.substr(text.size() - kShown) : text;
}

KubernetesAnswer KubernetesServer::Call(const std::string& method, const std::string& path,
                                        const nlohmann::json& body, const std::string& content_type,
                                        const std::string& token) const {
  return Perform({.url = address_ + path,
                  .method = method,
                  .body = body.is_null() ? "" : body.dump(),
                  .authority_file = authority_file(),
                  .headers = {"Authorization: Bearer " + (token.empty() ? admin_token_ : token),
                              "Content-Type: " + content_type}});
}

nlohmann::json KubernetesServer::Get(const std::string& path) const {
  const KubernetesAnswer answer = Call("GET", path);
  if (answer.status == 200) return answer.body;
  throw std::runtime_error(
      Format("Kubernetes: GET {}: {} {}", path, answer.status, answer.body.dump()));
}

namespace {

nlohmann::json Require(KubernetesAnswer answer, const std::string& what) {
  if (answer.status >= 200 && answer.status < 300) return std::move(answer.body);
  throw std::runtime_error(
      Format("Kubernetes: {}: {} {}", what, answer.status, answer.body.dump()));
}

}  // namespace

void KubernetesServer::CreateNamespace(const std::string& name) const {
  Require(Call("POST", "/api/v1/namespaces", {{"metadata", {{"name", name}}}}),
          "making namespace " + name);
}

std::string KubernetesServer::PutSecret(const std::string& name_space, const std::string& name,
                                        const std::map<std::string, std::string>& data) const {
  nlohmann::json encoded = nlohmann::json::object();
  for (const auto& [key, value] : data) encoded[key] = Base64(value);
  const nlohmann::json secret = {{"metadata", {{"name", name}}}, {"data", encoded}};
  KubernetesAnswer answer = Call("PUT", SecretPath(name_space, name), secret);
  if (answer.status == 404) {
    answer = Call("POST", Format("/api/v1/namespaces/{}/secrets", name_space), secret);
  }
  return Require(std::move(answer), "writing Secret " + name)["metadata"]["resourceVersion"];
}

std::string KubernetesServer::LabelSecret(const std::string& name_space, const std::string& name,
                                          const std::string& label,
                                          const std::string& value) const {
  return Require(
      Call("PATCH", SecretPath(name_space, name), {{"metadata", {{"labels", {{label, value}}}}}},
           "application/merge-patch+json"),
      "labelling Secret " + name)["metadata"]["resourceVersion"];
}

void KubernetesServer::DeleteSecret(const std::string& name_space, const std::string& name) const {
  Require(Call("DELETE", SecretPath(name_space, name)), "deleting Secret " + name);
}

void KubernetesServer::CreateServiceAccount(const std::string& name_space,
                                            const std::string& name) const {
  Require(Call("POST", Format("/api/v1/namespaces/{}/serviceaccounts", name_space),
               {{"metadata", {{"name", name}}}}),
          "making service account " + name);
}

std::string KubernetesServer::TokenOf(const std::string& name_space,
                                      const std::string& service_account) const {
  return Require(
      Call("POST",
           Format("/api/v1/namespaces/{}/serviceaccounts/{}/token", name_space, service_account),
           {{"apiVersion", "authentication.k8s.io/v1"},
            {"kind", "TokenRequest"},
            {"spec", {{"expirationSeconds", 3600}}}}),
      "a token of service account " + service_account)["status"]["token"];
}

void KubernetesServer::Grant(const std::string& name_space, const std::string& user,
                             const nlohmann::json& rules) const {
  // Names of roles are made by the server.
  const std::string base = Format("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/", name_space);
  const nlohmann::json role = Require(
      Call("POST", base + "roles", {{"metadata", {{"generateName", "test-"}}}, {"rules", rules}}),
      "making a role");
  const nlohmann::json subject = {
      {"kind", "User"}, {"name", user}, {"apiGroup", "rbac.authorization.k8s.io"}};
  Require(Call("POST", base + "rolebindings",
               {{"metadata", {{"generateName", "test-"}}},
                {"subjects", nlohmann::json::array({subject})},
                {"roleRef",
                 {{"kind", "Role"},
                  {"name", role["metadata"]["name"]},
                  {"apiGroup", "rbac.authorization.k8s.io"}}}}),
          "binding a role");
}

std::filesystem::path KubernetesServer::ReplaceFile(const std::string& name,
                                                    std::string_view text) const {
  const std::filesystem::path path = folder_ / name;
  const std::filesystem::path beside = path.string() + ".new";
  std::ofstream(beside) << text;
  std::filesystem::rename(beside, path);
  return path;
}

std::filesystem::path KubernetesServer::WriteKubeconfig(const std::string& name,
                                                        const nlohmann::json& user,
                                                        const nlohmann::json& cluster) const {
  nlohmann::json server = {{"server", address_}, {"certificate-authority", "ca.crt"}};
  if (cluster.is_object()) server.update(cluster);
  const nlohmann::json config = {
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"current-context", "test"},
      {"clusters", {{{"name", "server"}, {"cluster", server}}}},
      {"users", {{{"name", "user"}, {"user", user}}}},
      {"contexts", {{{"name", "test"}, {"context", {{"cluster", "server"}, {"user", "user"}}}}}}};
  return ReplaceFile(name, config.dump(2));
}

void KubernetesServer::CompactHistory() const {
  const std::string revision = Get("/api/v1/namespaces")["metadata"]["resourceVersion"];
  Require(Perform({.url = etcd_address_ + "/v3/kv/compaction",
                   .method = "POST",
                   .body = nlohmann::json{{"revision", revision}, {"physical", true}}.dump(),
                   .authority_file = authority_file(),
                   .headers = {"Content-Type: application/json"}}),
          "compacting etcd");
}

}  // namespace secretfs::testing
