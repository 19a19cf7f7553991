#pragma once

// What the files of this folder, one a kind of store, share: making a store's paths absolute and
// saying who asks, in words that tell identities apart and hold no credential. Free functions
// without state.

#include <functional>
#include <string>

#include "providers/credential_source.h"
#include "providers/tls_config.h"

namespace secretfs::cli {

// Called with every path of a description; may change it.
using PathVisitor = std::function<void(std::string&)>;
void VisitPaths(providers::CredentialSource& source, const PathVisitor& visit);
void VisitPaths(providers::TlsConfig& tls, const PathVisitor& visit);

void MakePathsAbsolute(providers::CredentialSource& source);
void MakePathsAbsolute(providers::TlsConfig& tls);

// Where the credential comes from; the same in every process. An inline value stands there by its
// digest.
std::string Describe(const providers::CredentialSource& source);
std::string Describe(const providers::TlsConfig& tls);

}  // namespace secretfs::cli
