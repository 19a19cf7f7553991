// secretfs mount: reads the flags and the manifest, leaves the terminal if asked to, and hands over
// to the served mount (cli/served_mount.h).

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/daemonize.h"
#include "cli/environment.h"
#include "cli/manifest_source.h"
#include "cli/process_setup.h"
#include "cli/served_mount.h"
#include "cli/store_url.h"
#include "fs/mount.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/scalars.h"

namespace secretfs::cli {
namespace {

struct MountFlags {
  std::vector<std::string> targets;  // [STORE_URL] DIR
  std::vector<std::string> manifests;
  bool daemon = false;
  bool auto_unmount = false;
  bool allow_other = false;
  std::string ttl, layout, mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::string log_file;
  LogFlags log{.level = "info"};
};

absl::StatusOr<MountOverrides> OverridesOf(const MountFlags& flags) {
  MountOverrides overrides{
      .ttl = {}, .layout = {}, .uid = flags.uid, .gid = flags.gid, .file_mode = {}};
  if (!flags.ttl.empty()) {
    overrides.ttl = k8s::ParseDuration(flags.ttl);
    if (!overrides.ttl.has_value() || *overrides.ttl == Duration::zero()) {
      return absl::InvalidArgumentError(
          Format("--ttl '{}' is not a duration above 0; expected 30s, 5m, 1h30m …", flags.ttl));
    }
  }
  if (!flags.mode.empty()) {
    overrides.file_mode = k8s::ParseOctalMode(flags.mode);
    if (!overrides.file_mode.has_value()) {
      return absl::InvalidArgumentError(
          Format("--mode '{}' is not a file mode; expected octal digits such as 0400", flags.mode));
    }
  }
  if (flags.layout == "flat") overrides.layout = fs::Layout::kFlat;
  if (flags.layout == "atomic") overrides.layout = fs::Layout::kAtomic;
  if (!flags.layout.empty() && !overrides.layout.has_value()) {
    return absl::InvalidArgumentError(
        Format("--layout '{}' does not exist; expected flat or atomic{}", flags.layout,
               k8s::DidYouMean(flags.layout, {"flat", "atomic"})));
  }
  return overrides;
}

absl::Status CheckTargets(const MountFlags& flags) {
  if (!flags.manifests.empty() && flags.targets.size() != 1) {
    return absl::InvalidArgumentError(
        "with -f there is only DIR; a STORE_URL and a manifest cannot be mounted together");
  }
  if (flags.manifests.empty() && flags.targets.size() != 2) {
    return absl::InvalidArgumentError(
        "expected a STORE_URL and DIR ('secretfs mount local ~/secrets'), or -f MANIFEST and DIR");
  }
  return absl::OkStatus();
}

// A reference as `secretfs get` takes it would be mounted as a prefix that nothing is below.
absl::Status CheckPrefix(const StoreUrl& url, std::string_view text) {
  if (url.scheme != StoreScheme::kVault || url.path.find_first_of("#?") == std::string::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      Format("'{}' is one value; mount takes vault:MOUNT/PREFIX. One field or version: 'secretfs "
             "get', or a manifest's files",
             text));
}

// What the command line itself says, once it is known to make sense.
struct ParsedFlags {
  MountOverrides overrides;
  StoreUrl url;  // without -f
};

absl::StatusOr<ParsedFlags> Parse(const MountFlags& flags) {
  SECRETFS_RETURN_IF_ERROR(CheckTargets(flags));
  ParsedFlags parsed;
  SECRETFS_ASSIGN_OR_RETURN(parsed.overrides, OverridesOf(flags));
  if (flags.manifests.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(parsed.url, ParseStoreUrl(flags.targets.front()));
    SECRETFS_RETURN_IF_ERROR(CheckPrefix(parsed.url, flags.targets.front()));
  }
  return parsed;
}

absl::StatusOr<k8s::Manifest> LoadManifest(const MountFlags& flags, const ParsedFlags& parsed,
                                           const Environment& environment) {
  k8s::Manifest manifest;
  if (flags.manifests.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(manifest, ManifestForUrl(parsed.url, environment));
  } else {
    SECRETFS_ASSIGN_OR_RETURN(manifest, ReadManifestFiles(flags.manifests));
  }
  ApplyOverrides(parsed.overrides, manifest);
  return manifest;
}

absl::StatusOr<ServedMountOptions> Prepare(const MountFlags& flags, const ParsedFlags& parsed,
                                           const Environment& environment) {
  ServedMountOptions options;
  SECRETFS_ASSIGN_OR_RETURN(options.manifest, LoadManifest(flags, parsed, environment));
  SECRETFS_ASSIGN_OR_RETURN(options.mount.directory,
                            fs::PrepareMountPoint(AbsolutePath(flags.targets.back())));
  options.mount.allow_other = flags.allow_other;
  options.mount.auto_unmount = flags.auto_unmount;
  options.source = flags.manifests.empty() ? flags.targets.front() : flags.manifests.front();
  options.ignore_hangup = flags.daemon;
  if (!flags.log_file.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(options.log_file, OpenLogFile(flags.log_file));
  }
  return options;
}

// CLI11 would call the two positionals "[targets(1x)]".
class MountFormatter : public CLI::Formatter {
 public:
  MountFormatter() { column_width(34); }
  std::string make_option_usage(const CLI::Option*) const override {
    return "{STORE_URL | -f MANIFEST} DIR";
  }
};

int RunMount(const MountFlags& flags) {
  const Environment environment = ProcessEnvironment();
  const absl::StatusOr<ParsedFlags> parsed = Parse(flags);
  if (!parsed.ok()) return FailUsage(MessageOf(parsed.status()));
  if (const absl::Status status = SetUpProcess(flags.log); !status.ok()) {
    return FailUsage(MessageOf(status));
  }
  absl::StatusOr<ServedMountOptions> options = Prepare(flags, *parsed, environment);
  if (!options.ok()) return Fail(options.status());

  ReadyReport report;
  if (flags.daemon) {
    absl::StatusOr<Forked> forked = ForkDaemon();
    if (!forked.ok()) return Fail(forked.status());
    if (forked->parent_exit_code.has_value()) return *forked->parent_exit_code;
    report = std::move(forked->report);
    // A fork does not inherit locked memory.
    if (const absl::Status status = SetUpProcess(flags.log); !status.ok()) return Fail(status);
  }
  return ServeMount(*std::move(options), environment, std::move(report));
}

}  // namespace

void AddMountCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "mount", "Mount a store or a manifest's files on a directory, until SIGINT or SIGTERM");
  command->formatter(std::make_shared<MountFormatter>());
  auto flags = std::make_shared<MountFlags>();
  command
      ->add_option("targets", flags->targets,
                   "[STORE_URL] DIR: local, local:/path or vault:MOUNT/PREFIX, and the directory")
      ->type_name("")
      ->expected(1, 2);
  command
      ->add_option("-f,--file", flags->manifests,
                   "A manifest instead of a STORE_URL; may be repeated")
      ->type_name("MANIFEST")
      ->allow_extra_args(false);
  command->add_flag("--daemon", flags->daemon, "Go to the background once the mount is usable");
  command->add_flag("--auto-unmount", flags->auto_unmount, "Unmount even if secretfs is killed");
  command->add_flag("--allow-other", flags->allow_other, "Let other users in, as the modes say");
  command->add_option("--ttl", flags->ttl, "How long a value is fresh: 30s, 5m, 1h30m")
      ->type_name("DURATION");
  command
      ->add_option("--layout", flags->layout, "flat: plain files; atomic: as Kubernetes' volumes")
      ->type_name("LAYOUT");
  command->add_option("--uid", flags->uid, "Owner of the files")->type_name("UID");
  command->add_option("--gid", flags->gid, "Group of the files")->type_name("GID");
  command->add_option("--mode", flags->mode, "Mode of the files, octal: 0400")->type_name("MODE");
  command->add_option("--log-file", flags->log_file, "Where the log goes once the mount is usable")
      ->type_name("FILE");
  AddLogFlags(*command, flags->log);
  command->footer(HelpFooter(
      "  secretfs mount --daemon local ~/secrets\n"
      "  secretfs mount --daemon vault:secret/app ~/secrets    # VAULT_ADDR, VAULT_TOKEN\n"
      "  secretfs mount -f secretfs.yaml ~/secrets"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunMount(*flags); }; });
}

}  // namespace secretfs::cli
