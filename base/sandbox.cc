#include "base/sandbox.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/landlock.h"
#include "base/status.h"
#include "base/system_call_filter.h"
#include "base/text.h"

namespace secretfs {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kStaysOutside = true;
#else
constexpr bool kStaysOutside = false;
#endif

// What glibc, OpenSSL and libcurl read of the system: names, certificates, modules, time zones.
const char* const kSystemFiles[] = {"/etc",
                                    "/lib",
                                    "/lib64",
                                    "/usr/lib",
                                    "/usr/lib64",
                                    "/usr/local/lib",
                                    "/usr/share/ca-certificates",
                                    "/usr/local/share/ca-certificates",
                                    "/usr/share/zoneinfo",
                                    "/run/systemd/resolve",
                                    "/run/resolvconf",
                                    "/sys/devices/system/cpu",
                                    "/dev/null",
                                    "/dev/urandom"};

// Which services answer for names of hosts (nsswitch.conf(5)).
std::vector<std::string> NameServices() {
  std::vector<std::string> services;
  std::ifstream file("/etc/nsswitch.conf");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word) || word != "hosts:") continue;
    while (words >> word) {
      // Not the reactions: [NOTFOUND=return].
      const bool is_name =
          word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
      if (is_name) services.push_back(word);
    }
  }
  return services;
}

// What glibc and OpenSSL load when they first need it, which is too late inside: no memory becomes
// executable any more. What is not there is not missed.
void LoadLibraries() {
  for (const std::string& service : NameServices()) {
    dlopen(Format("libnss_{}.so.2", service).c_str(), RTLD_LAZY);
  }
  OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  // The ciphers of old PKCS #12 files.
  if (const char* folder = OPENSSL_info(OPENSSL_INFO_MODULES_DIR); folder != nullptr) {
    dlopen(Format("{}/legacy.so", folder).c_str(), RTLD_LAZY);
  }
}

}  // namespace

absl::StatusOr<SandboxResult> EnterSandbox(const SandboxOptions& options) {
  if (kStaysOutside) return SandboxResult{};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return absl::UnavailableError(Format("no_new_privs cannot be set ({})", strerror(errno)));
  }
  std::vector<std::string> readable = options.readable;
  readable.insert(readable.end(), std::begin(kSystemFiles), std::end(kSystemFiles));
  LoadLibraries();
  SECRETFS_ASSIGN_OR_RETURN(const bool bounded, RestrictFiles(readable, options.most_landlock_abi));
  SECRETFS_RETURN_IF_ERROR(FilterSystemCalls({.files_are_bounded = bounded}));
  return SandboxResult{.files_are_bounded = bounded};
}

}  // namespace secretfs
