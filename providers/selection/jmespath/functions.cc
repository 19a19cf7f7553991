#include "providers/selection/jmespath/functions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/selection/jmespath/values.h"

namespace secretfs::providers::jmespath {
namespace {

using Arguments = std::span<const Argument>;
using Result = absl::StatusOr<SecretJson>;
using Array = SecretJson::array_t;
using Object = SecretJson::object_t;

constexpr size_t kAny = std::numeric_limits<size_t>::max();

// --- arguments of a type; the first problem is kept

std::string_view TypeOfArgument(const Argument& argument) {
  return argument.value == nullptr ? "expression" : TypeName(TypeOf(*argument.value));
}

absl::Status TypeError(std::string_view expected, std::string_view found) {
  return absl::InvalidArgumentError(
      Format("an argument is of type {} where {} is wanted", found, expected));
}

absl::StatusOr<const SecretJson*> AnyValue(const Argument& argument) {
  if (argument.value == nullptr) return TypeError("a value", "expression");
  return argument.value;
}

absl::StatusOr<const Array*> AnArray(const Argument& argument) {
  const auto* array = argument.value == nullptr ? nullptr : argument.value->get_ptr<const Array*>();
  if (array == nullptr) return TypeError("array", TypeOfArgument(argument));
  return array;
}

absl::StatusOr<const Object*> AnObject(const Argument& argument) {
  const auto* object =
      argument.value == nullptr ? nullptr : argument.value->get_ptr<const Object*>();
  if (object == nullptr) return TypeError("object", TypeOfArgument(argument));
  return object;
}

absl::StatusOr<const SecretString*> AString(const Argument& argument) {
  const auto* text =
      argument.value == nullptr ? nullptr : argument.value->get_ptr<const SecretString*>();
  if (text == nullptr) return TypeError("string", TypeOfArgument(argument));
  return text;
}

absl::StatusOr<double> ANumber(const Argument& argument) {
  if (argument.value == nullptr || TypeOf(*argument.value) != Type::kNumber) {
    return TypeError("number", TypeOfArgument(argument));
  }
  return ToDouble(*argument.value);
}

absl::StatusOr<const Apply*> AReference(const Argument& argument) {
  if (!argument.apply) return TypeError("an expression (&…)", TypeOfArgument(argument));
  return &argument.apply;
}

absl::StatusOr<const Array*> ArrayOf(Type type, const Argument& argument) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(argument));
  for (const SecretJson& element : *array) {
    if (TypeOf(element) != type) {
      return TypeError(Format("array of {}s", TypeName(type)),
                       Format("array with {}", TypeName(TypeOf(element))));
    }
  }
  return array;
}

// Elements that can be ordered: all numbers, or all strings.
absl::Status CheckOrderable(const Array& array) {
  for (const SecretJson& element : array) {
    const Type type = TypeOf(element);
    if (type != TypeOf(array.front()) || (type != Type::kNumber && type != Type::kString)) {
      return TypeError("array of numbers or of strings", Format("array with {}", TypeName(type)));
    }
  }
  return absl::OkStatus();
}

// --- code points

bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

size_t CountCharacters(const SecretString& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !ContinuesCharacter(c); }));
}

SecretString Reversed(const SecretString& text) {
  SecretString result;
  size_t end = text.size();
  for (size_t i = text.size(); i-- > 0;) {
    if (ContinuesCharacter(text[i])) continue;
    result.append(text, i, end - i);
    end = i;
  }
  return result;
}

// --- numbers

Result Absolute(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const double number, ANumber(arguments[0]));
  return number < 0 ? FromDouble(-number) : *arguments[0].value;
}

Result Ceiling(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const double number, ANumber(arguments[0]));
  return FromDouble(std::ceil(number));
}

Result Floor(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const double number, ANumber(arguments[0]));
  return FromDouble(std::floor(number));
}

Result Sum(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, ArrayOf(Type::kNumber, arguments[0]));
  double sum = 0;
  for (const SecretJson& element : *array) sum += ToDouble(element);
  return FromDouble(sum);
}

Result Average(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, ArrayOf(Type::kNumber, arguments[0]));
  if (array->empty()) return SecretJson();
  double sum = 0;
  for (const SecretJson& element : *array) sum += ToDouble(element);
  return FromDouble(sum / static_cast<double>(array->size()));
}

