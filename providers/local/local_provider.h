#pragma once

// The encrypted local store as a Provider. All refs of one Fetch are read from one generation of
// the file, so a set of secrets that was written in one transaction is never seen half old, half
// new. The file is opened again only when it changed; a changed key file or passphrase file is read
// again then.
//
// A secret's version is its number with a random mark ("3-9f3ac01b22aa7c10"); SecretRef::version
// takes that or the number alone. Values go to what was asked for only: nothing is decrypted ahead.
//
// Thread-safety: as Provider says. Reading a local file and, once for each passphrase, scrypt
// happen on the I/O thread.

#include <asio/io_context.hpp>
#include <memory>

#include "base/clock.h"
#include "providers/provider.h"
#include "providers/store_config.h"

namespace secretfs::providers {

// Contacts nothing. Empty fields of `config` mean the defaults of default_paths.h. `context` and
// `clock` outlive the provider.
std::unique_ptr<Provider> MakeLocalProvider(const LocalStoreConfig& config,
                                            asio::io_context& context, const Clock& clock);

}  // namespace secretfs::providers
