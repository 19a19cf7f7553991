#pragma once

// The holder as a process: one thread that waits for everything at once (signals, servers,
// commands) and joins the state machine of holder.h to the real world, and two threads for what may
// wait: the hands, which touch mounts, and the files.
//
// Thread-safety: none but Post; made and run by the program's main thread, whose signals are
// blocked by Make.

#include <signal.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/sealed_memory.h"
#include "fs/holder/control_listener.h"
#include "fs/holder/holder.h"
#include "fs/holder/holder_launch.h"
#include "fs/holder/kept_memory.h"
#include "fs/holder/poll_loop.h"
#include "fs/holder/server_link.h"
#include "fs/holder/server_output.h"
#include "fs/holder/server_process.h"
#include "fs/holder/server_requests.h"

namespace secretfs::fs {

class HolderLoop final : public HolderWorld {
 public:
  // Takes the descriptors that `launch` names. The launch's report is not given yet when it fails.
  static absl::StatusOr<std::unique_ptr<HolderLoop>> Make(HolderLaunch launch);
  ~HolderLoop() override;
  HolderLoop(const HolderLoop&) = delete;
  HolderLoop& operator=(const HolderLoop&) = delete;

  // Until all has ended; what the program exits with. Both sockets are removed then.
  int Run();

  // Runs `function` on the loop's thread. Any thread.
  void Post(std::function<void(Holder&)> function);

 private:
  explicit HolderLoop(HolderLaunch launch);
  absl::Status SetUp();
  absl::Status BlockSignals();
  absl::Status TakePayload();

  // HolderWorld:
  absl::StatusOr<pid_t> StartServer(const ServerStart& start) override;
  void Send(ServerNumber server, const MessageToServer& message) override;
  void GiveMount(ServerNumber server, MountId id, const HeldMount& mount, bool taken_over) override;
  void Kill(ServerNumber server) override;
  void ServerIsReady(ServerNumber server, bool first) override;
  absl::StatusOr<HeldMount> Mount(const MountOptions& options) override;
  absl::Status Unmount(const HeldMount& mount) override;
  bool Abort(const HeldMount& mount) override;
  void PrintError(std::string_view text) override;

  void SendWith(ServerNumber server, const MessageToServer& message,
                std::span<const int> descriptors);
  void ReadServer(ServerNumber server);
  void ReadOutput(ServerNumber server);
  void GiveServerUp(ServerNumber server, std::string_view why);
  void OnMessage(ServerNumber server, const MessageToHolder& message);
  void OnCommand(const ControlAsk& question, const ControlListener::Answer& answer);
  void OnSignals();
  void CollectServers();
  void RunPosted();
  void FlushServers();
  std::optional<Duration> TimeToWait();
  void ReportSuccess();
  void Finish(int exit_code);

  const HolderLaunch launch_;
  const SystemClock clock_;
  sigset_t original_signals_ = {};
  UniqueFd payload_, control_, report_, log_, null_;
  SealedView payload_view_;
  UniqueFd signals_, posted_event_, journal_;
  std::unique_ptr<KeptMemory> kept_;
  MonotonicTime refresh_kept_at_;

  PollLoop poll_;
  std::unique_ptr<ServerRequests> requests_;
  std::unique_ptr<ServerStarter> starter_;
  std::map<ServerNumber, ServerLink> servers_;  // alive, or not collected yet
  std::map<ServerNumber, ServerOutput> outputs_;
  std::unique_ptr<Holder> holder_;
  std::unique_ptr<ControlListener> commands_;
  bool succeeded_ = false;

  absl::Mutex mutex_;
  // --- protected by mutex_:
  std::vector<std::function<void(Holder&)>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace secretfs::fs
