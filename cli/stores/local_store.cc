#include "cli/stores/local_store.h"

#include "base/text.h"
#include "cli/environment.h"
#include "cli/stores/store_description.h"
#include "providers/local/default_paths.h"
#include "providers/local/local_provider.h"

namespace secretfs::cli {

using providers::LocalStoreConfig;

void VisitPaths(LocalStoreConfig& config, const PathVisitor& visit) {
  visit(config.path);
  visit(config.key.key_file);
  VisitPaths(config.key.passphrase, visit);
}

std::string IdentityOf(const LocalStoreConfig& config) {
  return JoinParts({"local", config.path, config.key.key_file, Describe(config.key.passphrase),
                    config.key.systemd_credential});
}

absl::StatusOr<std::shared_ptr<providers::Provider>> MakeProvider(const LocalStoreConfig& config,
                                                                  IoThread& io,
                                                                  const Clock& clock) {
  return std::shared_ptr<providers::Provider>(
      providers::MakeLocalProvider(config, io.context(), clock));
}

std::vector<std::string> FilesOf(const LocalStoreConfig& config, const Environment& environment) {
  LocalStoreConfig whole = providers::local::WithDefaults(config);
  std::vector<std::string> files = PathsOf(whole);
  const std::string& credential = whole.key.systemd_credential;
  const std::string folder = ValueOr(environment, "CREDENTIALS_DIRECTORY", "");
  if (!credential.empty() && !folder.empty()) files.push_back(Format("{}/{}", folder, credential));
  return files;
}

}  // namespace secretfs::cli
