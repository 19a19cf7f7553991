#include "cli/expansion_note.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace secretfs::cli {
namespace {

using nlohmann::json;

constexpr char kName[] = "note/expansions";

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
  ExpandedFiles files;
  for (const json& row : list) {
    if (!row.is_array() || row.size() != 5 || !row[0].is_string() || !row[1].is_number_unsigned() ||
        !row[2].is_string() || !row[3].is_string() || !row[4].is_string() ||
        row[1].get<size_t>() >= expansions.size()) {
      return std::nullopt;
    }
    const Expansion& expansion = expansions[row[1].get<size_t>()];
    ExpandedFile file{
        .key = {.store = expansion.store,
                .ref = {.key = row[2].get<std::string>(), .version = row[3].get<std::string>()}},
        .selection = {},
        .policy = expansion.what.policy,
        .expansion = row[1].get<size_t>()};
    file.selection.property = row[4].get<std::string>();
    file.selection.decoding = expansion.what.decoding;
    files.insert_or_assign(row[0].get<std::string>(), std::move(file));
  }
  return files;
}

}  // namespace secretfs::cli
