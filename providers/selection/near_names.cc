#include "providers/selection/near_names.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/text.h"

namespace secretfs::providers {
namespace {

constexpr size_t kNamesShown = 5;
constexpr size_t kNameLengthShown = 64;

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string Shown(std::string_view name) {
  std::string result(name.substr(0, kNameLengthShown));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return name.size() > kNameLengthShown ? result + "…" : result;
}

std::string NearestNames(std::string_view wanted, const std::vector<std::string_view>& names) {
  if (names.empty()) return "nothing";
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const std::string_view name : names) {
    const std::string_view begin = name.substr(0, kNameLengthShown);
    ranked.emplace_back(EditDistance(wanted.substr(0, kNameLengthShown), begin), name);
  }
  std::sort(ranked.begin(), ranked.end());
  std::string result;
  for (size_t i = 0; i < ranked.size() && i < kNamesShown; ++i) {
    result += (i == 0 ? "" : ", ") + Shown(ranked[i].second);
  }
  if (ranked.size() > kNamesShown) result += Format(" and {} more", ranked.size() - kNamesShown);
  return result;
}

}  // namespace secretfs::providers
