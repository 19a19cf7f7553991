#include "cli/store/hidden_input.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace secretfs::cli {
namespace {

// How long the rest of a paste may take to arrive when a line has ended.
constexpr int kPastePauseMs = 100;
constexpr char kControlD = 4;
constexpr char kControlU = 21;
constexpr char kBackspace = 8;
constexpr char kDelete = 127;
constexpr std::string_view kPasteBegins = "\x1b[200~";
constexpr std::string_view kPasteEnds = "\x1b[201~";

void Show(int fd, std::string_view text) {
  // A terminal that went away shows nothing; there is nobody to tell.
  [[maybe_unused]] const ssize_t written = write(fd, text.data(), text.size());
}

// Text in locked memory that can lose its end again.
class EditedText {
 public:
  explicit EditedText(size_t limit) : limit_(limit), bytes_(256) {}

  bool Append(char c) {
    if (size_ == limit_) return false;
    if (size_ == bytes_.size()) {
      SecretBytes larger(2 * bytes_.size());
      std::copy(bytes_.bytes().begin(), bytes_.bytes().end(), larger.mutable_bytes().begin());
      bytes_ = std::move(larger);
    }
    bytes_.mutable_bytes()[size_++] = static_cast<std::byte>(c);
    return true;
  }
  void Drop(size_t count) { size_ -= std::min(count, size_); }
  void Clear() { size_ = 0; }
  // Takes the last character away, which may be several bytes of UTF-8, unless it is a line end.
  void EraseCharacter() {
    while (size_ > 0 && text().back() != '\n') {
      const auto byte = static_cast<unsigned char>(text().back());
      --size_;
      if ((byte & 0xc0) != 0x80) return;
    }
  }
  void EraseLine() {
    while (size_ > 0 && text().back() != '\n') --size_;
  }
  bool DropEnd(std::string_view end) {
    if (!text().ends_with(end)) return false;
    Drop(end.size());
    return true;
  }
  std::string_view text() const { return bytes_.ExposeAsText().substr(0, size_); }
  SecretBytes Take() const { return SecretBytes::CopyOf(text()); }

 private:
  size_t limit_;
  SecretBytes bytes_;
  size_t size_ = 0;
};

// The signals that must not leave the terminal without echo, as a descriptor while this lives.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT}) {
      sigaddset(&held_, number);
    }
    sigprocmask(SIG_BLOCK, &held_, &before_);
    fd_.Reset(signalfd(-1, &held_, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

  int fd() const { return fd_.get(); }
  int Next() const {
    signalfd_siginfo info{};
    if (read(fd_.get(), &info, sizeof info) != sizeof info) return 0;
    return static_cast<int>(info.ssi_signo);
  }
  // Lets `number` do what it does when nobody holds it. Returns when the program goes on.
  void Deliver(int number) const {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, nullptr);
    raise(number);
    sigprocmask(SIG_BLOCK, &held_, nullptr);
    sigemptyset(&one);
    sigaddset(&one, SIGCONT);
    const timespec at_once{};
    while (sigtimedwait(&one, nullptr, &at_once) == SIGCONT) {
    }
  }

 private:
  sigset_t held_{};
  sigset_t before_{};
  UniqueFd fd_;
};

// The terminal without echo and line editing, as it was when this goes.
class QuietTerminal {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    const char* kind = getenv("TERM");
    marks_ = kind != nullptr && *kind != '\0' && std::string_view(kind) != "dumb";
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal() { Restore(); }

  bool Quiet() {
    if (tcgetattr(fd_, &before_) != 0) return false;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    is_quiet_ = tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
    if (is_quiet_ && marks_) Show(fd_, "\x1b[?2004h");
    return is_quiet_;
  }
  void Restore() {
    // In the background it is somebody else's terminal.
    if (!is_quiet_ || tcgetpgrp(fd_) != getpgrp()) return;
    if (marks_) Show(fd_, "\x1b[?2004l");
    tcsetattr(fd_, TCSAFLUSH, &before_);
    is_quiet_ = false;
  }

 private:
  int fd_;
  termios before_{};
  bool is_quiet_ = false;
  bool marks_ = false;
};

class HiddenReader {
 public:
  HiddenReader(int fd, std::string_view prompt, Lines lines, size_t limit)
      : fd_(fd), prompt_(prompt), lines_(lines), terminal_(fd), text_(limit) {}

