#include "fs/fuse_channel.h"

// Of libfuse's interface, the newest that Debian 12 has.
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>

#include "absl/time/clock.h"
#include "base/log.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

// What libfuse 3.14 cannot or does not ask for, added to its INIT reply where the kernel offers it.
// PARALLEL_DIROPS: without it the kernel looks up one name of a directory at a time, so that a
// lookup that waits for a store would hold up all others (libfuse knows the flag but forgets to
// send it). ABORT_ERROR: reading an aborted connection gives ECONNABORTED, an unmounted one ENODEV.
constexpr uint32_t kAddedInitFlags = FUSE_PARALLEL_DIROPS | FUSE_ABORT_ERROR;
// Newer than Debian's linux/fuse.h.
constexpr int kNotifyIncrementEpoch = 8;

// The request that this worker dispatches: libfuse does not tell its handlers the `unique`.
thread_local const fuse_in_header* current_request = nullptr;
// The errno of this thread's last write to a device. Write reports every failure to libfuse as
// ENOENT, because it prints all others to stderr.
thread_local int last_write_error = 0;

// Adds flags to the reply of INIT before it leaves.
void CompleteInitReply(const iovec* parts, int count) {
  if (current_request == nullptr || current_request->opcode != FUSE_INIT || count < 2) return;
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header->unique != current_request->unique || header->error != 0 ||
      parts[1].iov_len < FUSE_COMPAT_22_INIT_OUT_SIZE) {
    return;
  }
  const auto* offered = reinterpret_cast<const fuse_init_in*>(current_request + 1);
  static_cast<fuse_init_out*>(parts[1].iov_base)->flags |= offered->flags & kAddedInitFlags;
}

