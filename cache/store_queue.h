#pragma once

// The way to one store: collects the fetches that arrive within one turn of the I/O thread into
// batches, and sends requests in order of arrival, as fast as the store's gate admits them.
// Listings and renewals queue here too, as tasks.
//
// Thread-safety: I/O thread only. It retries nothing and knows no entry: a Record is a name here.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "cache/environment.h"
#include "cache/store_calls.h"
#include "cache/store_gate.h"
#include "providers/provider.h"

namespace secretfs::cache {

struct Record;

class StoreQueue {
 public:
  struct Fetch {
    Record* record = nullptr;
    providers::SecretRef ref;
    Duration timeout{};
  };
  struct Answers {
    std::vector<Fetch> fetches;
    FetchResults results;  // one for each
    MonotonicTime started;
  };
  struct Callbacks {
    // Asked before a fetch is sent; false drops it without an answer.
    std::function<bool(Record*)> wanted;
    std::function<void(Record*)> sent;
    std::function<void(Answers)> answered;
    // The breaker closed: whoever waits for a retry should come now.
    std::function<void()> recovered;
    // The store was probed and is still down: whoever came for the probe should give up.
    std::function<void()> probe_failed;
  };
  // Handed to a task when it may run; goes back with its result.
  struct Ticket {
    MonotonicTime started;
  };

  StoreQueue(Environment& environment, StoreCalls& calls, const StoreSettings& settings,
             const providers::Capabilities& capabilities, Callbacks callbacks);
  StoreQueue(const StoreQueue&) = delete;
  StoreQueue& operator=(const StoreQueue&) = delete;

  // Sent together with all others of this turn. Exactly one of: `answered` has it, or `wanted` said
  // no.
  void AddFetch(Fetch fetch);
  // `start` runs when the gate admits one more request; it must lead to one call of TaskDone.
  void AddTask(std::function<void(Ticket)> start);
  void TaskDone(Ticket ticket, const absl::Status& status);

  // Drops what was not sent, without any callback, and stops sending.
  void Close();

  const StoreGate& gate() const { return gate_; }
  // The next request, which may be waiting already, goes out even if the breaker is open, as its
  // probe.
  void ProbeNow();

 private:
  using Batch = std::vector<Fetch>;
  using Task = std::function<void(Ticket)>;
  void Flush();
  void Pump();
  Batch TakeBatch();
  void Send(Batch batch);
  void Answered(Answers answers);
  void Finished(MonotonicTime started, const absl::Status& status);

  Environment& environment_;
  StoreCalls& calls_;
  const std::string name_;
  const ProviderPtr provider_;
  const size_t batch_size_;
  const Callbacks callbacks_;
  StoreGate gate_;
  bool closed_ = false;

  // Fetches of this turn of the I/O thread; while it is not empty, a Flush is posted.
  Batch collecting_;
  // What waits for the gate, oldest first. A Batch came from one turn and is no larger than the
  // store takes; when it is sent, later batches join it as long as they fit whole, so that what was
  // asked for together is answered from one snapshot.
  std::deque<std::variant<Batch, Task>> waiting_;
  Timer pump_timer_;
};

}  // namespace secretfs::cache
