#include "providers/local/default_paths.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace secretfs::providers::local {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string HomeFolder() {
  if (std::string home = Environment("HOME"); !home.empty()) return home;
  const passwd* user = getpwuid(geteuid());
  return user == nullptr || user->pw_dir == nullptr ? "/" : user->pw_dir;
}

}  // namespace

std::string DefaultStorePath() {
  if (std::string path = Environment("SECRETFS_STORE"); !path.empty()) return path;
  // The XDG base directory specification says that a relative path in the variable is to be
  // ignored.
  std::string data = Environment("XDG_DATA_HOME");
  if (!data.starts_with('/')) data = HomeFolder() + "/.local/share";
  return data + "/secretfs/store.sfs";
}

std::string DefaultKeyFile(const std::string& store_path) { return store_path + ".key"; }

LocalStoreConfig WithDefaults(LocalStoreConfig config) {
  if (config.path.empty()) config.path = DefaultStorePath();
  LocalKeySource& key = config.key;
  if (!key.key_file.empty() || !key.passphrase.empty() || !key.systemd_credential.empty()) {
    return config;
  }
  key.key_file = Environment("SECRETFS_KEY_FILE");
  if (!key.key_file.empty()) return config;
  key.passphrase.file = Environment("SECRETFS_PASSPHRASE_FILE");
  if (!key.passphrase.empty()) return config;
  if (!Environment("SECRETFS_PASSPHRASE").empty()) {
    key.passphrase.environment = "SECRETFS_PASSPHRASE";
  } else {
    key.key_file = DefaultKeyFile(config.path);
  }
  return config;
}

}  // namespace secretfs::providers::local
