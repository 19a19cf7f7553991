#pragma once

// Finds AWS credentials: those that the store's description names, or the first that AWS's own
// tools would find, then the roles that are assumed with them, one after the other. Every login
// looks anew, so that files which tools rewrite and tokens which are projected are read fresh.
//
// Thread-safety: I/O thread only. Keeps no credentials: that is Session's.

#include <asio/awaitable.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "providers/aws/aws_config.h"
#include "providers/aws/aws_provider.h"
#include "providers/aws/http_credentials.h"
#include "providers/aws/shared_files.h"
#include "providers/aws/sts.h"

namespace secretfs::providers::aws {

class Login {
 public:
  Login(const AwsStoreConfig& config, AwsSurroundings surroundings, std::shared_ptr<Sts> sts,
        std::shared_ptr<HttpCredentials> http, const Clock& clock);

  // Never NotFound, which is a word about secrets.
  asio::awaitable<absl::StatusOr<AwsCredentialsPtr>> Run(MonotonicTime deadline);

  // A file that the last login read has changed. Cheap.
  bool HasNewCredential() const;
  // Where the last login's credentials came from, for errors.
  const std::string& origin() const { return origin_; }

 private:
  using Result = absl::StatusOr<AwsCredentialsPtr>;

  asio::awaitable<Result> Base(MonotonicTime deadline);
  asio::awaitable<Result> Found(MonotonicTime deadline);
  asio::awaitable<Result> Static(AwsStaticAuth auth, std::string origin);
  asio::awaitable<Result> WebIdentity(AwsWebIdentityAuth auth, MonotonicTime deadline);
  asio::awaitable<Result> Container(MonotonicTime deadline);
  asio::awaitable<Result> Instance(MonotonicTime deadline);
  asio::awaitable<Result> FromProfile(std::string name, std::set<std::string> visited,
                                      MonotonicTime deadline);
  asio::awaitable<Result> SourceOf(std::string name, Profile profile, std::set<std::string> visited,
                                   MonotonicTime deadline);

  std::string Variable(const std::string& name) const;
  bool HasEnvironmentKeys() const;
  bool HasContainerAddress() const;
  // Reads it and, when it is a file, remembers which state of it was read.
  absl::StatusOr<SecretBytes> ReadWatched(CredentialSource source, std::string what);

  const AwsStoreConfig config_;
  const AwsSurroundings surroundings_;
  std::shared_ptr<Sts> sts_;
  std::shared_ptr<HttpCredentials> http_;
  const Clock& clock_;
  SharedFiles files_;
  std::vector<Credential> watched_;  // what the last login read
  bool watches_files_ = false;       // the shared files are among it
  std::string origin_ = "AWS credentials";
};

// The files that the environment names, or those in the home directory.
SharedFiles SharedFilesOf(const AwsSurroundings& surroundings);
// The environment's or the profile's region; "" when neither has one.
std::string AmbientRegion(const AwsSurroundings& surroundings, const std::string& profile);

// The files that logging in or finding the region may read because the description leaves it to
// what is found: the shared files, the web identity tokens that the environment and the profile in
// use name, and the container endpoint's token. Reads the shared files.
std::vector<std::string> AmbientFiles(const AwsStoreConfig& config,
                                      const AwsSurroundings& surroundings);

}  // namespace secretfs::providers::aws
