#include "providers/selection/jmespath/interpreter.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/selection/jmespath/functions.h"
#include "providers/selection/jmespath/values.h"

namespace secretfs::providers::jmespath {
namespace {

// Nodes visited, and parts of values copied.
constexpr size_t kMostWork = 500'000;

// A value of the document or of a literal, or one that was made on the way.
class Evaluated {
 public:
  Evaluated() = default;
  static Evaluated At(const SecretJson& place) {
    Evaluated result;
    result.place_ = &place;
    return result;
  }
  static Evaluated New(SecretJson value) {
    Evaluated result;
    result.own_ = std::move(value);
    return result;
  }
  const SecretJson& get() const { return place_ != nullptr ? *place_ : own_; }
  bool is_new() const { return place_ == nullptr; }
  // REQUIRES: is_new().
  SecretJson Take() { return std::move(own_); }

 private:
  const SecretJson* place_ = nullptr;
  SecretJson own_;
};

class Interpreter {
 public:
  absl::StatusOr<SecretJson> Run(const Node& tree, const SecretJson& document) {
    SECRETFS_ASSIGN_OR_RETURN(Evaluated result, Visit(tree, document));
    return Own(std::move(result));
  }

 private:
  using Result = absl::StatusOr<Evaluated>;

  absl::Status Work(size_t amount) {
    work_ += amount;
    if (work_ <= kMostWork) return absl::OkStatus();
    return absl::InvalidArgumentError("the JMESPath expression makes too much of this value");
  }

  absl::StatusOr<SecretJson> Copy(const SecretJson& value) {
    SECRETFS_RETURN_IF_ERROR(Work(SizeOf(value)));
    return value;
  }
  absl::StatusOr<SecretJson> Own(Evaluated value) {
    if (value.is_new()) return value.Take();
    return Copy(value.get());
  }

  Result Visit(const Node& node, const SecretJson& current) {
    SECRETFS_RETURN_IF_ERROR(Work(1));
    switch (node.kind) {
      case NodeKind::kIdentity:
        return Evaluated::At(current);
      case NodeKind::kLiteral:
        return Evaluated::At(node.literal);
      case NodeKind::kField:
        return Field(node, current);
      case NodeKind::kIndex:
        return Index(node, current);
      case NodeKind::kSlice:
        return Slice(node, current);
      case NodeKind::kSequence:
        return Sequence(node, current);
      case NodeKind::kOr:
      case NodeKind::kAnd: {
        SECRETFS_ASSIGN_OR_RETURN(Evaluated left, Visit(*node.children[0], current));
        if (IsFalse(left.get()) == (node.kind == NodeKind::kAnd)) return left;
        return Visit(*node.children[1], current);
      }
      case NodeKind::kNot: {
        SECRETFS_ASSIGN_OR_RETURN(const Evaluated operand, Visit(*node.children[0], current));
        return Evaluated::New(SecretJson(IsFalse(operand.get())));
      }
      case NodeKind::kComparison:
        return Comparison(node, current);
      case NodeKind::kProjection:
      case NodeKind::kFilter:
        return Projection(node, current);
      case NodeKind::kValueProjection:
        return ValueProjection(node, current);
      case NodeKind::kFlatten:
        return Flatten(node, current);
      case NodeKind::kList:
        return List(node, current);
      case NodeKind::kHash:
        return Hash(node, current);
      case NodeKind::kFunction:
        return Call(node, current);
      case NodeKind::kReference:
        break;  // only ever an argument: see Call
    }
    return absl::InternalError("a JMESPath tree that cannot be");
  }

  static Result Field(const Node& node, const SecretJson& current) {
    if (!current.is_object()) return Evaluated();
    const auto member = current.find(node.name);
    return member == current.end() ? Evaluated() : Evaluated::At(*member);
  }

  static Result Index(const Node& node, const SecretJson& current) {
    const auto* array = current.get_ptr<const SecretJson::array_t*>();
    if (array == nullptr) return Evaluated();
    const auto size = static_cast<int64_t>(array->size());
    const int64_t index = node.index < 0 ? node.index + size : node.index;
    if (index < 0 || index >= size) return Evaluated();
    return Evaluated::At((*array)[static_cast<size_t>(index)]);
  }

