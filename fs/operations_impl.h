#pragma once

// The one implementation of Operations: the inode table, the manifest's tree and the browse trees
// under one lock, tied to the cache. Private to fs/operations*.cc; see operations.h for the
// contract.
//
// How a request runs: look at the tree under the lock; if that answers it, reply after unlocking.
// Otherwise park it, ask the cache without the lock, and on the I/O thread apply what came to the
// tree, look again, and reply. A parked request is answered by whoever takes it out of `parked_`
// first: its fetch, an interrupt, or the end of the mount.
//
// What the cache says is applied in one place (Apply), on the I/O thread only, so that plans reach
// the publisher in the order in which the tree changed.
//
// What outlives the server (MountMemory): every section that may change the tree is guarded by a
// TreeLock, which writes what was changed before it lets go: before any reply, and before the plan
// that tells of it is submitted. Plans are written with the change that they tell of, and erased
// when the publisher has carried them out, so that whatever a server was killed in the middle of is
// published again by the next one. Only lookups are counted outside of transactions, at once:
// killed between counting and replying, a server leaves one too many, never one too few.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fs/browse_directory.h"
#include "fs/callback_gate.h"
#include "fs/inode_table.h"
#include "fs/manifest_tree.h"
#include "fs/mount_state.h"
#include "fs/operations.h"

namespace secretfs::fs {

class OperationsImpl final : public Operations, private cache::Listener {
 public:
  OperationsImpl(MountSpec spec, cache::Cache& cache, const Clock& clock, PublishSink& sink,
                 GroupsOf groups_of, MountMemory memory);
  ~OperationsImpl() override;

  void Resume() override;
  void Freeze() override;

  bool serves_open() const override { return !spec_.browse.empty() || spec_.audit_open; }
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
  std::vector<FileStatus> Files() override;
  uint64_t generation() const override;
  size_t parked_requests() const override;
  void Refresh(const std::string& path, std::function<void(absl::Status)> done) override;

 private:
  // A key that files (or browsed directories) of this mount come from.
  struct WatchedEntry {
    cache::Interest interest;
    bool interested = false;  // the interest is held, or just being made
    bool pinned = false;      // named by the manifest: kept for the life of the mount
    bool informed = false;    // `known` holds what the cache said
    cache::EntrySnapshot known;
    std::vector<std::shared_ptr<FileSlot>> slots;
    std::vector<InodeNumber> directories;  // browsed ones that show the secret's fields
  };

  // Who brings a snapshot. The listener hears everything in order; the answer of a read may be
  // older than what the listener has heard since.
  enum class SnapshotSource { kListener, kRead };

  struct SwapWaiter {
    RequestId id;
    Reply<Entry> reply;
  };

  // What a look at the tree means for a lookup.
  struct LookupStep {
    enum class Kind { kReply, kFetch, kWaitForSwap, kBrowse };
    Kind kind = Kind::kReply;
    Outcome<Entry> outcome;
    // kFetch:
    cache::EntryKey key;
    Attributes attributes;  // what the file will have
    std::vector<cache::EntryKey> prefetch;
  };

  // A plan that the publisher has not carried out yet.
  struct PlanUnderWay {
    uint64_t generation = 0;                       // that it switches to; 0: none
    std::vector<std::shared_ptr<FileSlot>> slots;  // browsed: see FileSlot::unpublished
    std::optional<RecordId> record;
    std::string payload;  // not written yet
  };

  // mutex_, and at the end everything that was changed is written.
  class ABSL_SCOPED_LOCKABLE TreeLock {
   public:
    explicit TreeLock(OperationsImpl& operations) ABSL_EXCLUSIVE_LOCK_FUNCTION(operations.mutex_)
        : operations_(operations) {
      operations_.mutex_.Lock();
    }
    ~TreeLock() ABSL_UNLOCK_FUNCTION() {
      operations_.Save();
      operations_.mutex_.Unlock();
    }
    TreeLock(const TreeLock&) = delete;
    TreeLock& operator=(const TreeLock&) = delete;

   private:
    OperationsImpl& operations_;
  };

  struct BrowseLookup;
  struct BrowseOpenDirectory;
  struct BrowseStep;

