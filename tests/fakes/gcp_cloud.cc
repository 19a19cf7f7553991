#include "tests/fakes/gcp_cloud.h"

#include <future>
#include <utility>

#include "base/text.h"

namespace secretfs::fakes {
namespace {

using nlohmann::json;
using Lock = std::lock_guard<std::mutex>;

constexpr char kFlavor[] = "Google";
constexpr int64_t kMachineTokenLife = 3599;
constexpr int64_t kReplacedBefore = 300;

HttpTestServer::Response Plain(int status, const std::string& body) {
  HttpTestServer::Response response;
  response.status = status;
  response.body = body;
  response.headers = {{"Content-Type", "application/text"}};
  return response;
}

}  // namespace

GcpCloud::GcpCloud(std::optional<HttpTestServer::Tls> tls) {
  // The server's thread asks nothing of the others before a request comes, and none comes before
  // somebody knows the port.
  server_ = std::make_unique<HttpTestServer>(
      [this](const HttpTestServer::Request& request) { return Answer(request); }, std::move(tls));
  url_ = server_->Url("");
  identity_ = std::make_unique<GcpIdentity>(url_);
  secrets_ = std::make_unique<GcpSecretManager>(
      [this](const std::string& token) { return identity_->PrincipalOf(token); },
      [this] { return identity_->Now(); });
}

std::string GcpCloud::host() const { return url_.substr(url_.find("://") + 3); }

void GcpCloud::SetMachine(const std::string& service_account) {
  const Lock lock(mutex_);
  machine_ = service_account;
  machine_token_.clear();
}

void GcpCloud::SetAttribute(const std::string& name, const std::string& value) {
  const Lock lock(mutex_);
  attributes_[name] = value;
}

void GcpCloud::SetSubjectToken(const std::string& token) {
  const Lock lock(mutex_);
  subject_token_ = token;
}

size_t GcpCloud::Count(const std::string& part) const {
  size_t count = 0;
  for (const auto& request : server_->requests()) {
    if (request.target.find(part) != std::string::npos) ++count;
  }
  return count;
}

HttpTestServer::Response GcpCloud::Answer(const HttpTestServer::Request& request) {
  std::optional<Response> response = Metadata(request);
  if (!response) response = SubjectToken(request);
  if (!response) response = identity_->Answer(request);
  if (!response) response = secrets_->Answer(request);
  if (!response) {
    // What Google's front end says where no API listens.
    response = Plain(404, "<!DOCTYPE html>\n<title>Error 404 (Not Found)!!1</title>\n");
    response->headers = {{"Content-Type", "text/html; charset=UTF-8"}};
  }
  if (request.header("connection") == "close") response->close = true;
  response->headers.emplace_back("Date", HttpDate(identity_->Now()));
  return *response;
}

std::optional<HttpTestServer::Response> GcpCloud::Metadata(const HttpTestServer::Request& request) {
  const std::string path = ParseTarget(request.target).path;
  constexpr std::string_view kRoot = "/computeMetadata/v1/";
  if (path != "/" && !path.starts_with(kRoot)) return std::nullopt;
  const Lock lock(mutex_);
  if (machine_.empty()) return std::nullopt;
  const auto answer = [](Response response) {
    response.headers.emplace_back("Metadata-Flavor", kFlavor);
    response.headers.emplace_back("Server", "Metadata Server for VM");
    return response;
  };
  if (path == "/") return answer(Plain(200, "computeMetadata/\n"));
  if (request.header("metadata-flavor") != kFlavor || !request.header("x-forwarded-for").empty()) {
    return answer(Plain(403, "Forbidden: Missing Metadata-Flavor:Google header."));
  }
  const std::string name = path.substr(kRoot.size());
  constexpr std::string_view kAttributes = "instance/attributes/";
  if (name == "project/project-id") return answer(Plain(200, "demo"));
  if (name == "project/numeric-project-id") return answer(Plain(200, "123456789012"));
  if (name == "instance/service-accounts/default/email") return answer(Plain(200, machine_));
  if (name == "instance/service-accounts/default/" ||
      name == "instance/service-accounts/" + machine_ + "/") {
    return answer(JsonAnswer({{"aliases", {"default"}},
                              {"email", machine_},
                              {"scopes", {"https://www.googleapis.com/auth/cloud-platform"}}}));
  }
  if (name == "instance/service-accounts/default/token") return answer(TokenOfMachine());
  if (name.starts_with(kAttributes)) {
    const auto found = attributes_.find(name.substr(kAttributes.size()));
    if (found != attributes_.end()) return answer(Plain(200, found->second));
  }
  return answer(Plain(404, "Error 404 (Not Found)"));
}

HttpTestServer::Response GcpCloud::TokenOfMachine() {
  const int64_t now = identity_->Now();
  if (machine_token_.empty() || machine_token_ends_at_ - now < kReplacedBefore ||
      !identity_->PrincipalOf(machine_token_)) {
    machine_token_ = identity_->MakeToken("serviceAccount:" + machine_, kMachineTokenLife);
    machine_token_ends_at_ = now + kMachineTokenLife;
  }
  return JsonAnswer({{"access_token", machine_token_},
                     {"expires_in", machine_token_ends_at_ - now},
                     {"token_type", "Bearer"}});
}

std::optional<HttpTestServer::Response> GcpCloud::SubjectToken(
    const HttpTestServer::Request& request) {
  const std::string path = ParseTarget(request.target).path;
  if (path != "/subject-token" && path != "/subject-token.json") return std::nullopt;
  const Lock lock(mutex_);
  if (request.header("x-audience") != "pool") return Plain(400, "X-Audience is missing");
  if (path == "/subject-token") return Plain(200, subject_token_);
  return JsonAnswer({{"value", subject_token_}});
}

}  // namespace secretfs::fakes
