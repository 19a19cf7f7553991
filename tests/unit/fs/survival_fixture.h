#pragma once

// What the tests of a mount that outlives its server share: a kernel's model that counts lookups as
// the kernel does, a publisher that does what the real one does and can be killed in the middle,
// and kills: the memory that outlives the server is copied at that moment, the Operations is thrown
// away without a word, and another one starts from the copy. Not thread-safe.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/kept_values.h"
#include "fs/mount_state.h"
#include "tests/unit/fs/operations_fixture.h"

namespace secretfs::fs {

// A memfd with the content that `memory` has now.
inline UniqueFd CopyOfMemory(int memory) {
  struct stat attributes = {};
  EXPECT_EQ(fstat(memory, &attributes), 0);
  UniqueFd copy(memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(copy.get(), attributes.st_size), 0);
  // Only what was used: the rest is a hole.
  std::vector<char> buffer(1 << 16);
  off_t data = 0;
  while ((data = lseek(memory, data, SEEK_DATA)) >= 0) {
    const off_t hole = lseek(memory, data, SEEK_HOLE);
    while (data < hole) {
      const ssize_t got =
          pread(memory, buffer.data(),
                std::min<size_t>(buffer.size(), static_cast<size_t>(hole - data)), data);
      if (got <= 0) return copy;
      EXPECT_EQ(pwrite(copy.get(), buffer.data(), static_cast<size_t>(got), data), got);
      data += got;
    }
  }
  // As Create seals it.
  EXPECT_EQ(fcntl(copy.get(), F_ADD_SEALS, fcntl(memory, F_GET_SEALS)), 0);
  return copy;
}

class SurvivalTest : public OperationsTest {
 protected:
  using OperationsTest::OperationsTest;

  struct Left {
    UniqueFd state, values;
  };

  void MountKept(MountSpec spec) {
    state_ = *MountState::Create();
    values_ = *KeptValues::Create(8 << 20);
    Serve(std::move(spec));
  }
  void Serve(MountSpec spec) {
    spec_ = spec;
    memory_ = {.state = state_.get(),
               .values = keeps_values_ ? values_.get() : nullptr,
               .values_prefix = "f/7/"};
    Mount(std::move(spec));
  }

  // For a further mount in the same test.
  void StartOver() {
    operations_.reset();
    sink_.plans.clear();
    MakeCache();
    kernel_.clear();
    extra_.clear();
    dentries_.clear();
    seen_.clear();
    touches_.clear();
    switches_ = 0;
  }

  Left Snapshot() {
    return {.state = CopyOfMemory(state_->memory()), .values = CopyOfMemory(values_->memory())};
  }
  // Plans that were submitted die with the server.
  void StartFrom(Left left, bool keep_cache = false) {
    sink_.before_submit = nullptr;
    operations_.reset();
    sink_.plans.clear();
    if (!keep_cache) MakeCache();
    auto state = MountState::Attach(left.state.get());
    ASSERT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
    auto values = KeptValues::Attach(left.values.get());
    ASSERT_TRUE(values.ok()) << values.status();
    values_ = *std::move(values);
    Serve(spec_);
    ExpectKernelsCounts();
    operations_->Resume();
    Poll();
  }
  void Kill(bool keep_cache = false) { StartFrom(Snapshot(), keep_cache); }

  // --- the kernel's counts

  AnswerPtr<Entry> CountedLookup(InodeNumber parent, const std::string& name,
                                 const Caller& caller = kRoot) {
    auto [answer, reply] = Expect<Entry>();
    // The kernel counts when the answer comes, however late.
    operations_->Lookup(NextId(), parent, name, caller,
                        [this, reply = std::move(reply)](Outcome<Entry> outcome) {
                          if (outcome.error == 0) ++kernel_[outcome.value.attributes.inode];
                          reply(std::move(outcome));
                        });
    Poll();
    return answer;
  }
  void ForgetAll(InodeNumber inode) {
    std::erase_if(dentries_, [inode](const auto& dentry) { return dentry.second == inode; });
    const auto known = kernel_.find(inode);
    if (known == kernel_.end()) return;
    operations_->Forget(inode, known->second + extra_[inode]);
    extra_.erase(inode);
    kernel_.erase(known);
  }
  // What the state says that the kernel knows; 0 for what is not there.
  std::map<InodeNumber, uint64_t> SavedCounts() {
    const UniqueFd copy = CopyOfMemory(state_->memory());
    auto state = *MountState::Attach(copy.get());
    std::map<InodeNumber, uint64_t> counts;
    for (const auto& inode : state->TakeTree().inodes) {
      const uint64_t count = state->counter(inode.record);
      if (count > 0) counts[inode.value.number] = count;
    }
    return counts;
  }
  void ExpectKernelsCounts() {
    std::map<InodeNumber, uint64_t> expected = kernel_;
    for (const auto& [inode, count] : extra_) {
      if (count > 0) expected[inode] += count;
    }
    EXPECT_EQ(SavedCounts(), expected);
  }

