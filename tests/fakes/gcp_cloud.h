#pragma once

// Google Cloud on the loopback interface, as far as secretfs uses it: one HTTP server with
// GcpIdentity, GcpSecretManager, a metadata server (with its Metadata-Flavor rules) and a server
// that hands out subject tokens of another identity provider.
//
// Thread-safe.

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "tests/fakes/gcp_identity.h"
#include "tests/fakes/gcp_secret_manager.h"
#include "tests/fakes/http_test_server.h"

namespace secretfs::fakes {

class GcpCloud {
 public:
  explicit GcpCloud(std::optional<HttpTestServer::Tls> tls = std::nullopt);

  GcpIdentity& identity() { return *identity_; }
  GcpSecretManager& secrets() { return *secrets_; }
  HttpTestServer& server() { return *server_; }

  std::string url() const { return url_; }  // http://127.0.0.1:PORT
  std::string host() const;                 // 127.0.0.1:PORT
  // The service account that the machine runs as; none (the start): there is no metadata server.
  void SetMachine(const std::string& service_account);
  // An attribute of the instance, such as cluster-name.
  void SetAttribute(const std::string& name, const std::string& value);
  // What GET /subject-token answers to requests with the header "X-Audience: pool", whole or in
  // the field "value" of JSON (GET /subject-token.json).
  void SetSubjectToken(const std::string& token);

  // Requests so far whose target holds `part`.
  size_t Count(const std::string& part) const;

 private:
  using Response = HttpTestServer::Response;
  Response Answer(const HttpTestServer::Request& request);
  std::optional<Response> Metadata(const HttpTestServer::Request& request);
  std::optional<Response> SubjectToken(const HttpTestServer::Request& request);
  Response TokenOfMachine();

  mutable std::mutex mutex_;
  // --- protected by mutex_:
  std::string machine_;
  std::map<std::string, std::string> attributes_;
  std::string subject_token_;
  // The metadata server gives out the same token until it ends soon.
  std::string machine_token_;
  int64_t machine_token_ends_at_ = 0;

  // --- made in the constructor, before the first request
  std::string url_;
  std::unique_ptr<GcpIdentity> identity_;
  std::unique_ptr<GcpSecretManager> secrets_;
  std::unique_ptr<HttpTestServer> server_;  // last: its thread uses all the others
};

}  // namespace secretfs::fakes