// --- arrays, objects, strings

Result Length(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(arguments[0]));
  if (const auto* text = value->get_ptr<const SecretString*>()) {
    return SecretJson(static_cast<int64_t>(CountCharacters(*text)));
  }
  if (!value->is_array() && !value->is_object()) {
    return TypeError("string, array or object", TypeOfArgument(arguments[0]));
  }
  return SecretJson(static_cast<int64_t>(value->size()));
}

Result Contains(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const wanted, AnyValue(arguments[1]));
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(arguments[0]));
  if (const auto* array = value->get_ptr<const Array*>()) {
    return SecretJson(
        std::any_of(array->begin(), array->end(),
                    [wanted](const SecretJson& element) { return Equal(element, *wanted); }));
  }
  SECRETFS_ASSIGN_OR_RETURN(const SecretString* const text, AString(arguments[0]));
  const auto* part = wanted->get_ptr<const SecretString*>();
  return SecretJson(part != nullptr && text->find(*part) != SecretString::npos);
}

Result StartsWith(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretString* const text, AString(arguments[0]));
  SECRETFS_ASSIGN_OR_RETURN(const SecretString* const part, AString(arguments[1]));
  return SecretJson(text->starts_with(*part));
}

Result EndsWith(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretString* const text, AString(arguments[0]));
  SECRETFS_ASSIGN_OR_RETURN(const SecretString* const part, AString(arguments[1]));
  return SecretJson(text->ends_with(*part));
}

Result Join(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretString* const between, AString(arguments[0]));
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, ArrayOf(Type::kString, arguments[1]));
  SecretString joined;
  for (size_t i = 0; i < array->size(); ++i) {
    if (i > 0) joined += *between;
    joined += *(*array)[i].get_ptr<const SecretString*>();
  }
  return SecretJson(std::move(joined));
}

Result Reverse(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(arguments[0]));
  if (const auto* text = value->get_ptr<const SecretString*>()) return SecretJson(Reversed(*text));
  const auto* array = value->get_ptr<const Array*>();
  if (array == nullptr) return TypeError("string or array", TypeOfArgument(arguments[0]));
  return SecretJson(Array(array->rbegin(), array->rend()));
}

Result Keys(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Object* const object, AnObject(arguments[0]));
  Array names;
  for (const auto& [name, value] : *object) names.emplace_back(name);
  return SecretJson(std::move(names));
}

Result Values(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Object* const object, AnObject(arguments[0]));
  Array values;
  for (const auto& [name, value] : *object) values.push_back(value);
  return SecretJson(std::move(values));
}

Result Merge(Arguments arguments) {
  Object merged;
  for (const Argument& argument : arguments) {
    SECRETFS_ASSIGN_OR_RETURN(const Object* const object, AnObject(argument));
    for (const auto& [name, value] : *object) merged[name] = value;
  }
  return SecretJson(std::move(merged));
}

Result NotNull(Arguments arguments) {
  for (const Argument& argument : arguments) {
    SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(argument));
    if (!value->is_null()) return *value;
  }
  return SecretJson();
}

// --- order

bool Less(const SecretJson& a, const SecretJson& b) { return Compare(a, b) < 0; }

// `values` in the order of `keys`, which are as many; equal ones stay in their order.
Array InOrderOf(const Array& keys, const Array& values) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&keys](size_t a, size_t b) {
    const int compared = Compare(keys[a], keys[b]);
    return compared != 0 ? compared < 0 : a < b;
  });
  Array sorted;
  for (const size_t i : order) sorted.push_back(values[i]);
  return sorted;
}

Result Sort(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(arguments[0]));
  SECRETFS_RETURN_IF_ERROR(CheckOrderable(*array));
  return SecretJson(InOrderOf(*array, *array));
}

Result Largest(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(arguments[0]));
  SECRETFS_RETURN_IF_ERROR(CheckOrderable(*array));
  if (array->empty()) return SecretJson();
  return *std::max_element(array->begin(), array->end(), Less);
}

Result Smallest(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(arguments[0]));
  SECRETFS_RETURN_IF_ERROR(CheckOrderable(*array));
  if (array->empty()) return SecretJson();
  return *std::min_element(array->begin(), array->end(), Less);
}

