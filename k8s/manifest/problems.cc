#include "k8s/manifest/problems.h"

#include <algorithm>
#include <tuple>

#include "base/text.h"

namespace secretfs::k8s {
namespace {

constexpr size_t kMostShown = 50;
constexpr size_t kMostQuoted = 60;

}  // namespace

std::string Location::Origin() const { return Format("{}:{}", file, position.line); }

Problems::Entry Problems::MakeEntry(const Location& location, std::string_view message) {
  const size_t file = files_.try_emplace(location.file, files_.size()).first->second;
  const Position& position = location.position;
  std::string text = Format("{}:{}:{}: {}{}{}", location.file, position.line, position.column,
                            location.field, location.field.empty() ? "" : ": ", message);
  return {file, position, std::move(text)};
}

void Problems::Add(const Location& location, std::string_view message) {
  problems_.push_back(MakeEntry(location, message));
}

void Problems::Warn(const Location& location, std::string_view message) {
  warnings_.push_back(MakeEntry(location, message));
}

std::vector<std::string> Problems::Sorted(const std::vector<Entry>& entries) {
  std::vector<const Entry*> order;
  for (const Entry& entry : entries) order.push_back(&entry);
  // Equal places stay in the order in which they were found, which is that of the addresses.
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->file, a->position, a) < std::tie(b->file, b->position, b);
  });
  std::vector<std::string> texts;
  for (const Entry* entry : order) {
    if (std::find(texts.begin(), texts.end(), entry->text) == texts.end()) {
      texts.push_back(entry->text);
    }
    if (texts.size() > kMostShown) break;
  }
  return texts;
}

absl::Status Problems::ToStatus() const {
  if (problems_.empty()) return absl::OkStatus();
  std::vector<std::string> texts = Sorted(problems_);
  if (texts.size() > kMostShown) {
    texts.back() = Format("and {} more problems", problems_.size() - kMostShown);
  }
  return absl::InvalidArgumentError(Format("{}", fmt::join(texts, "\n")));
}

std::vector<std::string> Problems::Warnings() const {
  std::vector<std::string> texts = Sorted(warnings_);
  if (texts.size() > kMostShown) {
    texts.back() = Format("and {} more warnings", warnings_.size() - kMostShown);
  }
  return texts;
}

std::string Quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text.substr(0, kMostQuoted)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      quoted += Format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  if (text.size() > kMostQuoted) quoted += "…";
  return quoted + "'";
}

}  // namespace secretfs::k8s
