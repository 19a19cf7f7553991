#include "fs/file_slot.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

// Small enough that mtimes stay true, large enough for every tool that compares them.
constexpr Duration kMtimeStep = std::chrono::microseconds(1);

WallTime NextModified(const FileSlot& slot, const cache::EntrySnapshot& snapshot, WallTime now) {
  const WallTime natural = snapshot.secret->changed_at.value_or(snapshot.fetched_at.value_or(now));
  if (!slot.had_version) return natural;
  return std::max(natural, slot.last_modified + kMtimeStep);
}

std::optional<FileChange> Withdraw(InodeTable& table, const std::shared_ptr<FileSlot>& slot) {
  if (slot->current == InodeNumber()) return std::nullopt;
  table.NoteSlot(slot);
  return FileChange{.slot = slot,
                    .before = std::exchange(slot->current, InodeNumber()),
                    .after = InodeNumber(),
                    .first = false};
}

// Whether a snapshot without a secret takes the file's value away from readers, rather than having
// none yet.
bool IsWithdrawn(const FileSlot& slot, const cache::EntrySnapshot& snapshot) {
  if (snapshot.state != cache::EntryState::kGone && snapshot.state != cache::EntryState::kExpired) {
    return false;
  }
  // A browsed file also grows too old when nobody opens it for long: its name stays, and the next
  // open fetches. Only the store's word takes it away.
  return slot.manifest_index.has_value() ||
         (!snapshot.last_error.ok() && !IsTransient(snapshot.last_error));
}

// The secret came but gives this file no content.
std::optional<FileChange> OnUnusable(InodeTable& table, const std::shared_ptr<FileSlot>& slot) {
  // The property is gone from the store: so is the file. Anything else (not JSON any more, cannot
  // be decoded) is more likely a mistake at the store: readers keep the last good version.
  if (absl::IsNotFound(slot->error)) return Withdraw(table, slot);
  Log().warn("{}: the new version of the secret is not usable, the old one stays: {}", slot->path,
             MessageOf(slot->error));
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SecretBytes>> ExtractContent(
    const ContentSource& source, const providers::SecretPtr& secret) {
  using Bytes = std::shared_ptr<const SecretBytes>;
  if (std::holds_alternative<WholeValue>(source)) return Bytes(secret, &secret->value);
  if (const auto* field = std::get_if<FieldValue>(&source)) {
    const auto found = secret->fields.find(field->field);
    if (found == secret->fields.end()) {
      return absl::NotFoundError(Format("the secret has no field \"{}\" any more", field->field));
    }
    return Bytes(secret, &found->second);
  }
  const auto& selection = std::get<providers::Selection>(source);
  if (selection == providers::Selection{}) return Bytes(secret, &secret->value);
  absl::StatusOr<SecretBytes> selected = providers::Select(*secret, selection);
  if (!selected.ok()) return selected.status();
  return std::make_shared<const SecretBytes>(*std::move(selected));
}

std::optional<FileChange> UpdateFile(InodeTable& table, const std::shared_ptr<FileSlot>& slot,
                                     const cache::EntrySnapshot& snapshot, WallTime now) {
  if (snapshot.secret == nullptr) {
    if (!IsWithdrawn(*slot, snapshot)) return std::nullopt;
    return Withdraw(table, slot);
  }
  auto content = ExtractContent(slot->source, snapshot.secret);
  slot->error = content.status();
  if (!content.ok()) return OnUnusable(table, slot);

  Inode* current = table.Find(slot->current);
  if (current != nullptr) {
    FileVersion& version = std::get<FileVersion>(current->body);
    if ((version.bytes != nullptr && version.bytes->ConstantTimeEquals(**content)) ||
        Reattach(table, *current, *snapshot.secret, *content)) {
      // Another field changed, if anything: readers of this file see nothing new.
      if (current->version != snapshot.secret->version) table.Note(*current);
      current->version = snapshot.secret->version;
      version.fetched = snapshot.fetched_at.value_or(now);
      return std::nullopt;
    }
  }
  const WallTime modified = NextModified(*slot, snapshot, now);
  const bool first = !slot->had_version;
  slot->had_version = true;
  slot->last_modified = modified;
  table.NoteSlot(slot);
  if (current != nullptr && !std::get<FileVersion>(current->body).settled()) {
    // Looked up, never opened: the inode gets its content now, which is not a change for anybody.
    FileVersion& version = std::get<FileVersion>(current->body);
    version.bytes = *std::move(content);
    version.modified = modified;
    version.fetched = snapshot.fetched_at.value_or(now);
    current->version = snapshot.secret->version;
    table.Note(*current);
    return std::nullopt;
  }
  Inode& inode = table.Add(slot->parent, slot->name,
                           FileVersion{.slot = slot,
                                       .bytes = *std::move(content),
                                       .modified = modified,
                                       .fetched = snapshot.fetched_at.value_or(now),
                                       .size_told = false});
  inode.version = snapshot.secret->version;
  slot->versions.push_back(inode.number);
  const InodeNumber before = std::exchange(slot->current, inode.number);
  return FileChange{.slot = slot, .before = before, .after = inode.number, .first = first};
}

bool Reattach(InodeTable& table, Inode& inode, const providers::Secret& secret,
              const std::shared_ptr<const SecretBytes>& content) {
  FileVersion& version = std::get<FileVersion>(inode.body);
  // Equal versions have equal values; the size guards against another selection.
  if (version.bytes != nullptr || !version.lost_size || *version.lost_size != content->size() ||
      inode.version != secret.version) {
    return false;
  }
  version.bytes = content;
  version.lost_size.reset();
  table.Note(inode);
  return true;
}

std::vector<InodeNumber> OlderKnownVersions(const InodeTable& table, const FileSlot& slot) {
  std::vector<InodeNumber> known;
  for (const InodeNumber number : slot.versions) {
    if (number == slot.current) continue;
    const Inode* inode = table.Find(number);
    if (inode != nullptr && inode->lookups > 0) known.push_back(number);
  }
  return known;
}

}  // namespace secretfs::fs
