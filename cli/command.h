#pragma once

// How a subcommand joins the program. Each has one file with one function Add…Command: it declares
// the options, and its CLI11 callback stores what is to be done in the Invocation. The work starts
// after the whole command line was parsed, outside CLI11, so no exception of CLI11 crosses it.
// Not thread-safe; used on the main thread, before any other exists.

#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace secretfs::cli {

struct Invocation {
  // Set by the chosen subcommand; returns the exit code (cli/exit_codes.h).
  std::function<int()> run;
  // What stood behind "--", untouched: the program of `secretfs run`.
  std::vector<std::string> after_dashes;
};

// The text below a command's options: its example, and the exit codes that every command shares.
std::string HelpFooter(std::string_view example);

// Prints "secretfs: MESSAGE" on stderr and returns the exit code of `status`.
int Fail(const absl::Status& status);
// The same for a wrong use of the command line, with the exit code for that.
int FailUsage(std::string_view message);

void AddMountCommand(CLI::App& app, Invocation& invocation);
void AddUmountCommand(CLI::App& app, Invocation& invocation);
void AddStatusCommand(CLI::App& app, Invocation& invocation);
void AddRefreshCommand(CLI::App& app, Invocation& invocation);
void AddGetCommand(CLI::App& app, Invocation& invocation);
void AddCheckCommand(CLI::App& app, Invocation& invocation);
void AddServeCommand(CLI::App& app, Invocation& invocation);  // not for people
void AddUpgradeCommand(CLI::App& app, Invocation& invocation);
void AddRunCommand(CLI::App& app, Invocation& invocation);
void AddStoreCommand(CLI::App& app, Invocation& invocation);  // cli/store/

}  // namespace secretfs::cli
