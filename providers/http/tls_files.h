#pragma once

// TLS files that this process may not open itself, for example in a server whose holder opens its
// files (base/file_access.h): libcurl, which opens files itself, is given their contents instead.
// Files that can be opened stay names, and curl reads them at each new connection.
//
// Not thread-safe. May wait for the broker.

#include "base/clock.h"
#include "providers/tls_config.h"

namespace secretfs::providers {

class TlsFiles {
 public:
  explicit TlsFiles(TlsConfig given);

  // With contents instead of the names of files that only the broker can open.
  const TlsConfig& usable() const { return usable_; }

  // Reads brokered files again, if that was not done for a while. True when they are others.
  bool Refresh();

 private:
  bool Read();

  const TlsConfig given_;
  TlsConfig usable_;
  bool is_brokered_ = false;
  MonotonicTime read_at_;
};

}  // namespace secretfs::providers
