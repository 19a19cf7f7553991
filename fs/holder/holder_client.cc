#include "fs/holder/holder_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/log_line.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/holder/holder_protocol.h"

namespace secretfs::fs {
namespace {

constexpr absl::Duration kSetupPatience = absl::Seconds(10);
// What the holder does through a mount may wait for this very server; longer than any deadline of a
// reader, so that only a server that hangs gets there.
constexpr absl::Duration kAnswerPatience = absl::Seconds(30);

// False when nothing came until `end`.
bool WaitReadable(int socket, absl::Time end) {
  while (true) {
    const absl::Duration left = end - absl::Now();
    pollfd waited{.fd = socket, .events = POLLIN, .revents = 0};
    const int64_t milliseconds = std::max<int64_t>(absl::ToInt64Milliseconds(left), 0);
    const int ready = poll(&waited, 1, static_cast<int>(std::min<int64_t>(milliseconds, 60'000)));
    if (ready > 0) return true;
    if (ready == 0 && absl::Now() >= end) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

absl::Status Gone() { return absl::UnavailableError("the holder has ended"); }

// The holder started this process, as this user or as root; in tests both ends are one process.
absl::Status CheckPeer(int socket) {
  SECRETFS_ASSIGN_OR_RETURN(const uid_t peer, PeerUser(socket));
  if (peer == 0 || peer == geteuid()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      Format("the holder's socket belongs to user {}, not to root or {}", peer, geteuid()));
}

class Client final : public HolderClient {
 public:
  Client(UniqueFd socket, ServerSetup setup)
      : socket_(std::move(socket)), setup_(std::move(setup)) {}
  ~Client() override {
    // Ends the thread's wait; what was sent before still arrives at the holder.
    ending_ = true;
    shutdown(socket_.get(), SHUT_RD);
    if (thread_.joinable()) thread_.join();
  }

  ServerSetup TakeSetup() override { return std::move(setup_); }

  void Start(Events& events) override {
    events_ = &events;
    started_ = true;
    thread_ = std::thread([this] { Run(); });
  }

  void Prepared() override { Send(PreparedMessage{}); }
  void Ready() override { Send(ReadyMessage{}); }
  void Failed(int exit_code, std::string text) override {
    FailedMessage message{.exit_code = exit_code, .text = std::move(text)};
    if (message.text.size() > kLongestPacket / 2) message.text.resize(kLongestPacket / 2);
    Send(message);
  }
  void MountEnded(MountId mount, std::string reason) override {
    Send(MountEndedMessage{.id = mount, .reason = std::move(reason)});
  }
  void HandedOver() override { Send(HandedOverMessage{}); }
  void Unmount(MountId mount) override { Send(UnmountMessage{.id = mount}); }
  void MountAnew(MountId mount) override { Send(MountAnewMessage{.id = mount}); }

  int SwitchData(MountId mount, const std::string& target) override {
    return AskHands(mount, HandsMessage::kSwitchData, target);
  }
  int Touch(MountId mount, const std::string& path) override {
    return AskHands(mount, HandsMessage::kTouch, path);
  }
  int LookUpAgain(MountId mount, const std::string& path) override {
    return AskHands(mount, HandsMessage::kLookUpAgain, path);
  }

  absl::StatusOr<UniqueFd> OpenFile(const std::string& path) override {
    return AskToOpen(path, /*watch=*/false);
  }
  absl::StatusOr<UniqueFd> WatchFile(const std::string& path) override {
    return AskToOpen(path, /*watch=*/true);
  }

  std::optional<std::vector<gid_t>> GroupsOf(pid_t process) override {
    const absl::StatusOr<Answer> answer = Ask(GroupsMessage{.request = 0, .process = process});
    if (!answer.ok() || !answer->message.has_groups) return std::nullopt;
    return std::vector<gid_t>(answer->message.groups.begin(), answer->message.groups.end());
  }

 private:
  struct Answer {
    AnswerMessage message;
    UniqueFd descriptor;
  };

  void Send(const MessageToHolder& message) {
    // Lost when the holder has gone, which the thread notices.
    SendPacket(socket_.get(), EncodeMessage(message), {}, /*wait=*/true);
  }

  int AskHands(MountId mount, HandsMessage::Action action, const std::string& path) {
    const absl::StatusOr<Answer> answer =
        Ask(HandsMessage{.request = 0, .id = mount, .action = action, .path = path});
    if (!answer.ok()) return absl::IsDeadlineExceeded(answer.status()) ? ETIMEDOUT : ENOTCONN;
    return answer->message.error;
  }

  absl::StatusOr<UniqueFd> AskToOpen(const std::string& path, bool watch) {
    absl::StatusOr<Answer> answer = Ask(OpenMessage{.request = 0, .path = path, .watch = watch});
    if (!answer.ok()) return answer.status();
    if (answer->descriptor.valid()) return std::move(answer->descriptor);
    const int error = answer->message.error;
    return absl::Status(error == EACCES || error == EPERM ? absl::StatusCode::kPermissionDenied
                                                          : absl::ErrnoToStatusCode(error),
                        answer->message.text);
  }

  // Sends a request and waits for its answer. Before Start the answer is read here, afterwards by
  // the thread.
  template <typename Message>
  absl::StatusOr<Answer> Ask(Message message) {
    if (thread_.get_id() == std::this_thread::get_id()) {
      return absl::InternalError("a call that waits for the holder was made on its own thread");
    }
    message.request = next_request_++;
    {
      absl::MutexLock lock(&mutex_);
      if (gone_) return Gone();
      waiting_.emplace(message.request, std::nullopt);
    }
    const std::string bytes = EncodeMessage(MessageToHolder(message));
    if (SendPacket(socket_.get(), bytes, {}, /*wait=*/true) != SendResult::kSent) {
      absl::MutexLock lock(&mutex_);
      waiting_.erase(message.request);
      return bytes.size() > kLongestPacket ? absl::InvalidArgumentError("the request is too long")
                                           : Gone();
    }
    const absl::Time end = absl::Now() + kAnswerPatience;
    if (!started_) ReadUntilAnswered(message.request, end);
    absl::MutexLock lock(&mutex_);
    const auto entry = waiting_.find(message.request);
    while (started_ && !entry->second.has_value() && !gone_) {
      if (answered_.WaitWithTimeout(&mutex_, end - absl::Now())) break;
    }
    std::optional<Answer> answer = std::move(entry->second);
    waiting_.erase(entry);
    if (answer.has_value()) return *std::move(answer);
    if (gone_) return Gone();
    return absl::DeadlineExceededError("the holder did not answer in time");
  }

  void ReadUntilAnswered(uint64_t request, absl::Time end) {
    while (WaitReadable(socket_.get(), end)) {
      const bool goes_on = ReadOne();
      absl::MutexLock lock(&mutex_);
      if (!goes_on || waiting_.at(request).has_value()) return;
    }
  }

  void Run() {
    while (true) {
      while (!events_waiting_.empty()) {
        MessageAndDescriptors next = std::move(events_waiting_.front());
        events_waiting_.pop_front();
        Deliver(std::move(next));
      }
      if (!ReadOne()) break;
    }
    if (!ending_) events_->OnHolderGone();
  }

  // Waits for one message. Answers go to who waits for them, the rest is queued. False at the end.
  bool ReadOne() {
    Packet packet;
    ReceiveResult result = ReceivePacket(socket_.get(), packet, /*wait=*/true);
    if (result == ReceiveResult::kPacket) {
      absl::StatusOr<MessageToServer> message =
          DecodeMessage<MessageToServer>(packet.bytes, packet.descriptors.size());
      if (message.ok()) {
        Sort({*std::move(message), std::move(packet.descriptors)});
        return true;
      }
      LogLine(LogLevel::kError, Format("the holder is given up: {}", MessageOf(message.status())));
    } else if (result == ReceiveResult::kDamaged) {
      LogLine(LogLevel::kError, "the holder is given up: a message arrived cut off");
    }
    absl::MutexLock lock(&mutex_);
    gone_ = true;
    answered_.SignalAll();
    return false;
  }

  struct MessageAndDescriptors {
    MessageToServer message;
    std::vector<UniqueFd> descriptors;
  };

  void Sort(MessageAndDescriptors received) {
    if (auto* answer = std::get_if<AnswerMessage>(&received.message)) {
      absl::MutexLock lock(&mutex_);
      const auto entry = waiting_.find(answer->request);
      if (entry == waiting_.end()) return;  // given up meanwhile
      entry->second = Answer{.message = std::move(*answer), .descriptor = {}};
      if (!received.descriptors.empty()) {
        entry->second->descriptor = std::move(received.descriptors.front());
      }
      answered_.SignalAll();
      return;
    }
    events_waiting_.push_back(std::move(received));
  }

  void Deliver(MessageAndDescriptors received) {
    std::vector<UniqueFd>& descriptors = received.descriptors;
    if (auto* mount = std::get_if<MountMessage>(&received.message)) {
      GivenMount given;
      given.id = mount->id;
      given.directory = std::move(mount->directory);
      given.device_number = mount->device_number;
      given.device = std::move(descriptors[0]);
      given.state = std::move(descriptors[1]);
      given.taken_over = mount->taken_over;
      given.mounted_at = mount->mounted_at;
      if (mount->has_lifeline) lifelines_.push_back(std::move(descriptors[2]));
      events_->OnMount(std::move(given));
    } else if (const auto* end = std::get_if<EndMountMessage>(&received.message)) {
      events_->OnEndMount(end->id);
    } else if (std::holds_alternative<HandOverMessage>(received.message)) {
      events_->OnHandOver();
    } else if (std::holds_alternative<ExitMessage>(received.message)) {
      events_->OnExit();
    }
    // A second setup says nothing new.
  }

  UniqueFd socket_;
  ServerSetup setup_;
  Events* events_ = nullptr;
  std::atomic<bool> started_ = false;
  std::atomic<bool> ending_ = false;
  std::atomic<uint64_t> next_request_ = 1;
  // Used by the thread, and before Start by the one thread that calls.
  std::deque<MessageAndDescriptors> events_waiting_;
  // Until the end of the process. Closed by nobody before: the holder ends the helpers of mounts
  // that it takes away.
  std::vector<UniqueFd> lifelines_;
  std::thread thread_;

  absl::Mutex mutex_;
  // --- protected by mutex_:
  absl::CondVar answered_;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  // By number; filled when the answer is there.
  std::map<uint64_t, std::optional<Answer>> waiting_ ABSL_GUARDED_BY(mutex_);
};

ServerSetup SetupOf(const SetupMessage& message, std::vector<UniqueFd> descriptors) {
  ServerSetup setup;
  setup.generation = message.generation;
  setup.restarts = message.restarts;
  setup.failed_starts = message.failed_starts;
  setup.crashed_starts = message.crashed_starts;
  setup.is_upgrade = message.is_upgrade;
  setup.use_resend = message.use_resend;
  setup.hands_thread = message.hands_thread;
  setup.holder_user = message.holder_user;
  setup.use_sandbox = message.use_sandbox;
  setup.readable = message.readable;
  size_t next = 0;
  setup.payload = std::move(descriptors[next++]);
  setup.journal = std::move(descriptors[next++]);
  if (message.has_kept_values) setup.kept_values = std::move(descriptors[next++]);
  if (message.has_control) setup.control = std::move(descriptors[next++]);
  return setup;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HolderClient>> HolderClient::Connect(UniqueFd socket) {
  SECRETFS_RETURN_IF_ERROR(CheckPeer(socket.get()));
  if (!WaitReadable(socket.get(), absl::Now() + kSetupPatience)) {
    return absl::DeadlineExceededError("the holder said nothing");
  }
  Packet packet;
  const ReceiveResult result = ReceivePacket(socket.get(), packet);
  if (result == ReceiveResult::kGone) return Gone();
  if (result != ReceiveResult::kPacket) {
    return absl::InvalidArgumentError("the holder's setup arrived cut off");
  }
  SECRETFS_ASSIGN_OR_RETURN(MessageToServer message, DecodeMessage<MessageToServer>(
                                                         packet.bytes, packet.descriptors.size()));
  const auto* setup = std::get_if<SetupMessage>(&message);
  if (setup == nullptr) {
    return absl::InvalidArgumentError("the holder's first message is not its setup");
  }
  return std::make_unique<Client>(std::move(socket),
                                  SetupOf(*setup, std::move(packet.descriptors)));
}

}  // namespace secretfs::fs
