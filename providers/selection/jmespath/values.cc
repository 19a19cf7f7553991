#include "providers/selection/jmespath/values.h"

#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "base/text.h"

namespace secretfs::providers::jmespath {
namespace {

// Up to here, doubles hold every whole number.
constexpr double kLargestWhole = 9007199254740992.0;
constexpr size_t kTextPerPart = 64;

bool IsWhole(const SecretJson& value) {
  return value.is_number_integer() || value.is_number_unsigned();
}

bool EqualObjects(const SecretJson::object_t& a, const SecretJson::object_t& b) {
  if (a.size() != b.size()) return false;
  for (auto left = a.begin(), right = b.begin(); left != a.end(); ++left, ++right) {
    if (left->first != right->first || !Equal(left->second, right->second)) return false;
  }
  return true;
}

bool EqualArrays(const SecretJson::array_t& a, const SecretJson::array_t& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!Equal(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace

Type TypeOf(const SecretJson& value) {
  switch (value.type()) {
    case SecretJson::value_t::boolean:
      return Type::kBoolean;
    case SecretJson::value_t::string:
      return Type::kString;
    case SecretJson::value_t::array:
      return Type::kArray;
    case SecretJson::value_t::object:
      return Type::kObject;
    case SecretJson::value_t::number_integer:
    case SecretJson::value_t::number_unsigned:
    case SecretJson::value_t::number_float:
    case SecretJson::value_t::binary:  // a number's text
      return Type::kNumber;
    case SecretJson::value_t::null:
    case SecretJson::value_t::discarded:
      break;
  }
  return Type::kNull;
}

std::string_view TypeName(Type type) {
  constexpr std::string_view kNames[] = {"null", "boolean", "number", "string", "array", "object"};
  return kNames[static_cast<size_t>(type)];
}

bool IsFalse(const SecretJson& value) {
  switch (TypeOf(value)) {
    case Type::kNull:
      return true;
    case Type::kBoolean:
      return !value.get<bool>();
    case Type::kString:
      return value.get_ptr<const SecretString*>()->empty();
    case Type::kArray:
    case Type::kObject:
      return value.empty();
    case Type::kNumber:
      break;
  }
  return false;
}

bool Equal(const SecretJson& a, const SecretJson& b) {
  const Type type = TypeOf(a);
  if (type != TypeOf(b)) return false;
  switch (type) {
    case Type::kNull:
      return true;
    case Type::kBoolean:
      return a.get<bool>() == b.get<bool>();
    case Type::kNumber:
    case Type::kString:
      return Compare(a, b) == 0;
    case Type::kArray:
      return EqualArrays(*a.get_ptr<const SecretJson::array_t*>(),
                         *b.get_ptr<const SecretJson::array_t*>());
    case Type::kObject:
      break;
  }
  return EqualObjects(*a.get_ptr<const SecretJson::object_t*>(),
                      *b.get_ptr<const SecretJson::object_t*>());
}

int Compare(const SecretJson& a, const SecretJson& b) {
  if (TypeOf(a) == Type::kString) {  // the order of UTF-8 is that of code points
    return a.get_ptr<const SecretString*>()->compare(*b.get_ptr<const SecretString*>());
  }
  if (IsWhole(a) && IsWhole(b)) {
    if (a == b) return 0;
    return a < b ? -1 : 1;
  }
  const double left = ToDouble(a);
  const double right = ToDouble(b);
  if (left == right) return 0;
  return left < right ? -1 : 1;
}

double ToDouble(const SecretJson& value) {
  const auto* text = value.get_ptr<const SecretJson::binary_t*>();
  if (text == nullptr) return value.get<double>();
  const auto* begin = reinterpret_cast<const char*>(text->data());
  double number = 0;
  // Out of range means too close to zero: the JSON parser refuses what is too large.
  std::from_chars(begin, begin + text->size(), number);
  return number;
}

SecretJson FromDouble(double value) {
  if (!std::isfinite(value)) return {};
  if (value == std::floor(value) && std::abs(value) <= kLargestWhole) {
    return SecretJson(static_cast<int64_t>(value));
  }
  return *ParseSecretJson(Format("{}", value));
}

size_t SizeOf(const SecretJson& value) {
  size_t size = 1;
  if (const auto* members = value.get_ptr<const SecretJson::object_t*>()) {
    for (const auto& [name, member] : *members) {
      size += name.size() / kTextPerPart + SizeOf(member);
    }
  } else if (const auto* elements = value.get_ptr<const SecretJson::array_t*>()) {
    for (const SecretJson& element : *elements) size += SizeOf(element);
  } else if (const auto* text = value.get_ptr<const SecretString*>()) {
    size += text->size() / kTextPerPart;
  }
  return size;
}

}  // namespace secretfs::providers::jmespath
