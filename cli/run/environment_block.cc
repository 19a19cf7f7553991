#include "cli/run/environment_block.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "base/text.h"

namespace secretfs::cli {
namespace {

SecretBytes EntryText(std::string_view name, std::string_view value) {
  SecretBytes text(name.size() + 1 + value.size() + 1);  // zeroed, so it ends with NUL
  char* out = reinterpret_cast<char*>(text.mutable_bytes().data());
  out = std::copy(name.begin(), name.end(), out);
  *out++ = '=';
  std::copy(value.begin(), value.end(), out);
  return text;
}

char* TextOf(SecretBytes& entry) { return reinterpret_cast<char*>(entry.mutable_bytes().data()); }

}  // namespace

absl::StatusOr<EnvironmentBlock> EnvironmentBlock::Make(
    char* const* inherited,
    const std::vector<std::pair<std::string, const SecretBytes*>>& secrets) {
  EnvironmentBlock block;
  std::set<std::string, std::less<>> replaced;
  for (const auto& [name, value] : secrets) replaced.insert(name);
  for (; *inherited != nullptr; ++inherited) {
    const std::string_view entry = *inherited;
    if (!replaced.contains(entry.substr(0, entry.find('=')))) block.Append(*inherited);
  }
  for (const auto& [name, value] : secrets) {
    const std::string_view text = value->ExposeAsText();
    if (text.find('\0') != std::string_view::npos) {
      return absl::InvalidArgumentError(
          Format("{}: the value holds a NUL byte, which an environment variable cannot", name));
    }
    block.texts_.push_back(EntryText(name, text));
    block.Append(TextOf(block.texts_.back()));
  }
  return block;
}

void EnvironmentBlock::Add(const std::string& name, const std::string& value) {
  texts_.push_back(EntryText(name, value));
  Append(TextOf(texts_.back()));
}

}  // namespace secretfs::cli
