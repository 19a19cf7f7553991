#include "cli/run/run_values.h"

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {

RunValues::RunValues(Runtime& runtime, std::vector<Variable> variables,
                     std::function<void()> changed)
    : runtime_(runtime),
      variables_(std::move(variables)),
      changed_(std::move(changed)),
      current_(variables_.size()) {
  for (const Variable& variable : variables_) {
    interests_.push_back(
        runtime_.cache().AddInterest(variable.value.key, variable.value.policy, true, this));
  }
}

RunValues::~RunValues() { runtime_.cache().RemoveListener(this); }

absl::StatusOr<bool> RunValues::Take(size_t i, const cache::EntrySnapshot& snapshot) {
  SECRETFS_ASSIGN_OR_RETURN(SecretBytes value, SelectValue(variables_[i].value, snapshot));
  if (value.ConstantTimeEquals(current_[i])) return false;
  current_[i] = std::move(value);
  return true;
}

std::vector<absl::Status> RunValues::Fetch() {
  std::vector<cache::EntryKey> keys;
  for (const Variable& variable : variables_) keys.push_back(variable.value.key);
  runtime_.cache().Prefetch(keys);  // in one request, from one snapshot, where the store can
  const auto snapshots = runtime_.ReadAll(keys);
  std::vector<absl::Status> failures;
  for (size_t i = 0; i < keys.size(); ++i) {
    absl::Status status = snapshots[i].status();
    if (status.ok()) status = Take(i, *snapshots[i]).status();
    if (status.ok()) continue;
    failures.push_back(
        WithContext(status, Format("{} ({})", variables_[i].name, variables_[i].value.path)));
  }
  return failures;
}

std::vector<std::string> RunValues::TakeChanges() {
  std::map<cache::EntryKey, cache::EntrySnapshot> news;
  {
    absl::MutexLock lock(&mutex_);
    news.swap(news_);
  }
  std::vector<std::string> changed;
  for (size_t i = 0; i < variables_.size(); ++i) {
    const auto found = news.find(variables_[i].value.key);
    if (found == news.end()) continue;
    const absl::StatusOr<bool> taken = Take(i, found->second);
    if (!taken.ok()) {
      Log().warn("{} keeps its value: {}", variables_[i].name, MessageOf(taken.status()));
    } else if (*taken) {
      changed.push_back(variables_[i].name);
    }
  }
  return changed;
}

std::vector<std::pair<std::string, const SecretBytes*>> RunValues::Current() const {
  std::vector<std::pair<std::string, const SecretBytes*>> values;
  for (size_t i = 0; i < variables_.size(); ++i) {
    values.emplace_back(variables_[i].name, &current_[i]);
  }
  return values;
}

void RunValues::OnEntriesChanged(std::span<const cache::EntrySnapshot> entries) {
  bool any = false;
  {
    absl::MutexLock lock(&mutex_);
    for (const cache::EntrySnapshot& entry : entries) {
      if (entry.secret == nullptr) continue;
      news_.insert_or_assign(entry.key, entry);
      any = true;
    }
  }
  if (any) changed_();
}

}  // namespace secretfs::cli
