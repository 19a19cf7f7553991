// secretfs status: what each mount of this user shows and in which state its files are; never a
// value.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/control/control_client.h"
#include "cli/control/control_path.h"
#include "cli/exit_codes.h"
#include "cli/mount_directory.h"
#include "cli/status_text.h"

namespace secretfs::cli {
namespace {

constexpr std::chrono::seconds kStatusPatience(10);

absl::StatusOr<MountReport> AskForReport(ControlClient client) {
  SECRETFS_ASSIGN_OR_RETURN(
      ControlResponse response,
      client.Ask({.kind = ControlRequest::Kind::kStatus, .path = {}}, kStatusPatience));
  SECRETFS_RETURN_IF_ERROR(response.status);
  if (!response.report.has_value()) return absl::InternalError("the answer has no mount");
  return *std::move(response.report);
}

absl::StatusOr<std::vector<MountReport>> ReportOf(const std::string& given) {
  const std::string directory = CanonicalMountDirectory(given);
  absl::StatusOr<ControlClient> client =
      ControlClient::ForDirectory(ProcessEnvironment(), directory);
  if (absl::IsNotFound(client.status()) && FindSecretfsMount(directory).has_value()) {
    return absl::UnavailableError(Format(
        "the process that served {0} is gone, or it is another user's; 'secretfs umount {0}' takes "
        "a dead mount away",
        directory));
  }
  SECRETFS_RETURN_IF_ERROR(client.status());
  SECRETFS_ASSIGN_OR_RETURN(MountReport report, AskForReport(*std::move(client)));
  return std::vector<MountReport>{std::move(report)};
}

// Mounts that end while they are asked are left out.
std::vector<MountReport> AllReports() {
  std::vector<MountReport> reports;
  for (const std::string& socket : ControlSockets(ProcessEnvironment())) {
    absl::StatusOr<ControlClient> client = ControlClient::AtSocket(socket);
    if (!client.ok()) continue;
    absl::StatusOr<MountReport> report = AskForReport(*std::move(client));
    if (report.ok()) {
      reports.push_back(*std::move(report));
    } else if (!absl::IsNotFound(report.status())) {
      const std::string message(MessageOf(report.status()));
      fprintf(stderr, "secretfs: %s: %s\n", socket.c_str(), message.c_str());
    }
  }
  return reports;
}

void Print(const std::vector<MountReport>& reports, bool as_json) {
  if (as_json) {
    nlohmann::json mounts = nlohmann::json::array();
    for (const MountReport& report : reports) mounts.push_back(ReportToJson(report));
    const nlohmann::json object = {{"mounts", std::move(mounts)}};
    printf("%s\n", object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  for (const MountReport& report : reports) {
    printf("%s", StatusText(report, std::chrono::system_clock::now()).c_str());
  }
}

int RunStatus(const std::string& directory, bool as_json) {
  if (directory.empty()) {
    const std::vector<MountReport> reports = AllReports();
    Print(reports, as_json);
    if (reports.empty() && !as_json) fprintf(stderr, "secretfs: no mounts of this user\n");
    return kExitOk;
  }
  const absl::StatusOr<std::vector<MountReport>> reports = ReportOf(directory);
  if (!reports.ok()) return Fail(reports.status());
  Print(*reports, as_json);
  return kExitOk;
}

}  // namespace

void AddStatusCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "status", "Show mounts and their files: state, age, next refresh, error; never a value");
  auto directory = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  command->add_option("directory", *directory, "One mount; without it, all of this user")
      ->type_name("DIR");
  command->add_flag("--json", *as_json, "Print one JSON object: {\"mounts\": […]}");
  command->footer(HelpFooter("  secretfs status ~/secrets\n  secretfs status --json"));
  command->callback([directory, as_json, &invocation] {
    invocation.run = [directory, as_json] { return RunStatus(*directory, *as_json); };
  });
}

}  // namespace secretfs::cli
