#include "providers/local/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file_access.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "providers/local/store_file.h"

namespace secretfs::providers::local {
namespace {

constexpr uint32_t kEvents = IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE | IN_ATTRIB |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

absl::StatusOr<FolderWatch> FolderWatch::Make(asio::io_context& context, const std::string& path) {
  const std::string resolved = ResolveLinks(path);
  const std::string folder = FolderOf(resolved);
  UniqueFd fd = WatchFile(path, folder, kEvents);
  if (!fd.valid()) {
    const int error = errno;
    const std::string_view hint =
        error == EMFILE || error == ENOSPC
            ? "; raise fs.inotify.max_user_instances or fs.inotify.max_user_watches"
            : "";
    return absl::UnavailableError(Format("cannot watch the folder {}: {}{}", folder,
                                         std::generic_category().message(error), hint));
  }
  asio::posix::stream_descriptor descriptor(context);
  asio::error_code error;
  descriptor.assign(fd.get(), error);
  if (error) return absl::UnavailableError(Format("cannot watch {}: {}", folder, error.message()));
  static_cast<void>(fd.Release());
  return FolderWatch(std::move(descriptor), folder, FileNameOf(resolved));
}

asio::awaitable<absl::StatusOr<FolderWatch::Event>> FolderWatch::Next() {
  alignas(inotify_event) std::array<char, 8192> buffer{};
  asio::error_code error;
  const asio::mutable_buffer target = asio::buffer(buffer);
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const size_t size = co_await descriptor_.async_read_some(target, token);
  if (error == asio::error::operation_aborted) co_return absl::CancelledError("the watch ended");
  if (error) {
    co_return absl::UnavailableError(
        Format("watching the folder {} failed: {}", folder_, error.message()));
  }
  co_return Digest(buffer.data(), size);
}

absl::StatusOr<FolderWatch::Event> FolderWatch::Digest(const char* events, size_t size) const {
  Event result = Event::kNothing;
  for (size_t offset = 0; offset + sizeof(inotify_event) <= size;) {
    inotify_event event{};
    std::memcpy(&event, events + offset, sizeof(event));
    const std::string_view name(events + offset + sizeof(event),
                                strnlen(events + offset + sizeof(event), event.len));
    offset += sizeof(event) + event.len;
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0) {
      return absl::UnavailableError(Format("the folder {} was deleted or moved", folder_));
    }
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      result = Event::kLost;
    } else if ((name == name_ || name.empty()) && result == Event::kNothing) {
      // Without a name: from the broker, or about the folder itself.
      result = Event::kTouched;
    }
  }
  return result;
}

}  // namespace secretfs::providers::local
