#include "providers/selection/property_path.h"

#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/selection/near_names.h"
#include "providers/selection/property_query.h"
#include "providers/selection/raw_json.h"

namespace secretfs::providers {
namespace {

constexpr size_t kLongestPath = 4096;
constexpr int kMostSteps = 64;
// Bytes of JSON looked at.
constexpr size_t kMostWork = size_t{256} << 20;

using Found = std::optional<SecretString>;
using Result = absl::StatusOr<Found>;

// One step of a path, and what follows it.
struct Step {
  std::string_view text;  // as written
  std::string_view rest;  // behind the separator
  bool is_last = true;
  bool separated_by_pipe = false;
};

// The end of the parenthesis that opens at `at`, or npos.
size_t EndOfQuery(std::string_view path, size_t at) {
  size_t open = 0;
  for (; at < path.size(); ++at) {
    if (path[at] == '\\') {
      ++at;
    } else if (path[at] == '"') {
      for (++at; at < path.size() && path[at] != '"'; ++at) {
        if (path[at] == '\\') ++at;
      }
    } else if (path[at] == '(') {
      ++open;
    } else if (path[at] == ')' && --open == 0) {
      return at;
    }
  }
  return std::string_view::npos;
}

Step FirstStep(std::string_view path) {
  Step step;
  size_t at = 0;
  if (path.starts_with("#(")) {
    const size_t end = EndOfQuery(path, 1);
    at = end == std::string_view::npos ? path.size() : end + 1;
  }
  for (; at < path.size() && path[at] != '.' && path[at] != '|'; ++at) {
    if (path[at] == '\\') ++at;
  }
  at = std::min(at, path.size());
  step.text = path.substr(0, at);
  if (at < path.size()) {
    step.is_last = false;
    step.separated_by_pipe = path[at] == '|';
    step.rest = path.substr(at + 1);
  }
  return step;
}

SecretString WithoutEscapes(std::string_view text) {
  SecretString result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    result += text[i];
  }
  return result;
}

bool HasWildcard(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '*' || text[i] == '?') {
      return true;
    }
  }
  return false;
}

class Finder {
 public:
  Result Find(std::string_view value, std::string_view path) {
    if (++steps_ > kMostSteps) {
      return absl::InvalidArgumentError(
          Format("a property of more than {} steps is not accepted", kMostSteps));
    }
    work_ += value.size();
    if (work_ > kMostWork) {
      return absl::InvalidArgumentError("the property takes too long to find in this value");
    }
    Result found = FindStep(value, path);
    --steps_;
    return found;
  }

  // The value of the member that `name` says in whole.
  static std::optional<std::string_view> Member(std::string_view object, std::string_view name) {
    std::optional<std::string_view> found;
    ForEachMember(object, [&](std::string_view member, std::string_view value) {
      if (std::string_view(Unquoted(member)) == name) found = value;
      return !found.has_value();
    });
    return found;
  }

 private:
  Result FindStep(std::string_view value, std::string_view path) {
    const Step step = FirstStep(path);
    if (step.text.starts_with('@')) {
      SECRETFS_ASSIGN_OR_RETURN(const Found modified, Modify(value, step.text.substr(1)));
      if (modified.has_value()) return Continue(*modified, step);
    }
    if (step.text.starts_with('{') || step.text.starts_with('[') || step.text.starts_with('!')) {
      return absl::InvalidArgumentError(
          Format("property {}: making new documents and literals is not built in; expected a path "
                 "to one value (write \\ before the character if it belongs to a name)",
                 Shown(path)));
    }
    switch (KindOf(value)) {
      case RawKind::kObject:
        return InObject(value, path, step);
      case RawKind::kArray:
        return InArray(value, step);
      default:
        return Found();
    }
  }

  Result Continue(std::string_view value, const Step& step) {
    if (step.is_last) return Found(SecretString(value));
    return Find(value, step.rest);
  }

  Result InObject(std::string_view object, std::string_view path, const Step& step) {
    const std::optional<std::string_view> member =
        HasWildcard(step.text) ? MemberLike(object, step.text)
                               : Member(object, std::string_view(WithoutEscapes(step.text)));
    Found found;
    if (member.has_value()) {
      SECRETFS_ASSIGN_OR_RETURN(found, Continue(*member, step));
    }
    // A name may contain dots itself: what is left of the path is tried as one name.
    if (!found.has_value() && !step.is_last) {
      if (const auto whole = Member(object, path)) return Found(SecretString(*whole));
    }
    return found;
  }

  static std::optional<std::string_view> MemberLike(std::string_view object,
                                                    std::string_view pattern) {
    std::optional<std::string_view> found;
    ForEachMember(object, [&](std::string_view member, std::string_view value) {
      if (MatchesPattern(std::string_view(Unquoted(member)), pattern)) found = value;
      return !found.has_value();
    });
    return found;
  }

  Result InArray(std::string_view array, const Step& step) {
    if (step.text == "#") return OfEach(array, step);
    if (step.text.starts_with("#(")) return Query(array, step);
    size_t wanted = 0;
    const char* end = step.text.data() + step.text.size();
    const auto parsed = std::from_chars(step.text.data(), end, wanted);
    if (parsed.ec != std::errc() || parsed.ptr != end) return Found();
    std::optional<std::string_view> element;
    size_t index = 0;
    ForEachElement(array, [&](std::string_view value) {
      if (index++ == wanted) element = value;
      return !element.has_value();
    });
    if (!element.has_value()) return Found();
    return Continue(*element, step);
  }

