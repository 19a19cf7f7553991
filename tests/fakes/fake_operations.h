#pragma once

// A filesystem without a store, for tests of the channel, the publisher and real mounts: files in
// the root directory with contents that tests set, names that stay parked until a test lets go, a
// `..data` link, and a record of what was asked. As in the real one, a new content is a new inode.
//
// Safe to use from any thread.

#include <atomic>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fs/operations.h"

namespace secretfs::fs::fakes {

class FakeOperations final : public Operations {
 public:
  explicit FakeOperations(bool serves_open = false) : serves_open_(serves_open) {}
  ~FakeOperations() override;

  // Makes or replaces the file `name`; returns its new inode.
  InodeNumber PutFile(const std::string& name, std::string_view content);
  void RemoveFile(const std::string& name);
  // Lookups, opens and opendirs of `name` ("" = the root directory) are parked from now on.
  void Hold(const std::string& name);
  // Lets go: what is parked for `name` is answered.
  void Release(const std::string& name);
  // Waits until `count` requests are parked.
  bool AwaitParked(size_t count, absl::Duration timeout) const;
  // How many lookups of `inode` the kernel has not given back.
  uint64_t lookups(InodeNumber inode) const;
  // "lookup NAME", "open INODE FLAGS", "interrupt", "symlink NAME", "rename NAME NEW", "truncate".
  std::vector<std::string> calls() const;
  std::string data_target() const;
  // Before it returns from Lookup of a held name (after parking it): for races with interrupts.
  std::function<void(RequestId)> while_dispatching;

  void Resume() override {}
  void Freeze() override {}
  bool serves_open() const override { return serves_open_; }
  void Lookup(RequestId id, InodeNumber parent, std::string_view name, const Caller& caller,
              Reply<Entry> reply) override;
  void Forget(InodeNumber inode, uint64_t count) override;
  void Interrupt(RequestId id) override;
  Outcome<Attributes> GetAttributes(InodeNumber inode) override;
  Outcome<std::string> ReadLink(InodeNumber inode) override;
  void Open(RequestId id, InodeNumber inode, int flags, const Caller& caller,
            Reply<OpenedFile> reply) override;
  void Read(RequestId id, InodeNumber inode, Reply<Content> reply) override;
  void OpenDirectory(RequestId id, InodeNumber inode, const Caller& caller,
                     Reply<DirectoryListing> reply) override;
  Outcome<std::string> GetExtendedAttribute(InodeNumber inode, std::string_view name) override;
  Outcome<std::vector<std::string>> ListExtendedAttributes(InodeNumber inode) override;
  Outcome<Entry> MakeSymlink(InodeNumber parent, std::string_view name, std::string_view target,
                             const Caller& caller) override;
  int Rename(InodeNumber parent, std::string_view name, InodeNumber new_parent,
             std::string_view new_name, const Caller& caller) override;
  int Unlink(InodeNumber parent, std::string_view name, const Caller& caller) override;
  Outcome<Attributes> Truncate(InodeNumber inode, uint64_t size, const Caller& caller) override;
  std::vector<FileStatus> Files() override { return {}; }
  uint64_t generation() const override { return 0; }
  size_t parked_requests() const override;
  void Refresh(const std::string& path, std::function<void(absl::Status)> done) override;

 private:
  struct Node {
    std::string link_target;  // a symlink if not empty
    std::shared_ptr<const SecretBytes> bytes;
    uint64_t lookups = 0;
    bool known_size = true;
  };
  struct Parked {
    RequestId id;
    std::string name;
    std::function<void(int)> answer;  // 0, or an errno
  };

  Attributes AttributesOf(InodeNumber inode, const Node& node) const;
  Outcome<Entry> Find(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ParkIfHeld(RequestId id, const std::string& name, std::function<void(int)> answer);

  const bool serves_open_;
  mutable absl::Mutex mutex_;
  uint64_t next_inode_ ABSL_GUARDED_BY(mutex_) = 100;
  std::map<InodeNumber, Node> nodes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, InodeNumber> names_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, bool> held_ ABSL_GUARDED_BY(mutex_);
  std::deque<Parked> parked_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace secretfs::fs::fakes
