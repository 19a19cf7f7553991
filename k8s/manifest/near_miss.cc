#include "k8s/manifest/near_miss.h"

#include <algorithm>
#include <utility>

namespace secretfs::k8s {
namespace {

// Longer words are names or mistakes of another kind; comparing them would only cost time.
constexpr size_t kLongestCompared = 64;
constexpr size_t kMostSuggestions = 3;

char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

size_t EditDistance(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  // Three rows of the usual table: the one being filled, and the two above it for swaps.
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = ToLower(a[i - 1]) == ToLower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && ToLower(a[i - 1]) == ToLower(b[j - 2]) &&
          ToLower(a[i - 2]) == ToLower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return std::max<size_t>(above[b.size()], 1);
}

std::vector<std::string_view> NearMisses(std::string_view word,
                                         const std::vector<std::string_view>& candidates) {
  if (word.empty() || word.size() > kLongestCompared) return {};
  std::vector<std::pair<size_t, size_t>> close;  // distance, index
  for (size_t i = 0; i < candidates.size(); ++i) {
    const std::string_view candidate = candidates[i];
    if (candidate.empty() || candidate.size() > kLongestCompared) continue;
    const size_t distance = EditDistance(word, candidate);
    const size_t allowed =
        std::clamp<size_t>(std::min(word.size(), candidate.size()) / 3, 1, kMostSuggestions);
    if (distance <= allowed) close.emplace_back(distance, i);
  }
  std::sort(close.begin(), close.end());
  std::vector<std::string_view> words;
  for (const auto& [distance, index] : close) {
    if (words.size() == kMostSuggestions) break;
    const std::string_view candidate = candidates[index];
    if (std::find(words.begin(), words.end(), candidate) == words.end()) words.push_back(candidate);
  }
  return words;
}

std::string JoinWithOr(const std::vector<std::string_view>& words) {
  std::string joined;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) joined += i + 1 == words.size() ? " or " : ", ";
    joined += words[i];
  }
  return joined;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::vector<std::string_view> close = NearMisses(word, candidates);
  if (close.empty()) return "";
  std::vector<std::string> quoted;
  for (const std::string_view candidate : close) {
    quoted.push_back("'" + std::string(candidate) + "'");
  }
  return "; did you mean " + JoinWithOr({quoted.begin(), quoted.end()}) + "?";
}

}  // namespace secretfs::k8s