  // "#": the number of elements; "#.rest": what `rest` gives for each.
  Result OfEach(std::string_view array, const Step& step) {
    if (!step.is_last && !step.separated_by_pipe) return Map(array, step.rest);
    size_t count = 0;
    ForEachElement(array, [&count](std::string_view) {
      ++count;
      return true;
    });
    return Continue(Format("{}", count), step);
  }

  Result Map(std::string_view array, std::string_view rest) {
    SecretString results = "[";
    absl::Status problem;
    ForEachElement(array, [&](std::string_view element) {
      Result found = Find(element, rest);
      problem = found.status();
      if (!problem.ok()) return false;
      if (found->has_value()) {
        if (results.size() > 1) results += ',';
        results += **found;
      }
      return true;
    });
    SECRETFS_RETURN_IF_ERROR(problem);
    results += ']';
    return Found(std::move(results));
  }

  // "#(query)": the first element for which it holds; "#(query)#": all.
  Result Query(std::string_view array, const Step& step) {
    const bool all = step.text.ends_with('#');
    const std::string_view text = all ? step.text.substr(0, step.text.size() - 1) : step.text;
    if (EndOfQuery(text, 1) != text.size() - 1) {
      return absl::InvalidArgumentError(
          Format("property …{}: a query must end with ')' or ')#'", Shown(step.text)));
    }
    SECRETFS_ASSIGN_OR_RETURN(const PropertyQuery query,
                              ParsePropertyQuery(text.substr(2, text.size() - 3)));
    Found first;
    SecretString matches = "[";
    absl::Status problem;
    ForEachElement(array, [&](std::string_view element) {
      const absl::StatusOr<bool> holds = Holds(query, element);
      problem = holds.status();
      if (!problem.ok()) return false;
      if (!*holds) return true;
      if (!all) {
        first = SecretString(element);
        return false;
      }
      if (matches.size() > 1) matches += ',';
      matches += element;
      return true;
    });
    SECRETFS_RETURN_IF_ERROR(problem);
    if (!all) return first.has_value() ? Continue(*first, step) : Result(Found());
    matches += ']';
    if (step.is_last || step.separated_by_pipe) return Continue(matches, step);
    return Map(matches, step.rest);
  }

  absl::StatusOr<bool> Holds(const PropertyQuery& query, std::string_view element) {
    if (query.path.empty()) return Matches(query, element);
    SECRETFS_ASSIGN_OR_RETURN(const Found value, Find(element, query.path));
    return value.has_value() && Matches(query, *value);
  }

  // Nothing for what is no modifier: a name that begins with '@'.
  static Result Modify(std::string_view value, std::string_view name) {
    constexpr std::array<std::string_view, 9> kOthers = {
        "pretty", "ugly", "join", "valid", "tostr", "fromstr", "group", "dig", "case"};
    const std::string_view word = name.substr(0, name.find(':'));
    for (const std::string_view other : kOthers) {
      if (word == other) {
        return absl::InvalidArgumentError(
            Format("the modifier @{} is not built in; there is @this, @keys, @values, @reverse and "
                   "@flatten",
                   other));
      }
    }
    if (name == "this") return Found(SecretString(value));
    if (name == "keys" || name == "values") return Parts(value, name == "keys");
    if (name == "reverse") return Reversed(value);
    if (name == "flatten") return Flattened(value);
    return Found();
  }

  static SecretString Joined(const std::vector<std::string_view>& elements) {
    SecretString text = "[";
    for (size_t i = 0; i < elements.size(); ++i) {
      if (i > 0) text += ',';
      text += elements[i];
    }
    return text + ']';
  }

  static Found Parts(std::string_view value, bool keys) {
    std::vector<std::string_view> parts;
    if (KindOf(value) == RawKind::kObject) {
      ForEachMember(value, [&](std::string_view name, std::string_view member) {
        parts.push_back(keys ? name : member);
        return true;
      });
      return Joined(parts);
    }
    if (KindOf(value) == RawKind::kArray && !keys) return SecretString(value);
    return SecretString("[]");
  }

  static Found Reversed(std::string_view value) {
    if (KindOf(value) != RawKind::kArray) return SecretString(value);
    std::vector<std::string_view> elements;
    ForEachElement(value, [&elements](std::string_view element) {
      elements.push_back(element);
      return true;
    });
    return Joined({elements.rbegin(), elements.rend()});
  }

  // What arrays among the elements hold stands in their place, spaces and all.
  static Found Flattened(std::string_view value) {
    if (KindOf(value) != RawKind::kArray) return SecretString(value);
    std::vector<std::string_view> elements;
    ForEachElement(value, [&elements](std::string_view element) {
      if (KindOf(element) == RawKind::kArray) element = Trimmed(Inside(element));
      if (!element.empty()) elements.push_back(element);
      return true;
    });
    return Joined(elements);
  }

  int steps_ = 0;
  size_t work_ = 0;
};

}  // namespace

absl::StatusOr<std::optional<SecretString>> FindProperty(std::string_view document,
                                                         std::string_view path) {
  if (path.size() > kLongestPath) {
    return absl::InvalidArgumentError(
        Format("a property of more than {} characters is not accepted", kLongestPath));
  }
  const std::string_view value = Trimmed(document);
  if (KindOf(value) == RawKind::kObject) {
    if (const auto whole = Finder::Member(value, path)) return SecretString(*whole);
  }
  return Finder().Find(value, path);
}

}  // namespace secretfs::providers
