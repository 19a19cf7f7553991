#include "fs/mount_state.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

using saved::RecordType;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

template <typename T>
absl::Status Keep(RecordId record, absl::StatusOr<T> decoded,
                  std::vector<SavedTree::Kept<T>>& list) {
  if (!decoded.ok()) return decoded.status();
  list.push_back({.record = record, .value = *std::move(decoded)});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MountState>> MountState::Create() {
  SECRETFS_ASSIGN_OR_RETURN(SharedRecords records, SharedRecords::Create(MountStateMemory()));
  std::unique_ptr<MountState> state(new MountState(std::move(records)));
  SECRETFS_RETURN_IF_ERROR(state->Load());
  return state;
}

absl::StatusOr<std::unique_ptr<MountState>> MountState::Attach(int memory) {
  SECRETFS_ASSIGN_OR_RETURN(SharedRecords records, SharedRecords::Attach(memory));
  std::unique_ptr<MountState> state(new MountState(std::move(records)));
  SECRETFS_RETURN_IF_ERROR(state->Load());
  return state;
}

int MountState::memory() const {
  absl::MutexLock lock(&mutex_);
  return records_.memory();
}

absl::Status MountState::Load() {
  absl::MutexLock lock(&mutex_);
  // The version first: of another one, no payload means what it means here.
  absl::Status status;
  bool empty = true;
  records_.ForEach([&](RecordId record, uint32_t type, saved::Payload payload) {
    empty = false;
    if (!status.ok() || type != static_cast<uint32_t>(RecordType::kFormat)) return;
    format_ = record;
    status = saved::CheckFormat(payload);
  });
  SECRETFS_RETURN_IF_ERROR(status);
  if (empty) {
    const std::string format = saved::EncodeFormat();
    auto record = records_.Insert(static_cast<uint32_t>(RecordType::kFormat), Bytes(format));
    if (!record.ok()) return record.status();
    format_ = *record;
    records_.Commit();
    return absl::OkStatus();
  }
  if (!format_) return absl::DataLossError("the saved state of the mount does not say its version");
  records_.ForEach([&](RecordId record, uint32_t type, saved::Payload payload) {
    if (status.ok()) status = LoadRecord(record, type, payload);
  });
  SECRETFS_RETURN_IF_ERROR(status);
  const auto by_number = [](const auto& a, const auto& b) {
    return a.value.number < b.value.number;
  };
  std::sort(tree_.inodes.begin(), tree_.inodes.end(), by_number);
  std::sort(tree_.views.begin(), tree_.views.end(), by_number);
  const auto by_id = [](const auto& a, const auto& b) { return a.value.id < b.value.id; };
  std::sort(tree_.slots.begin(), tree_.slots.end(), by_id);
  std::sort(tree_.plans.begin(), tree_.plans.end(), by_id);
  return CheckTree();
}

absl::Status MountState::LoadRecord(RecordId record, uint32_t type, saved::Payload payload) {
  switch (static_cast<RecordType>(type)) {
    case RecordType::kFormat:
      return absl::OkStatus();
    case RecordType::kInit: {
      SECRETFS_ASSIGN_OR_RETURN(init_, saved::DecodeInit(payload));
      init_record_ = record;
      return absl::OkStatus();
    }
    case RecordType::kNote: {
      SECRETFS_ASSIGN_OR_RETURN(saved::Note note, saved::DecodeNote(payload));
      notes_[std::move(note.name)] = {.record = record, .text = std::move(note.text)};
      return absl::OkStatus();
    }
    case RecordType::kTree: {
      SECRETFS_ASSIGN_OR_RETURN(saved::Tree tree, saved::DecodeTree(payload));
      tree_.tree = {.record = record, .value = tree};
      return absl::OkStatus();
    }
    case RecordType::kInode:
      return Keep(record, saved::DecodeInode(payload), tree_.inodes);
    case RecordType::kSlot:
      return Keep(record, saved::DecodeSlot(payload), tree_.slots);
    case RecordType::kView:
      return Keep(record, saved::DecodeView(payload), tree_.views);
    case RecordType::kPlan:
      return Keep(record, saved::DecodePlan(payload), tree_.plans);
  }
  return absl::DataLossError(
      Format("the saved state of the mount holds a record of unknown type {}", type));
}

absl::Status MountState::CheckTree() const {
  const bool any =
      !tree_.inodes.empty() || !tree_.slots.empty() || !tree_.views.empty() || !tree_.plans.empty();
  if (!tree_.tree) {
    if (!any) return absl::OkStatus();
    return absl::DataLossError("the saved state of the mount holds parts of a tree only");
  }
  const auto has_twice = [](const auto& list, auto key) {
    const auto same = [key](const auto& a, const auto& b) { return key(a.value) == key(b.value); };
    return std::adjacent_find(list.begin(), list.end(), same) != list.end();
  };
  const auto number = [](const auto& value) { return value.number; };
  const auto id = [](const auto& value) { return value.id; };
  if (has_twice(tree_.inodes, number) || has_twice(tree_.views, number) ||
      has_twice(tree_.slots, id) || has_twice(tree_.plans, id)) {
    return absl::DataLossError("the saved state of the mount uses a number twice");
  }
  if (tree_.inodes.empty() || tree_.inodes.front().value.number != kRootInode ||
      std::holds_alternative<saved::LinkInode>(tree_.inodes.front().value.body) ||
      std::holds_alternative<saved::FileInode>(tree_.inodes.front().value.body)) {
    return absl::DataLossError("the saved state of the mount has no root");
  }
  return absl::OkStatus();
}

absl::Status MountState::SaveInit(std::span<const std::byte> request,
                                  std::span<const std::byte> reply) {
  Init init{.request = {request.begin(), request.end()}, .reply = {reply.begin(), reply.end()}};
  Transaction transaction(*this);
  if (!transaction.Put(init_record_, RecordType::kInit, saved::Encode(init))) {
    return absl::ResourceExhaustedError("no room for the INIT exchange in the mount's state");
  }
  init_ = std::move(init);
  return absl::OkStatus();
}

std::optional<MountState::Init> MountState::init() const {
  absl::MutexLock lock(&mutex_);
  return init_;
}

absl::Status MountState::SaveNote(std::string_view name, std::string_view text) {
  saved::Note note{.name = std::string(name), .text = std::string(text)};
  Transaction transaction(*this);
  KeptNote& kept = notes_[note.name];
  if (!transaction.Put(kept.record, RecordType::kNote, saved::Encode(note))) {
    return absl::ResourceExhaustedError(Format("no room for \"{}\" in the mount's state", name));
  }
  kept.text = std::move(note.text);
  return absl::OkStatus();
}

std::optional<std::string> MountState::Note(std::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = notes_.find(name);
  if (found == notes_.end() || !found->second.record) return std::nullopt;
  return found->second.text;
}

SavedTree MountState::TakeTree() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(tree_, {});
}

MountState::Transaction::Transaction(MountState& state) : state_(state) { state_.mutex_.Lock(); }

MountState::Transaction::~Transaction() {
  state_.records_.Commit();
  state_.mutex_.Unlock();
}

bool MountState::Transaction::Put(std::optional<RecordId>& record, RecordType type,
                                  std::string_view payload) {
  absl::Status status;
  if (record) {
    status = state_.records_.Replace(*record, Bytes(payload));
  } else {
    auto made = state_.records_.Insert(static_cast<uint32_t>(type), Bytes(payload));
    if (made.ok()) record = *made;
    status = made.status();
  }
  if (!status.ok() && !std::exchange(state_.full_, true)) {
    Log().warn("not all of the mount would survive a crash of the server: {}", MessageOf(status));
  }
  return status.ok();
}

void MountState::Transaction::Erase(RecordId record) { state_.records_.Erase(record); }

}  // namespace secretfs::fs
