#include "k8s/manifest/azure_class.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/text.h"
#include "k8s/manifest/embedded_yaml.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/scalars.h"
#include "k8s/manifest/store_reader.h"

namespace secretfs::k8s {
namespace {

using providers::AzureStoreConfig;

constexpr int kMostVersions = 1000;

struct Cloud {
  std::string_view name;              // of the provider, in lower case
  std::string_view environment_type;  // of External Secrets
  std::string_view vault_domain;
};
constexpr std::array<Cloud, 5> kClouds{{
    {"azurepubliccloud", "PublicCloud", "vault.azure.net"},
    {"azurecloud", "PublicCloud", "vault.azure.net"},
    {"azureusgovernmentcloud", "USGovernmentCloud", "vault.usgovcloudapi.net"},
    {"azurechinacloud", "ChinaCloud", "vault.azure.cn"},
    {"azuregermancloud", "GermanCloud", "vault.microsoftazure.de"},
}};

// The provider ignores spaces around what it reads.
std::string Trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  const auto first =
      std::find_if(text.begin(), text.end(), [](unsigned char c) { return !std::isspace(c); });
  text.erase(text.begin(), first);
  return text;
}

std::string Text(const Fields& fields, std::string_view name) {
  return Trimmed(fields.String(name));
}

// Booleans are texts in parameters.
bool IsTrue(const Fields& fields, std::string_view name) {
  const auto value = fields.Find(name);
  return value && !Text(fields, name).empty() && value->AsBool().value_or(false);
}

const Cloud& CloudOf(const Fields& parameters) {
  const std::string name = LowerCase(Text(parameters, "cloudName"));
  if (name.empty()) return kClouds.front();
  for (const Cloud& cloud : kClouds) {
    if (cloud.name == name) return cloud;
  }
  parameters.Find("cloudName")
      ->Problem(
          "is no cloud that is known here; expected AzurePublicCloud, AzureUSGovernmentCloud, "
          "AzureChinaCloud or AzureGermanCloud (others: a store in secretfs.yaml with "
          "authorityHost and resource)");
  return kClouds.front();
}

std::string ReadVaultUrl(const Fields& parameters, const Cloud& cloud) {
  const auto value = parameters.Require("keyvaultName");
  if (!value) return "";
  const std::string name = Text(parameters, "keyvaultName");
  const bool plain = std::all_of(name.begin(), name.end(),
                                 [](unsigned char c) { return std::isalnum(c) || c == '-'; });
  if (!plain || name.size() < 3 || name.size() > 24) {
    value->Problem(
        Format("{} is no Key Vault's name; expected 3 to 24 letters, digits and '-'", Quote(name)));
    return "";
  }
  return Format("https://{}.{}", name, cloud.vault_domain);
}

providers::AzureAuth ReadClassAuth(const Fields& parameters) {
  for (const std::string_view name : {"usePodIdentity", "useAzureTokenProxy"}) {
    if (IsTrue(parameters, name)) {
      parameters.Find(name)->Problem(
          "is not built into this version; expected clientID (workload identity) or "
          "useVMManagedIdentity");
    }
  }
  const std::string client_id = Text(parameters, "clientID");
  if (IsTrue(parameters, "useVMManagedIdentity")) {
    if (!client_id.empty()) {
      parameters.Find("clientID")
          ->Problem(
              "is for workload identity; expected userAssignedIdentityID beside "
              "useVMManagedIdentity");
    }
    providers::AzureManagedIdentityAuth auth;
    auth.client_id = Text(parameters, "userAssignedIdentityID");
    return auth;
  }
  if (!client_id.empty()) {
    providers::AzureWorkloadIdentityAuth auth;
    auth.client_id.text = client_id;
    return auth;
  }
  parameters.value().Warn(
      "names no identity: the service principal in AZURE_CLIENT_ID and AZURE_CLIENT_SECRET is "
      "used, in place of the pod's nodePublishSecretRef");
  providers::AzureClientSecretAuth auth;
  auth.client_id.source.environment = "AZURE_CLIENT_ID";
  auth.client_secret.environment = "AZURE_CLIENT_SECRET";
  return auth;
}

AzureStoreConfig ReadStore(const Fields& parameters) {
  AzureStoreConfig azure;
  if (const auto file = parameters.Find("cloudEnvFileName");
      file && !Text(parameters, "cloudEnvFileName").empty()) {
    file->Problem(
        "is not built into this version; expected a store in secretfs.yaml with authorityHost and "
        "resource");
  }
  const Cloud& cloud = CloudOf(parameters);
  if (!Text(parameters, "cloudName").empty()) azure.environment_type = cloud.environment_type;
  azure.vault_url = ReadVaultUrl(parameters, cloud);
  azure.tenant_id.text = Text(parameters, "tenantID");
  if (azure.tenant_id.text.empty()) azure.tenant_id.text = Text(parameters, "tenantId");
  azure.auth = ReadClassAuth(parameters);
  return azure;
}

// The key of the object, with the form in which Azure's provider would write it.
std::string ReadKey(const Fields& object) {
  const auto type = object.Require("objectType");
  const std::string name = Text(object, "objectName");
  const std::optional<size_t> index =
      type ? type->AsOneOf({"secret", "key", "cert"}) : std::nullopt;
  const std::string format = LowerCase(Text(object, "objectFormat"));
  if (!format.empty() && format != "pem" && format != "pfx") {
    object.Find("objectFormat")->Problem(Format("{} is none; expected pem or pfx", Quote(format)));
  }
  if (format == "pfx" && index && *index != 0) {
    object.Find("objectFormat")->Problem("is possible with objectType secret only");
  }
  if (!index) return "";
  if (*index == 1) return Format("key/{}", name);
  if (*index == 2) return Format("cert/{}", name);
  return format == "pfx" ? Format("secret/{}", name) : Format("secret/{}?format=auto", name);
}

providers::Decoding ReadEncodingOf(const Fields& object) {
  using providers::Decoding;
  const auto encoding = object.Find("objectEncoding");
  const std::string text = LowerCase(Text(object, "objectEncoding"));
  if (text.empty()) return Decoding::kNone;
  if (Text(object, "objectType") != "secret") {
    encoding->Problem("is possible with objectType secret only");
  }
  if (text == "base64") return Decoding::kBase64;
  if (text == "hex") return Decoding::kHex;
  if (text != "utf-8") {
    encoding->Problem(Format("{} is none; expected utf-8, base64 or hex", Quote(text)));
  }
  return Decoding::kNone;
}

void ReadObject(const Value& block, const std::string& store, Draft& draft) {
  const Fields fields(block, {"objectName", "objectAlias", "objectVersion", "objectVersionHistory",
                              "objectType", "objectFormat", "objectEncoding", "filePermission"});
  if (!fields.valid()) return;
  Unresolved<ManifestFile> file;
  file.where = block.location();
  file.store = {store, StoreKind::kSecretProviderClass, file.where};
  const auto name = fields.Require("objectName");
  std::string path = Text(fields, "objectAlias");
  const auto named_by = path.empty() ? name : fields.Find("objectAlias");
  if (path.empty()) path = Text(fields, "objectName");
  if (named_by) {
    file.where = named_by->location();
    if (const auto problem = PathProblem(path)) {
      named_by->Problem(Format("{} {}", Quote(path), *problem));
      path.clear();
    }
  }
  file.value.ref.key = ReadKey(fields);
  file.value.ref.version = Text(fields, "objectVersion");
  file.value.selection.decoding = ReadEncodingOf(fields);
  if (const auto mode = fields.Find("filePermission")) {
    // A text of octal digits, with and without a leading 0.
    file.value.mode = ParseOctalMode(Text(fields, "filePermission"));
    if (!file.value.mode) mode->Problem("is no file mode; expected octal digits such as 0400");
  }
  int64_t history = 0;
  if (const auto count = fields.Find("objectVersionHistory")) {
    history = count->AsInteger(0, kMostVersions).value_or(0);
  }
  if (history <= 1) {
    file.value.path = path;
    draft.files.push_back(std::move(file));
    return;
  }
  const std::string newest = file.value.ref.version.empty() ? "latest" : file.value.ref.version;
  for (int64_t i = 0; i < history; ++i) {
    Unresolved<ManifestFile> one = file;
    if (!path.empty()) one.value.path = Format("{}/{}", path, i);
    one.value.ref.version = Format("{}~{}", newest, i);
    draft.files.push_back(std::move(one));
  }
}

void ReadObjects(const Value& objects, const std::string& store, Draft& draft) {
  ReadEmbeddedYaml(objects, [&](const Value& root) {
    const Fields fields(root, {"array"});
    const auto array = fields.Require("array");
    if (!array) return;
    const std::vector<Value> items = array->Items();
    if (items.empty() && array->node().kind == YamlNode::Kind::kSequence) {
      array->Problem("is an empty list; expected at least one object");
    }
    for (const Value& item : items) {
      // Each is YAML in a text again; plain objects are what people write first.
      if (item.node().kind == YamlNode::Kind::kMapping) {
        item.Problem("is no text; expected an object as text, after '- |'");
        continue;
      }
      ReadEmbeddedYaml(item, [&](const Value& object) { ReadObject(object, store, draft); });
    }
  });
}

}  // namespace

void ReadAzureClass(const Value& parameters, const ObjectHeader& header, const Location& where,
                    Draft& draft) {
  const Fields fields(
      parameters, {"keyvaultName", "tenantId", "tenantID", "clientID", "useVMManagedIdentity",
                   "userAssignedIdentityID", "usePodIdentity", "useAzureTokenProxy", "cloudName",
                   "cloudEnvFileName", "objects"});
  if (!fields.valid()) return;
  StoreDraft store;
  store.kind = StoreKind::kSecretProviderClass;
  store.name = header.name;
  store.where = where;
  store.config = providers::StoreConfig{header.name, ReadStore(fields)};
  draft.AddStore(std::move(store));
  if (const auto objects = fields.Require("objects")) ReadObjects(*objects, header.name, draft);
}

}  // namespace secretfs::k8s
