#pragma once

// Finds the words that somebody probably meant: for unknown fields, enum values and store names in
// error messages. Free functions without state.

#include <string>
#include <string_view>
#include <vector>

namespace secretfs::k8s {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; letters that
// differ only in case count as equal, words that differ only in case have distance 1.
size_t EditDistance(std::string_view a, std::string_view b);

// Up to three of `candidates` that are close to `word`, nearest first.
std::vector<std::string_view> NearMisses(std::string_view word,
                                         const std::vector<std::string_view>& candidates);

// "; did you mean 'a' or 'b'?", or "" when nothing is close.
std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates);

// "a, b or c" for messages that say what was expected.
std::string JoinWithOr(const std::vector<std::string_view>& words);

}  // namespace secretfs::k8s
