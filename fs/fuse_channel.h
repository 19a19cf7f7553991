#pragma once

// One FUSE connection: reads requests from its device, turns each into one call of Operations and
// the answer into a reply, and sends the kernel notifications. fuse_channel.cc and fuse_handlers.cc
// are the only files that include libfuse.
//
// Threads: any number of workers may call Drain at once. Answers may come on any thread, also long
// after Drain has returned (Operations parked the request). Notifications may be sent from any
// thread but a worker, and never with a lock held that a request handler wants.
//
// Interrupts: libfuse calls its interrupt function with a lock of the request held, and the request
// may be answered and freed meanwhile by another thread. The channel therefore keeps FUSE_INTERRUPT
// away from libfuse and does what the protocol says by itself, with a table of the requests that
// Operations has not answered:
//   - an interrupt of a request that is not in the table is sent back with EAGAIN; the kernel
//   repeats
//     it if it still waits (the request was not dispatched yet), and drops it otherwise;
//   - while a request is being dispatched, the interrupt is noted, and acted on right afterwards;
//   - once parked, it goes to Operations::Interrupt at once.
// The publisher's own requests must never wait for a store: one that was parked is interrupted.
//
// After Close, requests are still read and answered, with ENOTCONN: whoever is about to leave the
// mount (an exiting process that closes a file, fusermount3) must not wait for somebody who has
// gone.
//
// It does not mount, poll, or own threads.

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "fs/fuse_init.h"
#include "fs/mount_service.h"
#include "fs/operations.h"
#include "fs/request_journal.h"

struct fuse_lowlevel_ops;
struct fuse_in_header;
struct fuse_session;
struct iovec;

namespace secretfs::fs {

struct FuseChannelOptions {
  // The thread whose requests are the publisher's own; 0: none.
  pid_t publisher_thread = 0;
  // Where requests stand while they are in flight, and under which mount; null: nowhere. Outlives
  // the channel.
  RequestJournal* journal = nullptr;
  MountId mount;
  // Called before the kernel hears what was agreed in INIT. May be null.
  std::function<void(const InitExchange&)> save_init;
  // Directory handles count from here: those of other servers must be different.
  uint64_t first_listing = 1;
  // Called once, by a worker, when the connection ended by itself (not by Close). Must not block.
  // May be null. kUnmountedByKernel also stands for an aborted connection: the kernel does not
  // tell.
  std::function<void(StopReason)> on_stopped;
};

class FuseChannel : public std::enable_shared_from_this<FuseChannel> {
 public:
  // The largest request that the kernel may send: what a worker's buffer must hold.
  static constexpr size_t kRequestBytes = RequestJournal::kBufferBytes;

  // `device` is a mounted, non-blocking /dev/fuse whose INIT was not read yet, unless TakeOver
  // follows. REQUIRES:
  // `operations` lives until Close has returned; it may be destroyed then, which answers what was
  // parked.
  static absl::StatusOr<std::shared_ptr<FuseChannel>> Make(UniqueFd device, Operations& operations,
                                                           FuseChannelOptions options);
  ~FuseChannel();
  FuseChannel(const FuseChannel&) = delete;
  FuseChannel& operator=(const FuseChannel&) = delete;

  int device() const { return device_; }

  // For a connection that another server has served until it died or stopped, which agreed on that.
  // Once, before anybody calls Drain; then ServeLeft, when Drain may be called. What was in flight
  // is sent again by the kernel if it can and `use_resend`, and taken from the journal otherwise.
  // FailedPrecondition when this version of secretfs would have agreed on something else.
  // Nothing agreed: the other server ended before it answered INIT, which is in the journal then.
  absl::Status TakeOver(const std::optional<InitExchange>& agreed, bool use_resend);
  // Serves what the journal had.
  void ServeLeft();

  enum class DrainResult {
    kEmpty,    // nothing more to read now
    kMore,     // `limit` requests were served and there may be more
    kStopped,  // the connection ended
  };
  // Serves up to `limit` waiting requests, each read into that worker's buffer.
  DrainResult Drain(RequestJournal& journal, size_t worker, int limit);

  // OK when the kernel's INIT was answered; Unavailable if that did not happen within `timeout` or
  // the kernel's version was refused.
  absl::Status WaitForInit(absl::Duration timeout);

  // Stops serving: afterwards Operations is not called any more, and requests get ENOTCONN. Not
  // from a worker. Idempotent.
  void Close();

  // Kernel notifications. Return 0 or an errno; ENOENT (the kernel does not know it) is normal.
  int InvalidateName(InodeNumber parent, std::string_view name);
  int InvalidateInode(InodeNumber inode);
  // Makes the kernel look up every name again, without taking any directory's lock. EINVAL or
  // ENOSYS from kernels older than 6.16.
  int InvalidateAllNames();

