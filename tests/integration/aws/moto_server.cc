#include "tests/integration/aws/moto_server.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "base/text.h"

namespace secretfs::testing {
namespace {

std::string OutputOf(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
  std::string output;
  char buffer[4096];
  while (const size_t size = fread(buffer, 1, sizeof buffer, pipe.get())) {
    output.append(buffer, size);
  }
  return output;
}

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    read_end = UniqueFd(ends[0]);
    write_end = UniqueFd(ends[1]);
  }
  UniqueFd read_end, write_end;
};

}  // namespace

std::string MotoPython() {
  static const std::string python = [] {
    const char* given = std::getenv("SECRETFS_MOTO");
    std::string folder = given != nullptr && *given != '\0'
                             ? given
                             : OutputOf(SECRETFS_SOURCE_DIR "/tests/servers/moto/build");
    while (folder.ends_with('\n')) folder.pop_back();
    std::string found = folder + "/bin/python";
    if (!std::filesystem::exists(found)) {
      throw std::runtime_error("there is no " + found +
                               " (SECRETFS_MOTO, or the output of tests/servers/moto/build)");
    }
    return found;
  }();
  return python;
}

std::string RunPython(const std::string& script, const std::vector<std::string>& arguments) {
  std::string command = MotoPython() + " " SECRETFS_SOURCE_DIR "/tests/integration/aws/" + script;
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  return OutputOf(command);
}

std::string ToBase64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(size);
  return text;
}

MotoServer::MotoServer() {
  Pipe in, out;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read_end.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write_end.get(), STDOUT_FILENO);
  std::string python = MotoPython();
  std::string script = SECRETFS_SOURCE_DIR "/tests/servers/moto/server.py";
  char* const arguments[] = {python.data(), script.data(), nullptr};
  const int error = ::posix_spawn(&pid_, python.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + python);
  input_ = std::move(in.write_end);
  output_ = std::move(out.read_end);
  out.write_end.Reset();
  port_ = ReadLine().at("port").get<int>();
}

MotoServer::~MotoServer() {
  input_.Reset();  // its loop ends with its input
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::string MotoServer::address() const { return Format("http://127.0.0.1:{}", port_); }

nlohmann::json MotoServer::ReadLine() {
  while (buffer_.find('\n') == std::string::npos) {
    char bytes[65536];
    const ssize_t size = ::read(output_.get(), bytes, sizeof bytes);
    if (size <= 0) throw std::runtime_error("the moto server has ended");
    buffer_.append(bytes, static_cast<size_t>(size));
  }
  const size_t end = buffer_.find('\n');
  nlohmann::json answer = nlohmann::json::parse(buffer_.substr(0, end));
  buffer_.erase(0, end + 1);
  return answer;
}

nlohmann::json MotoServer::Ask(const nlohmann::json& request) {
  const std::string line = request.dump() + "\n";
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t size = ::write(input_.get(), line.data() + sent, line.size() - sent);
    if (size <= 0) throw std::runtime_error("the moto server has ended");
    sent += static_cast<size_t>(size);
  }
  return ReadLine();
}

nlohmann::json MotoServer::Call(const std::string& service, const std::string& action,
                                const nlohmann::json& arguments, const std::string& region) {
  const nlohmann::json call = nlohmann::json::array({service, action, arguments});
  nlohmann::json answer = Ask({{"call", call}, {"region", region}});
  if (answer.contains("error")) {
    throw std::runtime_error(Format("{}: {}", action, answer["error"].get<std::string>()));
  }
  return answer;
}

std::vector<MotoServer::Request> MotoServer::Requests() {
  std::vector<Request> requests;
  const nlohmann::json answer = Ask({{"requests", true}});
  for (const auto& one : answer.at("requests")) requests.push_back({one[0], one[1]});
  return requests;
}

std::string MotoServer::Actions() {
  std::string text;
  for (const Request& request : Requests()) text += (text.empty() ? "" : ", ") + request.action;
  return text;
}

void MotoServer::ExpireTemporaryKeys() { Ask({{"expire", true}}); }
void MotoServer::Deny(const std::string& name) { Ask({{"deny", name}}); }
void MotoServer::Refuse(const std::string& action) { Ask({{"refuse", action}}); }
void MotoServer::EnforcePolicies() { Ask({{"enforce", true}}); }

}  // namespace secretfs::testing
