#include "fs/fuse_channel.h"

// Of libfuse's interface, the newest that Debian 12 has.
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
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

// "For ever" for the kernel: what changes is told to it.
constexpr double kForeverSeconds = 365.0 * 24 * 3600;
constexpr unsigned kMaxWrite = 128 << 10;
constexpr unsigned kMaxBackground = 64;
constexpr size_t kBlock = 512;
// What libfuse 3.14 cannot or does not ask for, added to its INIT reply where the kernel offers it.
// PARALLEL_DIROPS: without it the kernel looks up one name of a directory at a time, so that a
// lookup that waits for a store would hold up all others (libfuse knows the flag but forgets to
// send it). ABORT_ERROR: reading an aborted connection gives ECONNABORTED, an unmounted one ENODEV.
constexpr uint32_t kAddedInitFlags = FUSE_PARALLEL_DIROPS | FUSE_ABORT_ERROR;
// Newer than Debian's linux/fuse.h.
constexpr int kNotifyIncrementEpoch = 8;
// What readdir shows for an inode that has no number yet.
constexpr uint64_t kUnknownInode = 0xffffffff;

// The request that this worker dispatches: libfuse does not tell its handlers the `unique`.
thread_local const fuse_in_header* current_request = nullptr;
// The errno of this thread's last write to a device. Write reports every failure to libfuse as
// ENOENT, because it prints all others to stderr.
thread_local int last_write_error = 0;

timespec ToTimespec(WallTime time) {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  return {.tv_sec = seconds.count(), .tv_nsec = (since_epoch - seconds).count()};
}

struct stat ToStat(const Attributes& attributes) {
  struct stat result = {};
  result.st_ino = attributes.inode.value();
  result.st_mode = attributes.mode;
  result.st_uid = attributes.uid;
  result.st_gid = attributes.gid;
  result.st_nlink = attributes.links;
  result.st_size = static_cast<off_t>(attributes.size);
  result.st_blksize = 4096;
  result.st_blocks = static_cast<blkcnt_t>((attributes.size + kBlock - 1) / kBlock);
  result.st_atim = result.st_mtim = result.st_ctim = ToTimespec(attributes.modified);
  return result;
}

double TimeoutOf(bool cacheable) { return cacheable ? kForeverSeconds : 0.0; }

fuse_entry_param ToEntry(const Entry& entry) {
  fuse_entry_param result = {};
  result.ino = entry.attributes.inode.value();
  result.generation = 1;  // inode numbers are never used again
  result.attr = ToStat(entry.attributes);
  result.attr_timeout = TimeoutOf(entry.attributes.settled);
  result.entry_timeout = TimeoutOf(entry.cacheable);
  return result;
}

int ReplyAttributes(fuse_req_t request, const Outcome<Attributes>& outcome) {
  if (outcome.error != 0) return fuse_reply_err(request, outcome.error);
  const struct stat attributes = ToStat(outcome.value);
  return fuse_reply_attr(request, &attributes, TimeoutOf(outcome.value.settled));
}

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

// Stateless functions with libfuse's signatures. Whatever is not here is answered ENOSYS by
// libfuse, which makes the kernel never ask again: FLUSH, FSYNC, ACCESS, locks, IOCTL, POLL, LSEEK.
struct FuseChannel::Handlers {
  static FuseChannel& Of(fuse_req_t request) {
    return *static_cast<FuseChannel*>(fuse_req_userdata(request));
  }
  static RequestId Id() { return RequestId(current_request->unique); }
  static Caller CallerOf(fuse_req_t request) {
    const fuse_ctx& context = *fuse_req_ctx(request);
    return {.uid = context.uid,
            .gid = context.gid,
            .pid = context.pid,
            .is_publisher = Of(request).IsPublisher(context.pid)};
  }

  static void Init(void*, fuse_conn_info* connection) {
    const auto want = [&](unsigned flag) { connection->want |= connection->capable & flag; };
    // Freshness comes from notifications only. AUTO_INVAL_DATA would drop all pages when the mtime
    // moves, and win over EXPLICIT_INVAL_DATA.
    connection->want &= ~FUSE_CAP_AUTO_INVAL_DATA;
    want(FUSE_CAP_EXPLICIT_INVAL_DATA);
    want(FUSE_CAP_CACHE_SYMLINKS);  // a link is an immutable inode
    want(FUSE_CAP_PARALLEL_DIROPS);
    // Without this, open(O_TRUNC) arrives as SETATTR and is refused; with it, the kernel of a
    // no-open connection would cut the cached file without asking.
    connection->want &= ~FUSE_CAP_ATOMIC_O_TRUNC;
    connection->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    connection->want &=
        ~(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE);
    connection->max_write = kMaxWrite;
    connection->max_background = kMaxBackground;
    connection->congestion_threshold = kMaxBackground * 3 / 4;
  }

