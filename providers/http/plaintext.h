#pragma once

// Whether what is sent to a server is hidden from the network. Nearly every request carries a
// credential and nearly every answer a secret, so that a server is asked by TLS, or lies on this
// machine, or is one of the clouds' metadata services, which know no TLS. HttpClient refuses all
// other requests; the providers ask earlier, to say which field of a description is wrong.
//
// Decides by the address or name alone and asks no name service, because what a name service says
// is not to be trusted. Free functions without state; safe from any thread.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

// Who may be asked without TLS.
enum class Plaintext {
  kThisMachine,
  kMetadata,  // and the metadata services of clouds
  kAnybody,   // of a store with skip_verify, whose owner gave up on hiding anything
};

// What the TLS settings of a store allow that may lie anywhere.
inline Plaintext PlaintextFor(const TlsConfig& tls) {
  return tls.skip_verify ? Plaintext::kAnybody : Plaintext::kThisMachine;
}

// 127.0.0.0/8, ::1 (also as an IPv4-mapped address) or exactly "localhost", for which libcurl asks
// no name service. `host` is Origin's: what libcurl makes of a URL, which writes every form of an
// IPv4 address that it connects to (0x7f.1, 2130706433) as four decimal numbers.
bool IsLoopback(std::string_view host);

// Link-local addresses (169.254.0.0/16, fe80::/10), AWS's fd00:ec2::/32, and Google's names.
bool IsMetadataService(std::string_view host);

// InvalidArgument, with what to do, where `url` may not be asked; `what` names the address for the
// message ("the Vault server"). Also for what is no URL.
absl::Status CheckConfidential(const std::string& url, Plaintext allowed, std::string_view what);

}  // namespace secretfs::providers
