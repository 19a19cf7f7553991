#include "fs/channel_pool.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/stack_scrub.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/service_thread.h"

namespace secretfs::fs {
namespace {

constexpr uint64_t kStopId = 0;
// Requests that a worker serves of one mount before it looks at the others.
constexpr int kMostInARow = 64;
constexpr uint32_t kEvents = EPOLLIN | EPOLLET;

}  // namespace

absl::StatusOr<std::unique_ptr<ChannelPool>> ChannelPool::Start(int workers,
                                                                RequestJournal* journal) {
  if (workers <= 0) workers = static_cast<int>(std::thread::hardware_concurrency());
  workers = std::clamp(workers, 2, static_cast<int>(RequestJournal::kBuffers));
  std::unique_ptr<ChannelPool> pool(new ChannelPool());
  pool->journal_ = journal;
  if (journal == nullptr) {
    SECRETFS_ASSIGN_OR_RETURN(pool->own_journal_, RequestJournal::MakePrivate());
    pool->journal_ = pool->own_journal_.get();
  }
  pool->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  pool->stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kStopId;
  if (!pool->epoll_.valid() || !pool->stop_.valid() ||
      epoll_ctl(pool->epoll_.get(), EPOLL_CTL_ADD, pool->stop_.get(), &event) != 0) {
    return absl::ResourceExhaustedError(Format("cannot make an epoll set: {}", strerror(errno)));
  }
  for (int i = 0; i < workers; ++i) {
    pool->workers_.push_back(StartServiceThread(
        "secretfs-fuse",
        [raw = pool.get(), worker = static_cast<size_t>(i)] { raw->Work(worker); }));
  }
  return pool;
}

ChannelPool::~ChannelPool() { Stop(); }

void ChannelPool::Stop() {
  if (stop_.valid()) eventfd_write(stop_.get(), 1);
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

absl::Status ChannelPool::Add(std::shared_ptr<FuseChannel> channel) {
  const int device = channel->device();
  ChannelId id;
  {
    absl::MutexLock lock(&mutex_);
    id = next_id_++;
    channels_[id] = std::move(channel);
  }
  epoll_event event = {};
  event.events = kEvents;
  event.data.u64 = id;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, device, &event) != 0) {
    const int error = errno;
    absl::MutexLock lock(&mutex_);
    channels_.erase(id);
    return absl::ResourceExhaustedError(
        Format("cannot watch the FUSE device: {}", strerror(error)));
  }
  return absl::OkStatus();
}

void ChannelPool::Remove(const FuseChannel& channel) {
  std::shared_ptr<FuseChannel> dropped;  // destroyed without the lock
  absl::MutexLock lock(&mutex_);
  for (auto entry = channels_.begin(); entry != channels_.end(); ++entry) {
    if (entry->second.get() != &channel) continue;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, channel.device(), nullptr);
    dropped = std::move(entry->second);
    channels_.erase(entry);
    break;
  }
}

void ChannelPool::Drop(ChannelId id) {
  std::shared_ptr<FuseChannel> dropped;  // destroyed without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = channels_.find(id);
  if (found == channels_.end()) return;
  dropped = std::move(found->second);
  channels_.erase(found);
}

std::shared_ptr<FuseChannel> ChannelPool::Find(ChannelId id) {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = channels_.find(id);
  return found == channels_.end() ? nullptr : found->second;
}

void ChannelPool::Work(size_t worker) {
  while (true) {
    epoll_event event = {};
    const int count = epoll_wait(epoll_.get(), &event, 1, -1);
    if (count < 0 && errno != EINTR) {
      Log().critical("epoll_wait failed: {}", strerror(errno));
      abort();
    }
    if (count <= 0) continue;
    if (event.data.u64 == kStopId) return;
    const std::shared_ptr<FuseChannel> channel = Find(event.data.u64);
    if (channel == nullptr) continue;
    switch (channel->Drain(*journal_, worker, kMostInARow)) {
      case FuseChannel::DrainResult::kEmpty:
        break;
      case FuseChannel::DrainResult::kMore:
        // Edge-triggered: what is left has to be asked for again.
        event.events = kEvents;
        epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, channel->device(), &event);
        break;
      case FuseChannel::DrainResult::kStopped:
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, channel->device(), nullptr);
        Drop(event.data.u64);
        break;
    }
    ScrubStack();  // answers were on it, and the next request may be long in coming
  }
}

}  // namespace secretfs::fs
