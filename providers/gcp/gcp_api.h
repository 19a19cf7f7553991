#pragma once

// Secret Manager's REST API (v1), the three calls that reading needs. Each is made with the
// session's token, and once more with another one when that is refused.
//
// Thread-safety: I/O thread only.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "providers/gcp/gcp_client.h"
#include "providers/gcp/gcp_key.h"
#include "providers/gcp/gcp_response.h"
#include "providers/gcp/session.h"

namespace secretfs::providers::gcp {

class Api {
 public:
  struct Options {
    std::string server;         // empty: Google's, by location
    std::string quota_project;  // empty: as the credentials say
  };
  Api(std::shared_ptr<Client> client, std::shared_ptr<Session> session, Options options)
      : client_(std::move(client)), session_(std::move(session)), options_(std::move(options)) {}

  struct Accessed {
    absl::StatusOr<AccessedVersion> version = absl::UnknownError("");
    bool is_unusable = false;  // the version is there, but disabled or destroyed
  };
  asio::awaitable<Accessed> Access(SecretName name, MonotonicTime deadline);

  // One page of at most `size` names, or of as many as the server likes (0). Names may hold
  // `prefix.begin` anywhere: the API can filter no better.
  asio::awaitable<absl::StatusOr<SecretPage>> ListSecrets(NamePrefix prefix, std::string page,
                                                          int size, MonotonicTime deadline);

  // The number of the newest version that is enabled; NotFound when none is.
  asio::awaitable<absl::StatusOr<std::string>> NewestEnabled(SecretName name,
                                                             MonotonicTime deadline);

 private:
  struct Call {
    Home home;
    std::string path;   // below /v1/
    std::string query;  // without '?'
    std::string doing;  // completes "Secret Manager at SERVER, …"
    size_t answer_limit;
    MonotonicTime deadline;
  };
  struct Answer {
    absl::Status status;
    bool version_is_unusable = false;
    SecretBytes body;
  };
  asio::awaitable<Answer> Get(Call call);
  asio::awaitable<absl::StatusOr<HttpResponse>> Send(Call call, TokenBytes token);
  std::string ServerOf(const Home& home) const;

  std::shared_ptr<Client> client_;
  std::shared_ptr<Session> session_;
  const Options options_;
};

}  // namespace secretfs::providers::gcp
