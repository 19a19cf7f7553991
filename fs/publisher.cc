#include "fs/publisher.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <utility>

#include "base/log.h"
#include "fs/publish_steps.h"
#include "fs/service_thread.h"

namespace secretfs::fs {

void MountPublisher::Submit(PublishPlan plan) {
  absl::MutexLock lock(&publisher_.mutex_);
  if (state_ == State::kDetached) return;
  plans_.push_back(std::move(plan));
  if (state_ == State::kAttached) publisher_.Enqueue(*this);
}

void MountPublisher::Attach(PublishTarget target) {
  absl::MutexLock lock(&publisher_.mutex_);
  if (state_ != State::kWaiting) return;  // the mount ended before it was served
  target_ = std::move(target);
  state_ = State::kAttached;
  if (!plans_.empty()) publisher_.Enqueue(*this);
}

void MountPublisher::Detach() {
  std::deque<PublishPlan> dropped;  // destroyed without the lock
  PublishTarget target;
  {
    absl::MutexLock lock(&publisher_.mutex_);
    state_ = State::kDetached;
    std::erase(publisher_.queue_, this);
    queued_ = false;
    while (publisher_.current_ == this) publisher_.changed_.Wait(&publisher_.mutex_);
    dropped.swap(plans_);
    target = std::move(target_);
    target_ = {};
  }
}

Publisher::Publisher() {
  std::promise<pid_t> started;
  worker_ = StartServiceThread("secretfs-publish", [this, &started] {
    started.set_value(gettid());
    Run();
  });
  thread_id_ = started.get_future().get();
}

Publisher::~Publisher() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    changed_.SignalAll();
  }
  worker_.join();
}

std::unique_ptr<MountPublisher> Publisher::NewMount() {
  return std::unique_ptr<MountPublisher>(new MountPublisher(*this));
}

void Publisher::Enqueue(MountPublisher& mount) {
  if (mount.queued_ || current_ == &mount) return;
  mount.queued_ = true;
  queue_.push_back(&mount);
  changed_.SignalAll();
}

void Publisher::Run() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    while (!stop_ && queue_.empty()) changed_.Wait(&mutex_);
    if (stop_) return;
    MountPublisher& mount = *queue_.front();
    queue_.pop_front();
    mount.queued_ = false;
    current_ = &mount;
    {
      PublishPlan plan = std::move(mount.plans_.front());
      mount.plans_.pop_front();
      PublishTarget target = mount.target_;
      mutex_.Unlock();
      CarryOut(plan, target, mount.hidden_);
      if (plan.done) plan.done();
      plan = {};
      target = {};
      mutex_.Lock();
    }
    current_ = nullptr;
    changed_.SignalAll();
    if (mount.state_ == MountPublisher::State::kAttached && !mount.plans_.empty()) Enqueue(mount);
  }
}

}  // namespace secretfs::fs
