#pragma once

// What the conformance suite needs of a kind of store: a server that runs, an administrator who
// writes to it by other means than secretfs, and providers whose requests can be led through the
// suite's fault proxy. Each provider implements this once, in X_store.{h,cc}; cases.h is the table
// of what is then tried, the same for all.
//
// The suite makes one StoreUnderTest a program and runs all cases on it, one after the other, each
// with keys of its own. Not thread-safe: the test's thread calls. What an administrator expects to
// work throws std::runtime_error when it does not.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/io_thread.h"
#include "providers/provider.h"
#include "providers/selection/selection.h"
#include "providers/tls_config.h"
#include "tests/fakes/fault_proxy.h"

namespace secretfs::conformance {

struct ProviderSettings {
  IoThread* io = nullptr;  // never null; runs
  const Clock* clock = nullptr;
  // Where the secrets are asked for instead of address(): http(s)://127.0.0.1:PORT of the fault
  // proxy. Empty: address() itself. Where logins go is not changed.
  std::string server;
  providers::TlsConfig tls;  // for `server`, when it is https
  // Not empty: the credentials come from this file, which ReplaceCredentials wrote. Empty: any that
  // the server accepts for all keys but denied ones; those of a login where the store has logins.
  std::string credential_file;
};

class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;

  // http(s)://HOST:PORT of the real server or fake; empty for a store without network.
  virtual std::string address() const { return {}; }

  // As the factory of the provider makes it; throws if that fails. Contacts nobody yet.
  virtual std::shared_ptr<providers::Provider> MakeProvider(const ProviderSettings& settings) = 0;

  // --- names

  // The store's key for a name of the suite (lower case letters, digits and dashes).
  virtual std::string Key(const std::string& name) const { return name; }
  // Where Key's names are listed, and as what.
  virtual std::string ListPrefix() const { return {}; }
  virtual std::string ListedName(const std::string& name) const { return name; }
  // How many secrets fill more than two pages of a listing. Creating them takes time.
  virtual size_t secrets_to_list() const { return 30; }
  // What a manifest says to get the bytes that Put wrote, in stores of structured secrets.
  virtual providers::Selection selection() const { return {}; }

  // --- the administrator

  // Creates the secret, or gives it a new version. Returns the new version as SecretRef::version
  // takes it, or "" where the store has no versions.
  virtual std::string Put(const std::string& key, std::string_view value) = 0;
  virtual void Remove(const std::string& key) = 0;
  // From now on the default credentials may not read `key`, whose secret is there.
  virtual void Deny(const std::string& key) = 0;
  // A version that `key` never had, in the store's syntax.
  virtual std::string UnknownVersion() const { return "999"; }
  // The server takes none of the session credentials any more that logins have given so far
  // (tokens, temporary keys); logging in again works.
  virtual void ExpireCredentials() {}
  // Writes fresh credentials to `path` (beside it, then renamed over it); the server takes no
  // longer what the file held before.
  virtual void ReplaceCredentials(const std::string& path) { (void)path; }

  // --- on the wire

  // Called for each fault proxy of the suite before it is used: rules for what the server cannot do
  // itself (for example deny, in an emulator without permissions).
  virtual void PrepareProxy(fakes::FaultProxy& proxy) { (void)proxy; }
  // True for the requests that read the value of `key`, and no others (logins, version checks).
  virtual bool IsRead(const fakes::FaultProxy::Request& request, const std::string& key) const {
    return request.Mentions(key);
  }
  // How the server says that there were too many requests.
  virtual fakes::FaultProxy::Reply Throttled(std::optional<std::chrono::seconds> retry_after) const;
};

struct StoreKind {
  std::string name;    // "vault": as in manifests, with the service where there are several
  std::string server;  // what it is run against, as documented
  // Cases that cannot apply, by name, each with the reason.
  std::map<std::string, std::string> not_applicable;
  std::function<std::unique_ptr<StoreUnderTest>()> start;
};

}  // namespace secretfs::conformance
