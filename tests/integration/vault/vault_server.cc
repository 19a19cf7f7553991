#include "tests/integration/vault/vault_server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
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
constexpr std::chrono::seconds kStartLimit(60);

size_t Collect(char* data, size_t size, size_t count, void* target) {
  static_cast<std::string*>(target)->append(data, size * count);
  return size * count;
}

std::filesystem::path MakeFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "secretfs-vault.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  return name;
}

}  // namespace

std::filesystem::path VaultPrograms() {
  static const std::filesystem::path folder = [] {
    const char* given = std::getenv("SECRETFS_VAULT");
    std::filesystem::path found =
        given != nullptr && *given != '\0'
            ? std::filesystem::path(given)
            : std::filesystem::path(RunAndRead(SECRETFS_SOURCE_DIR "/tests/servers/vault/build"));
    if (!std::filesystem::exists(found / "vault")) {
      throw std::runtime_error("there is no program 'vault' in '" + found.string() +
                               "' (SECRETFS_VAULT, or the output of tests/servers/vault/build)");
    }
    return found;
  }();
  return folder;
}

std::unique_ptr<VaultServer> VaultServer::Start(VaultServerOptions options) {
  // Another process may take the free port first.
  for (int attempt = 1;; ++attempt) {
    std::unique_ptr<VaultServer> server(new VaultServer);
    server->folder_ = MakeFolder();
    server->Launch(options);
    if (server->WaitUntilHealthy(kStartLimit)) return server;
    if (attempt == kStartAttempts) {
      throw std::runtime_error("the Vault server did not start:\n" + server->LogEnd());
    }
  }
}

VaultServer::~VaultServer() {
  Stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void VaultServer::Launch(const VaultServerOptions& options) {
  port_ = options.port != 0 ? options.port : FreePort();
  address_ = Format("http://127.0.0.1:{}", port_);
  // Without a dot, which begins a namespace's id in a token.
  root_token_ = Format("test-root-{}", port_);
  std::vector<std::string> command = {(VaultPrograms() / "vault").string(),
                                      "server",
                                      "-dev",
                                      "-dev-no-store-token",
                                      "-dev-root-token-id=" + root_token_,
                                      Format("-dev-listen-address=127.0.0.1:{}", port_)};
  if (!options.more_config.empty()) {
    const std::filesystem::path file = folder_ / "config.hcl";
    std::ofstream(file) << options.more_config;
    command.push_back("-config=" + file.string());
  }
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // Nothing of the caller's Vault settings, and a home of its own.
  std::vector<std::string> environment = {"HOME=" + folder_.string(),
                                          "PATH=" + std::string(std::getenv("PATH")),
                                          "TMPDIR=" + folder_.string()};
  std::vector<char*> variables;
  for (std::string& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);
  const UniqueFd log(::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));

  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("cannot fork");
  if (pid_ > 0) {
    ::setpgid(pid_, pid_);  // here too: Stop must not come before the child's own call
    return;
  }
  // Only async-signal-safe calls from here on: other threads may have held locks.
  // A group of its own, so that its plugins end with it.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(log.get(), STDOUT_FILENO);
  ::dup2(log.get(), STDERR_FILENO);
  ::execve(arguments[0], arguments.data(), variables.data());
  ::_exit(127);
}

bool VaultServer::WaitUntilHealthy(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return false;
    }
    // Root's token works only once everything is set up.
    if (Call("GET", "auth/token/lookup-self", nullptr, root_token_).status == 200 &&
        Call("GET", "sys/internal/ui/mounts/secret", nullptr, root_token_).status == 200) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

std::string VaultServer::LogEnd() const {
  constexpr size_t kShown = 3000;
  std::ifstream stream(folder_ / "log");
  std::stringstream content;
  content << stream.rdbuf();
  const std::string text = content.str();
  return text.size() > kShown ? text.substr(text.size() - kShown) : text;
}

void VaultServer::Stop() {
  if (pid_ < 0) return;
  // It keeps everything in memory: there is nothing to shut down in order.
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

VaultAnswer VaultServer::Call(const std::string& method, const std::string& path,
                              const nlohmann::json& body, const std::string& token,
                              const std::vector<std::string>& lines) const {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  const std::string url = Format("{}/v1/{}", address_, path);
  const std::string text = body.is_null() ? "" : body.dump();
  std::string answer;
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");
  if (!token.empty()) headers = curl_slist_append(headers, ("X-Vault-Token: " + token).c_str());
  for (const std::string& line : lines) headers = curl_slist_append(headers, line.c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> header_owner(headers,
                                                                        curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  if (!body.is_null()) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, text.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(text.size()));
  }
  VaultAnswer result;
  if (curl_easy_perform(curl.get()) != CURLE_OK) return result;  // status 0: no answer
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &result.status);
  result.body = nlohmann::json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (result.body.is_discarded()) result.body = nullptr;
  return result;
}

nlohmann::json VaultServer::Read(const std::string& path) const {
  const VaultAnswer answer = Call("GET", path, nullptr, root_token_);
  if (answer.status == 200) return answer.body;
  throw std::runtime_error(Format("Vault: GET {}: {} {}", path, answer.status, answer.body.dump()));
}

nlohmann::json VaultServer::Write(const std::string& path, const nlohmann::json& body) const {
  const VaultAnswer answer = Call("POST", path, body, root_token_);
  if (answer.status == 200 || answer.status == 204) return answer.body;
  throw std::runtime_error(
      Format("Vault: POST {}: {} {}", path, answer.status, answer.body.dump()));
}

void VaultServer::Delete(const std::string& path) const {
  const VaultAnswer answer = Call("DELETE", path, nullptr, root_token_);
  if (answer.status == 200 || answer.status == 204) return;
  throw std::runtime_error(
      Format("Vault: DELETE {}: {} {}", path, answer.status, answer.body.dump()));
}

void VaultServer::MountKv(const std::string& path, const std::string& version) const {
  Write("sys/mounts/" + path, {{"type", "kv"}, {"options", {{"version", version}}}});
  // A new engine of version 2 answers 400 ("upgrading") until it has set itself up.
  for (int i = 0; i < 500; ++i) {
    const std::string probe = path + (version == "2" ? "/metadata?list=true" : "?list=true");
    if (Call("GET", probe, nullptr, root_token_).status == 404) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("Vault: the engine at " + path + " does not become ready");
}

void VaultServer::WritePolicy(const std::string& name, const std::string& hcl) const {
  Write("sys/policies/acl/" + name, {{"policy", hcl}});
}

std::string VaultServer::MakeToken(const nlohmann::json& parameters) const {
  return Write("auth/token/create", parameters)["auth"]["client_token"];
}

}  // namespace secretfs::testing
