#pragma once

// The threads that serve all FUSE connections: one epoll set with every device in it, and a pool of
// workers as wide as the machine.
//
// A device is watched edge-triggered, so that a wake-up costs no system call besides epoll_wait:
// the worker reads until nothing is left. Requests that arrive meanwhile wake another worker, and
// both serve the same connection. A worker that served many requests of one busy mount puts it to
// the end of the queue, so that other mounts get their turn.
//
// Thread-safety: all functions may be called from any thread but a worker. Handlers must not block.

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "fs/fuse_channel.h"
#include "fs/request_journal.h"

namespace secretfs::fs {

class ChannelPool {
 public:
  // `workers` 0: one per core. At least two: while one of them waits in the kernel for a page (see
  // FuseChannel, prefill), another has to answer the read that holds it.
  // `journal` (null: one of its own) has the buffers into which the workers read, and outlives
  // this.
  static absl::StatusOr<std::unique_ptr<ChannelPool>> Start(int workers,
                                                            RequestJournal* journal = nullptr);
  // Stops the threads. Channels still in the pool are dropped, not closed. A channel whose
  // connection has ended leaves by itself.
  ~ChannelPool();
  ChannelPool(const ChannelPool&) = delete;
  ChannelPool& operator=(const ChannelPool&) = delete;

  absl::Status Add(std::shared_ptr<FuseChannel> channel);
  // Ends the workers, after the requests that they are at. Nothing is read any more.
  void Stop();
  // No worker starts reading the channel's device any more. Comes last: see FuseChannel::Close.
  void Remove(const FuseChannel& channel);

 private:
  using ChannelId = uint64_t;

  ChannelPool() = default;
  void Work(size_t worker);
  std::shared_ptr<FuseChannel> Find(ChannelId id);
  void Drop(ChannelId id);

  UniqueFd epoll_;
  UniqueFd stop_;  // an eventfd that stays readable
  std::unique_ptr<RequestJournal> own_journal_;
  RequestJournal* journal_ = nullptr;
  std::vector<std::thread> workers_;

  absl::Mutex mutex_;
  // mutex_ protects the following state.
  absl::flat_hash_map<ChannelId, std::shared_ptr<FuseChannel>> channels_ ABSL_GUARDED_BY(mutex_);
  ChannelId next_id_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace secretfs::fs
