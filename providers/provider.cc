#include "providers/provider.h"

#include <utility>

namespace secretfs::providers {

asio::awaitable<absl::StatusOr<ListPage>> Provider::List(std::string, std::string, RequestContext) {
  co_return absl::UnimplementedError("this store cannot list names");
}

asio::awaitable<absl::Status> Provider::Watch(std::string, ChangeCallback) {
  co_return absl::UnimplementedError("this store cannot be watched");
}

asio::awaitable<absl::StatusOr<Lease>> Provider::Renew(Lease, RequestContext) {
  co_return absl::UnimplementedError("this store has no leases");
}

asio::awaitable<absl::Status> Provider::Revoke(Lease, RequestContext) {
  co_return absl::OkStatus();
}

asio::awaitable<void> Provider::Close(RequestContext) { co_return; }

asio::awaitable<std::vector<absl::StatusOr<SecretPtr>>> OneByOneProvider::Fetch(
    std::vector<SecretRef> refs, RequestContext context) {
  std::vector<absl::StatusOr<SecretPtr>> results;
  for (const SecretRef& ref : refs) {
    absl::StatusOr<SecretPtr> result = co_await FetchOne(ref, context.deadline);
    results.push_back(std::move(result));
  }
  co_return results;
}

}  // namespace secretfs::providers
