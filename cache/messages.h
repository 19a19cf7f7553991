#pragma once

// The errors that the cache itself makes for readers, worded once. Pure functions.

#include <chrono>
#include <string_view>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::cache {

// For a reader of something that is not cached, while the store's breaker is open.
inline absl::Status StoreFailing(std::string_view store, const absl::Status& last_error) {
  return WithContext(last_error, Format("store \"{}\" keeps failing and is only probed", store));
}

// For a reader whose deadline passed.
inline absl::Status NoAnswer(std::string_view store, std::string_view key, Duration deadline,
                             const absl::Status& last_error) {
  const double seconds = std::chrono::duration<double>(deadline).count();
  return absl::DeadlineExceededError(ToAbsl(Format(
      "store \"{}\" gave no answer for \"{}\" within {} s; last error: {}", store, key, seconds,
      last_error.ok() ? std::string_view("none, it has not answered at all")
                      : MessageOf(last_error))));
}

inline absl::Status ShutDown() { return absl::CancelledError("the cache is shutting down"); }

}  // namespace secretfs::cache