  Result Slice(const Node& node, const SecretJson& current) {
    const int64_t step = node.slice[2].value_or(1);
    if (step == 0) return absl::InvalidArgumentError("a JMESPath slice cannot step by zero");
    const auto* array = current.get_ptr<const SecretJson::array_t*>();
    if (array == nullptr) return Evaluated();
    const auto size = static_cast<int64_t>(array->size());
    const int64_t lowest = step > 0 ? 0 : -1;
    const int64_t highest = step > 0 ? size : size - 1;
    const auto place = [&](const std::optional<int64_t>& given, int64_t otherwise) {
      if (!given.has_value()) return otherwise;
      return std::clamp(*given < 0 ? *given + size : *given, lowest, highest);
    };
    const int64_t begin = place(node.slice[0], step > 0 ? lowest : highest);
    const int64_t end = place(node.slice[1], step > 0 ? highest : lowest);
    SecretJson::array_t slice;
    for (int64_t i = begin; step > 0 ? i < end : i > end;) {
      SECRETFS_ASSIGN_OR_RETURN(SecretJson element, Copy((*array)[static_cast<size_t>(i)]));
      slice.push_back(std::move(element));
      // What is left is less than the size, so this cannot overflow.
      if (step > 0 ? step >= end - i : step <= end - i) break;
      i += step;
    }
    return Evaluated::New(SecretJson(std::move(slice)));
  }

  Result Sequence(const Node& node, const SecretJson& current) {
    SECRETFS_ASSIGN_OR_RETURN(const Evaluated left, Visit(*node.children[0], current));
    SECRETFS_ASSIGN_OR_RETURN(Evaluated right, Visit(*node.children[1], left.get()));
    if (!left.is_new() || right.is_new()) return right;
    // It may be a part of `left`, which ends here.
    SECRETFS_ASSIGN_OR_RETURN(SecretJson copy, Copy(right.get()));
    return Evaluated::New(std::move(copy));
  }

  Result Comparison(const Node& node, const SecretJson& current) {
    SECRETFS_ASSIGN_OR_RETURN(const Evaluated left, Visit(*node.children[0], current));
    SECRETFS_ASSIGN_OR_RETURN(const Evaluated right, Visit(*node.children[1], current));
    const bool is_equality =
        node.comparator == Comparator::kEqual || node.comparator == Comparator::kNotEqual;
    if (is_equality) {
      SECRETFS_RETURN_IF_ERROR(Work(std::min(SizeOf(left.get()), SizeOf(right.get()))));
      const bool equal = Equal(left.get(), right.get());
      return Evaluated::New(SecretJson(equal == (node.comparator == Comparator::kEqual)));
    }
    if (TypeOf(left.get()) != Type::kNumber || TypeOf(right.get()) != Type::kNumber) {
      return Evaluated();
    }
    const int order = Compare(left.get(), right.get());
    switch (node.comparator) {
      case Comparator::kLess:
        return Evaluated::New(SecretJson(order < 0));
      case Comparator::kLessOrEqual:
        return Evaluated::New(SecretJson(order <= 0));
      case Comparator::kGreater:
        return Evaluated::New(SecretJson(order > 0));
      default:
        return Evaluated::New(SecretJson(order >= 0));
    }
  }

  // Adds what `node` gives for `element`, unless that is null.
  absl::Status Project(const Node& node, const SecretJson& element, SecretJson::array_t& results) {
    SECRETFS_ASSIGN_OR_RETURN(Evaluated projected, Visit(node, element));
    if (projected.get().is_null()) return absl::OkStatus();
    SECRETFS_ASSIGN_OR_RETURN(SecretJson result, Own(std::move(projected)));
    results.push_back(std::move(result));
    return absl::OkStatus();
  }

  Result Projection(const Node& node, const SecretJson& current) {
    SECRETFS_ASSIGN_OR_RETURN(const Evaluated base, Visit(*node.children[0], current));
    const auto* array = base.get().get_ptr<const SecretJson::array_t*>();
    if (array == nullptr) return Evaluated();
    SecretJson::array_t results;
    for (const SecretJson& element : *array) {
      if (node.kind == NodeKind::kFilter) {
        SECRETFS_ASSIGN_OR_RETURN(const Evaluated wanted, Visit(*node.children[2], element));
        if (IsFalse(wanted.get())) continue;
      }
      SECRETFS_RETURN_IF_ERROR(Project(*node.children[1], element, results));
    }
    return Evaluated::New(SecretJson(std::move(results)));
  }