  absl::StatusOr<SecretBytes> Read() {
    if (!Begin()) return NoEcho();
    for (;;) {
      SECRETFS_ASSIGN_OR_RETURN(const char c, NextByte());
      SECRETFS_ASSIGN_OR_RETURN(const bool ended, Handle(c));
      if (ended) break;
    }
    Show(fd_, "\n");
    return Finish();
  }

 private:
  static absl::Status NoEcho() {
    return absl::FailedPreconditionError("the terminal's echo cannot be switched off");
  }
  static absl::Status TooLong() {
    return absl::ResourceExhaustedError("what was typed is too long");
  }

  static absl::Status SeveralLines() {
    return absl::InvalidArgumentError("several lines were pasted where one is wanted");
  }

  absl::StatusOr<SecretBytes> Finish() {
    const size_t first_end = text_.text().find('\n');
    if (first_end == std::string_view::npos) return text_.Take();
    if (first_end + 1 == text_.text().size()) {
      text_.Drop(1);  // one line, pasted with its end
    } else if (lines_ == Lines::kOne) {
      return SeveralLines();
    } else if (!text_.text().ends_with('\n') && !text_.Append('\n')) {
      return TooLong();
    }
    return text_.Take();
  }

  bool Begin() {
    text_.Clear();
    in_paste_ = told_ = false;
    if (!terminal_.Quiet()) return false;
    Show(fd_, prompt_);
    return true;
  }

  // Cancelled when the terminal goes away: half of a value must not be taken for one.
  absl::StatusOr<char> NextByte() {
    const absl::Status gone = absl::CancelledError("the terminal went away");
    SecretBytes byte(1);
    for (;;) {
      std::array<pollfd, 2> ready{{{fd_, POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
      if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return gone;
      if ((ready[1].revents & POLLIN) != 0) {
        SECRETFS_RETURN_IF_ERROR(HandleSignal(signals_.Next()));
        continue;
      }
      if (ready[0].revents == 0) continue;
      const ssize_t count = read(fd_, byte.mutable_bytes().data(), 1);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return gone;
      return byte.ExposeAsText().front();
    }
  }

  absl::Status HandleSignal(int number) {
    if (number == 0) return absl::OkStatus();
    if (number != SIGCONT) {
      terminal_.Restore();
      signals_.Deliver(number);
      // Only somebody who has it ignored comes here with another one.
      if (number != SIGTSTP) return absl::CancelledError("interrupted");
    }
    Show(fd_, "\n");
    return Begin() ? absl::OkStatus() : NoEcho();
  }

  bool MoreIsThere() const {
    pollfd ready{fd_, POLLIN, 0};
    return poll(&ready, 1, kPastePauseMs) > 0;
  }

  // Whether the input has ended with `c`.
  absl::StatusOr<bool> Handle(char c) {
    if (c == '\n') return EndLine();
    if (!in_paste_) {
      if (c == kControlD) return true;
      if (c == kBackspace || c == kDelete) {
        text_.EraseCharacter();
        return false;
      }
      if (c == kControlU) {
        text_.EraseLine();
        return false;
      }
    }
    if (!text_.Append(c)) return TooLong();
    if (c != '~') return false;
    if (text_.DropEnd(kPasteBegins)) in_paste_ = true;
    if (text_.DropEnd(kPasteEnds)) in_paste_ = false;
    return false;
  }

  absl::StatusOr<bool> EndLine() {
    const bool several = text_.text().find('\n') != std::string_view::npos;
    const bool empty = text_.text().empty() || text_.text().ends_with('\n');
    const bool goes_on = in_paste_ || MoreIsThere();
    if (!goes_on && (!several || empty)) return true;
    if (lines_ == Lines::kOne && !in_paste_) return SeveralLines();
    if (!text_.Append('\n')) return TooLong();
    if (!told_ && lines_ == Lines::kSeveral)
      Show(fd_, "\n(several lines: an empty line or Ctrl-D ends them) ");
    told_ = true;
    return false;
  }

  int fd_;
  std::string_view prompt_;
  Lines lines_;
  HeldSignals signals_;  // outlives the terminal's settings
  QuietTerminal terminal_;
  EditedText text_;
  bool in_paste_ = false;
  bool told_ = false;
};

}  // namespace

absl::StatusOr<SecretBytes> ReadHiddenText(int fd, std::string_view prompt, Lines lines,
                                           size_t limit) {
  return HiddenReader(fd, prompt, lines, limit).Read();
}

}  // namespace secretfs::cli
