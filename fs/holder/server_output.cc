#include "fs/holder/server_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace secretfs::fs {
namespace {

constexpr size_t kLongestLine = 16 << 10;
// A server that floods its log does not keep the holder from everything else.
constexpr int kMostReads = 8;
constexpr int kMostReadsAtTheEnd = 512;

void ReplaceControls(std::string& text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) c = '?';
  }
}

void WriteToLog(std::string_view lines) {
  pollfd log{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (poll(&log, 1, 0) != 1 || (log.revents & POLLOUT) == 0) return;
  [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, lines.data(), lines.size());
}

}  // namespace

ServerOutput::Result ServerOutput::ReadOnce() {
  char buffer[8192];
  const ssize_t count = read(pipe_.get(), buffer, sizeof(buffer));
  if (count < 0) return errno == EAGAIN ? Result::kNothing : Result::kMore;  // EINTR
  if (count == 0) {
    if (!unfinished_.empty()) unfinished_ += '\n';
  } else {
    unfinished_.append(buffer, static_cast<size_t>(count));
  }
  WriteLines();
  return count == 0 ? Result::kEnd : Result::kMore;
}

void ServerOutput::WriteLines() {
  size_t end = unfinished_.rfind('\n') + 1;  // 0 when there is none
  if (end == 0 && unfinished_.size() >= kLongestLine) {
    unfinished_ += '\n';
    end = unfinished_.size();
  }
  if (end == 0) return;
  std::string lines = unfinished_.substr(0, end);
  unfinished_.erase(0, end);
  ReplaceControls(lines);
  WriteToLog(lines);
}

bool ServerOutput::PassOn() {
  for (int i = 0; i < kMostReads; ++i) {
    const Result result = ReadOnce();
    if (result == Result::kEnd) return false;
    if (result == Result::kNothing) break;
  }
  return true;
}

void ServerOutput::PassOnRest() {
  for (int i = 0; i < kMostReadsAtTheEnd && ReadOnce() == Result::kMore; ++i) {
  }
  if (unfinished_.empty()) return;
  unfinished_ += '\n';
  WriteLines();
}

}  // namespace secretfs::fs
