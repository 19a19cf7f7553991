// The rules that the root-relative include path alone would let anybody break: layers include only
// what stands before them, and each foreign library stays behind its door. Reads the sources
// themselves, so it sees files that no target lists.

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace secretfs {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kLayers{"base", "providers", "cache", "fs", "k8s", "cli"};

bool StartsWith(std::string_view text, std::string_view prefix) { return text.starts_with(prefix); }

bool StartsWithAny(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return StartsWith(text, prefix); });
}

// The position of `path`'s first component in kLayers, or -1.
int LayerOf(std::string_view path) {
  for (size_t i = 0; i < kLayers.size(); ++i) {
    if (StartsWith(path, kLayers[i] + "/")) return static_cast<int>(i);
  }
  return -1;
}

// "" or why `file` must not include `included`, another file of ours.
std::string ProblemWithOwn(std::string_view file, std::string_view included) {
  const int own = LayerOf(file), other = LayerOf(included);
  if (other < 0) return "is no file of a layer: includes are relative to the root";
  if (other > own) return "stands in a higher layer";
  const bool is_provider = StartsWith(included, "providers/");
  if (StartsWith(file, "cache/") && is_provider && included != "providers/provider.h") {
    return "is a provider: the cache knows providers/provider.h only";
  }
  if (StartsWith(file, "fs/") && is_provider && included != "providers/provider.h" &&
      !StartsWith(included, "providers/selection/")) {
    return "is a provider: fs knows providers/provider.h and providers/selection/ only";
  }
  return "";
}

struct Door {
  std::string_view library;
  std::vector<std::string_view> headers;  // prefixes
  std::vector<std::string_view> allowed;  // prefixes of files
  bool source_files_only = false;         // headers besides `allowed` not, any .cc yes
};

const std::vector<Door>& Doors() {
  static const std::vector<Door> kDoors{
      {"libfuse",
       {"fuse3/", "fuse_lowlevel.h", "fuse.h", "fuse_"},
       {"fs/fuse_channel.", "fs/fuse_handlers.", "fs/mount.", "fs/publisher."}},
      {"spdlog", {"spdlog/"}, {"base/log."}},
      {"yaml-cpp", {"yaml-cpp/"}, {}, true},
      {"nlohmann/json", {"nlohmann/"}, {"providers/secret_json.h"}, true},
      {"libcurl", {"curl/"}, {"providers/http/"}},
      {"OpenSSL", {"openssl/"}, {"base/", "providers/"}},
  };
  return kDoors;
}

// Names json without bringing it: fine in any header.
constexpr std::string_view kForwardDeclarations = "nlohmann/json_fwd.hpp";

// "" or why `file` must not include the foreign header `included`.
std::string ProblemWithForeign(std::string_view file, std::string_view included) {
  for (const Door& door : Doors()) {
    if (!StartsWithAny(included, door.headers) || StartsWithAny(file, door.allowed)) continue;
    if (included == kForwardDeclarations) continue;
    if (door.source_files_only && file.ends_with(".cc")) continue;
    return std::string(door.library) + " is not used here";
  }
  return "";
}

std::vector<std::string> ProblemsOf(const std::string& file, const std::string& text) {
  static const std::regex kInclude(R"re(^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"])re");
  std::vector<std::string> problems;
  int line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    std::smatch match;
    if (!std::regex_search(line, match, kInclude)) continue;
    const std::string included = match[2];
    const bool quoted = match[1] == "\"";
    std::string problem = ProblemWithForeign(file, included);
    // Abseil is included with quotes too.
    if (problem.empty() && quoted && !StartsWith(included, "absl/")) {
      problem = ProblemWithOwn(file, included);
    }
    if (problem.empty()) continue;
    problems.push_back(file + ":" + std::to_string(line_number) + ": " + included + " " + problem);
  }
  return problems;
}

std::vector<std::pair<std::string, std::string>> Sources() {
  const std::filesystem::path root = SECRETFS_SOURCE_DIR;
  std::vector<std::pair<std::string, std::string>> sources;
  for (const std::string& layer : kLayers) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / layer)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      std::ifstream stream(entry.path());
      sources.emplace_back(std::filesystem::relative(entry.path(), root).generic_string(),
                           std::string(std::istreambuf_iterator<char>(stream), {}));
    }
  }
  return sources;
}

TEST(Layering, EveryFileKeepsTheRules) {
  const auto sources = Sources();
  EXPECT_GT(sources.size(), 20u);
  std::vector<std::string> problems;
  for (const auto& [file, text] : sources) {
    for (std::string& problem : ProblemsOf(file, text)) problems.push_back(std::move(problem));
  }
  EXPECT_THAT(problems, IsEmpty());
}

// The rules themselves: that each of them can fail.
TEST(Layering, WhatIsForbidden) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"base/a.cc", "#include \"providers/provider.h\""},
      {"cache/a.h", "#include \"fs/mount_spec.h\""},
      {"fs/a.cc", "  #  include \"k8s/manifest/manifest.h\""},
      {"k8s/a.cc", "#include \"cli/main.h\""},
      {"cache/a.cc", "#include \"providers/vault/vault_provider.h\""},
      {"cache/a.cc", "#include \"providers/store_config.h\""},
      {"fs/a.cc", "#include \"providers/http/http_client.h\""},
      {"fs/a.cc", "#include \"tree.h\""},
      {"fs/a.cc", "#include \"../base/log.h\""},
      {"fs/tree.cc", "#include <fuse3/fuse_lowlevel.h>"},
      {"fs/operations.h", "#include <fuse_lowlevel.h>"},
      {"cache/cache.cc", "#include <spdlog/spdlog.h>"},
      {"k8s/manifest/manifest.h", "#include <yaml-cpp/yaml.h>"},
      {"providers/vault/vault.h", "#include <nlohmann/json.hpp>"},
      {"providers/vault/vault.cc", "#include <curl/curl.h>"},
      {"cli/store.cc", "#include <openssl/evp.h>"},
  };
  for (const auto& [file, line] : table) {
    EXPECT_THAT(ProblemsOf(file, "\n" + line + "\n"), Contains(HasSubstr(file + ":2: "))) << line;
  }
}

TEST(Layering, WhatIsAllowed) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"cache/a.cc", "#include \"providers/provider.h\""},
      {"fs/a.cc", "#include \"providers/selection/selection.h\""},
      {"fs/a.cc", "#include \"absl/status/status.h\""},
      {"fs/fuse_channel.cc", "#include <fuse_lowlevel.h>"},
      {"fs/mount.cc", "#include <linux/fuse.h>"},
      {"base/log.h", "#include <spdlog/spdlog.h>"},
      {"k8s/manifest/a.cc", "#include <yaml-cpp/yaml.h>"},
      {"providers/secret_json.h", "#include <nlohmann/json.hpp>"},
      {"providers/http/a.h", "#include <curl/curl.h>"},
      {"providers/local/a.cc", "#include <openssl/evp.h>"},
      {"cli/a.cc", "#include \"k8s/manifest/manifest.h\""},
      {"base/a.cc", "// #include \"cli/main.h\""},
  };
  for (const auto& [file, line] : table) EXPECT_THAT(ProblemsOf(file, line), IsEmpty()) << line;
}

}  // namespace
}  // namespace secretfs
