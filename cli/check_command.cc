// secretfs check: validates manifests, and with --online asks the stores for every file.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/check_online.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/manifest_source.h"
#include "cli/manifest_values.h"
#include "cli/process_setup.h"
#include "cli/runtime.h"
#include "cli/text_table.h"

namespace secretfs::cli {
namespace {

struct CheckFlags {
  std::vector<std::string> manifests;
  bool online = false;
  bool as_json = false;
  LogFlags log;
};

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end != 0) lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

void PrintJson(const nlohmann::json& object) {
  printf("%s\n", object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

int ReportProblems(const absl::Status& status, bool as_json) {
  const std::vector<std::string> problems = Lines(MessageOf(status));
  if (as_json) {
    PrintJson({{"ok", false}, {"problems", problems}});
  } else {
    for (const std::string& problem : problems) fprintf(stderr, "%s\n", problem.c_str());
  }
  return ExitCodeFor(status);
}

std::string Summary(const k8s::Manifest& manifest) {
  return Format("{} stores, {} files, {} browse trees, {} expansions", manifest.stores.size(),
                manifest.files.size(), manifest.browse.size(), manifest.expansions.size());
}

nlohmann::json JsonOf(const CheckedItem& item) {
  return {{"path", item.path},     {"store", item.store},     {"key", item.key},
          {"result", item.result}, {"version", item.version}, {"error", MessageOf(item.status)}};
}

int ReportOnline(const std::vector<CheckedItem>& items, const k8s::Manifest& manifest,
                 bool as_json) {
  int code = kExitOk;
  nlohmann::json results = nlohmann::json::array();
  TextTable table({"FILE", "STORE", "KEY", "RESULT", "VERSION", "ERROR"});
  for (const CheckedItem& item : items) {
    results.push_back(JsonOf(item));
    table.AddRow({item.path, item.store, item.key, item.result, item.version,
                  std::string(MessageOf(item.status))});
    code = WorseExitCode(code, ExitCodeFor(item.status));
  }
  if (as_json) {
    PrintJson({{"ok", code == kExitOk},
               {"warnings", manifest.warnings},
               {"problems", nlohmann::json::array()},
               {"results", std::move(results)}});
  } else {
    printf("%s", table.ToString().c_str());
  }
  return code;
}

int RunCheck(const CheckFlags& flags) {
  if (const absl::Status status = SetUpProcess(flags.log); !status.ok()) {
    return FailUsage(MessageOf(status));
  }
  const absl::StatusOr<k8s::Manifest> manifest = ReadManifestFiles(flags.manifests);
  if (!manifest.ok()) return ReportProblems(manifest.status(), flags.as_json);
  if (!flags.online) {
    if (flags.as_json) {
      PrintJson(
          {{"ok", true}, {"warnings", manifest->warnings}, {"problems", nlohmann::json::array()}});
    } else {
      printf("ok: %s\n", Summary(*manifest).c_str());
    }
    return kExitOk;
  }
  Runtime runtime;
  const absl::StatusOr<std::vector<CheckedItem>> items = CheckOnline(*manifest, runtime);
  if (!items.ok()) return ReportProblems(items.status(), flags.as_json);
  return ReportOnline(*items, *manifest, flags.as_json);
}

}  // namespace

void AddCheckCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command =
      app.add_subcommand("check", "Validate manifests: every problem with file, line and field");
  auto flags = std::make_shared<CheckFlags>();
  command->add_option("-f,--file", flags->manifests, "The manifest; may be repeated")
      ->type_name("MANIFEST")
      ->allow_extra_args(false)
      ->required();
  command->add_flag("--online", flags->online,
                    "Also log in to the stores and read the version of every file");
  command->add_flag("--json", flags->as_json, "Print one JSON object");
  AddLogFlags(*command, flags->log);
  command->footer(
      HelpFooter("  secretfs check -f secretfs.yaml\n"
                 "  secretfs check --online -f externalsecret.yaml -f secretstore.yaml"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunCheck(*flags); }; });
}

}  // namespace secretfs::cli
