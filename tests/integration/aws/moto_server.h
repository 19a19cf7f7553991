#pragma once

// AWS for tests: moto's server, and AWS's own SDK for Python that writes the secrets which secretfs
// reads (tests/servers/moto). One process; it ends with this object or this program.
//
// Not thread-safe. Throws std::runtime_error when something that is to work does not.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace secretfs::testing {

class MotoServer {
 public:
  static constexpr char kRegion[] = "eu-central-1";

  MotoServer();
  ~MotoServer();
  MotoServer(const MotoServer&) = delete;
  MotoServer& operator=(const MotoServer&) = delete;

  std::string address() const;  // http://127.0.0.1:PORT

  // boto3's client of `service`: Call("secretsmanager", "create_secret", {...}). Bytes are written
  // as {"base64": "…"}.
  nlohmann::json Call(const std::string& service, const std::string& action,
                      const nlohmann::json& arguments, const std::string& region = kRegion);

  // What others than this object have asked for since the last time: action and access key.
  struct Request {
    std::string action, access_key;
  };
  std::vector<Request> Requests();
  // The same as text: "BatchGetSecretValue, GetSecretValue".
  std::string Actions();

  void ExpireTemporaryKeys();
  void Deny(const std::string& name);      // a secret or parameter, to everybody
  void Refuse(const std::string& action);  // "BatchGetSecretValue", to everybody
  void EnforcePolicies();                  // from now on, for ever

 private:
  nlohmann::json Ask(const nlohmann::json& request);
  nlohmann::json ReadLine();

  int pid_ = -1;
  int port_ = 0;
  UniqueFd input_, output_;
  std::string buffer_;
};

// The Python with AWS's SDK: SECRETFS_MOTO, or what tests/servers/moto/build installs.
std::string MotoPython();
// Standard output of a Python program of this folder, with these arguments.
std::string RunPython(const std::string& script, const std::vector<std::string>& arguments);

std::string ToBase64(std::string_view bytes);

}  // namespace secretfs::testing
