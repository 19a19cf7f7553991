#pragma once

// AWS Signature Version 4 in the Authorization header
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), as
// all AWS services but S3 take it. Agrees with botocore's signer, against which
// tests/integration/aws/signing_test.cc holds it; libcurl's own signing (7.88 of Debian 12) is not
// used because it differs for paths with encoded characters and for queries that are not sorted.
//
// Pure functions; safe from any thread. Sends nothing and knows no credentials' origin.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/http/http_client.h"

namespace secretfs::providers {

// What a request is signed with.
struct AwsCredentials {
  std::string access_key_id;
  SecretBytes secret_access_key;
  SecretBytes session_token;  // empty: long-lived keys
  // When they end; not set: never, or not known.
  std::optional<MonotonicTime> expires_at;
};
using AwsCredentialsPtr = std::shared_ptr<const AwsCredentials>;

struct SigningScope {
  std::string_view region;
  std::string_view service;
};

// Adds X-Amz-Date, X-Amz-Security-Token and Authorization; what was there under these names goes.
// All other headers are signed, except those that proxies may change. The URL is taken as it is
// written, so its path and query are already percent-encoded. `now` is the time that the server is
// believed to have. InvalidArgument when the URL has no host.
absl::Status SignAwsRequest(HttpRequest& request, const AwsCredentials& credentials,
                            const SigningScope& scope, WallTime now);

}  // namespace secretfs::providers
