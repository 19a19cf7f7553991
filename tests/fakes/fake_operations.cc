#include "tests/fakes/fake_operations.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/text.h"
#include "tests/fakes/eventually.h"

namespace secretfs::fs::fakes {
namespace {

constexpr char kAttribute[] = "user.secretfs.version";

}  // namespace

FakeOperations::~FakeOperations() {
  std::deque<Parked> parked;
  {
    absl::MutexLock lock(&mutex_);
    parked.swap(parked_);
  }
  for (Parked& request : parked) request.answer(ENOTCONN);
}

InodeNumber FakeOperations::PutFile(const std::string& name, std::string_view content) {
  absl::MutexLock lock(&mutex_);
  const InodeNumber inode(next_inode_++);
  nodes_[inode].bytes = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(content));
  nodes_[inode].known_size = !serves_open_;
  names_[name] = inode;
  return inode;
}

void FakeOperations::RemoveFile(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  names_.erase(name);
}

void FakeOperations::Hold(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  held_[name] = true;
}

void FakeOperations::Release(const std::string& name) {
  std::vector<Parked> released;
  {
    absl::MutexLock lock(&mutex_);
    held_.erase(name);
    for (auto it = parked_.begin(); it != parked_.end();) {
      if (it->name == name) {
        released.push_back(std::move(*it));
        it = parked_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (Parked& request : released) request.answer(0);
}

bool FakeOperations::AwaitParked(size_t count, absl::Duration timeout) const {
  return secretfs::fakes::Eventually([&] { return parked_requests() >= count; }, timeout);
}

uint64_t FakeOperations::lookups(InodeNumber inode) const {
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(inode);
  return found == nodes_.end() ? 0 : found->second.lookups;
}

std::vector<std::string> FakeOperations::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

std::string FakeOperations::data_target() const {
  absl::MutexLock lock(&mutex_);
  const auto found = names_.find("..data");
  return found == names_.end() ? "" : nodes_.at(found->second).link_target;
}

Attributes FakeOperations::AttributesOf(InodeNumber inode, const Node& node) const {
  Attributes attributes;
  attributes.inode = inode;
  attributes.modified = WallTime(std::chrono::seconds(1'700'000'000 + inode.value()));
  if (!node.link_target.empty()) {
    attributes.mode = S_IFLNK | 0777;
    attributes.size = node.link_target.size();
  } else {
    attributes.mode = S_IFREG | 0444;
    attributes.settled = node.known_size;
    attributes.size = node.known_size ? node.bytes->size() : 0;
  }
  return attributes;
}

Outcome<Entry> FakeOperations::Find(const std::string& name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return Outcome<Entry>::Fail(ENOENT);
  Node& node = nodes_.at(found->second);
  ++node.lookups;
  return {.value = {.attributes = AttributesOf(found->second, node)}};
}

bool FakeOperations::ParkIfHeld(RequestId id, const std::string& name,
                                std::function<void(int)> answer) {
  absl::MutexLock lock(&mutex_);
  if (!held_.contains(name)) return false;
  parked_.push_back({.id = id, .name = name, .answer = std::move(answer)});
  return true;
}

void FakeOperations::Lookup(RequestId id, InodeNumber parent, std::string_view name, const Caller&,
                            Reply<Entry> reply) {
  const std::string key(name);
  {
    absl::MutexLock lock(&mutex_);
    calls_.push_back("lookup " + key);
  }
  if (parent != kRootInode) {
    reply(Outcome<Entry>::Fail(ENOTDIR));
    return;
  }
  const auto answer = [this, key, reply](int error) {
    Outcome<Entry> outcome = Outcome<Entry>::Fail(error);
    if (error == 0) {
      absl::MutexLock lock(&mutex_);
      outcome = Find(key);
    }
    reply(std::move(outcome));
  };
  if (ParkIfHeld(id, key, answer)) {
    if (while_dispatching) while_dispatching(id);
  } else {
    answer(0);
  }
}

void FakeOperations::Forget(InodeNumber inode, uint64_t count) {
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(inode);
  if (found != nodes_.end()) found->second.lookups -= std::min(count, found->second.lookups);
}

void FakeOperations::Interrupt(RequestId id) {
  std::function<void(int)> answer;
  {
    absl::MutexLock lock(&mutex_);
    calls_.push_back("interrupt");
    for (auto it = parked_.begin(); it != parked_.end(); ++it) {
      if (it->id != id) continue;
      answer = std::move(it->answer);
      parked_.erase(it);
      break;
    }
  }
  if (answer) answer(EINTR);
}

Outcome<Attributes> FakeOperations::GetAttributes(InodeNumber inode) {
  if (inode == kRootInode) {
    Attributes root;
    root.inode = kRootInode;
    root.mode = S_IFDIR | 0755;
    root.links = 2;
    return {.value = root};
  }
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(inode);
  if (found == nodes_.end()) return Outcome<Attributes>::Fail(ESTALE);
  return {.value = AttributesOf(inode, found->second)};
}

Outcome<std::string> FakeOperations::ReadLink(InodeNumber inode) {
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(inode);
  if (found == nodes_.end()) return Outcome<std::string>::Fail(ESTALE);
  return {.value = found->second.link_target};
}

void FakeOperations::Open(RequestId id, InodeNumber inode, int flags, const Caller& caller,
                          Reply<OpenedFile> reply) {
  {
    absl::MutexLock lock(&mutex_);
    calls_.push_back(Format("open {}", inode.value()));
  }
  if ((flags & O_ACCMODE) != O_RDONLY && !caller.is_publisher) {
    reply(Outcome<OpenedFile>::Fail(EROFS));
    return;
  }
  if (!serves_open_) {
    reply({.value = {.use_no_open = true, .prefill = std::nullopt}});
    return;
  }
  const auto answer = [this, inode, reply](int error) {
    Outcome<OpenedFile> outcome = Outcome<OpenedFile>::Fail(error);
    if (error == 0) {
      absl::MutexLock lock(&mutex_);
      Node& node = nodes_.at(inode);
      outcome = {};
      if (!std::exchange(node.known_size, true)) outcome.value.prefill = Content{node.bytes};
    }
    reply(std::move(outcome));
  };
  if (!ParkIfHeld(id, Format("open {}", inode.value()), answer)) answer(0);
}

void FakeOperations::Read(RequestId, InodeNumber inode, Reply<Content> reply) {
  Outcome<Content> outcome = Outcome<Content>::Fail(ESTALE);
  {
    absl::MutexLock lock(&mutex_);
    if (const auto found = nodes_.find(inode); found != nodes_.end()) {
      calls_.push_back(Format("read {}", inode.value()));
      outcome = {.value = {.bytes = found->second.bytes}};
    }
  }
  reply(std::move(outcome));
}

void FakeOperations::OpenDirectory(RequestId id, InodeNumber, const Caller&,
                                   Reply<DirectoryListing> reply) {
  const auto answer = [this, reply](int error) {
    if (error != 0) {
      reply(Outcome<DirectoryListing>::Fail(error));
      return;
    }
    std::vector<DirectoryEntry> entries;
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& [name, inode] : names_) {
        entries.push_back({.name = name, .inode = inode, .type = S_IFREG});
      }
    }
    reply({.value = std::make_shared<const std::vector<DirectoryEntry>>(std::move(entries))});
  };
  if (!ParkIfHeld(id, "", answer)) answer(0);
}

Outcome<std::string> FakeOperations::GetExtendedAttribute(InodeNumber inode,
                                                          std::string_view name) {
  if (name != kAttribute) return Outcome<std::string>::Fail(ENODATA);
  return {.value = Format("version {}", inode.value())};
}

Outcome<std::vector<std::string>> FakeOperations::ListExtendedAttributes(InodeNumber) {
  return {.value = {kAttribute}};
}

Outcome<Entry> FakeOperations::MakeSymlink(InodeNumber, std::string_view name,
                                           std::string_view target, const Caller& caller) {
  if (!caller.is_publisher) return Outcome<Entry>::Fail(EROFS);
  absl::MutexLock lock(&mutex_);
  const std::string key(name);
  calls_.push_back("symlink " + key);
  if (names_.contains(key)) return Outcome<Entry>::Fail(EEXIST);
  const InodeNumber inode(next_inode_++);
  nodes_[inode].link_target = target;
  names_[key] = inode;
  return Find(key);
}

int FakeOperations::Rename(InodeNumber, std::string_view name, InodeNumber,
                           std::string_view new_name, const Caller& caller) {
  if (!caller.is_publisher) return EROFS;
  absl::MutexLock lock(&mutex_);
  calls_.push_back(Format("rename {} {}", name, new_name));
  const auto found = names_.find(std::string(name));
  if (found == names_.end()) return ENOENT;
  names_[std::string(new_name)] = found->second;
  names_.erase(std::string(name));
  return 0;
}

int FakeOperations::Unlink(InodeNumber, std::string_view name, const Caller& caller) {
  if (!caller.is_publisher) return EROFS;
  absl::MutexLock lock(&mutex_);
  calls_.push_back(Format("unlink {}", name));
  return names_.erase(std::string(name)) != 0 ? 0 : ENOENT;
}

Outcome<Attributes> FakeOperations::Truncate(InodeNumber inode, uint64_t size,
                                             const Caller& caller) {
  if (!caller.is_publisher) return Outcome<Attributes>::Fail(EROFS);
  absl::MutexLock lock(&mutex_);
  calls_.push_back("truncate");
  const auto found = nodes_.find(inode);
  if (found == nodes_.end()) return Outcome<Attributes>::Fail(ESTALE);
  if (size != found->second.bytes->size()) return Outcome<Attributes>::Fail(EROFS);
  return {.value = AttributesOf(inode, found->second)};
}

size_t FakeOperations::parked_requests() const {
  absl::MutexLock lock(&mutex_);
  return parked_.size();
}

void FakeOperations::Refresh(const std::string&, std::function<void(absl::Status)> done) {
  done(absl::OkStatus());
}

}  // namespace secretfs::fs::fakes
