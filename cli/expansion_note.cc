#include "cli/expansion_note.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/log.h"

namespace secretfs::cli {
namespace {

using nlohmann::json;

constexpr char kName[] = "note/expansions";
constexpr size_t kMostFiles = 100'000;
// Expressions are matched by recursion over the key.
constexpr size_t kLongestKey = 2048;

// One row, as it stands there.
struct Noted {
  std::string name;
  size_t expansion = 0;
  std::string key, version, property;
};

std::optional<Noted> NotedIn(const json& row) {
  if (!row.is_array() || row.size() != 5 || !row[0].is_string() || !row[1].is_number_unsigned() ||
      !row[2].is_string() || !row[3].is_string() || !row[4].is_string()) {
    return std::nullopt;
  }
  return Noted{.name = row[0].get<std::string>(),
               .expansion = row[1].get<size_t>(),
               .key = row[2].get<std::string>(),
               .version = row[3].get<std::string>(),
               .property = row[4].get<std::string>()};
}

bool IsBelow(std::string_view key, std::string_view path) {
  return path.empty() ||
         (key.size() > path.size() + 1 && key.starts_with(path) && key[path.size()] == '/');
}

// Without parts that lead a store elsewhere.
bool IsPlainKey(std::string_view key) {
  if (key.empty() || key.size() > kLongestKey || key.find('\0') != std::string_view::npos) {
    return false;
  }
  while (true) {
    const size_t slash = key.find('/');
    const std::string_view part = key.substr(0, slash);
    if (part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    key.remove_prefix(slash + 1);
  }
}

// Whether asking the store could have given this: the manifest's own secret, or one below its path
// whose name matches, under the name that follows from it.
bool CanComeOf(const Expansion& expansion, const Noted& noted) {
  if (!IsPlainKey(noted.key) || noted.property.size() > kLongestKey) return false;
  std::string_view named_after = noted.key;
  if (const auto* extract = std::get_if<k8s::ExtractFields>(&expansion.what.source)) {
    if (noted.key != extract->ref.key || noted.version != extract->ref.version) return false;
    named_after = noted.property;
  } else {
    const auto* find = std::get_if<k8s::FindSecrets>(&expansion.what.source);
    if (find == nullptr || !noted.version.empty() || !noted.property.empty() ||
        !IsBelow(noted.key, find->path) || !MatchesFind(*find, noted.key)) {
      return false;
    }
  }
  return IsFileName(noted.name) &&
         noted.name == ExpandedName(expansion.what, std::string(named_after));
}

}  // namespace

void NoteExpandedFiles(const ExpandedFiles& files, KeptValues* kept) {
  if (kept == nullptr) return;
  json list = json::array();
  for (const auto& [name, file] : files) {
    list.push_back(
        {name, file.expansion, file.key.ref.key, file.key.ref.version, file.selection.property});
  }
  // Names of stores can be any bytes; one that is not UTF-8 is asked for again.
  const std::string text = list.dump(-1, ' ', false, json::error_handler_t::replace);
  kept->Put(kName, std::as_bytes(std::span(text.data(), text.size())));
}

std::optional<ExpandedFiles> NotedExpandedFiles(const std::vector<Expansion>& expansions,
                                                const KeptValues* kept) {
  if (kept == nullptr) return std::nullopt;
  const std::optional<SecretBytes> text = kept->Get(kName);
  if (!text) return std::nullopt;
  const json list = json::parse(text->ExposeAsText(), nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return std::nullopt;
  if (list.size() > kMostFiles) return std::nullopt;
  ExpandedFiles files;
  for (const json& row : list) {
    const std::optional<Noted> noted = NotedIn(row);
    if (!noted.has_value() || noted->expansion >= expansions.size()) return std::nullopt;
    const Expansion& expansion = expansions[noted->expansion];
    if (!CanComeOf(expansion, *noted)) {
      Log().error(
          "what an earlier server noted of {} is not what it can come to: the store is asked again",
          expansion.what.origin);
      return std::nullopt;
    }
    ExpandedFile file{
        .key = {.store = expansion.store, .ref = {.key = noted->key, .version = noted->version}},
        .selection = {},
        .policy = expansion.what.policy,
        .expansion = noted->expansion};
    file.selection.property = noted->property;
    file.selection.decoding = expansion.what.decoding;
    files.insert_or_assign(noted->name, std::move(file));
  }
  return files;
}

}  // namespace secretfs::cli