  // The next GETATTR of the publisher is answered ESTALE, which makes the kernel look up the path
  // again (see Publisher). False takes that back.
  void ArmStaleAnswer(bool armed) { stale_answer_armed_ = armed; }

  // Requests read so far, without FORGET and INTERRUPT.
  uint64_t requests() const { return requests_; }
  // Requests that Operations has not answered.
  size_t in_flight() const;
  // Those of them that wait for a store.
  size_t parked() const;
  // Requests that Operations has not answered, the oldest first.
  std::vector<RequestStatus> Waiting() const;

 private:
  struct Handlers;  // the functions that libfuse calls; in fuse_handlers.cc
  static const fuse_lowlevel_ops& HandlerTable();
  // The request that this thread dispatches: libfuse does not tell its handlers the `unique`.
  static RequestId CurrentRequest();
  enum class Phase { kDispatching, kParked };
  struct InFlight {
    Phase phase = Phase::kDispatching;
    bool interrupted = false;
    uint32_t operation = 0;
    MonotonicTime since;
    JournalRecord record;  // 0: none
  };
  // Around the answer of a request that could be parked: it has left the table, and leaves the
  // journal once the answer is written.
  class Answering {
   public:
    Answering(FuseChannel& channel, RequestId id) : channel_(channel), record_(channel.End(id)) {}
    ~Answering();
    Answering(const Answering&) = delete;
    Answering& operator=(const Answering&) = delete;

   private:
    FuseChannel& channel_;
    const JournalRecord record_;
  };

  FuseChannel(Operations& operations, FuseChannelOptions options);

  // Around every use of Operations, on whatever thread. Enter is false after Close.
  bool Enter();
  void Leave();
  // Reads and serves one request. Nothing if there may be more.
  std::optional<DrainResult> ServeOne(std::span<std::byte> buffer);
  void Dispatch(std::span<std::byte> request);
  void HandToLibfuse(std::span<std::byte> request);
  void Refuse(std::span<const std::byte> request);
  void ReplyError(uint64_t unique, int error);
  void HandleInterrupt(std::span<const std::byte> request);
  void Stop(StopReason reason);

  // The life of a request that Operations may park: Begin, the call, EndDispatch; and End (by
  // Answering), at any moment after Begin, when it is answered.
  void Begin(RequestId id);
  void EndDispatch(RequestId id, bool by_publisher);
  JournalRecord End(RequestId id);

  uint64_t AddListing(DirectoryListing listing);
  DirectoryListing FindListing(uint64_t handle) const;
  void PutListing(uint64_t handle, DirectoryListing listing);
  void RemoveListing(uint64_t handle);

  bool IsPublisher(pid_t thread) const {
    return options_.publisher_thread != 0 && thread == options_.publisher_thread;
  }
  ssize_t Write(int descriptor, const iovec* parts, int count);
  int StoreContent(InodeNumber inode, const Content& content);
  int NotificationResult(int result);
  bool BeforeInitReply(const iovec* parts, int count);
  void AfterInitReply(int error);
  bool RepeatInitReply(const fuse_in_header& request);
  int ResendRequests();
  absl::Status ReplayInit(const InitExchange& agreed);
  // Takes back the lookup of an entry reply that did not arrive.
  void ForgetUnlessClosed(InodeNumber inode);

  Operations& operations_;
  const FuseChannelOptions options_;
  fuse_session* session_ = nullptr;  // owns device_
  int device_ = -1;

  std::atomic<uint64_t> requests_ = 0;
  std::atomic<bool> closing_ = false;
  std::atomic<bool> stopped_ = false;
  std::atomic<bool> stale_answer_armed_ = false;

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // inside_, stopped_ and what INIT came to
  // mutex_ protects the following state.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
  bool init_answered_ ABSL_GUARDED_BY(mutex_) = false;
  bool init_refused_ ABSL_GUARDED_BY(mutex_) = false;
  InitExchange agreed_ ABSL_GUARDED_BY(mutex_);
  // While INIT is replayed, which the kernel must not hear: where the reply goes.
  std::vector<std::byte>* replayed_reply_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Of requests that another server read already, by `unique`.
  absl::flat_hash_map<uint64_t, MonotonicTime> waited_since_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<RequestId, InFlight> in_flight_ ABSL_GUARDED_BY(mutex_);
  size_t parked_ ABSL_GUARDED_BY(mutex_) = 0;  // how many of in_flight_ are in Phase::kParked
  absl::flat_hash_map<uint64_t, DirectoryListing> listings_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_listing_ ABSL_GUARDED_BY(mutex_);
  // Between TakeOver and ServeLeft only.
  std::vector<RequestJournal::Left> left_;
};

}  // namespace secretfs::fs
