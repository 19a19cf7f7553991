#include "cli/control/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/status.h"
#include "base/text.h"
#include "cli/control/control_path.h"

namespace secretfs::cli {
namespace {

using Time = std::chrono::steady_clock::time_point;

// Waits for `events`; false when the time is up.
bool WaitFor(int fd, short events, Time end) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd wait{fd, events, 0};
    const int ready = poll(&wait, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // the call that follows says what is wrong
  }
}

absl::Status Lost(std::string_view doing) {
  return absl::UnavailableError(
      Format("{} the process that serves the mount failed ({})", doing, strerror(errno)));
}

absl::Status TimeIsUp(std::chrono::seconds limit) {
  return absl::DeadlineExceededError(
      Format("the process that serves the mount did not answer within {} s", limit.count()));
}

absl::Status NobodyServes(const std::string& directory) {
  return absl::NotFoundError(Format("no secretfs of this user serves {}", directory));
}

}  // namespace

absl::StatusOr<ControlClient> ControlClient::AtSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(Format("{} is too long for a socket", path));
  }
  memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return Lost("talking to");
  if (connect(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return ControlClient(std::move(socket_fd));
  }
  if (errno == ECONNREFUSED) {
    // Nobody listens: a dead process left it. Its directory is ours alone, so no other can be hit.
    unlink(path.c_str());
    return absl::NotFoundError(Format("the process that made {} is gone", path));
  }
  if (errno == ENOENT) return absl::NotFoundError(Format("there is no {}", path));
  return Lost("connecting to");
}

absl::StatusOr<ControlClient> ControlClient::ForDirectory(const Environment& environment,
                                                          const std::string& directory) {
  for (const std::string& place : TrustedControlDirectories(environment)) {
    absl::StatusOr<ControlClient> client = AtSocket(place + "/" + ControlSocketName(directory));
    if (client.ok() || !absl::IsNotFound(client.status())) return client;
  }
  return NobodyServes(directory);
}

absl::StatusOr<ControlResponse> ControlClient::Ask(const ControlRequest& request,
                                                   std::chrono::seconds limit) {
  const Time end = std::chrono::steady_clock::now() + limit;
  const std::string line = EncodeRequest(request) + "\n";
  for (size_t sent = 0; sent < line.size();) {
    if (!WaitFor(socket_.get(), POLLOUT, end)) return TimeIsUp(limit);
    const ssize_t count = send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return Lost("asking");
    if (count > 0) sent += static_cast<size_t>(count);
  }
  std::string answer;
  while (answer.find('\n') == std::string::npos) {
    if (!WaitFor(socket_.get(), POLLIN, end)) return TimeIsUp(limit);
    char buffer[65536];
    const ssize_t count = read(socket_.get(), buffer, sizeof(buffer));
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count < 0) return Lost("hearing from");
    if (count == 0) {
      return absl::UnavailableError(
          "the process that serves the mount closed the connection without an answer");
    }
    answer.append(buffer, static_cast<size_t>(count));
    if (answer.size() > kLongestControlResponse) {
      return absl::ResourceExhaustedError(
          "the answer of the process that serves the mount is too long");
    }
  }
  absl::StatusOr<ControlResponse> response =
      DecodeResponse(std::string_view(answer).substr(0, answer.find('\n')));
  if (!response.ok()) {
    return WithContext(response.status(), "the answer of the process that serves the mount");
  }
  return response;
}

bool ControlClient::WaitForEnd(std::chrono::seconds limit) {
  const Time end = std::chrono::steady_clock::now() + limit;
  char buffer[256];
  while (WaitFor(socket_.get(), POLLIN, end)) {
    const ssize_t count = read(socket_.get(), buffer, sizeof(buffer));
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return true;
  }
  return false;
}

}  // namespace secretfs::cli
