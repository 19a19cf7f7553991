#include "cli/application.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>

#include "base/text.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "k8s/manifest/near_miss.h"

namespace secretfs::cli {
namespace {

void AddCommands(CLI::App& app, Invocation& invocation) {
  AddMountCommand(app, invocation);
  AddUmountCommand(app, invocation);
  AddStatusCommand(app, invocation);
  AddRefreshCommand(app, invocation);
  AddGetCommand(app, invocation);
  AddCheckCommand(app, invocation);
  AddRunCommand(app, invocation);
  AddUpgradeCommand(app, invocation);
  AddServeCommand(app, invocation);
  AddStoreCommand(app, invocation);
}

// The command that the line named so far: "secretfs store put" has two levels.
const CLI::App& ChosenCommand(const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  return chosen.empty() ? app : ChosenCommand(*chosen.front());
}

std::string FullName(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : FullName(*parent) + " " + command.get_name();
}

// What somebody probably meant by `word`: a subcommand or an option of `command`.
std::string NearMissOf(const CLI::App& command, const std::string& word) {
  std::vector<std::string> known;
  if (word.starts_with("-")) {
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
  } else {
    for (const CLI::App* subcommand :
         command.get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(subcommand->get_name());
    }
  }
  const std::string name = word.substr(0, word.find('='));
  return k8s::DidYouMean(name, std::vector<std::string_view>(known.begin(), known.end()));
}

// The first word of the line that CLI11 did not expect.
std::string UnexpectedWord(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining(true);
  const auto found =
      std::find_if(rest.begin(), rest.end(), [](const std::string& word) { return word != "--"; });
  return found == rest.end() ? "" : *found;
}

int ReportParseError(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = ChosenCommand(app);
  std::string message = error.what();
  const std::string word = UnexpectedWord(app);
  if (!word.empty()) {
    message = Format("unexpected '{}'{}", word, NearMissOf(command, word));
  }
  fprintf(stderr, "secretfs: %s\nsecretfs: '%s --help' shows what there is\n", message.c_str(),
          FullName(command).c_str());
  return kExitUsage;
}

// Everything behind the first "--" belongs to the program that `secretfs run` starts; CLI11 must
// not look at it. Other commands keep "--" with its usual meaning.
std::vector<std::string> SplitAtDashes(std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front() != "run") return {};
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  if (dashes == arguments.end()) return {};
  std::vector<std::string> after(dashes + 1, arguments.end());
  arguments.erase(dashes, arguments.end());
  return after;
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  // A reader that goes away (head, a closed socket) is an error of a write, not the end of us.
  signal(SIGPIPE, SIG_IGN);

  CLI::App app("Shows secret stores as a read-only filesystem whose files change live.",
               "secretfs");
  app.set_version_flag("--version", std::string("secretfs ") + SECRETFS_VERSION,
                       "Print the version and exit");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer(HelpFooter("  secretfs mount --daemon local ~/secrets\n  cat ~/secrets/db/password"));
  Invocation invocation;
  AddCommands(app, invocation);

  std::vector<std::string> arguments(argv + 1, argv + std::max(argc, 1));
  invocation.after_dashes = SplitAtDashes(arguments);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    printf("%s", app.help().c_str());  // of the chosen command, under its full name
    return kExitOk;
  } catch (const CLI::CallForVersion& version) {
    printf("%s\n", version.what());
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return ReportParseError(app, error);
  }
  if (!invocation.run) return FailUsage("no command; 'secretfs --help' shows what there is");
  const int code = invocation.run();
  if (fflush(stdout) != 0 && code == kExitOk)
    return Fail(absl::UnavailableError("cannot write to stdout"));
  return code;
}

}  // namespace secretfs::cli
