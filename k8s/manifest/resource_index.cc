#include "k8s/manifest/resource_index.h"

#include "base/text.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/object_header.h"

namespace secretfs::k8s {
namespace {

std::optional<unsigned> Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return std::nullopt;
}

std::string_view KindName(ResourceIndex::Kind kind) {
  return kind == ResourceIndex::Kind::kSecret ? "Secret" : "ConfigMap";
}

}  // namespace

std::optional<SecretBytes> DecodeBase64(std::string_view text) {
  SecretBytes decoded(text.size() / 4 * 3 + 3);
  size_t size = 0, digits = 0, padding = 0;
  uint32_t bits = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const std::optional<unsigned> digit = Base64Digit(c);
    if (!digit || padding > 0) return std::nullopt;
    bits = (bits << 6) | *digit;
    ++digits;
    if (digits % 4 == 1) continue;
    const unsigned shift = digits % 4 == 2 ? 4 : digits % 4 == 3 ? 2 : 0;
    decoded.mutable_bytes()[size++] = static_cast<std::byte>((bits >> shift) & 0xff);
  }
  const size_t wanted_padding = digits % 4 == 0 ? 0 : 4 - digits % 4;
  if (digits % 4 == 1 || padding != wanted_padding) return std::nullopt;
  return SecretBytes::CopyOf(decoded.bytes().first(size));
}

void ResourceIndex::AddSecret(const Value& document) {
  Add(Kind::kSecret, document, "stringData", "data",
      {"apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"});
}

void ResourceIndex::AddConfigMap(const Value& document) {
  Add(Kind::kConfigMap, document, "data", "binaryData",
      {"apiVersion", "kind", "metadata", "data", "binaryData", "immutable"});
}

void ResourceIndex::Add(Kind kind, const Value& document, std::string_view text_field,
                        std::string_view base64_field, std::vector<std::string_view> known) {
  const Fields fields(document, std::move(known));
  const ObjectHeader header = ReadObjectHeader(fields);
  Resource resource{kind, header.name_space, header.name, {}};
  if (const auto field = fields.Find(base64_field)) {
    for (const auto& [name, value] : field->Entries()) {
      const YamlNode& node = value.node();
      std::optional<SecretBytes> decoded;
      if (node.kind == YamlNode::Kind::kScalar) decoded = DecodeBase64(node.scalar);
      if (!decoded) {
        value.Problem(
            Format("is not base64; expected base64 here, or plain text in {}", text_field));
        continue;
      }
      resource.data[name] = std::make_shared<const SecretBytes>(*std::move(decoded));
    }
  }
  // Text wins over base64 of the same key, as in the API server.
  if (const auto field = fields.Find(text_field)) {
    for (const auto& [name, value] : field->Entries()) {
      const YamlNode& node = value.node();
      if (node.kind != YamlNode::Kind::kScalar) {
        value.Problem("is not a single value; expected text");
        continue;
      }
      resource.data[name] = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(node.scalar));
    }
  }
  resources_.push_back(std::move(resource));
}

std::shared_ptr<const SecretBytes> ResourceIndex::Find(Kind kind, const std::string& name_space,
                                                       const std::string& name,
                                                       const std::string& key,
                                                       const Value& reference) const {
  std::vector<std::string_view> names;
  for (const Resource& resource : resources_) {
    if (resource.kind != kind) continue;
    const bool same_namespace =
        name_space.empty() || resource.name_space.empty() || resource.name_space == name_space;
    if (!same_namespace || resource.name != name) {
      names.push_back(resource.name);
      continue;
    }
    const auto found = resource.data.find(key);
    if (found != resource.data.end()) return found->second;
    std::vector<std::string_view> keys;
    for (const auto& [known, value] : resource.data) keys.push_back(known);
    reference.Problem(Format("the {} {} has no key {}{}{}", KindName(kind), Quote(name), Quote(key),
                             keys.empty() ? "" : "; expected " + JoinWithOr(keys),
                             DidYouMean(key, keys)));
    return nullptr;
  }
  reference.Problem(
      Format("the {0} {1} is not among the given manifests; expected it in one more -f "
             "FILE, for example from `kubectl get {2} {3} -o yaml`{4}",
             KindName(kind), Quote(name), kind == Kind::kSecret ? "secret" : "configmap", name,
             DidYouMean(name, names)));
  return nullptr;
}

}  // namespace secretfs::k8s
