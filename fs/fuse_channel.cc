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
#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

// Newer than Debian's linux/fuse.h.
constexpr int kNotifyResend = 7;
constexpr int kNotifyIncrementEpoch = 8;
// What the kernel adds to the `unique` of a request that it sends again.
constexpr uint64_t kResentBit = uint64_t{1} << 63;

// The request that this worker dispatches: libfuse does not tell its handlers the `unique`.
thread_local const fuse_in_header* current_request = nullptr;
// Where that request stands in the journal, if another server left it there.
thread_local JournalRecord current_record;
// The errno of this thread's last write to a device. Write reports every failure to libfuse as
// ENOENT, because it prints all others to stderr.
thread_local int last_write_error = 0;

std::string OperationName(uint32_t operation) {
  switch (operation) {
    case FUSE_LOOKUP:
      return "lookup";
    case FUSE_OPEN:
      return "open";
    case FUSE_READ:
      return "read";
    case FUSE_OPENDIR:
      return "opendir";
    case FUSE_READDIR:
      return "readdir";
    default:
      return Format("operation {}", operation);
  }
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
    : operations_(operations),
      options_(std::move(options)),
      next_listing_(options_.first_listing) {}

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

FuseChannel::DrainResult FuseChannel::Drain(RequestJournal& journal, size_t worker, int limit) {
  if (stopped_) return DrainResult::kStopped;
  for (int i = 0; i < limit; ++i) {
    journal.BeginRead(worker, options_.mount);
    const auto end = ServeOne(journal.Buffer(worker));
    journal.EndRead(worker);
    if (end) return *end;
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
    case FUSE_INIT:
      ++requests_;
      if (RepeatInitReply(*header)) return;
      break;
    default:
      ++requests_;
  }
  HandToLibfuse(request);
}

void FuseChannel::HandToLibfuse(std::span<std::byte> request) {
  fuse_buf buffer = {};
  buffer.size = request.size();
  buffer.mem = request.data();
  current_request = reinterpret_cast<const fuse_in_header*>(request.data());
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
  ReplyError(header->unique, ENOTCONN);
}

void FuseChannel::ReplyError(uint64_t unique, int error) {
  fuse_out_header refused = {.len = sizeof(fuse_out_header), .error = -error, .unique = unique};
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

// ---- the connection's first request, and taking over a connection
// ---------------------------------

// Says whether the reply shall go to the kernel.
bool FuseChannel::BeforeInitReply(const iovec* parts, int count) {
  CompleteInitReply(*current_request, parts, count);
  std::vector<std::byte> reply;
  for (const iovec& part : std::span(parts, static_cast<size_t>(count))) {
    const auto* bytes = static_cast<const std::byte*>(part.iov_base);
    reply.insert(reply.end(), bytes, bytes + part.iov_len);
  }
  absl::MutexLock lock(&mutex_);
  if (replayed_reply_ != nullptr) {
    *replayed_reply_ = std::move(reply);
    return false;
  }
  const auto* request = reinterpret_cast<const std::byte*>(current_request);
  agreed_ = {.request = {request, request + current_request->len}, .reply = std::move(reply)};
  // Before the kernel hears of it: whoever takes over has to know what was agreed.
  if (options_.save_init) options_.save_init(agreed_);
  return true;
}

void FuseChannel::AfterInitReply(int error) {
  {
    absl::MutexLock lock(&mutex_);
    (error == 0 ? init_answered_ : init_refused_) = true;
    changed_.SignalAll();
  }
  if (error != 0) Stop(StopReason::kInitRefused);
}

// The server before us was killed between saving what it agreed and telling the kernel: the kernel
// asks once more, and gets the same answer.
bool FuseChannel::RepeatInitReply(const fuse_in_header& request) {
  std::vector<std::byte> reply;
  {
    absl::MutexLock lock(&mutex_);
    if (!init_answered_) return false;
    reply = agreed_.reply;
  }
  reinterpret_cast<fuse_out_header*>(reply.data())->unique = request.unique;
  iovec part{.iov_base = reply.data(), .iov_len = reply.size()};
  Write(device_, &part, 1);
  return true;
}

absl::Status FuseChannel::ReplayInit(const InitExchange& agreed) {
  if (!IsInitExchange(agreed)) {
    return absl::DataLossError("what was agreed with the kernel cannot be read");
  }
  std::vector<std::byte> request = agreed.request;
  std::vector<std::byte> reply;
  {
    absl::MutexLock lock(&mutex_);
    agreed_ = agreed;
    replayed_reply_ = &reply;
  }
  HandToLibfuse(request);
  {
    absl::MutexLock lock(&mutex_);
    replayed_reply_ = nullptr;
  }
  const std::string difference = DifferenceOfReplies(agreed.reply, reply);
  if (!difference.empty()) {
    return absl::FailedPreconditionError(
        Format("this version cannot go on with a mount of the version before, because it would "
               "speak to the kernel otherwise ({}); unmount, and mount anew",
               difference));
  }
  AfterInitReply(0);
  return absl::OkStatus();
}

absl::Status FuseChannel::TakeOver(const std::optional<InitExchange>& agreed, bool use_resend) {
  if (agreed) SECRETFS_RETURN_IF_ERROR(ReplayInit(*agreed));
  if (options_.journal != nullptr) left_ = options_.journal->LeftOf(options_.mount);
  if (!agreed || !use_resend || !CanResend(*agreed)) return absl::OkStatus();
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& left : std::exchange(left_, {})) {
      const auto* header = reinterpret_cast<const fuse_in_header*>(left.request.data());
      waited_since_[header->unique & ~kResentBit] = left.since;
      options_.journal->Erase(left.record);
    }
  }
  const int error = ResendRequests();
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(
      Format("the kernel does not resend its requests: {}", strerror(error)));
}

