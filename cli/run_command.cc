// secretfs run: starts a program with a manifest's values in its environment, and reacts when they
// change. Values reach the environment of that program only.

#include <signal.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/descriptors.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/check_online.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/manifest_source.h"
#include "cli/manifest_values.h"
#include "cli/process_setup.h"
#include "cli/run/reaction.h"
#include "cli/run/run_values.h"
#include "cli/run/supervisor.h"
#include "cli/run/variables.h"
#include "cli/runtime.h"
#include "cli/signal_events.h"
#include "k8s/manifest/scalars.h"

namespace secretfs::cli {
namespace {

struct RunFlags {
  std::vector<std::string> manifests, variables;
  std::string on_change;
  std::string stop_timeout = "10s";
  LogFlags log;
};

absl::StatusOr<SupervisorOptions> OptionsOf(const RunFlags& flags,
                                            const std::vector<std::string>& command) {
  SupervisorOptions options{.command = command, .inherited = {}, .reaction = {}};
  if (command.empty()) {
    return absl::InvalidArgumentError(
        "expected a program behind '--': secretfs run -f MANIFEST -- CMD");
  }
  if (!flags.on_change.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(options.reaction, ParseReaction(flags.on_change));
  }
  const std::optional<Duration> timeout = k8s::ParseDuration(flags.stop_timeout);
  if (!timeout.has_value()) {
    return absl::InvalidArgumentError(
        Format("--stop-timeout '{}' is not a duration; expected 10s, 1m …", flags.stop_timeout));
  }
  options.stop_timeout = std::chrono::ceil<std::chrono::milliseconds>(*timeout);
  return options;
}

absl::StatusOr<std::vector<Variable>> VariablesOf(const RunFlags& flags, Runtime& runtime) {
  SECRETFS_ASSIGN_OR_RETURN(const k8s::Manifest manifest, ReadManifestFiles(flags.manifests));
  SECRETFS_ASSIGN_OR_RETURN(const ManifestValues values, ManifestValues::Make(manifest, runtime));
  return MapVariables(flags.variables, values);
}

int ReportFailures(const std::vector<absl::Status>& failures, const std::string& program) {
  int code = kExitOk;
  for (const absl::Status& failure : failures) {
    code = WorseExitCode(code, Fail(failure));
  }
  fprintf(stderr, "secretfs: %s was not started\n", program.c_str());
  return code;
}

// Fetches while signals are still heard: a store that does not answer must not hold up Ctrl-C. The
// number of the signal that ended it, or 0.
int FetchUnlessSignalled(RunValues& values, Runtime& runtime, SignalEvents& events,
                         std::vector<absl::Status>& failures) {
  std::atomic<bool> fetched = false;
  std::thread fetching([&] {
    failures = values.Fetch();
    fetched = true;
    events.Notify();
  });
  int signal = 0;
  while (!fetched && signal == 0) {
    const SignalEvents::Event event = events.Wait();
    if (!event.signal.has_value()) continue;
    const auto number = static_cast<int>(event.signal->ssi_signo);
    if (number == SIGINT || number == SIGTERM || number == SIGQUIT || number == SIGHUP) {
      signal = number;
    }
  }
  if (signal != 0) runtime.Shutdown();  // ends the reads
  fetching.join();
  return signal;
}

int RunProgram(const RunFlags& flags, const std::vector<std::string>& command) {
  absl::StatusOr<SupervisorOptions> options = OptionsOf(flags, command);
  if (!options.ok()) return FailUsage(MessageOf(options.status()));
  options->inherited = InheritedDescriptors();  // before anything of ours is open
  if (const absl::Status status = SetUpProcess(flags.log); !status.ok()) {
    return FailUsage(MessageOf(status));
  }
  absl::StatusOr<SignalEvents> events = SignalEvents::Make(
      {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH, SIGCHLD});
  if (!events.ok()) return Fail(events.status());

  Runtime runtime;
  absl::StatusOr<std::vector<Variable>> variables = VariablesOf(flags, runtime);
  if (!variables.ok()) return Fail(variables.status());
  RunValues values(runtime, *std::move(variables), [&events] { events->Notify(); });
  std::vector<absl::Status> failures;
  const int signal = FetchUnlessSignalled(values, runtime, *events, failures);
  if (signal != 0) return 128 + signal;
  if (!failures.empty()) return ReportFailures(failures, command.front());
  Supervisor supervisor(*std::move(options), values, *events);
  return supervisor.Run();
}

}  // namespace

void AddRunCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "run",
      "Start a program with a manifest's values in its environment: run -f MANIFEST -- PROGRAM");
  auto flags = std::make_shared<RunFlags>();
  command->add_option("-f,--file", flags->manifests, "The manifest; may be repeated")
      ->type_name("MANIFEST")
      ->allow_extra_args(false)
      ->required();
  command
      ->add_option("--env", flags->variables,
                   "A variable and the path of its file; may be repeated. Without any, every file "
                   "of the manifest: db/password as DB_PASSWORD")
      ->type_name("NAME=PATH")
      ->allow_extra_args(false);
  command
      ->add_option(
          "--on-change", flags->on_change,
          "When a value changed: restart, signal:NAME or exec:COMMAND (a shell's, with the "
          "new values and SECRETFS_PID)")
      ->type_name("WHAT");
  command->add_option("--stop-timeout", flags->stop_timeout, "From SIGTERM to SIGKILL at a restart")
      ->type_name("DURATION")
      ->capture_default_str();
  AddLogFlags(*command, flags->log);
  command->footer(
      "\nSignals are passed on, and the exit code is the program's (128 + N after signal N, 127 "
      "when "
      "it is not found, 126 when it cannot be started). Core dumps are off for the program, "
      "because "
      "they would hold the values.\n" +
      HelpFooter(
          "  secretfs run -f secretfs.yaml --env PASSWORD=db/password --on-change restart -- "
          "./server --port 80"));
  command->callback([flags, &invocation] {
    invocation.run = [flags, &invocation] { return RunProgram(*flags, invocation.after_dashes); };
  });
}

}  // namespace secretfs::cli
