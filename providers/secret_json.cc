#include "providers/secret_json.h"

#include <string>
#include <utility>

#include "base/text.h"

namespace secretfs::providers {
namespace {

// Deeper nesting is refused: no store's answer needs it, and recursive users of the value (dump,
// path lookup) then have a bounded stack.
constexpr size_t kMaximumDepth = 64;

// Marks the binary values that hold a number's text. JSON has no other binary values.
constexpr SecretJson::binary_t::subtype_type kNumberText = 1;

// Builds the value from the parser's events. A handler of our own instead of SecretJson::parse,
// because it bounds the depth and learns where a problem is without exceptions.
//
// Invariant: `open_` holds the containers from the root to the one being filled; in an object,
// `member_` points at the place of the member whose key came last. std::map and the vectors of open
// containers do not move while a child of theirs is being filled, so the pointers stay valid.
class Builder {
 public:
  explicit Builder(SecretJson& root) : root_(root) {}

  bool null() { return Add(SecretJson()); }
  bool boolean(bool value) { return Add(SecretJson(value)); }
  bool number_integer(int64_t value) { return Add(SecretJson(value)); }
  bool number_unsigned(uint64_t value) { return Add(SecretJson(value)); }
  // Comes for integers beyond 64 bits, too. A template, because the library's binary formats
  // (compiled, never used) pass a std::string here.
  template <typename Text>
  bool number_float(double, const Text& text) {
    const std::string_view digits(text);
    return Add(SecretJson::binary({digits.begin(), digits.end()}, kNumberText));
  }
  bool string(SecretString& value) { return Add(SecretJson(std::move(value))); }
  bool binary(SecretJson::binary_t&) { return false; }  // not in JSON text
  bool start_object(size_t) { return Open(SecretJson::value_t::object); }
  bool start_array(size_t) { return Open(SecretJson::value_t::array); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }
  bool key(SecretString& name) {
    member_ = &(*open_.back()->get_ptr<SecretJson::object_t*>())[std::move(name)];
    return true;
  }
  // The exception's text quotes the input: only the offset is taken.
  template <typename Exception>
  bool parse_error(size_t position, const std::string&, const Exception&) {
    error_offset_ = position;
    return false;
  }

  bool too_deep() const { return too_deep_; }
  size_t error_offset() const { return error_offset_; }

 private:
  SecretJson& Place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_object()) return *member_;
    auto& elements = *open_.back()->get_ptr<SecretJson::array_t*>();
    return elements.emplace_back();
  }
  bool Add(SecretJson value) {
    Place() = std::move(value);
    return true;
  }
  bool Open(SecretJson::value_t type) {
    if (open_.size() == kMaximumDepth) {
      too_deep_ = true;
      return false;
    }
    SecretJson& place = Place();
    place = SecretJson(type);
    open_.push_back(&place);
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  SecretJson& root_;
  std::vector<SecretJson*> open_;
  SecretJson* member_ = nullptr;
  bool too_deep_ = false;
  size_t error_offset_ = 0;
};

SecretString DumpOne(const SecretJson& json) {
  return json.dump(-1, ' ', false, SecretJson::error_handler_t::replace);
}

// Not the library's dump of the whole, which would write number texts as lists of bytes.
void Write(const SecretJson& json, SecretString& out) {
  bool first = true;
  if (const auto* members = json.get_ptr<const SecretJson::object_t*>()) {
    out += '{';
    for (const auto& [name, value] : *members) {
      if (!std::exchange(first, false)) out += ',';
      out += DumpOne(SecretJson(name));
      out += ':';
      Write(value, out);
    }
    out += '}';
  } else if (const auto* elements = json.get_ptr<const SecretJson::array_t*>()) {
    out += '[';
    for (const SecretJson& value : *elements) {
      if (!std::exchange(first, false)) out += ',';
      Write(value, out);
    }
    out += ']';
  } else if (const auto* number = json.get_ptr<const SecretJson::binary_t*>()) {
    out.append(number->begin(), number->end());
  } else {
    out += DumpOne(json);
  }
}

absl::Status InvalidAt(size_t offset) {
  return absl::InvalidArgumentError(Format("not valid JSON (first problem at byte {})", offset));
}

}  // namespace

absl::StatusOr<SecretJson> ParseSecretJson(std::string_view text) {
  // The parser takes a zero byte for the end of its input and would not look at what follows.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return InvalidAt(zero + 1);
  }
  SecretJson result;
  Builder builder(result);
  if (SecretJson::sax_parse(text.data(), text.data() + text.size(), &builder)) return result;
  if (builder.too_deep()) {
    return absl::InvalidArgumentError(
        Format("JSON nested deeper than {} levels is not accepted", kMaximumDepth));
  }
  return InvalidAt(builder.error_offset());
}

SecretBytes DumpSecretJson(const SecretJson& json) {
  SecretString text;
  Write(json, text);
  return SecretBytes::CopyOf(std::string_view(text));
}

SecretBytes SecretJsonToBytes(const SecretJson& json) {
  if (const auto* text = json.get_ptr<const SecretString*>()) {
    return SecretBytes::CopyOf(std::string_view(*text));
  }
  return DumpSecretJson(json);
}

const SecretJson* Member(const SecretJson& json, std::string_view name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(SecretString(name));
  return found == json.end() ? nullptr : &*found;
}

const SecretJson* ObjectMember(const SecretJson& json, std::string_view name) {
  const SecretJson* member = Member(json, name);
  return member != nullptr && member->is_object() ? member : nullptr;
}

std::string_view TextMember(const SecretJson& json, std::string_view name) {
  const SecretJson* member = Member(json, name);
  if (member == nullptr || !member->is_string()) return {};
  return member->get_ref<const SecretString&>();
}

}  // namespace secretfs::providers