// What the reference gives for each element.
absl::StatusOr<Array> KeysOf(const Array& array, const Argument& reference) {
  SECRETFS_ASSIGN_OR_RETURN(const Apply* const apply, AReference(reference));
  Array keys;
  for (const SecretJson& element : array) {
    SECRETFS_ASSIGN_OR_RETURN(SecretJson key, (*apply)(element));
    keys.push_back(std::move(key));
  }
  return keys;
}

Result SortBy(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(arguments[0]));
  SECRETFS_ASSIGN_OR_RETURN(const Array keys, KeysOf(*array, arguments[1]));
  SECRETFS_RETURN_IF_ERROR(CheckOrderable(keys));
  return SecretJson(InOrderOf(keys, *array));
}

Result LargestBy(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(arguments[0]));
  SECRETFS_ASSIGN_OR_RETURN(const Array keys, KeysOf(*array, arguments[1]));
  SECRETFS_RETURN_IF_ERROR(CheckOrderable(keys));
  if (array->empty()) return SecretJson();
  const auto place = std::max_element(keys.begin(), keys.end(), Less) - keys.begin();
  return (*array)[static_cast<size_t>(place)];
}

Result SmallestBy(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(arguments[0]));
  SECRETFS_ASSIGN_OR_RETURN(const Array keys, KeysOf(*array, arguments[1]));
  SECRETFS_RETURN_IF_ERROR(CheckOrderable(keys));
  if (array->empty()) return SecretJson();
  const auto place = std::min_element(keys.begin(), keys.end(), Less) - keys.begin();
  return (*array)[static_cast<size_t>(place)];
}

Result Map(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const Array* const array, AnArray(arguments[1]));
  SECRETFS_ASSIGN_OR_RETURN(Array mapped, KeysOf(*array, arguments[0]));
  return SecretJson(std::move(mapped));
}

// --- types

Result ToArray(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(arguments[0]));
  return value->is_array() ? *value : SecretJson(Array{*value});
}

Result ToString(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(arguments[0]));
  if (value->is_string()) return *value;
  return SecretJson(SecretString(DumpSecretJson(*value).ExposeAsText()));
}

Result ToNumber(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(arguments[0]));
  if (TypeOf(*value) == Type::kNumber) return *value;
  const auto* text = value->get_ptr<const SecretString*>();
  if (text == nullptr) return SecretJson();
  const absl::StatusOr<SecretJson> parsed = ParseSecretJson(std::string_view(*text));
  return parsed.ok() && TypeOf(*parsed) == Type::kNumber ? *parsed : SecretJson();
}

Result TypeFunction(Arguments arguments) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson* const value, AnyValue(arguments[0]));
  return SecretJson(SecretString(TypeName(TypeOf(*value))));
}

constexpr Function kFunctions[] = {
    {"abs", 1, 1, Absolute},
    {"avg", 1, 1, Average},
    {"ceil", 1, 1, Ceiling},
    {"contains", 2, 2, Contains},
    {"ends_with", 2, 2, EndsWith},
    {"floor", 1, 1, Floor},
    {"join", 2, 2, Join},
    {"keys", 1, 1, Keys},
    {"length", 1, 1, Length},
    {"map", 2, 2, Map},
    {"max", 1, 1, Largest},
    {"max_by", 2, 2, LargestBy},
    {"merge", 1, kAny, Merge},
    {"min", 1, 1, Smallest},
    {"min_by", 2, 2, SmallestBy},
    {"not_null", 1, kAny, NotNull},
    {"reverse", 1, 1, Reverse},
    {"sort", 1, 1, Sort},
    {"sort_by", 2, 2, SortBy},
    {"starts_with", 2, 2, StartsWith},
    {"sum", 1, 1, Sum},
    {"to_array", 1, 1, ToArray},
    {"to_number", 1, 1, ToNumber},
    {"to_string", 1, 1, ToString},
    {"type", 1, 1, TypeFunction},
    {"values", 1, 1, Values},
};

}  // namespace

const Function* FindFunction(std::string_view name) {
  for (const Function& function : kFunctions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

absl::Status CheckArity(const Function& function, size_t count) {
  if (count >= function.least && count <= function.most) return absl::OkStatus();
  return absl::InvalidArgumentError(Format("{}() with {} arguments instead of {}{}", function.name,
                                           count, function.least,
                                           function.most == kAny ? " or more" : ""));
}

}  // namespace secretfs::providers::jmespath