  Result ValueProjection(const Node& node, const SecretJson& current) {
    SECRETFS_ASSIGN_OR_RETURN(const Evaluated base, Visit(*node.children[0], current));
    const auto* object = base.get().get_ptr<const SecretJson::object_t*>();
    if (object == nullptr) return Evaluated();
    SecretJson::array_t results;
    for (const auto& [name, value] : *object) {
      SECRETFS_RETURN_IF_ERROR(Project(*node.children[1], value, results));
    }
    return Evaluated::New(SecretJson(std::move(results)));
  }

  Result Flatten(const Node& node, const SecretJson& current) {
    SECRETFS_ASSIGN_OR_RETURN(const Evaluated base, Visit(*node.children[0], current));
    const auto* array = base.get().get_ptr<const SecretJson::array_t*>();
    if (array == nullptr) return Evaluated();
    SECRETFS_RETURN_IF_ERROR(Work(SizeOf(base.get())));
    SecretJson::array_t flat;
    for (const SecretJson& element : *array) {
      if (const auto* inner = element.get_ptr<const SecretJson::array_t*>()) {
        flat.insert(flat.end(), inner->begin(), inner->end());
      } else {
        flat.push_back(element);
      }
    }
    return Evaluated::New(SecretJson(std::move(flat)));
  }

  Result List(const Node& node, const SecretJson& current) {
    if (current.is_null()) return Evaluated();
    SecretJson::array_t list;
    for (const NodePtr& child : node.children) {
      SECRETFS_ASSIGN_OR_RETURN(Evaluated element, Visit(*child, current));
      SECRETFS_ASSIGN_OR_RETURN(SecretJson own, Own(std::move(element)));
      list.push_back(std::move(own));
    }
    return Evaluated::New(SecretJson(std::move(list)));
  }

  Result Hash(const Node& node, const SecretJson& current) {
    if (current.is_null()) return Evaluated();
    SecretJson::object_t hash;
    for (size_t i = 0; i < node.children.size(); ++i) {
      SECRETFS_ASSIGN_OR_RETURN(Evaluated value, Visit(*node.children[i], current));
      SECRETFS_ASSIGN_OR_RETURN(SecretJson own, Own(std::move(value)));
      hash[node.names[i]] = std::move(own);
    }
    return Evaluated::New(SecretJson(std::move(hash)));
  }

  Result Call(const Node& node, const SecretJson& current) {
    std::vector<Evaluated> values(node.children.size());
    std::vector<Argument> arguments(node.children.size());
    for (size_t i = 0; i < node.children.size(); ++i) {
      const Node& child = *node.children[i];
      if (child.kind == NodeKind::kReference) {
        arguments[i].apply = [this, &referred = *child.children[0]](const SecretJson& value) {
          return Run(referred, value);
        };
        continue;
      }
      SECRETFS_ASSIGN_OR_RETURN(values[i], Visit(child, current));
      arguments[i].value = &values[i].get();
      SECRETFS_RETURN_IF_ERROR(Work(SizeOf(values[i].get())));
    }
    SECRETFS_ASSIGN_OR_RETURN(SecretJson result, CallFunction(*node.function, arguments));
    // join() and to_string() may give more than they took.
    SECRETFS_RETURN_IF_ERROR(Work(SizeOf(result)));
    return Evaluated::New(std::move(result));
  }

  static absl::StatusOr<SecretJson> CallFunction(const Function& function,
                                                 const std::vector<Argument>& arguments) {
    absl::StatusOr<SecretJson> result = function.call(arguments);
    if (!result.ok()) return WithContext(result.status(), Format("{}()", function.name));
    return result;
  }

  size_t work_ = 0;
};

}  // namespace

absl::StatusOr<SecretJson> Evaluate(const Node& tree, const SecretJson& document) {
  return Interpreter().Run(tree, document);
}

}  // namespace secretfs::providers::jmespath
