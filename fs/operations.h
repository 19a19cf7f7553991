#pragma once

// The filesystem of one mount without its transport: every FUSE request becomes one call here, and
// every answer one callback. Knows the cache, never libfuse and never a concrete provider.
//
// Thread-safety: all functions may be called from any thread (FUSE workers, the publisher, the I/O
// thread). No function blocks: what needs a store is parked and answered later on the I/O thread. A
// reply runs exactly once, without any lock of this class held. Replies after an interrupt carry
// EINTR. Destroying an Operations answers everything parked with ENOTCONN.
//
// Lifetimes: an inode number is known to the kernel from the first Entry reply until Forget has
// taken back as many lookups; a version (content) is immutable and belongs to exactly one inode.

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/kept_values.h"
#include "cache/cache.h"
#include "fs/mount_spec.h"
#include "fs/mount_status.h"
#include "fs/publish_plan.h"

namespace secretfs::fs {

// A FUSE request's `unique`; names a parked request for Interrupt.
using RequestId = StrongId<struct RequestIdTag>;

struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;  // a thread id, as in fuse_in_header; 0 in a foreign pid namespace
  bool is_publisher = false;
};

struct Attributes {
  InodeNumber inode;
  mode_t mode = 0;  // type and permission bits
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size = 0;
  uint32_t links = 1;
  WallTime modified;
  // False for a browsed file that nobody opened yet: its size is not known, so the kernel may not
  // cache these attributes.
  bool settled = true;
};

struct Entry {
  Attributes attributes;
  // False: the kernel asks again at the next path walk (hidden names, directories still unknown).
  bool cacheable = true;
};

// Immutable content of one version; keeps the bytes alive for as long as somebody replies from it.
struct Content {
  std::shared_ptr<const SecretBytes> bytes;
};

struct OpenedFile {
  // Answer ENOSYS: the kernel never sends OPEN again on this connection.
  bool use_no_open = false;
  // Set when the size became known by this open: the channel stores it into the page cache
  // (FUSE_NOTIFY_STORE) before it replies, so that mmap and read see the true size.
  std::optional<Content> prefill;
};

struct DirectoryEntry {
  std::string name;
  InodeNumber inode;  // 0 if it has none yet; readdir then shows a made-up number
  mode_t type = 0;    // S_IFREG, S_IFDIR or S_IFLNK
};
using DirectoryListing = std::shared_ptr<const std::vector<DirectoryEntry>>;

// A value or a positive errno.
template <typename T>
struct Outcome {
  int error = 0;
  T value{};
  static Outcome Fail(int error) { return {.error = error}; }
};
template <typename T>
using Reply = std::function<void(Outcome<T>)>;

// The supplementary groups of a process; nothing when they cannot be learnt.
using GroupsOf = std::function<std::optional<std::vector<gid_t>>(pid_t)>;

class MountState;

// Where a mount keeps what the next server needs; all of it outlives the object. Without it (null)
// nothing survives.
struct MountMemory {
  // The tree. What an earlier server left there is served on: the same inode numbers, lookups and
  // versions.
  MountState* state = nullptr;
  // The content of versions, under `values_prefix` + inode number; no other names begin with it.
  // Without it, a version whose content is wanted again is fetched again.
  KeptValues* values = nullptr;
  std::string values_prefix = {};
  // New inodes have no lower numbers. Of a server that takes over, one that the servers before it
  // could not know: whoever took one of those over may have shown any number to the kernel.
  uint64_t first_number = 0;
};

class Operations {
 public:
  // REQUIRES: ValidateMountSpec(spec) is OK; cache, clock and sink outlive the object, which is not
  // destroyed on the I/O thread. `groups_of`: null means from /proc. One object at a time uses a
  // MountMemory, and only one ever what its state held at first.
  static std::unique_ptr<Operations> Make(MountSpec spec, cache::Cache& cache, const Clock& clock,
                                          PublishSink& sink, GroupsOf groups_of = nullptr,
                                          MountMemory memory = {});
  virtual ~Operations() = default;

  // After an earlier server's death, once, when the publisher is attached: plans that it may not
  // have carried out are submitted (again), and values that it showed are read from the cache, so
  // that they are kept fresh. Does nothing for a mount that nobody has served before.
  virtual void Resume() = 0;
  // Another server takes over: from now on nothing changes any more, nothing is answered, and what
  // is parked never will be. Only the destructor may follow. REQUIRES: nobody else is calling, nor
  // will; not on the I/O thread.
  virtual void Freeze() = 0;

  // Whether OPEN must be served; otherwise the first Open says use_no_open.
  virtual bool serves_open() const = 0;

  // Adds one lookup to the child on success.
  virtual void Lookup(RequestId id, InodeNumber parent, std::string_view name, const Caller& caller,
                      Reply<Entry> reply) = 0;
  // Takes back `count` lookups. Unknown inodes are ignored.
  virtual void Forget(InodeNumber inode, uint64_t count) = 0;
  // The parked request `id` is answered with EINTR. Unknown ids are ignored (already answered).
  virtual void Interrupt(RequestId id) = 0;

  virtual Outcome<Attributes> GetAttributes(InodeNumber inode) = 0;
  virtual Outcome<std::string> ReadLink(InodeNumber inode) = 0;

  // `flags` as open(2). EROFS for writing unless the caller is the publisher. ESTALE when a newer
  // version has taken the name meanwhile: the kernel then looks the path up again.
  virtual void Open(RequestId id, InodeNumber inode, int flags, const Caller& caller,
                    Reply<OpenedFile> reply) = 0;
  // All of the content; the channel cuts out offset and size. Answered at once, except for a
  // version whose content did not outlive an earlier server: then the store is asked for it, and
  // the answer is ESTALE if it has another one by now.
  virtual void Read(RequestId id, InodeNumber inode, Reply<Content> reply) = 0;

  // The whole listing, without "." and "..": one snapshot for each opendir.
  virtual void OpenDirectory(RequestId id, InodeNumber inode, const Caller& caller,
                             Reply<DirectoryListing> reply) = 0;

  // `user.secretfs.*`; ENODATA for any other name.
  virtual Outcome<std::string> GetExtendedAttribute(InodeNumber inode, std::string_view name) = 0;
  virtual Outcome<std::vector<std::string>> ListExtendedAttributes(InodeNumber inode) = 0;

  // The publisher's own changes through the mount; EROFS for every other caller.
  virtual Outcome<Entry> MakeSymlink(InodeNumber parent, std::string_view name,
                                     std::string_view target, const Caller& caller) = 0;
  virtual int Rename(InodeNumber parent, std::string_view name, InodeNumber new_parent,
                     std::string_view new_name, const Caller& caller) = 0;
  virtual int Unlink(InodeNumber parent, std::string_view name, const Caller& caller) = 0;
  // OK only to the size that the file has; changes nothing.
  virtual Outcome<Attributes> Truncate(InodeNumber inode, uint64_t size, const Caller& caller) = 0;

  virtual std::vector<FileStatus> Files() = 0;
  virtual uint64_t generation() const = 0;
  virtual size_t parked_requests() const = 0;

  // Fetches now: the file at `path`, or everything that was ever fetched ("" = all). `done` after
  // the updates were published, with the first error.
  virtual void Refresh(const std::string& path, std::function<void(absl::Status)> done) = 0;
};

}  // namespace secretfs::fs
