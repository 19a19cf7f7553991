#include "providers/provider.h"

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

}  // namespace secretfs::providers
