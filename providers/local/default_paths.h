#pragma once

// Where a local store lives when nobody says so: the one place that the command line (`secretfs
// store`, the STORE_URL `local`) and manifests ask. Reads the environment; safe to use from any
// thread as long as nobody changes the environment.

#include <string>

#include "providers/store_config.h"

namespace secretfs::providers::local {

// $SECRETFS_STORE, else $XDG_DATA_HOME/secretfs/store.sfs, else ~/.local/share/secretfs/store.sfs.
std::string DefaultStorePath();

// STORE.key, beside the store.
std::string DefaultKeyFile(const std::string& store_path);

// `config` with an empty path replaced by DefaultStorePath, and the key, if no source of it is set,
// by DefaultKeyFile.
LocalStoreConfig WithDefaults(LocalStoreConfig config);

}  // namespace secretfs::providers::local
