#pragma once

// The Kubernetes Secrets and ConfigMaps that were given along with the other manifests: where
// references such as tokenSecretRef are resolved on a machine that asks no API server. Values are
// kept as SecretBytes and never quoted. Not thread-safe.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret_bytes.h"
#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

class ResourceIndex {
 public:
  // Reads a Secret (data in base64, stringData) or a ConfigMap (data, binaryData in base64).
  void AddSecret(const Value& document);
  void AddConfigMap(const Value& document);

  // The value of `key`; nothing when it is not there, which is reported on `reference` with what to
  // add. `name_space` may be empty: any.
  enum class Kind { kSecret, kConfigMap };
  std::shared_ptr<const SecretBytes> Find(Kind kind, const std::string& name_space,
                                          const std::string& name, const std::string& key,
                                          const Value& reference) const;

 private:
  struct Resource {
    Kind kind;
    std::string name_space, name;
    std::map<std::string, std::shared_ptr<const SecretBytes>, std::less<>> data;
  };
  void Add(Kind kind, const Value& document, std::string_view text_field,
           std::string_view base64_field, std::vector<std::string_view> known);

  std::vector<Resource> resources_;
};

// The bytes that `text` stands for in base64 (white space is skipped), or nothing.
std::optional<SecretBytes> DecodeBase64(std::string_view text);

}  // namespace secretfs::k8s
