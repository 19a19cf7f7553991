#pragma once

// The interface between a secret store and everything above it. One Provider object stands for one
// store asked by one identity (its credentials are its own business), so that two identities never
// share an object, a token or a cache entry.
//
// Thread-safety: all calls are made on the I/O thread; coroutines of several calls interleave
// there. A call must never block the thread: it awaits. A provider makes one attempt a call (one
// new login after a rejected token included); retries, backoff and rate limits are the cache's.
// Errors: gRPC's canonical codes as base/status.h says; NotFound, PermissionDenied and
// Unauthenticated are answers of the store, transient codes are outages. No value in a message.
//
// Written for g++ 12, whose coroutines destroy some temporaries twice: parameters are taken by
// value, and callers name arguments before the co_await.

#include <asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"

namespace secretfs::providers {

// A lease that the store gave together with a dynamic secret
// (https://developer.hashicorp.com/vault/docs/concepts/lease).
struct Lease {
  std::string id;
  std::chrono::seconds duration{0};
  bool renewable = false;
};

// One version of one secret, immutable once made.
struct Secret {
  // The whole value; for a structured store (Capabilities::structured) the JSON object of all
  // fields.
  SecretBytes value;
  // Structured stores only: each field's value by name, as a reader of the field's file gets it.
  std::map<std::string, SecretBytes, std::less<>> fields;
  // Opaque; equal versions of one key have equal values. Never empty.
  std::string version;
  // When the store says this version was made, where it says so.
  std::optional<WallTime> changed_at;
  // Longest time for which the store lets this be used without asking again (Cache-Control, lease).
  std::optional<Duration> time_to_live;
  std::optional<Lease> lease;
};
using SecretPtr = std::shared_ptr<const Secret>;

// Which secret: the store's own name for it, and which version of it ("" = the newest).
struct SecretRef {
  std::string key;
  std::string version;
  friend auto operator<=>(const SecretRef&, const SecretRef&) = default;
};

struct RequestContext {
  MonotonicTime deadline = MonotonicTime::max();
};

struct ListEntry {
  std::string name;  // one path component below the prefix; any bytes but '/'… as the store has it
  bool is_secret = false;  // both may be true: a secret with others below it
  bool is_prefix = false;
};

struct ListPage {
  std::vector<ListEntry> entries;
  std::string next_page;  // empty: this was the last
};

// What a watch reports: keys whose secrets changed, appeared or went; or everything at once.
struct ChangeSet {
  bool everything = false;
  std::vector<std::string> keys;
};
using ChangeCallback = std::function<void(const ChangeSet&)>;

struct Capabilities {
  bool list = false;
  bool watch = false;
  // Secrets are sets of named fields: a browse tree shows each as a directory of fields.
  bool structured = false;
  // Fetch of several refs costs fewer requests than one each, or reads them from one snapshot;
  // 1 = no batching.
  size_t batch_size = 1;
};

class Provider {
 public:
  virtual ~Provider() = default;

  virtual Capabilities capabilities() const = 0;

  // One result per ref, in order. At most capabilities().batch_size refs.
  virtual asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> Fetch(std::vector<SecretRef> refs,
                                                                        RequestContext context) = 0;

  // The names directly below `prefix` ("" = the root; otherwise without a trailing slash).
  // NotFound when nothing is there. `page` is empty or a previous next_page.
  virtual asio::awaitable<absl::StatusOr<ListPage>> List(std::string prefix, std::string page,
                                                         RequestContext context);

  // Runs until the returned awaitable is cancelled or the store cannot be watched any more (status
  // says why; the cache starts it again with backoff). Calls `changed` on the I/O thread for every
  // change below `prefix` that happens after the call, and once with `everything` whenever changes
  // may have been missed. Unimplemented where capabilities().watch is false.
  virtual asio::awaitable<absl::Status> Watch(std::string prefix, ChangeCallback changed);

  // Extends `lease`; the returned one counts from now. Unimplemented by default.
  virtual asio::awaitable<absl::StatusOr<Lease>> Renew(Lease lease, RequestContext context);

  // Gives `lease` back to the store. OK by default.
  virtual asio::awaitable<absl::Status> Revoke(Lease lease, RequestContext context);

  // Proves that the store can be reached and the credentials are accepted, without reading a
  // secret.
  virtual asio::awaitable<absl::Status> CheckLogin(RequestContext context) = 0;

  // Called once before the provider is dropped: gives back tokens that the provider itself made.
  virtual asio::awaitable<void> Close(RequestContext context);
};

// A store that is asked for one secret a request: Fetch asks for one after the other.
class OneByOneProvider : public Provider {
 public:
  asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> Fetch(std::vector<SecretRef> refs,
                                                                RequestContext context) final;

 private:
  virtual asio::awaitable<absl::StatusOr<SecretPtr>> FetchOne(SecretRef ref,
                                                              MonotonicTime deadline) = 0;
};

}  // namespace secretfs::providers