void FuseChannel::ServeLeft() {
  for (auto& left : std::exchange(left_, {})) {
    if (!Enter()) return;
    const auto* header = reinterpret_cast<const fuse_in_header*>(left.request.data());
    // Nothing that a server could write down makes somebody the publisher, who alone may change
    // things and look hidden names up. What the publisher was at, it begins anew; for anybody else
    // a change is an error in any case.
    if (!left.serve || IsPublisher(static_cast<pid_t>(header->pid))) {
      ReplyError(header->unique, EIO);
      options_.journal->Erase(left.record);
      Leave();
      continue;
    }
    {
      absl::MutexLock lock(&mutex_);
      waited_since_[header->unique] = left.since;
    }
    current_record = left.record;
    Dispatch(left.request);
    // Not taken by a request that can be parked: it is answered.
    if (const JournalRecord record = std::exchange(current_record, {}); record != JournalRecord()) {
      options_.journal->Erase(record);
    }
    Leave();
  }
}

// ---- requests in flight
// --------------------------------------------------------------------------

void FuseChannel::Begin(RequestId id) {
  InFlight request;
  request.operation = current_request->opcode;
  request.record = std::exchange(current_record, JournalRecord());
  request.since = std::chrono::steady_clock::now();
  absl::MutexLock lock(&mutex_);
  const auto waited = waited_since_.find(id.value() & ~kResentBit);
  if (waited != waited_since_.end()) {
    request.since = waited->second;
    waited_since_.erase(waited);
  }
  in_flight_[id] = request;
}

void FuseChannel::EndDispatch(RequestId id, bool by_publisher) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = in_flight_.find(id);
    if (found == in_flight_.end()) return;  // answered already
    InFlight& request = found->second;
    request.phase = Phase::kParked;
    ++parked_;
    if (options_.journal != nullptr && request.record == JournalRecord()) {
      const auto* bytes = reinterpret_cast<const std::byte*>(current_request);
      request.record = options_.journal->Park(options_.mount, request.since,
                                              std::span(bytes, current_request->len));
    }
    if (!request.interrupted && !by_publisher) return;
  }
  operations_.Interrupt(id);
}

JournalRecord FuseChannel::End(RequestId id) {
  absl::MutexLock lock(&mutex_);
  const auto found = in_flight_.find(id);
  if (found == in_flight_.end()) return {};
  if (found->second.phase == Phase::kParked) --parked_;
  const JournalRecord record = found->second.record;
  in_flight_.erase(found);
  return record;
}

FuseChannel::Answering::~Answering() {
  if (record_ != JournalRecord()) channel_.options_.journal->Erase(record_);
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

std::vector<RequestStatus> FuseChannel::Waiting() const {
  const MonotonicTime now = std::chrono::steady_clock::now();
  std::vector<RequestStatus> waiting;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, request] : in_flight_) {
    waiting.push_back({.operation = OperationName(request.operation), .age = now - request.since});
  }
  std::sort(waiting.begin(), waiting.end(),
            [](const auto& a, const auto& b) { return a.age > b.age; });
  return waiting;
}

uint64_t FuseChannel::AddListing(DirectoryListing listing) {
  absl::MutexLock lock(&mutex_);
  const uint64_t handle = next_listing_++;
  listings_[handle] = std::move(listing);
  return handle;
}

void FuseChannel::PutListing(uint64_t handle, DirectoryListing listing) {
  absl::MutexLock lock(&mutex_);
  listings_[handle] = std::move(listing);
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
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  const bool is_notification = header->unique == 0;
  const bool is_init = !is_notification && current_request != nullptr &&
                       current_request->opcode == FUSE_INIT &&
                       current_request->unique == header->unique;
  if (is_init && !BeforeInitReply(parts, count)) return static_cast<ssize_t>(header->len);
  const ssize_t size = writev(descriptor, parts, count);
  last_write_error = size < 0 ? errno : 0;
  if (size < 0) {
    // ENOENT: the caller was killed. Everything fails once the connection is gone.
    if (!is_notification && errno != ENOENT && !closing_ && !stopped_) {
      Log().debug("a FUSE reply could not be written: {}", strerror(errno));
    }
    errno = ENOENT;
    return -1;
  }
  if (is_init) AfterInitReply(header->error);
  return size;
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

int FuseChannel::ResendRequests() {
  fuse_out_header header = {.len = sizeof(fuse_out_header), .error = kNotifyResend, .unique = 0};
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
