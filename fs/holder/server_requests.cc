#include "fs/holder/server_requests.h"

#include <poll.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "fs/through_mount.h"

namespace secretfs::fs {
namespace {

constexpr size_t kMostGroups = 8192;
constexpr std::string_view kTooMany = "too many files are being opened";

// One step through a mount; runs on the hands' thread.
int ActThroughMount(const std::string& directory, dev_t device_number, uint8_t action,
                    const std::string& path) {
  const UniqueFd root = OpenMountRoot(directory, device_number);
  if (!root.valid()) return errno;
  switch (action) {
    case HandsMessage::kSwitchData:
      return SwitchDataThroughMount(root.get(), path);
    case HandsMessage::kTouch:
      return TouchThroughMount(root.get(), path, device_number);
    case HandsMessage::kLookUpAgain:
      return LookUpThroughMount(root.get(), path);
  }
  return EINVAL;
}

// The line "Groups:" of /proc/PID/status; nothing when it cannot be read.
std::optional<std::vector<uint32_t>> GroupsOfProcess(int32_t process) {
  if (process <= 0) return std::nullopt;
  std::ifstream file(Format("/proc/{}/status", process));
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("Groups:")) continue;
    std::istringstream numbers(line.substr(line.find(':') + 1));
    std::vector<uint32_t> groups;
    for (uint32_t group; numbers >> group;) groups.push_back(group);
    if (groups.size() > kMostGroups) return std::nullopt;
    return groups;
  }
  return std::nullopt;
}

// Which errno tells the server's end what the status said; see Client::AskToOpen.
int ErrnoOf(const absl::Status& status) {
  if (absl::IsPermissionDenied(status)) return EACCES;
  if (absl::IsNotFound(status)) return ENOENT;
  return absl::IsFailedPrecondition(status) ? ENOTDIR : EIO;
}

AnswerMessage AnswerTo(uint64_t request, int error, std::string_view text = "") {
  AnswerMessage answer;
  answer.request = request;
  answer.error = error;
  answer.text = text;
  return answer;
}

void GiveDescriptor(const ServerRequests::Answer& answer, uint64_t request,
                    const absl::StatusOr<UniqueFd>& opened) {
  if (!opened.ok()) {
    answer(AnswerTo(request, ErrnoOf(opened.status()), MessageOf(opened.status())), {});
    return;
  }
  AnswerMessage found = AnswerTo(request, 0);
  found.has_descriptor = true;
  const int descriptor = opened->get();
  answer(found, std::span(&descriptor, 1));
}

}  // namespace

ServerRequests::ServerRequests(const std::vector<std::string>& openable, PollLoop& loop)
    : allowed_files_(openable),
      watches_(loop),
      hands_(WorkerThread::Descriptors::kOwn),
      files_(WorkerThread::Descriptors::kShared) {
  for (WorkerThread* worker : {&hands_, &files_}) {
    loop.Watch(worker->done_descriptor(), POLLIN, [worker](short) { worker->RunDone(); });
  }
}

void ServerRequests::Act(const HandsMessage& message, const HeldMount* mount, Answer answer) {
  if (mount == nullptr) {
    answer(AnswerTo(message.request, ENOTCONN), {});
    return;
  }
  const bool taken =
      hands_.Submit([answer, message, directory = mount->fuse.directory,
                     device = mount->fuse.device_number]() -> WorkerThread::Completion {
        const int error = ActThroughMount(directory, device, message.action, message.path);
        return [answer, request = message.request, error] { answer(AnswerTo(request, error), {}); };
      });
  if (!taken) answer(AnswerTo(message.request, EAGAIN), {});
}

void ServerRequests::Open(const OpenMessage& message, const Answer& answer) {
  if (message.watch) {
    WatchFile(message, answer);
  } else {
    OpenFile(message, answer);
  }
}

void ServerRequests::OpenFile(const OpenMessage& message, Answer answer) {
  const bool taken = files_.Submit([this, answer, message]() -> WorkerThread::Completion {
    // Shared, because functions must be copyable.
    auto opened = std::make_shared<absl::StatusOr<UniqueFd>>(allowed_files_.Open(message.path));
    return
        [answer, request = message.request, opened] { GiveDescriptor(answer, request, *opened); };
  });
  if (!taken) answer(AnswerTo(message.request, EAGAIN, kTooMany), {});
}

void ServerRequests::WatchFile(const OpenMessage& message, Answer answer) {
  const bool taken = files_.Submit([this, answer, message]() -> WorkerThread::Completion {
    auto found = std::make_shared<absl::StatusOr<WatchedFile>>(allowed_files_.Watch(message.path));
    return [this, answer, request = message.request, found] {
      GiveDescriptor(answer, request,
                     found->ok() ? watches_.Add(*std::move(*found)) : found->status());
    };
  });
  if (!taken) answer(AnswerTo(message.request, EAGAIN, kTooMany), {});
}

void ServerRequests::FindGroups(const GroupsMessage& message, const Answer& answer) {
  std::optional<std::vector<uint32_t>> groups = GroupsOfProcess(message.process);
  AnswerMessage found = AnswerTo(message.request, 0);
  found.has_groups = groups.has_value();
  if (groups.has_value()) found.groups = *std::move(groups);
  answer(found, {});
}

}  // namespace secretfs::fs
