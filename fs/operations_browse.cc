// LOOKUP and OPENDIR below a browse tree. Each request is a small machine: NextStep looks at what
// is known and says the next thing to do, which is a reply or one question to the cache; the answer
// is remembered in the tree and in the request, and the machine runs again. Each question is asked
// at most once for a request, so it ends.

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <type_traits>
#include <utility>

#include "base/errno_table.h"
#include "base/status.h"
#include "fs/access_check.h"
#include "fs/names.h"
#include "fs/operations_impl.h"

namespace secretfs::fs {
namespace {

constexpr std::string_view kWholeSuffix = ".json";

// Answers that say nothing about whether a name exists: it may still be found by asking for it.
bool IsListRefused(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnimplemented(status);
}

bool IsNoSuchName(const absl::Status& status) {
  return absl::IsNotFound(status) || IsListRefused(status);
}

}  // namespace

// The next thing to do for a request.
struct OperationsImpl::BrowseStep {
  enum class Kind {
    kReply,        // the request's outcome stands
    kList,         // the names in the directory
    kReadFields,   // the secret that the directory is
    kProbeSecret,  // is there a secret, where no list says so
    kProbePrefix,  // the same for a prefix
    kProbeWhole,   // the same for NAME of NAME.json
  };
  Kind kind = Kind::kReply;
  cache::EntryKey key;
  cache::Policy policy;
  bool force = false;
};

struct OperationsImpl::BrowseLookup {
  RequestId id;
  InodeNumber directory;
  std::string name;
  Caller caller;
  Reply<Entry> reply;
  Outcome<Entry> outcome;
  bool parked = false;
  // The answers of the store; not set: not asked.
  std::optional<absl::Status> listed, fields_read, as_secret, as_prefix, as_whole;
  // What a probe brought, and the interest that keeps it until an inode has its own.
  std::optional<cache::EntrySnapshot> fetched;
  std::vector<providers::ListEntry> prefix_entries;
  std::vector<cache::Interest> interests;
};

struct OperationsImpl::BrowseOpenDirectory {
  RequestId id;
  InodeNumber directory;
  Caller caller;
  Reply<DirectoryListing> reply;
  Outcome<DirectoryListing> outcome;
  bool parked = false;
  std::optional<absl::Status> listed, fields_read;
};

namespace {

bool MayBePrefix(const BrowseDirectory& directory, Duration ttl, MonotonicTime now) {
  return directory.is_prefix != Fact::kNo || now - directory.facts_at >= ttl;
}

bool MayBeSecret(const BrowseDirectory& directory, bool structured) {
  return structured && !directory.store_path.empty() && directory.is_secret != Fact::kNo;
}

// The listing used up the deadline: a second question to the same store would make the reader wait
// for another one. What is known of the fields already costs no wait.
bool MayNotWaitAgain(const BrowseDirectory& directory, const std::optional<absl::Status>& listed) {
  return listed && absl::IsDeadlineExceeded(*listed) && directory.fields == nullptr;
}

bool IsListDenied(const BrowseDirectory& directory, MonotonicTime now) {
  return directory.list_denied_until && now < *directory.list_denied_until;
}

}  // namespace

// ---- LOOKUP
// --------------------------------------------------------------------------------------

void OperationsImpl::LookupInBrowseTree(RequestId id, InodeNumber parent, std::string_view name,
                                        const Caller& caller, Reply<Entry> reply) {
  auto request = std::make_shared<BrowseLookup>();
  request->id = id;
  request->directory = parent;
  request->name = name;
  request->caller = caller;
  request->reply = std::move(reply);
  Run(std::move(request));
}

OperationsImpl::BrowseStep OperationsImpl::NextStep(BrowseLookup& request, PublishPlan& plan) {
  request.outcome = Outcome<Entry>::Fail(ESTALE);
  Inode* inode = table_.Find(request.directory);
  BrowseDirectory* directory = FindBrowseDirectory(request.directory);
  if (directory == nullptr) return {};
  const BrowseSpec& spec = spec_.browse[directory->tree];
  const providers::Capabilities& capabilities = capabilities_[directory->tree];
  const MonotonicTime now = clock_.Now();
  BrowseStep step{
      .kind = BrowseStep::Kind::kReply, .key = directory->key(spec.store), .policy = spec.policy};

  // A secret that had nothing below it when last looked at: its fields are what is wanted. Should
  // the store put a secret of the same name there, the next listing puts the names right.
  if (directory->is_prefix == Fact::kNo && !directory->relist && directory->fields != nullptr) {
    if (const BrowseName* hit = directory->fields->Find(request.name)) {
      request.outcome = EnterChild(*inode, *hit, nullptr);
      return step;
    }
  }

  // 1. Names of the store, by its listing.
  const bool denied = IsListDenied(*directory, now);
  const bool listing_failed = request.listed && !request.listed->ok();
  if (MayBePrefix(*directory, spec.policy.ttl, now) || request.listed) {
    const bool fresh = directory->listed != nullptr && !directory->relist &&
                       now - directory->listed_at < spec.policy.ttl;
    const BrowseName* hit = directory->listed ? directory->listed->Find(request.name) : nullptr;
    if (hit != nullptr && (fresh || request.listed || denied)) {
      request.outcome = EnterChild(*inode, *hit, nullptr);
      return step;
    }
    // A fresh listing without the name is believed for a short while. A store that reports changes
    // needs no such doubt: the cache knows whether its listing still holds.
    const bool miss_is_remembered =
        fresh && !capabilities.watch && now - directory->listed_at < spec.policy.negative_ttl;
    if (!request.listed && !denied && !miss_is_remembered) {
      step.kind = BrowseStep::Kind::kList;
      step.force = directory->relist || (fresh && !capabilities.watch);
      return step;
    }
  }

  // 2. Where listing is not allowed: by asking for the name.
  if (denied) {
    if (auto probe = NextProbe(request, *inode, plan)) return *probe;
  }

  // 3. Fields.
  if (MayBeSecret(*directory, capabilities.structured)) {
    const BrowseName* hit = directory->fields ? directory->fields->Find(request.name) : nullptr;
    if (hit != nullptr) {
      request.outcome = EnterChild(*inode, *hit, nullptr);
      return step;
    }
    const auto entry = entries_.find(step.key);
    const bool fresh = entry != entries_.end() && entry->second.interested &&
                       directory->fields != nullptr &&
                       StateOf(entry->second) == cache::EntryState::kFresh;
    if (!request.fields_read && !fresh && !MayNotWaitAgain(*directory, request.listed)) {
      step.kind = BrowseStep::Kind::kReadFields;
      return step;
    }
  }

  // Nothing has the name; say why not, as far as that is known.
  int error = ENOENT;
  if (listing_failed && !IsNoSuchName(*request.listed)) {
    error = StatusToErrno(*request.listed);
  } else if (request.fields_read && !request.fields_read->ok() &&
             !absl::IsNotFound(*request.fields_read)) {
    error = StatusToErrno(*request.fields_read);
  } else if (denied) {
    bool found_out = false;
    for (const auto* answer : {&request.as_secret, &request.as_prefix}) {
      found_out = found_out || (*answer && absl::IsNotFound(**answer));
    }
    if (!found_out) error = EACCES;
  }
  request.outcome = Outcome<Entry>::Fail(error);
  if (directory->is_prefix == Fact::kNo && directory->is_secret == Fact::kNo) {
    DropVanishedDirectory(request.directory, plan);
  }
  return step;
}

// Nothing: the probes are over and found nothing.
std::optional<OperationsImpl::BrowseStep> OperationsImpl::NextProbe(BrowseLookup& request,
                                                                    Inode& inode,
                                                                    PublishPlan& plan) {
  const BrowseDirectory& directory = *FindBrowseDirectory(request.directory);
  const BrowseSpec& spec = spec_.browse[directory.tree];
  const bool structured = capabilities_[directory.tree].structured;
  const std::optional<std::string> name = StoreName(request.name);
  if (!name) return std::nullopt;
  BrowseStep step{
      .kind = BrowseStep::Kind::kReply, .key = directory.key(spec.store), .policy = spec.policy};
  const auto ask = [&](BrowseStep::Kind kind, const std::string& store_name) {
    step.kind = kind;
    step.key.ref.key = JoinStorePath(directory.store_path, store_name);
    return step;
  };
  const auto fail = [&](const absl::Status& status) {
    request.outcome = Outcome<Entry>::Fail(StatusToErrno(status));
    return step;
  };
  BrowseName found{.shown = request.name,
                   .kind = structured ? BrowseName::Kind::kDirectory : BrowseName::Kind::kValue,
                   .name = *name};

  if (!request.as_secret) return ask(BrowseStep::Kind::kProbeSecret, *name);
  if (request.as_secret->ok()) {
    found.is_secret = true;
    request.outcome = EnterChild(inode, found, structured ? nullptr : &*request.fetched);
    return step;
  }
  if (!IsNoSuchName(*request.as_secret)) return fail(*request.as_secret);

  if (!request.as_prefix) return ask(BrowseStep::Kind::kProbePrefix, *name);
  if (request.as_prefix->ok()) {
    found.kind = BrowseName::Kind::kDirectory;
    found.is_prefix = true;
    request.outcome = EnterChild(inode, found, nullptr);
    if (request.outcome.error == 0) {
      SetListing(request.outcome.value.attributes.inode, std::move(request.prefix_entries), plan);
    }
    return step;
  }
  if (!IsNoSuchName(*request.as_prefix)) return fail(*request.as_prefix);

  if (!structured || !name->ends_with(kWholeSuffix)) return std::nullopt;
  const std::string stem = name->substr(0, name->size() - kWholeSuffix.size());
  if (!request.as_whole) return ask(BrowseStep::Kind::kProbeWhole, stem);
  if (request.as_whole->ok()) {
    found.kind = BrowseName::Kind::kValue;
    found.name = stem;
    request.outcome = EnterChild(inode, found, &*request.fetched);
    return step;
  }
  if (!IsNoSuchName(*request.as_whole)) return fail(*request.as_whole);
  return std::nullopt;
}

// ---- OPENDIR
// -------------------------------------------------------------------------------------

void OperationsImpl::OpenBrowseDirectory(RequestId id, InodeNumber inode, const Caller& caller,
                                         Reply<DirectoryListing> reply) {
  auto request = std::make_shared<BrowseOpenDirectory>();
  request->id = id;
  request->directory = inode;
  request->caller = caller;
  request->reply = std::move(reply);
  Run(std::move(request));
}

OperationsImpl::BrowseStep OperationsImpl::NextStep(BrowseOpenDirectory& request,
                                                    PublishPlan& plan) {
  request.outcome = Outcome<DirectoryListing>::Fail(ESTALE);
  BrowseDirectory* directory = FindBrowseDirectory(request.directory);
  if (directory == nullptr) return {};
  const BrowseSpec& spec = spec_.browse[directory->tree];
  BrowseStep step{
      .kind = BrowseStep::Kind::kReply, .key = directory->key(spec.store), .policy = spec.policy};
  if (!request.listed && MayBePrefix(*directory, spec.policy.ttl, clock_.Now())) {
    step.kind = BrowseStep::Kind::kList;
    step.force = directory->relist;
    return step;
  }
  if (!request.fields_read && !MayNotWaitAgain(*directory, request.listed) &&
      MayBeSecret(*directory, capabilities_[directory->tree].structured)) {
    step.kind = BrowseStep::Kind::kReadFields;
    return step;
  }
  const absl::Status listed = request.listed.value_or(absl::NotFoundError(""));
  const absl::Status fields_read = request.fields_read.value_or(absl::NotFoundError(""));
  // An outage of the listing need not hide what it said before; a refusal must.
  const bool show_listed = directory->listed != nullptr && (listed.ok() || IsTransient(listed));
  const bool show_fields = directory->fields != nullptr && fields_read.ok();
  if (!show_listed && !show_fields) {
    if (!absl::IsNotFound(listed)) {
      request.outcome = Outcome<DirectoryListing>::Fail(StatusToErrno(listed));
      return step;
    }
    if (!absl::IsNotFound(fields_read)) {
      request.outcome = Outcome<DirectoryListing>::Fail(StatusToErrno(fields_read));
      return step;
    }
    if (!directory->is_root) {
      DropVanishedDirectory(request.directory, plan);
      request.outcome = Outcome<DirectoryListing>::Fail(ENOENT);
      return step;
    }
  }
  auto entries = std::make_shared<std::vector<DirectoryEntry>>();
  const auto add = [&](const NameTable& table) {
    entries->reserve(entries->size() + table.names().size());
    for (const BrowseName& name : table.names()) {
      const auto child = directory->children.find(name.shown);
      const mode_t type = name.kind == BrowseName::Kind::kDirectory ? S_IFDIR : S_IFREG;
      DirectoryEntry entry{.name = name.shown, .inode = {}, .type = type};
      if (child != directory->children.end()) {
        entry.inode =
            child->second.file == nullptr ? child->second.directory : child->second.file->current;
      }
      entries->push_back(std::move(entry));
    }
  };
  if (show_listed) add(*directory->listed);
  if (show_fields) add(*directory->fields);
  request.outcome = {.error = 0, .value = std::move(entries)};
  return step;
}

// ---- running
// -------------------------------------------------------------------------------------

template <typename Request>
void OperationsImpl::RunRequest(std::shared_ptr<Request> request) {
  PublishPlan plan;
  BrowseStep step;
  bool answered = false;
  {
    TreeLock lock(*this);
    // Interrupted: nothing may be entered any more.
    if (request->parked && !parked_.contains(request->id.value())) return;
    step = NextStep(*request, plan);
    answered = step.kind == BrowseStep::Kind::kReply;
    if (answered && request->parked) Unpark(request->id);
    Begin(plan);
  }
  Submit(std::move(plan));
  if (answered) {
    request->reply(std::move(request->outcome));
    return;
  }
  Ask(std::move(request), std::move(step));
}

void OperationsImpl::Run(std::shared_ptr<BrowseLookup> request) { RunRequest(std::move(request)); }
void OperationsImpl::Run(std::shared_ptr<BrowseOpenDirectory> request) {
  RunRequest(std::move(request));
}

template <typename Request>
void OperationsImpl::Ask(std::shared_ptr<Request> request, BrowseStep step) {
  constexpr bool kIsLookup = std::is_same_v<Request, BrowseLookup>;
  // To walk through a directory is enough to learn of a name by a list; a listing for the caller,
  // and whatever fetches a value, is for those who may read the directory.
  if (!kIsLookup || step.kind != BrowseStep::Kind::kList) {
    Attributes attributes;
    {
      absl::MutexLock lock(&mutex_);
      if (const Inode* inode = table_.Find(request->directory)) attributes = AttributesOf(*inode);
    }
    if (!MayRead(request->caller, attributes, groups_of_)) {
      if (request->parked) {
        ReplyError(request->id, request->reply, EACCES);
      } else {
        request->reply({.error = EACCES, .value = {}});
      }
      return;
    }
  }
  if (!std::exchange(request->parked, true)) Park(request->id, request->reply);
  if (step.kind == BrowseStep::Kind::kList) {
    AskForList(std::move(request), step);
  } else if (step.kind == BrowseStep::Kind::kReadFields) {
    AskForFields(std::move(request), step);
  } else if constexpr (kIsLookup) {
    Probe(std::move(request), step);
  }
}

template <typename Request>
void OperationsImpl::AskForList(std::shared_ptr<Request> request, const BrowseStep& step) {
  using Entries = std::vector<providers::ListEntry>;
  cache_.List(step.key.store, step.key.ref.key, step.policy, step.force,
              Guarded([this, request](absl::StatusOr<Entries> listed) {
                PublishPlan plan;
                request->listed = listed.status();
                {
                  TreeLock lock(*this);
                  OnListed(request->directory, std::move(listed), plan);
                  Begin(plan);
                }
                Submit(std::move(plan));
                Run(request);
              }));
}

void OperationsImpl::OnListed(InodeNumber number,
                              absl::StatusOr<std::vector<providers::ListEntry>> listed,
                              PublishPlan& plan) {
  BrowseDirectory* directory = FindBrowseDirectory(number);
  if (directory == nullptr) return;
  if (listed.ok()) {
    SetListing(number, *std::move(listed), plan);
  } else if (absl::IsNotFound(listed.status())) {
    SetListing(number, {}, plan);
  } else if (IsListRefused(listed.status())) {
    directory->list_denied_until = clock_.Now() + spec_.browse[directory->tree].policy.negative_ttl;
  }
}

template <typename Request>
void OperationsImpl::AskForFields(std::shared_ptr<Request> request, const BrowseStep& step) {
  {
    absl::MutexLock lock(&mutex_);
    if (FindBrowseDirectory(request->directory) != nullptr) {
      WatchedEntry& entry = entries_[step.key];
      entry.known.key = step.key;
      if (std::find(entry.directories.begin(), entry.directories.end(), request->directory) ==
          entry.directories.end()) {
        entry.directories.push_back(request->directory);
      }
    }
  }
  EnsureInterest(step.key, step.policy);
  cache_.Read(step.key,
              Guarded([this, request](const absl::StatusOr<cache::EntrySnapshot>& fetched) {
                PublishPlan plan;
                std::vector<cache::Interest> ended;
                request->fields_read = fetched.status();
                if (fetched.ok()) Apply(std::span(&*fetched, 1), SnapshotSource::kRead);
                {
                  TreeLock lock(*this);
                  OnFieldsRead(request->directory, fetched.status(), plan, ended);
                  Begin(plan);
                }
                Submit(std::move(plan));
                Run(request);
              }));
}

void OperationsImpl::OnFieldsRead(InodeNumber number, const absl::Status& status, PublishPlan& plan,
                                  std::vector<cache::Interest>& ended) {
  BrowseDirectory* directory = FindBrowseDirectory(number);
  if (directory == nullptr) return;
  const cache::EntryKey key = directory->key(spec_.browse[directory->tree].store);
  const auto entry = entries_.find(key);
  if (entry == entries_.end()) return;
  if (status.ok()) {
    // Unless the snapshot already did it: the secret was known before the directory cared.
    if (directory->fields == nullptr) OnDirectorySecret(number, entry->second.known, plan);
    return;
  }
  if (IsTransient(status)) return;
  // No secret, or none for us: nothing to keep fresh.
  directory->fields = nullptr;
  if (absl::IsNotFound(status) && !directory->is_root) directory->is_secret = Fact::kNo;
  table_.Note(number);
  std::erase(entry->second.directories, number);
  EndEntryIfUnused(key, ended);
}

void OperationsImpl::Probe(std::shared_ptr<BrowseLookup> request, const BrowseStep& step) {
  if (step.kind == BrowseStep::Kind::kProbePrefix) {
    cache_.List(step.key.store, step.key.ref.key, step.policy, /*force=*/false,
                Guarded([this, request](absl::StatusOr<std::vector<providers::ListEntry>> listed) {
                  request->as_prefix = listed.status();
                  if (listed.ok()) request->prefix_entries = *std::move(listed);
                  Run(request);
                }));
    return;
  }
  request->interests.push_back(
      cache_.AddInterest(step.key, step.policy, /*pinned=*/false, /*listener=*/nullptr));
  const bool whole = step.kind == BrowseStep::Kind::kProbeWhole;
  cache_.Read(step.key,
              Guarded([this, request, whole](const absl::StatusOr<cache::EntrySnapshot>& fetched) {
                (whole ? request->as_whole : request->as_secret) = fetched.status();
                if (fetched.ok()) request->fetched = *fetched;
                Run(request);
              }));
}

}  // namespace secretfs::fs
