#include "fs/holder/socket_place.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::fs {
namespace {

constexpr int kBacklog = 16;

// A path that leads to the socket and fits into an address; the folder stays open as long.
struct Place {
  UniqueFd folder;
  std::string name;
  sockaddr_un address = {};
};

absl::StatusOr<Place> PlaceOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (path.empty() || path.front() != '/' || slash + 1 == path.size()) {
    return absl::InvalidArgumentError(Format("'{}' is no absolute path of a socket", path));
  }
  Place place;
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  place.name = path.substr(slash + 1);
  place.folder = UniqueFd(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place.folder.valid()) {
    const std::string text = Format("cannot open the folder {} ({})", folder, strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  place.address.sun_family = AF_UNIX;
  const std::string through = Format("/proc/self/fd/{}/{}", place.folder.get(), place.name);
  if (through.size() >= sizeof(place.address.sun_path)) {
    return absl::InvalidArgumentError(Format("the name of the socket {} is too long", path));
  }
  memcpy(place.address.sun_path, through.c_str(), through.size() + 1);
  return place;
}

absl::StatusOr<UniqueFd> NewSocket(int more_flags) {
  UniqueFd made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | more_flags, 0));
  if (!made.valid()) {
    return absl::ResourceExhaustedError(Format("cannot make a socket ({})", strerror(errno)));
  }
  return made;
}

const sockaddr* AddressOf(const Place& place) {
  return reinterpret_cast<const sockaddr*>(&place.address);
}

// Whoever may write to the folder could put a socket of their own in our place.
absl::Status CheckFolder(const Place& place, const std::string& path) {
  struct stat attributes = {};
  if (fstat(place.folder.get(), &attributes) != 0) {
    return absl::FailedPreconditionError(Format("cannot check the folder of {}", path));
  }
  if (attributes.st_uid != geteuid() && attributes.st_uid != 0) {
    return absl::FailedPreconditionError(
        Format("the folder of {} belongs to user {}", path, attributes.st_uid));
  }
  if ((attributes.st_mode & 022) != 0) {
    return absl::FailedPreconditionError(
        Format("others may write to the folder of {} (mode {:04o}); chmod 700 it", path,
               attributes.st_mode & 07777));
  }
  return absl::OkStatus();
}

bool IsSocket(const Place& place) {
  struct stat attributes = {};
  return fstatat(place.folder.get(), place.name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISSOCK(attributes.st_mode);
}

int BindPrivately(int socket, const Place& place) {
  const mode_t before = umask(0177);
  const int error = bind(socket, AddressOf(place), sizeof(place.address)) == 0 ? 0 : errno;
  umask(before);
  return error;
}

}  // namespace

absl::StatusOr<UniqueFd> ListenAt(const std::string& path) {
  SECRETFS_ASSIGN_OR_RETURN(const Place place, PlaceOf(path));
  SECRETFS_RETURN_IF_ERROR(CheckFolder(place, path));
  SECRETFS_ASSIGN_OR_RETURN(UniqueFd listening, NewSocket(SOCK_NONBLOCK));
  int error = BindPrivately(listening.get(), place);
  if (error == EADDRINUSE) {
    if (!IsSocket(place)) {
      return absl::AlreadyExistsError(Format("{} exists and is no socket", path));
    }
    SECRETFS_ASSIGN_OR_RETURN(const UniqueFd probe, NewSocket(SOCK_NONBLOCK));
    if (connect(probe.get(), AddressOf(place), sizeof(place.address)) == 0 || errno == EAGAIN) {
      return absl::AlreadyExistsError(Format("another holder answers at {}", path));
    }
    unlinkat(place.folder.get(), place.name.c_str(), 0);
    error = BindPrivately(listening.get(), place);
  }
  if (error == 0 && listen(listening.get(), kBacklog) != 0) error = errno;
  if (error != 0) {
    return absl::UnavailableError(Format("cannot listen at {} ({})", path, strerror(error)));
  }
  return listening;
}

absl::StatusOr<UniqueFd> ConnectTo(const std::string& path) {
  SECRETFS_ASSIGN_OR_RETURN(const Place place, PlaceOf(path));
  SECRETFS_ASSIGN_OR_RETURN(UniqueFd connected, NewSocket(0));
  if (connect(connected.get(), AddressOf(place), sizeof(place.address)) == 0) return connected;
  const std::string text = Format("no holder answers at {} ({})", path, strerror(errno));
  if (errno == ENOENT || errno == ECONNREFUSED) return absl::NotFoundError(text);
  if (errno == EACCES || errno == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

void RemoveSocket(const std::string& path) {
  const absl::StatusOr<Place> place = PlaceOf(path);
  if (place.ok() && IsSocket(*place)) unlinkat(place->folder.get(), place->name.c_str(), 0);
}

}  // namespace secretfs::fs
