#pragma once

// One service of AWS in one region: calls of its JSON protocol with the session's credentials. A
// call whose credentials AWS does not accept (any more) is made once more after one new login.
//
// Thread-safety: I/O thread only. Owned by shared_ptr, shared with the coroutines of its calls.

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/aws/aws_config.h"
#include "providers/aws/session.h"
#include "providers/aws/transport.h"
#include "providers/secret_json.h"

namespace secretfs::providers::aws {

struct ApiCall {
  std::string action;   // "GetSecretValue"
  SecretJson body;      // of the request
  std::string subject;  // what it is about, for errors: "'app/db'"; may be empty
  MonotonicTime deadline = MonotonicTime::max();
  size_t answer_limit = 2 << 20;
};

// The body of a 2xx answer, or a status; `error_code` is AWS's own.
struct ApiResult {
  absl::StatusOr<SecretBytes> body;
  std::string error_code;
};

class RegionClient {
 public:
  RegionClient(AwsService service, std::string region, std::string endpoint,
               std::shared_ptr<Transport> transport, std::shared_ptr<Session> session);

  asio::awaitable<ApiResult> Call(ApiCall call);

  const std::string& region() const { return region_; }
  const std::string& name() const { return name_; }  // "AWS Secrets Manager in eu-central-1"
  Transport& transport() const { return *transport_; }

 private:
  const AwsService service_;
  const std::string region_, endpoint_, name_;
  std::shared_ptr<Transport> transport_;
  std::shared_ptr<Session> session_;
};

// The name that endpoints and signatures have: "secretsmanager" or "ssm".
std::string_view ServiceName(AwsService service);

}  // namespace secretfs::providers::aws
