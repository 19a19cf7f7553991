#include "cache/store_calls.h"

#include <asio/post.hpp>
#include <map>
#include <system_error>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::cache {
namespace {

using providers::Lease;
using providers::ListEntry;
using providers::ListPage;
using providers::RequestContext;
using providers::SecretRef;

// A store that never ends its listing must not fill the memory.
constexpr size_t kMostPages = 100'000;
constexpr size_t kMostNames = 10'000'000;

// What was thrown, as a status. The text of an exception is not used: a parser's may quote what it
// read, which is the secret.
absl::Status FromException(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::system_error& error) {
    if (error.code() == std::error_code(asio::error::operation_aborted)) {
      return absl::CancelledError("the request was cancelled");
    }
    return absl::InternalError(
        ToAbsl(Format("the provider failed unexpectedly: {}", error.code().message())));
  } catch (...) {
    return absl::InternalError("the provider failed unexpectedly (this is a bug)");
  }
}

void Merge(const ListEntry& entry, std::map<std::string, size_t>& places,
           std::vector<ListEntry>& all) {
  const auto [place, inserted] = places.emplace(entry.name, all.size());
  if (inserted) {
    all.push_back(entry);
    return;
  }
  all[place->second].is_secret |= entry.is_secret;
  all[place->second].is_prefix |= entry.is_prefix;
}

}  // namespace

void ReplaceCancelled(absl::Status& status) {
  if (status.code() != absl::StatusCode::kCancelled) return;
  status = absl::DeadlineExceededError("the store did not answer in time");
}

StoreCalls::~StoreCalls() {
  // The calls run on the I/O thread, so they are cancelled there; each handle outlives the call.
  asio::post(environment_.context, [running = std::move(running_)] {
    for (const CallPtr& call : running) call->Cancel();
  });
}

void StoreCalls::CancelAll() {
  for (const CallPtr& call : running_) call->Cancel();
}

asio::awaitable<FetchResults> CallFetch(ProviderPtr provider, std::vector<SecretRef> refs,
                                        RequestContext context) {
  const size_t count = refs.size();
  FetchResults results;
  std::exception_ptr thrown;
  try {
    results = co_await provider->Fetch(std::move(refs), context);
  } catch (...) {
    thrown = std::current_exception();
  }
  if (thrown) results.assign(count, FromException(thrown));
  if (results.size() != count) {
    results.assign(count, absl::InternalError("the provider gave fewer answers than were asked"));
  }
  for (auto& result : results) {
    if (!result.ok()) continue;
    if (*result == nullptr || (*result)->version.empty()) {
      result = absl::InternalError("the provider gave a secret without a version");
    }
  }
  co_return results;
}

asio::awaitable<absl::StatusOr<std::vector<ListEntry>>> CallList(ProviderPtr provider,
                                                                 std::string prefix,
                                                                 RequestContext context) {
  std::vector<ListEntry> all;
  std::map<std::string, size_t> places;
  std::string page;
  std::exception_ptr thrown;
  try {
    for (size_t pages = 0;; ++pages) {
      if (pages == kMostPages || all.size() > kMostNames) {
        co_return absl::ResourceExhaustedError("the store's listing does not end");
      }
      // Named copies: g++ 12 destroys temporaries of a co_await expression twice.
      std::string same_prefix = prefix;
      std::string same_page = page;
      absl::StatusOr<ListPage> result =
          co_await provider->List(std::move(same_prefix), std::move(same_page), context);
      if (!result.ok()) co_return result.status();
      for (const ListEntry& entry : result->entries) Merge(entry, places, all);
      if (result->next_page.empty()) break;
      if (result->next_page == page) {
        co_return absl::InternalError("the store's listing gives the same page again and again");
      }
      page = result->next_page;
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  if (thrown) co_return FromException(thrown);
  co_return all;
}

asio::awaitable<absl::Status> CallWatch(ProviderPtr provider, std::string prefix,
                                        providers::ChangeCallback changed) {
  std::exception_ptr thrown;
  try {
    absl::Status status = co_await provider->Watch(std::move(prefix), std::move(changed));
    co_return status;
  } catch (...) {
    thrown = std::current_exception();
  }
  co_return FromException(thrown);
}

asio::awaitable<absl::StatusOr<Lease>> CallRenew(ProviderPtr provider, Lease lease,
                                                 RequestContext context) {
  std::exception_ptr thrown;
  try {
    absl::StatusOr<Lease> renewed = co_await provider->Renew(std::move(lease), context);
    co_return renewed;
  } catch (...) {
    thrown = std::current_exception();
  }
  co_return FromException(thrown);
}

asio::awaitable<absl::Status> CallRevoke(ProviderPtr provider, Lease lease,
                                         RequestContext context) {
  std::exception_ptr thrown;
  try {
    absl::Status status = co_await provider->Revoke(std::move(lease), context);
    co_return status;
  } catch (...) {
    thrown = std::current_exception();
  }
  co_return FromException(thrown);
}

asio::awaitable<absl::Status> CallClose(ProviderPtr provider, RequestContext context) {
  std::exception_ptr thrown;
  try {
    co_await provider->Close(context);
    co_return absl::OkStatus();
  } catch (...) {
    thrown = std::current_exception();
  }
  co_return FromException(thrown);
}

}  // namespace secretfs::cache