  // As Walk of the base, counting.
  InodeNumber Resolve(const std::string& path, const Caller& caller = kRoot) {
    for (int attempt = 0; attempt < 3; ++attempt) {
      const InodeNumber found = ResolveOnce(path, caller, attempt > 0);
      if (last_error_ != ESTALE) return found;
    }
    return {};
  }
  InodeNumber ResolveOnce(std::string path, const Caller& caller, bool ask_again) {
    last_error_ = 0;
    InodeNumber at = kRootInode;
    while (!path.empty()) {
      const size_t slash = path.find('/');
      const std::string name = path.substr(0, slash);
      path = slash == std::string::npos ? "" : path.substr(slash + 1);
      const auto known = dentries_.find({at, name});
      InodeNumber child;
      if (known != dentries_.end() && !ask_again) {
        child = known->second;
      } else {
        const auto answer = CountedLookup(at, name, caller);
        last_error_ = answer->parked() ? EAGAIN : answer->error();
        if (last_error_ != 0) return {};
        child = answer->value().attributes.inode;
        if (answer->value().cacheable) dentries_[{at, name}] = child;
      }
      const auto attributes = operations_->GetAttributes(child);
      EXPECT_EQ(attributes.error, 0) << name << " is inode " << child.value();
      if (attributes.error != 0) {
        last_error_ = attributes.error;
        return {};
      }
      if (S_ISLNK(attributes.value.mode)) {
        const std::string target = operations_->ReadLink(child).value;
        path = path.empty() ? target : target + "/" + path;
        continue;
      }
      at = child;
    }
    return at;
  }
  // What a program reads there; remembers what it saw of the inode.
  std::string ReadPath(const std::string& path) {
    for (int attempt = 0; attempt < 3; ++attempt) {
      const InodeNumber inode = Resolve(path);
      if (last_error_ != 0) return Format("errno {}", last_error_);
      if (operations_->serves_open()) {
        const auto opened = Open(inode);
        if (opened->error() == ESTALE) {
          dentries_.clear();
          continue;
        }
        if (opened->parked() || opened->error() != 0) return Format("errno {}", opened->error());
      }
      const std::string content = ReadInode(inode);
      if (!content.starts_with("errno")) {
        seen_[inode] = {.content = content, .attributes = Stat(inode)};
        shown_[path] = inode;
      }
      return content;
    }
    return "ESTALE again and again";
  }
  // Whoever has a file open reads on what he opened.
  void ExpectWhatWasSeen() {
    for (const auto& [inode, count] : kernel_) {
      const auto attributes = operations_->GetAttributes(inode);
      ASSERT_EQ(attributes.error, 0) << inode.value();
      const auto seen = seen_.find(inode);
      if (seen == seen_.end()) continue;
      EXPECT_EQ(ReadInode(inode), seen->second.content) << inode.value();
      EXPECT_EQ(attributes.value.size, seen->second.attributes.size);
      EXPECT_EQ(attributes.value.modified, seen->second.attributes.modified);
      EXPECT_EQ(attributes.value.mode, seen->second.attributes.mode);
    }
  }

  // --- the publisher

  // Carries out the oldest plan as the real one does; in the atomic layout, stops before step
  // `stop_at` of: 1 symlink, 2 rename, 3 touching, 4 done. False when stopped.
  bool PublishOne(int stop_at = 0) {
    PublishPlan plan = std::move(sink_.plans.front());
    sink_.plans.pop_front();
    for (const auto& name : plan.stale_names) dentries_.erase({name.parent, name.name});
    if (stop_at == 1) return false;
    if (plan.data_target && !SwitchData(*plan.data_target, stop_at == 2)) return false;
    if (stop_at == 3) return false;
    for (const std::string& path : plan.touched_paths) {
      const InodeNumber inode = Resolve(path, kPublisher);
      if (last_error_ == 0) TouchOnce(inode);
    }
    for (const InodeNumber inode : plan.touched_inodes) {
      const auto hidden = Lookup(kRootInode, HiddenInodeName(inode), kPublisher);
      if (hidden->error() != 0) continue;
      TouchOnce(inode);
      operations_->Forget(inode, 1);
    }
    if (stop_at == 4) return false;
    if (plan.done) plan.done();
    return true;
  }
  bool SwitchData(const std::string& target, bool stop_before_rename) {
    const std::string temporary(kTemporaryDataLink);
    auto link = operations_->MakeSymlink(kRootInode, temporary, target, kPublisher);
    if (link.error == EEXIST) {
      EXPECT_EQ(operations_->Unlink(kRootInode, temporary, kPublisher), 0);
      link = operations_->MakeSymlink(kRootInode, temporary, target, kPublisher);
    }
    EXPECT_EQ(link.error, 0);
    if (link.error != 0) return true;
    ++kernel_[link.value.attributes.inode];
    if (stop_before_rename) return false;
    EXPECT_EQ(operations_->Rename(kRootInode, temporary, kRootInode, kDataLink, kPublisher), 0);
    dentries_[{kRootInode, std::string(kDataLink)}] = link.value.attributes.inode;
    ++switches_;
    return true;
  }
  void TouchOnce(InodeNumber inode) {
    if (operations_->serves_open()) {
      EXPECT_EQ(Open(inode, O_WRONLY, kPublisher)->error(), 0);
    }
    EXPECT_EQ(operations_->Truncate(inode, Stat(inode).size, kPublisher).error, 0);
    ++touches_[inode];
  }
  void PublishAll() {
    while (!sink_.plans.empty()) PublishOne();
  }

  struct Seen {
    std::string content;
    Attributes attributes;
  };
  bool keeps_values_ = true;
  MountSpec spec_;
  std::unique_ptr<MountState> state_;
  std::unique_ptr<KeptValues> values_;
  std::map<InodeNumber, uint64_t> kernel_;  // lookups that the kernel has not given back
  std::map<InodeNumber, uint64_t> extra_;   // that were counted but whose answer was lost
  std::map<InodeNumber, Seen> seen_;
  std::map<std::string, InodeNumber> shown_;
  int switches_ = 0;
};

}  // namespace secretfs::fs