  static void ReplyEntry(FuseChannel& channel, fuse_req_t request, const Outcome<Entry>& outcome) {
    if (outcome.error != 0) {
      fuse_reply_err(request, outcome.error);
      return;
    }
    const fuse_entry_param entry = ToEntry(outcome.value);
    if (fuse_reply_entry(request, &entry) != 0) {
      // The caller is gone: the kernel did not count this lookup.
      channel.ForgetUnlessClosed(outcome.value.attributes.inode);
    }
  }

  static void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    FuseChannel& channel = Of(request);
    const RequestId id = Id();
    const Caller caller = CallerOf(request);
    channel.Begin(id);
    channel.operations_.Lookup(
        id, InodeNumber(parent), name, caller,
        [self = channel.shared_from_this(), request, id](Outcome<Entry> outcome) {
          self->End(id);
          ReplyEntry(*self, request, outcome);
        });
    channel.EndDispatch(id, caller.is_publisher);
  }

  static void Forget(fuse_req_t request, fuse_ino_t inode, uint64_t count) {
    Of(request).operations_.Forget(InodeNumber(inode), count);
    fuse_reply_none(request);
  }

  static void ForgetMany(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
    for (const fuse_forget_data& forget : std::span(forgets, count)) {
      Of(request).operations_.Forget(InodeNumber(forget.ino), forget.nlookup);
    }
    fuse_reply_none(request);
  }

  static void GetAttributes(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
    FuseChannel& channel = Of(request);
    if (channel.IsPublisher(fuse_req_ctx(request)->pid) &&
        channel.stale_answer_armed_.exchange(false)) {
      fuse_reply_err(request, ESTALE);
      return;
    }
    ReplyAttributes(request, channel.operations_.GetAttributes(InodeNumber(inode)));
  }

  static void SetAttributes(fuse_req_t request, fuse_ino_t inode, struct stat* attributes,
                            int changed, fuse_file_info*) {
    constexpr int kOther = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
    const Caller caller = CallerOf(request);
    if ((changed & FUSE_SET_ATTR_SIZE) == 0 || (changed & kOther) != 0 || attributes->st_size < 0) {
      fuse_reply_err(request, EROFS);
      return;
    }
    ReplyAttributes(request,
                    Of(request).operations_.Truncate(
                        InodeNumber(inode), static_cast<uint64_t>(attributes->st_size), caller));
  }

  static void ReadLink(fuse_req_t request, fuse_ino_t inode) {
    const Outcome<std::string> outcome = Of(request).operations_.ReadLink(InodeNumber(inode));
    if (outcome.error != 0) {
      fuse_reply_err(request, outcome.error);
    } else {
      fuse_reply_readlink(request, outcome.value.c_str());
    }
  }

  static void ReplyOpen(FuseChannel& channel, fuse_req_t request, InodeNumber inode,
                        const Outcome<OpenedFile>& outcome) {
    if (outcome.error != 0) {
      fuse_reply_err(request, outcome.error);
      return;
    }
    if (outcome.value.use_no_open) {
      fuse_reply_err(request, ENOSYS);
      return;
    }
    // Before the reply, so that the first read and mmap see the true size. The kernel locks the
    // pages one by one; who holds one waits for a READ, which any worker answers at once.
    if (outcome.value.prefill) channel.StoreContent(inode, *outcome.value.prefill);
    fuse_file_info file = {};
    file.keep_cache = 1;
    file.noflush = 1;
    fuse_reply_open(request, &file);
  }

  static void Open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
    FuseChannel& channel = Of(request);
    const RequestId id = Id();
    const Caller caller = CallerOf(request);
    channel.Begin(id);
    channel.operations_.Open(
        id, InodeNumber(inode), file->flags, caller,
        [self = channel.shared_from_this(), request, id, inode](Outcome<OpenedFile> outcome) {
          self->End(id);
          ReplyOpen(*self, request, InodeNumber(inode), outcome);
        });
    channel.EndDispatch(id, caller.is_publisher);
  }

  static void Read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                   fuse_file_info*) {
    const Outcome<Content> outcome = Of(request).operations_.Read(InodeNumber(inode));
    if (outcome.error != 0) {
      fuse_reply_err(request, outcome.error);
      return;
    }
    const std::span<const std::byte> bytes = outcome.value.bytes->bytes();
    const size_t begin = std::min(static_cast<size_t>(std::max<off_t>(offset, 0)), bytes.size());
    const auto part = bytes.subspan(begin, std::min(size, bytes.size() - begin));
    // Written to the device from where it lies: no copy outside locked memory.
    fuse_reply_buf(request, reinterpret_cast<const char*>(part.data()), part.size());
  }

  static void OpenDirectory(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
    FuseChannel& channel = Of(request);
    const RequestId id = Id();
    const Caller caller = CallerOf(request);
    channel.Begin(id);
    channel.operations_.OpenDirectory(
        id, InodeNumber(inode), caller,
        [self = channel.shared_from_this(), request, id](Outcome<DirectoryListing> outcome) {
          self->End(id);
          if (outcome.error != 0) {
            fuse_reply_err(request, outcome.error);
            return;
          }
          fuse_file_info file = {};
          file.fh = self->AddListing(std::move(outcome.value));
          if (fuse_reply_open(request, &file) != 0) self->RemoveListing(file.fh);
        });
    channel.EndDispatch(id, caller.is_publisher);
  }

  // Offset k is the k-th entry: ".", "..", then the listing.
  static void ReadDirectory(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                            fuse_file_info* file) {
    const DirectoryListing listing = Of(request).FindListing(file->fh);
    if (listing == nullptr) {
      fuse_reply_err(request, EBADF);
      return;
    }
    std::string buffer(std::min<size_t>(size, kMaxWrite), '\0');
    size_t used = 0;
    for (size_t i = static_cast<size_t>(std::max<off_t>(offset, 0)); i < listing->size() + 2; ++i) {
      struct stat attributes = {};
      std::string_view name = i == 0 ? "." : "..";
      attributes.st_mode = S_IFDIR;
      attributes.st_ino = i == 0 ? inode : kUnknownInode;
      if (i >= 2) {
        const DirectoryEntry& entry = (*listing)[i - 2];
        name = entry.name;
        attributes.st_mode = entry.type;
        attributes.st_ino = entry.inode.value() != 0 ? entry.inode.value() : kUnknownInode;
      }
      const size_t needed = fuse_add_direntry(request, buffer.data() + used, buffer.size() - used,
                                              name.data(), &attributes, static_cast<off_t>(i + 1));
      if (needed > buffer.size() - used) break;
      used += needed;
    }
    fuse_reply_buf(request, buffer.data(), used);
  }

  static void ReleaseDirectory(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    Of(request).RemoveListing(file->fh);
    fuse_reply_err(request, 0);
  }

  static void StatFilesystem(fuse_req_t request, fuse_ino_t) {
    struct statvfs result = {};
    result.f_bsize = result.f_frsize = 4096;
    result.f_namemax = 255;
    fuse_reply_statfs(request, &result);
  }

  // The two calls of the xattr protocol: size 0 asks how much there is.
  static void ReplyExtendedAttribute(fuse_req_t request, std::string_view value, size_t size) {
    if (size == 0) {
      fuse_reply_xattr(request, value.size());
    } else if (value.size() > size) {
      fuse_reply_err(request, ERANGE);
    } else {
      fuse_reply_buf(request, value.data(), value.size());
    }
  }

  static void GetExtendedAttribute(fuse_req_t request, fuse_ino_t inode, const char* name,
                                   size_t size) {
    const Outcome<std::string> outcome =
        Of(request).operations_.GetExtendedAttribute(InodeNumber(inode), name);
    if (outcome.error != 0) {
      fuse_reply_err(request, outcome.error);
    } else {
      ReplyExtendedAttribute(request, outcome.value, size);
    }
  }

  static void ListExtendedAttributes(fuse_req_t request, fuse_ino_t inode, size_t size) {
    const auto outcome = Of(request).operations_.ListExtendedAttributes(InodeNumber(inode));
    if (outcome.error != 0) {
      fuse_reply_err(request, outcome.error);
      return;
    }
    std::string names;
    for (const std::string& name : outcome.value) names.append(name).push_back('\0');
    ReplyExtendedAttribute(request, names, size);
  }

  static void MakeSymlink(fuse_req_t request, const char* target, fuse_ino_t parent,
                          const char* name) {
    FuseChannel& channel = Of(request);
    ReplyEntry(
        channel, request,
        channel.operations_.MakeSymlink(InodeNumber(parent), name, target, CallerOf(request)));
  }

  static void Rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
                     const char* new_name, unsigned flags) {
    // RENAME_EXCHANGE and RENAME_NOREPLACE are not what the publisher does.
    fuse_reply_err(request, flags != 0 ? EROFS
                                       : Of(request).operations_.Rename(
                                             InodeNumber(parent), name, InodeNumber(new_parent),
                                             new_name, CallerOf(request)));
  }

  static void Unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    fuse_reply_err(request,
                   Of(request).operations_.Unlink(InodeNumber(parent), name, CallerOf(request)));
  }

  static void MakeNode(fuse_req_t request, fuse_ino_t, const char*, mode_t, dev_t) {
    fuse_reply_err(request, EROFS);
  }
  static void MakeDirectory(fuse_req_t request, fuse_ino_t, const char*, mode_t) {
    fuse_reply_err(request, EROFS);
  }
  static void RemoveDirectory(fuse_req_t request, fuse_ino_t, const char*) {
    fuse_reply_err(request, EROFS);
  }
  static void Link(fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) {
    fuse_reply_err(request, EROFS);
  }
  static void Create(fuse_req_t request, fuse_ino_t, const char*, mode_t, fuse_file_info*) {
    fuse_reply_err(request, EROFS);
  }
  static void WriteFile(fuse_req_t request, fuse_ino_t, const char*, size_t, off_t,
                        fuse_file_info*) {
    fuse_reply_err(request, EROFS);
  }
  static void SetExtendedAttribute(fuse_req_t request, fuse_ino_t, const char*, const char*, size_t,
                                   int) {
    fuse_reply_err(request, EROFS);
  }
  static void RemoveExtendedAttribute(fuse_req_t request, fuse_ino_t, const char*) {
    fuse_reply_err(request, EROFS);
  }
  static void Allocate(fuse_req_t request, fuse_ino_t, int, off_t, off_t, fuse_file_info*) {
    fuse_reply_err(request, EROFS);
  }

  static const fuse_lowlevel_ops& Table() {
    static const fuse_lowlevel_ops table = [] {
      fuse_lowlevel_ops operations = {};
      operations.init = Init;
      operations.lookup = Lookup;
      operations.forget = Forget;
      operations.forget_multi = ForgetMany;
      operations.getattr = GetAttributes;
      operations.setattr = SetAttributes;
      operations.readlink = ReadLink;
      operations.open = Open;
      operations.read = Read;
      operations.opendir = OpenDirectory;
      operations.readdir = ReadDirectory;
      operations.releasedir = ReleaseDirectory;
      operations.statfs = StatFilesystem;
      operations.getxattr = GetExtendedAttribute;
      operations.listxattr = ListExtendedAttributes;
      operations.symlink = MakeSymlink;
      operations.rename = Rename;
      operations.unlink = Unlink;
      operations.mknod = MakeNode;
      operations.mkdir = MakeDirectory;
      operations.rmdir = RemoveDirectory;
      operations.link = Link;
      operations.create = Create;
      operations.write = WriteFile;
      operations.setxattr = SetExtendedAttribute;
      operations.removexattr = RemoveExtendedAttribute;
      operations.fallocate = Allocate;
      return operations;
    }();
    return table;
  }

  static ssize_t WriteToDevice(int descriptor, iovec* parts, int count, void* channel) {
    return static_cast<FuseChannel*>(channel)->Write(descriptor, parts, count);
  }
  // Requests are read by ServeOne; libfuse only wants the function to exist.
  static ssize_t ReadFromDevice(int, void*, size_t, void*) {
    errno = ENOSYS;
    return -1;
  }
};

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
      fuse_session_new(&parsed, &Handlers::Table(), sizeof(fuse_lowlevel_ops), channel.get());
  if (channel->session_ == nullptr) {
    return absl::ResourceExhaustedError(
        "libfuse cannot make another session; it allows about 1,000 mounts in one process");
  }
  fuse_custom_io io = {};
  io.writev = Handlers::WriteToDevice;
  io.read = Handlers::ReadFromDevice;
  const int descriptor = device.get();
  if (fuse_session_custom_io(channel->session_, &io, descriptor) != 0) {
    return absl::InternalError("libfuse refused the FUSE device");
  }
  (void)device.Release();  // the session closes it
  channel->device_ = descriptor;
  return channel;
}

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
