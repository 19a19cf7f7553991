#pragma once

// Randomness for jitter, injected so that tests are exact. Not for keys or nonces: those come from
// OpenSSL's RAND_bytes. Safe to use from any thread.

#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace secretfs {

class Random {
 public:
  virtual ~Random() = default;
  // Uniform in [0, 1).
  virtual double Uniform() = 0;
};

class SystemRandom final : public Random {
 public:
  double Uniform() override {
    absl::MutexLock lock(&mutex_);
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine_);
  }

 private:
  absl::Mutex mutex_;
  std::mt19937_64 engine_ ABSL_GUARDED_BY(mutex_){std::random_device{}()};
};

}  // namespace secretfs
