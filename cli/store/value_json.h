#pragma once

// JSON that holds values, in locked memory: what `store get --json` and `store export --json` print
// and `store import` reads. A value that is not UTF-8 text is {"base64": "…"}. Free functions
// without state.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"
#include "providers/local/store_format.h"

namespace secretfs::cli {

struct NamedValue {
  std::string name;
  SecretBytes value;
};

// Whether `text` is well-formed UTF-8.
bool IsUtf8(std::string_view text);

// {"name", "version", "created", "value" or "valueBase64"} and a newline.
SecretBytes VersionToJson(const std::string& name, const providers::local::VersionEntry& version,
                          const SecretBytes& value);

// One object, a member for each value, and a newline. InvalidArgument when a name is not UTF-8,
// which JSON cannot hold.
absl::StatusOr<SecretBytes> ValuesToJson(const std::vector<NamedValue>& values);

// The members of an object of strings and {"base64": "…"} objects. InvalidArgument naming the
// member that is something else.
absl::StatusOr<std::vector<NamedValue>> ValuesFromJson(std::string_view text);

}  // namespace secretfs::cli
