#include "k8s/manifest/tls_reader.h"

#include "base/text.h"
#include "k8s/manifest/problems.h"

namespace secretfs::k8s {
namespace {

// caBundle: PEM text, or the base64 of it as in a Kubernetes object.
std::string ReadBundle(const Value& value) {
  const std::string text = value.AsNonEmptyString().value_or("");
  if (text.empty() || text.starts_with("-----BEGIN")) return text;
  const std::optional<SecretBytes> decoded = DecodeBase64(text);
  if (!decoded || !decoded->ExposeAsText().starts_with("-----BEGIN")) {
    value.Problem("is no certificate; expected PEM text, or PEM in base64");
    return "";
  }
  return std::string(decoded->ExposeAsText());
}

std::string ReadBundleProvider(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"type", "name", "key", "namespace"});
  ResourceIndex::Kind kind = ResourceIndex::Kind::kSecret;
  if (const auto type = fields.Require("type")) {
    kind = type->AsEnum<ResourceIndex::Kind>({{"Secret", ResourceIndex::Kind::kSecret},
                                              {"ConfigMap", ResourceIndex::Kind::kConfigMap}})
               .value_or(kind);
  }
  const std::string name = fields.RequiredString("name"), key = fields.RequiredString("key");
  if (name.empty() || key.empty()) return "";
  const std::string name_space = fields.String("namespace");
  const std::shared_ptr<const SecretBytes> bundle = context.resources->Find(
      kind, name_space.empty() ? context.name_space : name_space, name, key, block);
  return bundle == nullptr ? "" : std::string(bundle->ExposeAsText());
}

void ReadTls(const Value& block, providers::TlsConfig& tls) {
  const Fields fields(block, {"caFile", "caDirectory", "clientCertificateFile", "clientKeyFile",
                              "serverName", "skipVerify", "certSecretRef", "keySecretRef"});
  tls.ca_file = ReadPath(fields, "caFile");
  tls.ca_directory = ReadPath(fields, "caDirectory");
  tls.client_certificate_file = ReadPath(fields, "clientCertificateFile");
  tls.client_key_file = ReadPath(fields, "clientKeyFile");
  tls.server_name = fields.String("serverName");
  if (const auto skip = fields.Find("skipVerify")) {
    tls.skip_verify = skip->AsBool().value_or(false);
  }
  for (const std::string_view name : {"certSecretRef", "keySecretRef"}) {
    if (const auto reference = fields.Find(name)) {
      reference->Problem(
          "a client certificate out of a Secret is not built into this version; expected the files "
          "clientCertificateFile and clientKeyFile");
    }
  }
  if (tls.client_certificate_file.empty() != tls.client_key_file.empty()) {
    block.Problem(
        "has one half of a client certificate; expected clientCertificateFile and "
        "clientKeyFile together");
  }
}

}  // namespace

std::string ReadAuthorities(const Fields& fields, const StoreContext& context) {
  const auto bundle = fields.FindOneOf({"caBundle", "caProvider"}, false);
  if (!bundle) return "";
  return bundle->first == "caBundle" ? ReadBundle(bundle->second)
                                     : ReadBundleProvider(bundle->second, context);
}

providers::TlsConfig ReadTlsOf(const Fields& fields, const StoreContext& context) {
  providers::TlsConfig result;
  if (const auto tls = fields.Find("tls")) ReadTls(*tls, result);
  result.ca_bundle = ReadAuthorities(fields, context);
  return result;
}

std::string ReadAddress(const Fields& fields, std::string_view name) {
  const auto value = fields.Find(name);
  if (!value) return "";
  std::string address = value->AsNonEmptyString().value_or("");
  if (!address.empty() && !address.starts_with("https://") && !address.starts_with("http://")) {
    value->Problem(Format("{} is no address; expected https://HOST[:PORT]", Quote(address)));
  }
  return address;
}

}  // namespace secretfs::k8s
