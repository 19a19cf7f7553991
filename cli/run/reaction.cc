#include "cli/run/reaction.h"

#include <signal.h>

#include <charconv>
#include <cstring>

#include "base/text.h"
#include "k8s/manifest/near_miss.h"

namespace secretfs::cli {
namespace {

constexpr std::string_view kSignal = "signal:";
constexpr std::string_view kCommand = "exec:";

// The number of "HUP", "SIGHUP" or "1"; 0 when there is no such signal.
int SignalNumber(std::string_view name) {
  int number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) {
    return number > 0 && number < NSIG ? number : 0;
  }
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int signal = 1; signal < NSIG; ++signal) {
    const char* known = sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  return 0;
}

}  // namespace

absl::StatusOr<Reaction> ParseReaction(std::string_view text) {
  if (text == "restart") return Reaction{.kind = Reaction::Kind::kRestart, .command = {}};
  if (text.starts_with(kSignal)) {
    const std::string_view name = text.substr(kSignal.size());
    const int signal = SignalNumber(name);
    if (signal != 0) {
      return Reaction{.kind = Reaction::Kind::kSignal, .signal = signal, .command = {}};
    }
    return absl::InvalidArgumentError(
        Format("--on-change '{}': there is no signal '{}'; expected HUP, USR1 …", text, name));
  }
  if (text.starts_with(kCommand) && text.size() > kCommand.size()) {
    return Reaction{.kind = Reaction::Kind::kCommand,
                    .command = std::string(text.substr(kCommand.size()))};
  }
  const std::string_view word = text.substr(0, text.find(':'));
  return absl::InvalidArgumentError(
      Format("--on-change '{}'{}; expected restart, signal:NAME or exec:COMMAND", text,
             k8s::DidYouMean(word, {"restart", "signal", "exec"})));
}

}  // namespace secretfs::cli
