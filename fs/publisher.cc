#include "fs/publisher.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <utility>

#include "base/log.h"
#include "fs/publish_steps.h"
#include "fs/service_thread.h"

namespace secretfs::fs {
namespace {

constexpr absl::Duration kLookAgainAfter = absl::Seconds(1);

}  // namespace

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
    std::erase(publisher_.unfinished_, this);
    queued_ = false;
    while (publisher_.current_ == this) publisher_.changed_.Wait(&publisher_.mutex_);
    std::erase(publisher_.unfinished_, this);
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

void Publisher::Finish(const PublishPlan& plan) {
  if (!plan.done) return;
  {
    absl::MutexLock lock(&mutex_);
    while (frozen_) changed_.Wait(&mutex_);  // for ever
    finishing_ = true;
  }
  plan.done();
  absl::MutexLock lock(&mutex_);
  finishing_ = false;
  changed_.SignalAll();
}

void Publisher::Freeze() {
  absl::MutexLock lock(&mutex_);
  frozen_ = true;
  while (finishing_) changed_.Wait(&mutex_);
}

// One plan of the mount, or, when it has none, what earlier ones left to do.
void Publisher::CarryOutNext(MountPublisher& mount) {
  current_ = &mount;
  {
    PublishPlan plan;
    const bool has_plan = !mount.plans_.empty();
    if (has_plan) {
      plan = std::move(mount.plans_.front());
      mount.plans_.pop_front();
    }
    PublishTarget target = mount.target_;
    mutex_.Unlock();
    if (has_plan) {
      CarryOut(plan, target, mount.later_);
      Finish(plan);
    } else {
      ForgetLater(target, mount.later_);
    }
    plan = {};
    target = {};
    mutex_.Lock();
  }
  current_ = nullptr;
  changed_.SignalAll();
  if (mount.state_ != MountPublisher::State::kAttached) return;
  if (!mount.plans_.empty()) {
    Enqueue(mount);
  } else if (!mount.later_.empty()) {
    unfinished_.push_back(&mount);
  }
}

void Publisher::Run() {
  absl::MutexLock lock(&mutex_);
  while (!stop_) {
    if (queue_.empty() || frozen_) {
      const bool timed_out = !unfinished_.empty()
                                 ? changed_.WaitWithTimeout(&mutex_, kLookAgainAfter)
                                 : (changed_.Wait(&mutex_), false);
      if (timed_out) {
        for (MountPublisher* mount : std::exchange(unfinished_, {})) Enqueue(*mount);
      }
      continue;
    }
    MountPublisher& mount = *queue_.front();
    queue_.pop_front();
    mount.queued_ = false;
    std::erase(unfinished_, &mount);
    CarryOutNext(mount);
  }
}

}  // namespace secretfs::fs
