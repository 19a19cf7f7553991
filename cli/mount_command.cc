// secretfs mount: reads the flags and the manifest, leaves the terminal if asked to, and hands over
// to the holder (cli/holder_launcher.h).

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
#include "cli/holder_launcher.h"
#include "cli/manifest_source.h"
#include "cli/mount_request.h"
#include "cli/openable_paths.h"
#include "cli/process_setup.h"
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
  bool no_keep_values = false;
  bool no_sandbox = false;
  bool no_resend = false;
  std::string server_user, server_timeout;
  std::vector<std::string> allowed_files;
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
  if (!HasPrefix(url.scheme) || url.path.find_first_of("#?") == std::string::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      Format("'{}' is one value; mount takes a prefix such as vault:MOUNT/PREFIX. One field or "
             "version: 'secretfs "
             "get', or a manifest's files",
             text));
}

// What the command line itself says, once it is known to make sense.
struct ParsedFlags {
  MountOverrides overrides;
  Duration server_timeout = std::chrono::seconds(30);
  StoreUrl url;  // without -f
};

absl::StatusOr<ParsedFlags> Parse(const MountFlags& flags) {
  SECRETFS_RETURN_IF_ERROR(CheckTargets(flags));
  ParsedFlags parsed;
  SECRETFS_ASSIGN_OR_RETURN(parsed.overrides, OverridesOf(flags));
  if (!flags.server_timeout.empty()) {
    const std::optional<Duration> timeout = k8s::ParseDuration(flags.server_timeout);
    if (!timeout || *timeout < std::chrono::seconds(1)) {
      return absl::InvalidArgumentError(
          Format("--server-timeout '{}' is not a duration of at least 1s; expected 30s, 2m …",
                 flags.server_timeout));
    }
    parsed.server_timeout = *timeout;
  }
  if (flags.manifests.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(parsed.url, ParseStoreUrl(flags.targets.front()));
    SECRETFS_RETURN_IF_ERROR(CheckPrefix(parsed.url, flags.targets.front()));
  }
  return parsed;
}

// A local store's file by its absolute path: the server works elsewhere.
std::string AbsoluteUrl(const StoreUrl& url, const std::string& text) {
  if (url.scheme != StoreScheme::kLocal || url.path.empty()) return text;
  return "local:" + AbsolutePath(url.path);
}

absl::StatusOr<MountRequest> RequestOf(const MountFlags& flags, const ParsedFlags& parsed) {
  MountRequest request;
  request.overrides = parsed.overrides;
  request.source = flags.manifests.empty() ? flags.targets.front() : flags.manifests.front();
  request.owner = geteuid();
  request.group = getegid();
  request.log_level = flags.log.level;
  request.log_format = flags.log.format;
  if (flags.manifests.empty()) {
    request.store_url = AbsoluteUrl(parsed.url, flags.targets.front());
    return request;
  }
  SECRETFS_ASSIGN_OR_RETURN(request.manifests, k8s::ReadManifestTexts(flags.manifests));
  for (auto& [name, text] : request.manifests) name = AbsolutePath(name);
  return request;
}

// Everything that can be wrong is found here, in front of the person, not in a server.
absl::StatusOr<LaunchOptions> Prepare(const MountFlags& flags, const ParsedFlags& parsed,
                                      const Environment& environment) {
  LaunchOptions options;
  k8s::Manifest manifest;
  if (flags.manifests.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(manifest, ManifestForUrl(parsed.url, environment));
    SECRETFS_RETURN_IF_ERROR(CheckLocalStoreExists(manifest));
  } else {
    SECRETFS_ASSIGN_OR_RETURN(manifest, ReadManifestFiles(flags.manifests));
  }
  options.openable = OpenablePaths(manifest, environment);
  for (const std::string& path : flags.allowed_files) {
    options.openable.push_back(AbsolutePath(path));
  }
  SECRETFS_ASSIGN_OR_RETURN(options.request, RequestOf(flags, parsed));
  SECRETFS_ASSIGN_OR_RETURN(options.mount.directory,
                            fs::PrepareMountPoint(AbsolutePath(flags.targets.back())));
  // A normal user's is opened by fusermount3.
  if (geteuid() == 0) SECRETFS_RETURN_IF_ERROR(fs::CheckFuseDevice());
  options.mount.allow_other = flags.allow_other;
  options.mount.auto_unmount = flags.auto_unmount;
  options.use_sandbox = !flags.no_sandbox;
  options.is_daemon = flags.daemon;
  options.keep_values = !flags.no_keep_values;
  options.server_user = flags.server_user;
  options.server_timeout = parsed.server_timeout;
  options.use_resend = !flags.no_resend;
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
  absl::StatusOr<LaunchOptions> options = Prepare(flags, *parsed, environment);
  if (!options.ok()) return Fail(options.status());

  ReadyReport report;
  if (flags.daemon) {
    absl::StatusOr<Forked> forked = ForkDaemon();
    if (!forked.ok()) return Fail(forked.status());
    if (forked->parent_exit_code.has_value()) return *forked->parent_exit_code;
    report = std::move(forked->report);
  }
  const int code = Fail(ExecuteHolder(*std::move(options), environment, report));
  report.Fail(code);
  return code;
}

}  // namespace

void AddMountCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "mount", "Mount a store or a manifest's files on a directory, until SIGINT or SIGTERM");
  command->formatter(std::make_shared<MountFormatter>());
  auto flags = std::make_shared<MountFlags>();
  command
      ->add_option(
          "targets", flags->targets,
          "[STORE_URL] DIR: local, local:/path, vault:MOUNT/PREFIX, aws-secretsmanager:PREFIX, "
          "aws-parameterstore:PREFIX, azure:VAULT, gcp:PROJECT or kubernetes:NAMESPACE, "
          "and the directory")
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
  command->add_flag("--no-keep-values", flags->no_keep_values,
                    "Keep no values for the next server should this one die");
  command
      ->add_option("--server-timeout", flags->server_timeout,
                   "How long readers wait for a server before they get an error (30s)")
      ->type_name("DURATION");
  command
      ->add_option("--server-user", flags->server_user,
                   "As whom root's server runs (secretfs, else a number that nobody has)")
      ->type_name("USER");
  command
      ->add_option("--allow-file", flags->allowed_files,
                   "A further file or folder that the server may read; may be repeated")
      ->type_name("PATH")
      ->allow_extra_args(false);
  command->add_flag("--no-sandbox", flags->no_sandbox,
                    "Leave the server its system calls and files (exec plugins need it)");
  command->add_flag("--no-resend", flags->no_resend, "For tests: as on Linux before 6.9")
      ->group("");
  AddLogFlags(*command, flags->log);
  command->footer(HelpFooter(
      "  secretfs mount --daemon local ~/secrets\n"
      "  secretfs mount --daemon vault:secret/app ~/secrets    # VAULT_ADDR, VAULT_TOKEN\n"
      "  secretfs mount -f secretfs.yaml ~/secrets"));
  command->callback(
      [flags, &invocation] { invocation.run = [flags] { return RunMount(*flags); }; });
}

}  // namespace secretfs::cli
