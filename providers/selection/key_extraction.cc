#include "providers/selection/key_extraction.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <optional>
#include <streambuf>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "providers/secret_json.h"
#include "providers/selection/near_names.h"

namespace secretfs::providers {
namespace {

constexpr size_t kDeepestNesting = 64;
constexpr size_t kMostNodes = 100'000;

// --- JSON and what both share

absl::StatusOr<SecretBytes> MemberAsBytes(const SecretJson& json, std::string_view key) {
  const auto* object = json.get_ptr<const SecretJson::object_t*>();
  if (object == nullptr) {
    return absl::InvalidArgumentError(
        Format("key {} is wanted, but the secret is not an object with names", Shown(key)));
  }
  const auto member = object->find(SecretString(key));
  if (member == object->end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : *object) names.emplace_back(name);
    return absl::NotFoundError(Format("key {} does not exist at the top; there is {}", Shown(key),
                                      NearestNames(key, names)));
  }
  if (member->second.is_null()) return SecretBytes();
  return SecretJsonToBytes(member->second);
}

// --- YAML

// Thrown by the handler below through yaml-cpp's parser, caught in ParseYaml.
struct Refused {
  std::string message;
};

// A stream over text that stays where it is.
class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

// Plain scalars are what YAML's core schema says; numbers keep their text.
SecretJson ScalarOf(const std::string& tag, const std::string& value) {
  const bool is_plain = tag == "?";
  if (is_plain && (value == "null" || value == "Null" || value == "NULL" || value == "~")) {
    return {};
  }
  if (is_plain && (value == "true" || value == "True" || value == "TRUE")) return SecretJson(true);
  if (is_plain && (value == "false" || value == "False" || value == "FALSE")) {
    return SecretJson(false);
  }
  if (is_plain && !value.empty() && value.find_first_not_of("0123456789+-.eE") == value.npos) {
    absl::StatusOr<SecretJson> number = ParseSecretJson(value);
    if (number.ok()) return *std::move(number);
  }
  return SecretJson(SecretString(value));
}

// Builds JSON from the events of one document. Invariant: `open_` holds the containers from the
// root to the one being filled, each with the name of the member whose value comes next.
class YamlReader : public YAML::EventHandler {
 public:
  SecretJson TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override { Add(SecretJson()); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{Format("YAML aliases are not accepted (line {})", mark.line + 1)};
  }
  void OnScalar(const YAML::Mark&, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    if (!open_.empty() && open_.back().value->is_object() && !open_.back().name.has_value()) {
      open_.back().name = SecretString(value);
      Count();
      return;
    }
    Add(ScalarOf(tag, value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Open(SecretJson(SecretJson::value_t::array), mark);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Open(SecretJson(SecretJson::value_t::object), mark);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Container {
    SecretJson* value;
    std::optional<SecretString> name;
  };

  void Count() {
    if (++nodes_ > kMostNodes) throw Refused{"YAML of more than 100,000 values is not accepted"};
  }

  // std::map and the vectors of open containers do not move while a child of theirs is being
  // filled, so the pointers stay valid.
  SecretJson* Add(SecretJson value) {
    Count();
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Container& container = open_.back();
    if (auto* elements = container.value->get_ptr<SecretJson::array_t*>()) {
      return &elements->emplace_back(std::move(value));
    }
    auto& members = *container.value->get_ptr<SecretJson::object_t*>();
    if (!container.name.has_value()) {  // a name that is no scalar, or is null
      throw Refused{"YAML with names that are no text is not accepted"};
    }
    SecretJson& place = members[*container.name];
    container.name.reset();
    place = std::move(value);
    return &place;
  }

  void Open(SecretJson container, const YAML::Mark& mark) {
    if (open_.size() == kDeepestNesting) {
      throw Refused{Format("YAML nested deeper than {} levels is not accepted (line {})",
                           kDeepestNesting, mark.line + 1)};
    }
    SecretJson* const place = Add(std::move(container));
    open_.push_back({place, std::nullopt});
  }

  SecretJson root_;
  std::vector<Container> open_;
  size_t nodes_ = 0;
};

absl::StatusOr<SecretJson> ParseYaml(std::string_view text) {
  TextBuffer buffer(text);
  std::istream stream(&buffer);
  YamlReader reader;
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(reader);
  } catch (const Refused& refused) {
    return absl::InvalidArgumentError(refused.message);
  } catch (const YAML::Exception& problem) {  // whose text may quote the input
    return absl::InvalidArgumentError(
        Format("not valid YAML (first problem in line {})", problem.mark.line + 1));
  }
  return reader.TakeRoot();
}

}  // namespace

absl::StatusOr<SecretBytes> ExtractJsonKey(std::string_view value, std::string_view key) {
  const absl::StatusOr<SecretJson> json = ParseSecretJson(value);
  if (!json.ok()) {
    return absl::InvalidArgumentError(
        Format("key {} is wanted, but the secret is {}", Shown(key), MessageOf(json.status())));
  }
  return MemberAsBytes(*json, key);
}

absl::StatusOr<SecretBytes> ExtractYamlKey(std::string_view value, std::string_view key) {
  const absl::StatusOr<SecretJson> json = ParseYaml(value);
  if (!json.ok()) {
    return absl::InvalidArgumentError(
        Format("key {} is wanted, but the secret is {}", Shown(key), MessageOf(json.status())));
  }
  return MemberAsBytes(*json, key);
}

}  // namespace secretfs::providers
