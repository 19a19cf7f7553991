#pragma once

// Entra's token endpoint (OAuth 2.0 client credentials): puts the form together in locked memory,
// and says in own words why a login was refused. Knows no credential.
//
// Thread-safety: I/O thread only. One attempt a call.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/azure/azure_response.h"
#include "providers/azure/token_source.h"
#include "providers/azure/transport.h"

namespace secretfs::providers::azure {

// A form as application/x-www-form-urlencoded.
class LoginForm {
 public:
  void Add(std::string_view name, std::string_view value);
  SecretBytes Finish() { return builder_.Finish(); }

 private:
  SecretBuilder builder_{size_t{1} << 20};
};

class Entra {
 public:
  Entra(std::string authority_host, std::shared_ptr<Transport> transport)
      : authority_host_(std::move(authority_host)), transport_(std::move(transport)) {}

  // Where assertions for `tenant` are addressed to.
  std::string TokenUrl(std::string_view tenant) const;

  // Adds grant type and scope to `form`, which proves who asks.
  asio::awaitable<absl::StatusOr<AccessToken>> GetToken(Audience audience, LoginForm form,
                                                        MonotonicTime deadline);

  const Clock& clock() const { return transport_->clock(); }

 private:
  absl::Status Refusal(const HttpResponse& response, const Audience& audience) const;

  const std::string authority_host_;
  std::shared_ptr<Transport> transport_;
};

// The text of `identifier`, read from where it stands if it stands elsewhere.
absl::StatusOr<std::string> ReadIdentifier(const AzureIdentifier& identifier,
                                           std::string_view what);

}  // namespace secretfs::providers::azure