  // operations.cc
  void OnEntriesChanged(std::span<const cache::EntrySnapshot> entries) override;
  void Apply(std::span<const cache::EntrySnapshot> snapshots, SnapshotSource source);
  // Whether the snapshot tells something about the value.
  bool Remember(WatchedEntry& entry, const cache::EntrySnapshot& snapshot, SnapshotSource source)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // To be called in the section that makes the change which `plan` tells of; then, unlocked,
  // Submit.
  void Begin(PublishPlan& plan, uint64_t generation = 0,
             std::vector<std::shared_ptr<FileSlot>> browsed = {})
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Submit(PublishPlan plan);
  void AfterPlan(uint64_t id);
  // Whether the publisher is not known to have finished its work on the current generation.
  bool IsPublishingCurrent() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PublishPlan BeginAfterSwap(const ManifestTree::Swap& swap, bool forced)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerSwapWaiters(const std::vector<SwapWaiter>& waiters);
  std::vector<SwapWaiter> TakeSwapWaiters() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The kernel is about to get the inode's attributes.
  void TellSize(Inode& inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Attributes AttributesOf(const Inode& inode) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Attributes FileAttributes(const FileSlot& slot) const;
  cache::EntryState StateOf(const WatchedEntry& entry) const;
  std::string StateText(const FileSlot& slot, InodeNumber inode) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FileStatus StatusOf(const FileSlot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // operations_save.cc
  bool outlives() const { return memory_.state != nullptr; }
  void Save() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepContent(const TreeChanges& changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  saved::Inode SavedInode(const Inode& inode) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static saved::Slot SavedSlot(const FileSlot& slot);
  std::string ValueName(InodeNumber inode) const;

  // operations_restore.cc
  using SlotsById = std::map<uint64_t, std::shared_ptr<FileSlot>>;
  void StartTree() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes out what no server of this mount can have written (fs/saved_checks.h).
  void DropUnbelievable(SavedTree& saved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Instead of restoring it.
  void StartAnew(const SavedTree& saved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the saved tree is one of this kind of mount.
  bool Fits(const SavedTree& saved) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RestoreTree(const SavedTree& saved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SlotsById RestoreSlots(const SavedTree& saved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<FileSlot> RestoreSlot(const saved::Slot& saved)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RestoreInode(const SavedTree::Kept<saved::Inode>& saved, const SlotsById& slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null where the manifest has no place for it any more.
  std::optional<InodeBody> RestoreBody(const saved::Inode& saved, const SlotsById& slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RestoreBrowseTrees(const SavedTree& saved, const SlotsById& slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RestorePlans(const SavedTree& saved, const SlotsById& slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropUnusedAfterRestore(const SlotsById& slots) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EraseForgottenContent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What of a plan still means something.
  void Trim(PublishPlan& plan, uint64_t& generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // operations_lookup.cc
  LookupStep LookAt(InodeNumber parent, std::string_view name, const Caller& caller)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LookupStep LookAtManifest(const Inode& directory, std::string_view name, bool is_publisher)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FetchForLookup(RequestId id, InodeNumber parent, std::string name, const Caller& caller,
                      LookupStep step, Reply<Entry> reply);
  void FinishLookup(RequestId id, InodeNumber parent, const std::string& name,
                    const Reply<Entry>& reply, const absl::StatusOr<cache::EntrySnapshot>& fetched);
  // The reply for an inode; adds one lookup.
  Outcome<Entry> Enter(Inode& inode, bool cacheable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename T>
  void Park(RequestId id, const Reply<T>& reply) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    parked_[id.value()] = [reply](int error) { reply(Outcome<T>::Fail(error)); };
  }
  // True for exactly one caller for each parked request: that one replies.
  bool Unpark(RequestId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return parked_.erase(id.value()) > 0;
  }
  template <typename T>
  void ReplyError(RequestId id, const Reply<T>& reply, int error) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (!Unpark(id)) return;
    }
    reply(Outcome<T>::Fail(error));
  }

  template <typename Function>
  auto Guarded(Function function) {
    return CallbackGate::Guard(gate_, std::move(function));
  }

  // operations_open.cc
  struct OpenStep;
  void FinishOpen(RequestId id, InodeNumber inode, bool was_current, const Reply<OpenedFile>& reply,
                  const absl::StatusOr<cache::EntrySnapshot>& fetched);
  void FinishRead(RequestId id, InodeNumber inode, const Reply<Content>& reply,
                  const absl::StatusOr<cache::EntrySnapshot>& fetched);
  Outcome<OpenedFile> OpenVersion(Inode& inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogOpen(const std::string& path, const Caller& caller) const;

  // operations_browse.cc: LOOKUP and OPENDIR below a browse tree.
  void LookupInBrowseTree(RequestId id, InodeNumber parent, std::string_view name,
                          const Caller& caller, Reply<Entry> reply);
  void OpenBrowseDirectory(RequestId id, InodeNumber inode, const Caller& caller,
                           Reply<DirectoryListing> reply);
  template <typename Request>
  void RunRequest(std::shared_ptr<Request> request);
  void Run(std::shared_ptr<BrowseLookup> request);
  void Run(std::shared_ptr<BrowseOpenDirectory> request);
  BrowseStep NextStep(BrowseLookup& request, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BrowseStep NextStep(BrowseOpenDirectory& request, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<BrowseStep> NextProbe(BrowseLookup& request, Inode& inode, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename Request>
  void Ask(std::shared_ptr<Request> request, BrowseStep step);
  template <typename Request>
  void AskForList(std::shared_ptr<Request> request, const BrowseStep& step);
  template <typename Request>
  void AskForFields(std::shared_ptr<Request> request, const BrowseStep& step);
  void Probe(std::shared_ptr<BrowseLookup> request, const BrowseStep& step);
  void OnListed(InodeNumber directory, absl::StatusOr<std::vector<providers::ListEntry>> listed,
                PublishPlan& plan) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnFieldsRead(InodeNumber directory, const absl::Status& status, PublishPlan& plan,
                    std::vector<cache::Interest>& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // operations_browse_tree.cc: what is known of browse trees, and the inodes below them.
  void AddBrowseTrees() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `inode`: of an earlier server; 0: none.
  void AddBrowseTree(size_t tree, InodeNumber inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BrowseDirectory* FindBrowseDirectory(InodeNumber inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The inode of the name in the directory, made if the kernel knows none; adds one lookup.
  // `fetched` is what a probe brought, and may be null.
  Outcome<Entry> EnterChild(Inode& parent, const BrowseName& name,
                            const cache::EntrySnapshot* fetched)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Inode& NewBrowsedFile(const Inode& parent, const BrowseName& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetListing(InodeNumber directory, std::vector<providers::ListEntry> entries,
                  PublishPlan& plan) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes away the children that the directory's names no longer lead to.
  void ReconcileChildren(InodeNumber directory, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveChild(InodeNumber directory, const std::string& shown, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A secret that the directory shows as fields changed.
  void OnDirectorySecret(InodeNumber directory, const cache::EntrySnapshot& snapshot,
                         PublishPlan& plan) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnBrowsedFileChange(const FileChange& change, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The file's name leads nowhere any more; the kernel is told by `plan`.
  void DropBrowsedName(const std::shared_ptr<FileSlot>& slot, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The directory turned out to be neither a prefix nor a secret: its parent has to ask again what
  // the name is.
  void DropVanishedDirectory(InodeNumber number, PublishPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes the known directories at, above and below `path` ask the store again when they are next
  // looked at. False when there is none at or below it.
  bool MarkForRelisting(BrowseDirectory& directory, std::string_view path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The kernel knows the inode no longer. Interests to end go to `ended`, to be dropped unlocked.
  void ForgetBrowsedFile(const std::shared_ptr<FileSlot>& slot, std::vector<cache::Interest>& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetBrowsedDirectory(InodeNumber inode, InodeNumber parent,
                              const BrowseDirectory& directory, std::vector<cache::Interest>& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndEntryIfUnused(const cache::EntryKey& key, std::vector<cache::Interest>& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes the cache keep `key`, which is in entries_, and report its changes.
  void EnsureInterest(const cache::EntryKey& key, const cache::Policy& policy)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const MountSpec spec_;
  cache::Cache& cache_;
  const Clock& clock_;
  PublishSink& sink_;
  const GroupsOf groups_of_;
  const MountMemory memory_;
  const std::vector<providers::Capabilities> capabilities_;  // by browse tree
  const std::shared_ptr<CallbackGate> gate_ = std::make_shared<CallbackGate>();

  // Never held while the cache, the sink or a reply is called.
  mutable absl::Mutex mutex_;
  // mutex_ protects all of the following.
  InodeTable table_ ABSL_GUARDED_BY(mutex_);
  // Null when one browse tree is the whole mount.
  std::unique_ptr<ManifestTree> manifest_ ABSL_GUARDED_BY(mutex_);
  std::vector<InodeNumber> browse_roots_ ABSL_GUARDED_BY(mutex_);
  std::map<cache::EntryKey, WatchedEntry> entries_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, std::function<void(int)>> parked_ ABSL_GUARDED_BY(mutex_);
  std::vector<SwapWaiter> swap_waiters_ ABSL_GUARDED_BY(mutex_);
  uint64_t flat_updates_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_slot_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t next_plan_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, PlanUnderWay> plans_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> unwritten_plans_ ABSL_GUARDED_BY(mutex_);
  std::optional<RecordId> tree_record_ ABSL_GUARDED_BY(mutex_);
  bool values_full_ ABSL_GUARDED_BY(mutex_) = false;  // and said so
  // Of an earlier server, until Resume: plans, and keys of values that it showed.
  std::map<uint64_t, PublishPlan> plans_to_resume_ ABSL_GUARDED_BY(mutex_);
  std::map<cache::EntryKey, cache::Policy> keys_to_read_ ABSL_GUARDED_BY(mutex_);
  bool resumes_ ABSL_GUARDED_BY(mutex_) = false;
  // What an earlier server left was not taken: names that the kernel may still know, until Resume.
  std::set<std::string> forgotten_names_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace secretfs::fs