void LogFromLibfuse(fuse_log_level level, const char* format, va_list arguments) {
  char text[512];
  vsnprintf(text, sizeof(text), format, arguments);
  std::string_view line = text;
  while (line.ends_with('\n')) line.remove_suffix(1);
  if (level <= FUSE_LOG_WARNING) {
    Log().warn("libfuse: {}", line);
  } else {
    Log().debug("libfuse: {}", line);
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<FuseChannel>> FuseChannel::Make(UniqueFd device,
                                                               Operations& operations,
                                                               FuseChannelOptions options) {
  static std::once_flag log_is_set;
  std::call_once(log_is_set, [] { fuse_set_log_func(LogFromLibfuse); });

  std::shared_ptr<FuseChannel> channel(new FuseChannel(operations, std::move(options)));
  char name[] = "secretfs";
  char* arguments[] = {name, nullptr};
  fuse_args parsed = {.argc = 1, .argv = arguments, .allocated = 0};
  channel->session_ =
      fuse_session_new(&parsed, &HandlerTable(), sizeof(fuse_lowlevel_ops), channel.get());
  fuse_opt_free_args(&parsed);  // libfuse put copies into it
  if (channel->session_ == nullptr) {
    return absl::ResourceExhaustedError(
        "libfuse cannot make another session; it allows about 1,000 mounts in one process");
  }
  fuse_custom_io io = {};
  io.writev = [](int descriptor, iovec* parts, int count, void* user) {
    return static_cast<FuseChannel*>(user)->Write(descriptor, parts, count);
  };
  // Requests are read by ServeOne; libfuse only wants the function to exist.
  io.read = [](int, void*, size_t, void*) -> ssize_t {
    errno = ENOSYS;
    return -1;
  };
  const int descriptor = device.get();
  if (fuse_session_custom_io(channel->session_, &io, descriptor) != 0) {
    return absl::InternalError("libfuse refused the FUSE device");
  }
  (void)device.Release();  // the session closes it
  channel->device_ = descriptor;
  return channel;
}

RequestId FuseChannel::CurrentRequest() { return RequestId(current_request->unique); }

FuseChannel::FuseChannel(Operations& operations, FuseChannelOptions options)
    : operations_(operations), options_(std::move(options)) {}

FuseChannel::~FuseChannel() {
  if (session_ != nullptr) fuse_session_destroy(session_);
}

bool FuseChannel::Enter() {
  absl::MutexLock lock(&mutex_);
  if (closed_) return false;
  ++inside_;
  return true;
}

void FuseChannel::Leave() {
  absl::MutexLock lock(&mutex_);
  if (--inside_ == 0) changed_.SignalAll();
}

FuseChannel::DrainResult FuseChannel::Drain(std::span<std::byte> buffer, int limit) {
  if (stopped_) return DrainResult::kStopped;
  for (int i = 0; i < limit; ++i) {
    if (const auto end = ServeOne(buffer)) return *end;
  }
  return DrainResult::kMore;
}

std::optional<FuseChannel::DrainResult> FuseChannel::ServeOne(std::span<std::byte> buffer) {
  const ssize_t size = read(device_, buffer.data(), buffer.size());
  if (size < 0) {
    switch (errno) {
      case EAGAIN:
        return DrainResult::kEmpty;
      case EINTR:
      case ENOENT:  // the request was withdrawn while the kernel copied it
        return std::nullopt;
      case ENODEV:
        Stop(StopReason::kUnmountedByKernel);
        return DrainResult::kStopped;
      case ECONNABORTED:
        Stop(StopReason::kConnectionAborted);
        return DrainResult::kStopped;
      default:
        Log().error("reading the FUSE device failed: {}", strerror(errno));
        Stop(StopReason::kReadFailed);
        return DrainResult::kStopped;
    }
  }
  const auto request = buffer.first(static_cast<size_t>(size));
  if (request.size() < sizeof(fuse_in_header) ||
      reinterpret_cast<const fuse_in_header*>(request.data())->len != request.size()) {
    Log().error("the kernel sent a FUSE request of a wrong size ({} bytes)", request.size());
    Stop(StopReason::kReadFailed);
    return DrainResult::kStopped;
  }
  if (Enter()) {
    Dispatch(request);
    Leave();
  } else {
    Refuse(request);
  }
  return stopped_ ? std::optional(DrainResult::kStopped) : std::nullopt;
}

void FuseChannel::Dispatch(std::span<std::byte> request) {
  const auto* header = reinterpret_cast<const fuse_in_header*>(request.data());
  switch (header->opcode) {
    case FUSE_INTERRUPT:
      HandleInterrupt(request);
      return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
      break;
    case FUSE_INIT: {
      absl::MutexLock lock(&mutex_);
      init_request_.assign(request.begin(), request.end());
      ++requests_;
      break;
    }
    default:
      ++requests_;
  }
  fuse_buf buffer = {};
  buffer.size = request.size();
  buffer.mem = request.data();
  current_request = header;
  fuse_session_process_buf(session_, &buffer);
  current_request = nullptr;
}

void FuseChannel::Refuse(std::span<const std::byte> request) {
  const auto* header = reinterpret_cast<const fuse_in_header*>(request.data());
  switch (header->opcode) {
    case FUSE_INTERRUPT:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
      return;  // have no reply
  }
  fuse_out_header refused = {
      .len = sizeof(fuse_out_header), .error = -ENOTCONN, .unique = header->unique};
  iovec part{.iov_base = &refused, .iov_len = sizeof(refused)};
  Write(device_, &part, 1);
}

void FuseChannel::HandleInterrupt(std::span<const std::byte> request) {
  const auto* header = reinterpret_cast<const fuse_in_header*>(request.data());
  if (request.size() < sizeof(fuse_in_header) + sizeof(fuse_interrupt_in)) return;
  const auto* argument = reinterpret_cast<const fuse_interrupt_in*>(header + 1);
  const RequestId target(argument->unique);
  bool parked = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = in_flight_.find(target);
    if (found != in_flight_.end()) {
      found->second.interrupted = true;
      if (found->second.phase == Phase::kDispatching) return;
      parked = true;
    }
  }
  if (parked) {
    operations_.Interrupt(target);
    return;
  }
  fuse_out_header again = {
      .len = sizeof(fuse_out_header), .error = -EAGAIN, .unique = header->unique};
  iovec part{.iov_base = &again, .iov_len = sizeof(again)};
  Write(device_, &part, 1);
}

void FuseChannel::Stop(StopReason reason) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_.exchange(true)) return;
    changed_.SignalAll();
  }
  if (!closing_ && options_.on_stopped) options_.on_stopped(reason);
}

absl::Status FuseChannel::WaitForInit(absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  absl::MutexLock lock(&mutex_);
  while (!init_answered_ && !init_refused_ && !stopped_) {
    if (changed_.WaitWithTimeout(&mutex_, end - absl::Now())) break;
  }
  if (init_answered_) return absl::OkStatus();
  if (init_refused_) {
    return absl::UnavailableError(
        "the kernel's FUSE version cannot be served; Linux 5.4 or newer is needed");
  }
  return absl::UnavailableError("the kernel did not start the FUSE connection");
}

void FuseChannel::Close() {
  closing_ = true;
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  while (inside_ != 0) changed_.Wait(&mutex_);
}

