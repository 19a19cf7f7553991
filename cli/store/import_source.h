#pragma once

// What `secretfs store import` reads: a JSON object, a .env file or a folder of files. Everything
// is read, in locked memory, before anything is stored. Free functions without state.

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/store/value_json.h"

namespace secretfs::cli {

enum class ImportFormat { kJson, kDotenv, kFolder };

// The format called `name` (json, dotenv, folder), or nothing.
std::optional<ImportFormat> ImportFormatNamed(std::string_view name);

// The values in `source` ("-": stdin). Without `format` it is found out: a folder by itself, a file
// by its name (.json, .env), else by its first character. Names get `prefix` and '/' in front.
// Errors name the source and the place in it.
absl::StatusOr<std::vector<NamedValue>> ReadImportSource(const std::string& source,
                                                         std::optional<ImportFormat> format,
                                                         const std::string& prefix);

}  // namespace secretfs::cli
