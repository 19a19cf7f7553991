// secretfs get: one value to stdout, byte for byte.

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/manifest_source.h"
#include "cli/manifest_values.h"
#include "cli/process_setup.h"
#include "cli/runtime.h"
#include "cli/store_factory.h"
#include "cli/store_url.h"
#include "k8s/manifest/near_miss.h"

namespace secretfs::cli {
namespace {

struct GetFlags {
  std::string what;  // REF, or PATH with -f
  std::vector<std::string> manifests;
  bool force = false;
  LogFlags log;
};

absl::StatusOr<ManifestValue> ValueOfReference(const SecretReference& reference, Runtime& runtime) {
  const Environment environment = ProcessEnvironment();
  SECRETFS_ASSIGN_OR_RETURN(const k8s::Manifest manifest,
                            ManifestForUrl(reference.store, environment));
  SECRETFS_RETURN_IF_ERROR(CheckLocalStoreExists(manifest));
  ManifestValue value;
  value.store = manifest.stores.front().name;
  value.key.ref = reference.ref;
  value.selection.property = reference.property;
  SECRETFS_ASSIGN_OR_RETURN(value.key.store, runtime.AddStore(manifest.stores.front(), ""));
  return value;
}

absl::StatusOr<ManifestValue> FindValue(const GetFlags& flags, const SecretReference& reference,
                                        Runtime& runtime) {
  if (flags.manifests.empty()) return ValueOfReference(reference, runtime);
  SECRETFS_ASSIGN_OR_RETURN(const k8s::Manifest manifest, ReadManifestFiles(flags.manifests));
  SECRETFS_ASSIGN_OR_RETURN(const ManifestValues values, ManifestValues::Make(manifest, runtime));
  return values.Find(flags.what);
}

// What stands beside the key that was not found and looks like it. A store that cannot list or may
// not be listed has nothing to say here.
std::string NearMissesInStore(const cache::EntryKey& key, Runtime& runtime) {
  if (!runtime.cache().StoreCapabilities(key.store).list) return "";
  const size_t slash = key.ref.key.rfind('/');
  const std::string prefix = slash == std::string::npos ? "" : key.ref.key.substr(0, slash);
  const auto entries = runtime.List(key.store, prefix, cache::Policy());
  if (!entries.ok()) return "";
  std::vector<std::string> keys;
  for (const providers::ListEntry& entry : *entries) {
    const std::string name = prefix.empty() ? entry.name : prefix + "/" + entry.name;
    // The secret itself is there when only the version is missing.
    if (entry.is_secret && name != key.ref.key) keys.push_back(name);
  }
  return k8s::DidYouMean(key.ref.key, std::vector<std::string_view>(keys.begin(), keys.end()));
}

absl::Status WriteToStdout(const SecretBytes& value) {
  const std::string_view bytes = value.ExposeAsText();
  for (size_t written = 0; written < bytes.size();) {
    const ssize_t count = write(STDOUT_FILENO, bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return absl::UnavailableError(Format("cannot write to stdout ({})", strerror(errno)));
    }
    written += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

absl::Status Get(const GetFlags& flags, const SecretReference& reference, Runtime& runtime) {
  SECRETFS_ASSIGN_OR_RETURN(const ManifestValue value, FindValue(flags, reference, runtime));
  const auto interest = runtime.cache().AddInterest(value.key, value.policy, true, nullptr);
  const absl::StatusOr<cache::EntrySnapshot> snapshot = runtime.Read(value.key);
  if (absl::IsNotFound(snapshot.status())) {
    return absl::NotFoundError(
        Format("{}{}", MessageOf(snapshot.status()), NearMissesInStore(value.key, runtime)));
  }
  SECRETFS_RETURN_IF_ERROR(snapshot.status());
  SECRETFS_ASSIGN_OR_RETURN(const SecretBytes bytes, SelectValue(value, *snapshot));
  return WriteToStdout(bytes);
}

int RunGet(const GetFlags& flags) {
  if (isatty(STDOUT_FILENO) != 0 && !flags.force) {
    return FailUsage(
        "stdout is a terminal, where the value would stay readable; use a pipe or --force");
  }
  absl::StatusOr<SecretReference> reference = SecretReference{};
  if (flags.manifests.empty()) reference = ParseSecretReference(flags.what);
  if (!reference.ok()) return FailUsage(MessageOf(reference.status()));
  if (const absl::Status status = SetUpProcess(flags.log); !status.ok()) {
    return FailUsage(MessageOf(status));
  }
  Runtime runtime;
  const absl::Status status = Get(flags, *reference, runtime);
  return status.ok() ? kExitOk : Fail(status);
}

}  // namespace

void AddGetCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("get", "Print one value as it is; not to a terminal");
  auto flags = std::make_shared<GetFlags>();
  command
      ->add_option(
          "what", flags->what,
          "REF: local#KEY, local:/path#KEY, vault:MOUNT/PATH#FIELD, aws-secretsmanager:NAME#PART, "
          "aws-parameterstore:NAME, azure:VAULT/NAME, gcp:PROJECT/NAME, "
          "kubernetes:NAMESPACE/NAME#KEY, "
          "each with ?version=N "
          "if wanted; with -f the path of a file in the manifest")
      ->type_name("REF|PATH")
      ->required();
  command
      ->add_option("-f,--file", flags->manifests, "Take PATH from this manifest; may be repeated")
      ->type_name("MANIFEST")
      ->allow_extra_args(false);
  command->add_flag("--force", flags->force, "Print to a terminal all the same");
  AddLogFlags(*command, flags->log);
  command->footer(
      HelpFooter("  secretfs get local#db/password | wc -c\n"
                 "  secretfs get 'vault:secret/app/db#password?version=2' > old-password\n"
                 "  secretfs get -f secretfs.yaml db/password | psql-login"));
  command->callback([flags, &invocation] { invocation.run = [flags] { return RunGet(*flags); }; });
}

}  // namespace secretfs::cli
