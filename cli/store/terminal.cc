#include "cli/store/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace secretfs::cli {
namespace {

constexpr size_t kAnswerLimit = 64 << 10;

UniqueFd OpenTerminal() { return UniqueFd(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)); }

void Say(int fd, std::string_view text) {
  // A terminal that went away shows nothing; there is nobody to tell.
  [[maybe_unused]] const ssize_t written = write(fd, text.data(), text.size());
}

absl::StatusOr<SecretBytes> ReadLine(int fd) {
  SecretBuilder line(kAnswerLimit);
  SecretBytes byte(1);
  for (;;) {
    const ssize_t count = read(fd, byte.mutable_bytes().data(), 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || byte.ExposeAsText() == "\n") return line.Finish();
    SECRETFS_RETURN_IF_ERROR(line.Append(byte.bytes()));
  }
}

}  // namespace

absl::StatusOr<SecretBytes> ReadHidden(std::string_view prompt, Lines lines, size_t limit) {
  const UniqueFd terminal = OpenTerminal();
  if (!terminal.valid()) return absl::FailedPreconditionError("there is no terminal to ask on");
  return ReadHiddenText(terminal.get(), prompt, lines, limit);
}

absl::StatusOr<SecretBytes> ReadNewPassphrase() {
  SECRETFS_ASSIGN_OR_RETURN(SecretBytes first, ReadHidden("New passphrase: "));
  if (first.empty()) return absl::InvalidArgumentError("the passphrase is empty");
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes second, ReadHidden("New passphrase again: "));
  if (!first.ConstantTimeEquals(second)) {
    return absl::InvalidArgumentError("the two passphrases are not the same");
  }
  return first;
}

absl::StatusOr<bool> Confirm(std::string_view question) {
  const UniqueFd terminal = OpenTerminal();
  if (!terminal.valid()) return absl::FailedPreconditionError("there is no terminal to ask on");
  Say(terminal.get(), Format("{} [y/N] ", question));
  const absl::StatusOr<SecretBytes> answer = ReadLine(terminal.get());
  if (!answer.ok()) return false;
  const std::string_view text = answer->ExposeAsText();
  return text == "y" || text == "Y" || text == "yes";
}

Progress::Progress(std::string doing, size_t total)
    : doing_(std::move(doing)), total_(total), visible_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (shown_ != 0) Say(STDERR_FILENO, "\r\x1b[K");
}

void Progress::Step() {
  ++done_;
  // A hundred updates at most: the terminal must not cost more than the work.
  if (!visible_ || done_ < shown_ + std::max<size_t>(total_ / 100, 1)) return;
  shown_ = done_;
  Say(STDERR_FILENO, Format("\r{} {} of {}\x1b[K", doing_, done_, total_));
}

}  // namespace secretfs::cli
