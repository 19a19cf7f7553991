#include "cache/listeners.h"

#include <utility>

namespace secretfs::cache {

void Listeners::Handle::Call(std::span<const EntrySnapshot> entries) {
  absl::MutexLock lock(&calling_);
  if (listener_ != nullptr) listener_->OnEntriesChanged(entries);
}

Listeners::HandlePtr Listeners::Find(Listener* listener) {
  if (listener == nullptr) return nullptr;
  absl::MutexLock lock(&mutex_);
  HandlePtr& handle = handles_[listener];
  if (handle == nullptr) handle = std::make_shared<Handle>(listener);
  return handle;
}

void Listeners::Remove(Listener* listener) {
  HandlePtr handle;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = handles_.find(listener);
    if (found == handles_.end()) return;
    handle = std::move(found->second);
    handles_.erase(found);
  }
  absl::MutexLock lock(&handle->calling_);
  handle->listener_ = nullptr;
}

}  // namespace secretfs::cache
