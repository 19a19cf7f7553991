#pragma once

// Columns for people: aligned, two spaces apart, no line ends in blanks. Names come from stores, so
// whatever could drive a terminal is shown as \xNN. Not thread-safe.

#include <string>
#include <string_view>
#include <vector>

namespace secretfs::cli {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  // An empty cell is shown as "-". REQUIRES: as many cells as the header has.
  void AddRow(std::vector<std::string> cells);
  // All lines, each behind `indent` and with a newline.
  std::string ToString(std::string_view indent = "") const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// `text` without control characters; bytes of UTF-8 letters stay.
std::string Printable(std::string_view text);

}  // namespace secretfs::cli