void FuseChannel::Begin(RequestId id) {
  absl::MutexLock lock(&mutex_);
  in_flight_[id] = InFlight{};
}

void FuseChannel::EndDispatch(RequestId id, bool by_publisher) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = in_flight_.find(id);
    if (found == in_flight_.end()) return;  // answered already
    found->second.phase = Phase::kParked;
    ++parked_;
    if (!found->second.interrupted && !by_publisher) return;
  }
  operations_.Interrupt(id);
}

void FuseChannel::End(RequestId id) {
  absl::MutexLock lock(&mutex_);
  const auto found = in_flight_.find(id);
  if (found == in_flight_.end()) return;
  if (found->second.phase == Phase::kParked) --parked_;
  in_flight_.erase(found);
}

void FuseChannel::ForgetUnlessClosed(InodeNumber inode) {
  // Workers keep Close waiting; an answer that comes from elsewhere has to enter as they do.
  if (!Enter()) return;
  operations_.Forget(inode, 1);
  Leave();
}

size_t FuseChannel::in_flight() const {
  absl::MutexLock lock(&mutex_);
  return in_flight_.size();
}

size_t FuseChannel::parked() const {
  absl::MutexLock lock(&mutex_);
  return parked_;
}

std::vector<std::byte> FuseChannel::init_request() const {
  absl::MutexLock lock(&mutex_);
  return init_request_;
}

uint64_t FuseChannel::AddListing(DirectoryListing listing) {
  absl::MutexLock lock(&mutex_);
  const uint64_t handle = next_listing_++;
  listings_[handle] = std::move(listing);
  return handle;
}

DirectoryListing FuseChannel::FindListing(uint64_t handle) const {
  absl::MutexLock lock(&mutex_);
  const auto found = listings_.find(handle);
  return found == listings_.end() ? nullptr : found->second;
}

void FuseChannel::RemoveListing(uint64_t handle) {
  absl::MutexLock lock(&mutex_);
  listings_.erase(handle);
}

ssize_t FuseChannel::Write(int descriptor, const iovec* parts, int count) {
  CompleteInitReply(parts, count);
  const ssize_t size = writev(descriptor, parts, count);
  last_write_error = size < 0 ? errno : 0;
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  const bool is_notification = header->unique == 0;
  if (size < 0) {
    // ENOENT: the caller was killed. Everything fails once the connection is gone.
    if (!is_notification && errno != ENOENT && !closing_ && !stopped_) {
      Log().debug("a FUSE reply could not be written: {}", strerror(errno));
    }
    errno = ENOENT;
    return -1;
  }
  if (!is_notification) NoteInitReply(header->unique, header->error);
  return size;
}

void FuseChannel::NoteInitReply(uint64_t unique, int error) {
  if (current_request == nullptr || current_request->opcode != FUSE_INIT ||
      current_request->unique != unique) {
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    (error == 0 ? init_answered_ : init_refused_) = true;
    changed_.SignalAll();
  }
  if (error != 0) Stop(StopReason::kInitRefused);
}

int FuseChannel::NotificationResult(int result) {
  // -ENOENT from libfuse may stand for any failure of Write.
  if (result == 0) return 0;
  return last_write_error != 0 ? last_write_error : -result;
}

int FuseChannel::InvalidateName(InodeNumber parent, std::string_view name) {
  last_write_error = 0;
  return NotificationResult(
      fuse_lowlevel_notify_inval_entry(session_, parent.value(), name.data(), name.size()));
}

int FuseChannel::InvalidateInode(InodeNumber inode) {
  last_write_error = 0;
  return NotificationResult(fuse_lowlevel_notify_inval_inode(session_, inode.value(), 0, 0));
}

int FuseChannel::InvalidateAllNames() {
  fuse_out_header header = {
      .len = sizeof(fuse_out_header), .error = kNotifyIncrementEpoch, .unique = 0};
  iovec part{.iov_base = &header, .iov_len = sizeof(header)};
  return Write(device_, &part, 1) < 0 ? last_write_error : 0;
}

int FuseChannel::StoreContent(InodeNumber inode, const Content& content) {
  const std::span<const std::byte> bytes = content.bytes->bytes();
  if (bytes.empty()) return 0;
  fuse_bufvec vector = FUSE_BUFVEC_INIT(bytes.size());
  vector.buf[0].mem = const_cast<std::byte*>(bytes.data());
  last_write_error = 0;
  return NotificationResult(
      fuse_lowlevel_notify_store(session_, inode.value(), 0, &vector, FUSE_BUF_NO_SPLICE));
}

}  // namespace secretfs::fs
