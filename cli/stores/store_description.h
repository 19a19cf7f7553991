#pragma once

// What the files of this folder, one a kind of store, share: making a store's paths absolute and
// saying who asks, in words that tell identities apart and hold no credential. Free functions
// without state.

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "providers/credential_source.h"
#include "providers/tls_config.h"

namespace secretfs::cli {

// Called with every path of a description; may change it.
using PathVisitor = std::function<void(std::string&)>;
void VisitPaths(providers::CredentialSource& source, const PathVisitor& visit);
void VisitPaths(providers::TlsConfig& tls, const PathVisitor& visit);

// Every path that the description of a kind of store names; some may be "".
template <typename Config>
std::vector<std::string> PathsOf(Config& config) {
  std::vector<std::string> paths;
  VisitPaths(config, [&paths](std::string& path) { paths.push_back(path); });
  return paths;
}

void MakePathsAbsolute(providers::CredentialSource& source);
void MakePathsAbsolute(providers::TlsConfig& tls);

// `parts` as one text from which nothing but them can be read: each with its length before it, so
// that no part can say what looks like several, or like another's. The first says what kind of
// thing it is.
std::string JoinParts(std::initializer_list<std::string_view> parts);
std::string JoinParts(const std::vector<std::string>& parts);

// A value that may be a credential, as a part of an identity: its SHA-256.
std::string DigestOf(std::string_view value);

// Where the credential comes from; the same in every process. An inline value stands there by its
// digest.
std::string Describe(const providers::CredentialSource& source);
std::string Describe(const providers::TlsConfig& tls);

}  // namespace secretfs::cli
