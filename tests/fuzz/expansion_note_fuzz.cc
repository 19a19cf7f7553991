// The note in which a server says what dataFrom came to, written by one that was taken over: every
// file that the next one takes from it is one that the manifest can come to.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "cli/expansion_note.h"

namespace secretfs::cli {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

const std::vector<Expansion>& Expansions() {
  static const std::vector<Expansion>* expansions = [] {
    Expansion extract{.store = cache::StoreId(1), .what = {}};
    extract.what.source = k8s::ExtractFields{.ref = {.key = "app/db", .version = {}}};
    Expansion find{.store = cache::StoreId(2), .what = {}};
    find.what.source = k8s::FindSecrets{.path = "team", .name_regexp = "^team/(a|b)"};
    find.what.rewrite_regexp = {{"^team/", ""}};
    return new std::vector<Expansion>{extract, find};
  }();
  return *expansions;
}

void Check(std::span<const std::byte> input) {
  static const auto* kept = new std::unique_ptr<KeptValues>(*KeptValues::Create(1 << 20));
  if (!(*kept)->Put("note/expansions", input)) return;
  const auto files = NotedExpandedFiles(Expansions(), kept->get());
  if (!files.has_value()) return;
  for (const auto& [name, file] : *files) {
    Require(IsFileName(name) && name.find('/') == std::string::npos);
    const std::string& key = file.key.ref.key;
    if (file.expansion == 0) {
      Require(file.key.store == cache::StoreId(1) && key == "app/db");
    } else {
      Require(file.key.store == cache::StoreId(2) && key.starts_with("team/"));
      Require(key.find("..") == std::string::npos || key.find("/../") == std::string::npos);
    }
    Require(file.key.ref.version.empty());
  }
}

}  // namespace
}  // namespace secretfs::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = [] {
    secretfs::Log().set_level(spdlog::level::off);
    return true;
  }();
  (void)quiet;
  secretfs::cli::Check(std::as_bytes(std::span(data, size)));
  return 0;
}
