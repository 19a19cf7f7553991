#pragma once

// What the holder decides: when a server is started, what it is given, when a mount or everything
// ends. A state machine without threads, descriptors and clocks of its own: what happens is told to
// it by the On… functions, what it wants done it asks of HolderWorld, and OnTime is called when
// next_deadline has passed. fs/holder/holder_loop.h joins it to the real world.
//
// At most two servers exist at once, and only during an upgrade: the current one, and the next one,
// which has no mounts before the current one is dead. Whoever serves a mount is therefore always
// the only one.
//
//   server:  starting --Prepared--> prepared (gets the mounts) --Ready--> ready
//            ready --(the next one is prepared)--> handing over --> exits, the next one is current
//            any --> dies: the next one is started by RestartSchedule
//
// Not thread-safe.

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "fs/holder/held_mount.h"
#include "fs/holder/holder_control.h"
#include "fs/holder/holder_protocol.h"
#include "fs/holder/restart_schedule.h"

namespace secretfs::fs {

// A server of this holder, counted from 1; what ServerSetup calls its generation.
using ServerNumber = StrongId<struct ServerNumberTag>;

// What the state machine needs done. Nothing here may wait for a server.
class HolderWorld {
 public:
  virtual ~HolderWorld() = default;

  struct ServerStart {
    ServerNumber number;
    uint64_t restarts = 0;
    int failed_starts = 0;   // in a row
    int crashed_starts = 0;  // the same, of those that were killed by a signal
    bool is_upgrade = false;
    bool proven = false;  // rather the program that last became ready than the one there now
  };
  // Its process id.
  virtual absl::StatusOr<pid_t> StartServer(const ServerStart& start) = 0;
  virtual void Send(ServerNumber server, const MessageToServer& message) = 0;
  virtual void GiveMount(ServerNumber server, MountId id, const HeldMount& mount,
                         bool taken_over) = 0;
  // SIGKILL; OnServerExited follows.
  virtual void Kill(ServerNumber server) = 0;
  // This server has become ready: its program is proven, and the first time the launch has
  // succeeded.
  virtual void ServerIsReady(ServerNumber server, bool first) = 0;

  virtual absl::StatusOr<HeldMount> Mount(const MountOptions& options) = 0;
  // Plainly, or lazily if somebody is in it.
  virtual absl::Status Unmount(const HeldMount& mount) = 0;
  virtual bool Abort(const HeldMount& mount) = 0;

  // For the person who waits for the launch, on stderr.
  virtual void PrintError(std::string_view text) = 0;
};

class Holder {
 public:
  struct Options {
    std::vector<MountOptions> mounts;
    Duration server_timeout = std::chrono::seconds(30);
    bool ends_without_mounts = true;
  };
  using Done = std::function<void(absl::Status)>;

  // `clock` and `world` outlive it.
  Holder(Options options, const Clock& clock, HolderWorld& world);
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  void Start();

  void OnServerMessage(ServerNumber server, const MessageToHolder& message);
  // It has closed its socket, which it does not survive for long.
  void OnServerSilent(ServerNumber server);
  void OnServerExited(ServerNumber server, const std::string& description, int exit_code);
  void OnTime();
  // When OnTime has something to do; nothing: only when something happens.
  std::optional<MonotonicTime> next_deadline() const;

  // In order: the server ends each mount, each is unmounted, the server finishes and exits.
  void End();
  // No waiting for the server.
  void EndAtOnce(int exit_code);
  // `done` is called when the new server is ready or the old one goes on.
  void Upgrade(Done done);
  // NotFound when `directory` is no mount of this holder.
  void Unmount(const std::string& directory, Done done);
  // At run time, for owners that set ends_without_mounts to false.
  absl::StatusOr<MountId> AddMount(const MountOptions& options);

  const HeldMount* Find(MountId id) const;
  HolderStatus Status() const;
  bool is_ending() const { return ending_; }
  // Set when all is over.
  std::optional<int> exit_code() const {
    return finished_ ? std::optional(exit_code_) : std::nullopt;
  }

 private:
  enum class Stage { kStarting, kPrepared, kReady, kHandingOver };
  struct Server {
    ServerNumber number;
    pid_t process = 0;
    Stage stage = Stage::kStarting;
    bool told_to_exit = false;
    WallTime started_at;
    std::optional<int> failed_code;  // it said so
    std::string failed_text;
    std::optional<MonotonicTime> kill_at;
  };
  struct Mount {
    HeldMount held;
    bool given = false;                   // to the current server
    bool served = false;                  // some server had it
    bool ended = false;                   // the server said that it does not serve it any more
    bool anew = false;                    // another one takes its place
    std::optional<MonotonicTime> end_by;  // set while the server is asked to end it
    std::vector<Done> waiting;
  };

  Server* ServerOf(ServerNumber number);
  void StartServer();
  bool StartNextServer();
  absl::StatusOr<Server> NewServer(bool is_upgrade);
  void OnPrepared(Server& server);
  void OnReady(Server& server);
  void OnMountEnded(MountId id, const std::string& reason);
  void OnNextExited(const std::string& description);
  void OnCurrentExited(const std::string& description, int exit_code);
  void PromoteNext();
  void RestartLater(bool was_ready, const std::string& description);

  bool MountAll(Server& server);
  MountId Keep(HeldMount held);
  void GiveMounts();
  void BeginEndMount(MountId id);
  void FinishEndMount(MountId id);
  void MountAgain(const MountOptions& options);
  void FinishMountsWithoutServer();

  void ContinueEnd();
  void FailStart(int exit_code);
  void GiveUp();
  void EndUpgrade(absl::Status status);

  const Options options_;
  const Clock& clock_;
  HolderWorld& world_;
  RestartSchedule schedule_;

  std::optional<Server> current_;
  std::optional<Server> next_;  // of an upgrade
  std::optional<MonotonicTime> restart_at_;
  std::map<MountId, Mount> mounts_;
  uint32_t last_mount_ = 0;
  bool mounted_ = false;  // the launch's mounts were made
  bool ever_ready_ = false;
  // Since when no server is ready; nothing while one is.
  std::optional<MonotonicTime> unserved_since_;

  std::vector<Done> upgrade_waiting_;
  bool upgrading_ = false;
  std::optional<MonotonicTime> upgrade_by_;

  bool ending_ = false;
  bool finished_ = false;
  int exit_code_ = 0;

  uint64_t servers_ = 0;
  uint64_t restarts_ = 0;
  std::string last_death_;
  int crashed_starts_ = 0;
};

}  // namespace secretfs::fs
