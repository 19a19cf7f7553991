#include "cli/store/import_source.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "cli/store/dotenv.h"
#include "cli/store/store_options.h"
#include "cli/store/terminal.h"
#include "cli/text_table.h"
#include "providers/local/store_file.h"

namespace secretfs::cli {
namespace {

namespace filesystem = std::filesystem;
using providers::local::Privacy;
using providers::local::ReadSecretFile;

constexpr size_t kSourceLimit = size_t{256} << 20;

// A missing source is no missing secret.
absl::Status AsSourceError(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::FailedPreconditionError(status.message()) : status;
}

bool LooksLikeDotenv(const std::string& source) {
  const std::string name = filesystem::path(source).filename();
  return name.ends_with(".env") || name.starts_with(".env");
}

ImportFormat FormatOf(const std::string& source, std::string_view text) {
  if (source.ends_with(".json")) return ImportFormat::kJson;
  if (LooksLikeDotenv(source)) return ImportFormat::kDotenv;
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' ? ImportFormat::kJson
                                                               : ImportFormat::kDotenv;
}

// The files below `folder`, by their path in it. Links to files are followed, links to folders are
// not; names that begin with ".." are Kubernetes' own bookkeeping in a mounted volume.
absl::StatusOr<std::vector<filesystem::path>> FilesBelow(const std::string& folder) {
  std::vector<filesystem::path> files;
  std::error_code error;
  filesystem::recursive_directory_iterator it(folder, error);
  for (; !error && it != filesystem::recursive_directory_iterator(); it.increment(error)) {
    if (it->path().filename().string().starts_with("..")) {
      if (it->is_directory(error)) it.disable_recursion_pending();
      continue;
    }
    if (it->is_regular_file(error)) files.push_back(it->path());
  }
  if (error)
    return absl::FailedPreconditionError(Format("cannot read {}: {}", folder, error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<std::vector<NamedValue>> ReadFolder(const std::string& folder) {
  SECRETFS_ASSIGN_OR_RETURN(const std::vector<filesystem::path> files, FilesBelow(folder));
  std::vector<NamedValue> values;
  values.reserve(files.size());
  Progress progress("reading file", files.size());
  for (const filesystem::path& file : files) {
    absl::StatusOr<SecretBytes> value =
        ReadSecretFile(file, providers::local::kMaximumValueBytes, Privacy::kAny);
    if (!value.ok()) return AsSourceError(value.status());
    values.push_back({file.lexically_relative(folder).generic_string(), *std::move(value)});
    progress.Step();
  }
  return values;
}

absl::StatusOr<std::vector<NamedValue>> ReadFile(const std::string& source,
                                                 std::optional<ImportFormat> format) {
  const bool is_stdin = source == "-";
  const absl::StatusOr<SecretBytes> content =
      is_stdin ? ReadStandardInput(kSourceLimit, "JSON or NAME=VALUE (not shown; Ctrl-D ends it): ")
               : ReadSecretFile(source, kSourceLimit, Privacy::kAny);
  if (!content.ok()) return AsSourceError(content.status());
  const std::string_view text = content->ExposeAsText();
  absl::StatusOr<std::vector<NamedValue>> values =
      format.value_or(FormatOf(source, text)) == ImportFormat::kJson ? ValuesFromJson(text)
                                                                     : ValuesFromDotenv(text);
  return values.ok() ? std::move(values)
                     : WithContext(values.status(), is_stdin ? "stdin" : source);
}

absl::Status CheckNames(const std::vector<NamedValue>& values) {
  std::set<std::string_view> seen;
  for (const NamedValue& one : values) {
    if (const absl::Status name = providers::local::CheckSecretName(one.name); !name.ok()) {
      return WithContext(name, Printable(one.name));
    }
    if (!seen.insert(one.name).second) {
      return absl::InvalidArgumentError(Format("{} is there twice", Printable(one.name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<ImportFormat> ImportFormatNamed(std::string_view name) {
  if (name == "json") return ImportFormat::kJson;
  if (name == "dotenv") return ImportFormat::kDotenv;
  if (name == "folder") return ImportFormat::kFolder;
  return std::nullopt;
}

absl::StatusOr<std::vector<NamedValue>> ReadImportSource(const std::string& source,
                                                         std::optional<ImportFormat> format,
                                                         const std::string& prefix) {
  std::error_code error;
  const bool is_folder = source != "-" && filesystem::is_directory(source, error);
  if (is_folder != (format == ImportFormat::kFolder) && format.has_value()) {
    return absl::InvalidArgumentError(Format("{} is {}a folder, which is not what --format says",
                                             source, is_folder ? "" : "not "));
  }
  absl::StatusOr<std::vector<NamedValue>> values =
      is_folder ? ReadFolder(source) : ReadFile(source, format);
  if (!values.ok()) return values;
  if (!prefix.empty()) {
    for (NamedValue& one : *values) one.name = Format("{}/{}", prefix, one.name);
  }
  if (const absl::Status names = CheckNames(*values); !names.ok()) {
    return WithContext(names, source == "-" ? "stdin" : source);
  }
  return values;
}

}  // namespace secretfs::cli
