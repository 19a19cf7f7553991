// The functions that libfuse calls, one for each kind of request. See fuse_channel.h.

#include "fs/fuse_channel.h"

// Of libfuse's interface, the newest that Debian 12 has.
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace secretfs::fs {
namespace {

// "For ever" for the kernel: what changes is told to it.
constexpr double kForeverSeconds = 365.0 * 24 * 3600;
// Nobody writes; the kernel's least keeps request buffers small.
constexpr unsigned kMaxWrite = 4096;
constexpr size_t kMaxReadDirectory = 128 << 10;
constexpr unsigned kMaxBackground = 64;
constexpr size_t kBlock = 512;
// What readdir shows for an inode that has no number yet.
constexpr uint64_t kUnknownInode = 0xffffffff;

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

}  // namespace

// Stateless functions with libfuse's signatures. Whatever is not here is answered ENOSYS by
// libfuse, which makes the kernel never ask again: FLUSH, FSYNC, ACCESS, locks, IOCTL, POLL, LSEEK.
struct FuseChannel::Handlers {
  static FuseChannel& Of(fuse_req_t request) {
    return *static_cast<FuseChannel*>(fuse_req_userdata(request));
  }
  static RequestId Id() { return FuseChannel::CurrentRequest(); }
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
          const Answering answering(*self, id);
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
          const Answering answering(*self, id);
          ReplyOpen(*self, request, InodeNumber(inode), outcome);
        });
    channel.EndDispatch(id, caller.is_publisher);
  }

  static void ReplyContent(fuse_req_t request, size_t size, off_t offset,
                           const Outcome<Content>& outcome) {
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

  static void Read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                   fuse_file_info*) {
    FuseChannel& channel = Of(request);
    const RequestId id = Id();
    const Caller caller = CallerOf(request);
    channel.Begin(id);
    channel.operations_.Read(id, InodeNumber(inode),
                             [self = channel.shared_from_this(), request, id, size,
                              offset](Outcome<Content> outcome) {
                               const Answering answering(*self, id);
                               ReplyContent(request, size, offset, outcome);
                             });
    channel.EndDispatch(id, caller.is_publisher);
  }

  static void OpenDirectory(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
    FuseChannel& channel = Of(request);
    const RequestId id = Id();
    const Caller caller = CallerOf(request);
    channel.Begin(id);
    channel.operations_.OpenDirectory(
        id, InodeNumber(inode), caller,
        [self = channel.shared_from_this(), request, id](Outcome<DirectoryListing> outcome) {
          const Answering answering(*self, id);
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
  static void ReplyListing(fuse_req_t request, InodeNumber inode, size_t size, off_t offset,
                           const std::vector<DirectoryEntry>& listing) {
    std::string buffer(std::min(size, kMaxReadDirectory), '\0');
    size_t used = 0;
    for (size_t i = static_cast<size_t>(std::max<off_t>(offset, 0)); i < listing.size() + 2; ++i) {
      struct stat attributes = {};
      std::string_view name = i == 0 ? "." : "..";
      attributes.st_mode = S_IFDIR;
      attributes.st_ino = i == 0 ? inode.value() : kUnknownInode;
      if (i >= 2) {
        const DirectoryEntry& entry = listing[i - 2];
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

  static void ReadDirectory(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                            fuse_file_info* file) {
    FuseChannel& channel = Of(request);
    const InodeNumber inode(number);
    const uint64_t handle = file->fh;
    if (const DirectoryListing listing = channel.FindListing(handle)) {
      ReplyListing(request, inode, size, offset, *listing);
      return;
    }
    // Opened with the server before this one: the directory is listed anew, in the same order.
    const RequestId id = Id();
    const Caller caller = CallerOf(request);
    channel.Begin(id);
    channel.operations_.OpenDirectory(id, inode, caller,
                                      [self = channel.shared_from_this(), request, id, inode, size,
                                       offset, handle](Outcome<DirectoryListing> outcome) {
                                        const Answering answering(*self, id);
                                        if (outcome.error != 0) {
                                          fuse_reply_err(request, outcome.error);
                                          return;
                                        }
                                        self->PutListing(handle, outcome.value);
                                        ReplyListing(request, inode, size, offset, *outcome.value);
                                      });
    channel.EndDispatch(id, caller.is_publisher);
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
};

const fuse_lowlevel_ops& FuseChannel::HandlerTable() { return Handlers::Table(); }

}  // namespace secretfs::fs
