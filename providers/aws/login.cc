#include "providers/aws/login.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"

namespace secretfs::providers::aws {
namespace {

constexpr char kDefaultProfile[] = "default";

std::string VariableOf(const AwsSurroundings& surroundings, const std::string& name) {
  return surroundings.variable(name).value_or("");
}

CredentialSource FromEnvironment(const std::string& name) {
  CredentialSource source;
  source.environment = name;
  return source;
}

CredentialSource FromFile(std::string path) {
  CredentialSource source;
  source.file = std::move(path);
  return source;
}

AwsStaticAuth EnvironmentKeys(const AwsSurroundings& surroundings) {
  AwsStaticAuth auth;
  auth.access_key_id = FromEnvironment("AWS_ACCESS_KEY_ID");
  auth.secret_access_key = FromEnvironment("AWS_SECRET_ACCESS_KEY");
  if (!VariableOf(surroundings, "AWS_SESSION_TOKEN").empty()) {
    auth.session_token = FromEnvironment("AWS_SESSION_TOKEN");
  }
  return auth;
}

std::string ProfileName(const AwsSurroundings& surroundings, const std::string& configured) {
  if (!configured.empty()) return configured;
  for (const char* name : {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"}) {
    std::string profile = VariableOf(surroundings, name);
    if (!profile.empty()) return profile;
  }
  return kDefaultProfile;
}

std::string HomePath(const AwsSurroundings& surroundings, const std::string& variable,
                     const char* file) {
  std::string path = VariableOf(surroundings, variable);
  const std::string home = VariableOf(surroundings, "HOME");
  if (path.starts_with("~/") && !home.empty()) path = home + path.substr(1);
  if (!path.empty() || home.empty()) return path;
  return Format("{}/.aws/{}", home, file);
}

// A login that finds nothing says nothing about secrets.
absl::Status AsLoginFailure(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return absl::FailedPreconditionError(ToAbsl(MessageOf(status)));
}

bool HasKeys(const Profile& profile) { return !ValueOf(profile, "aws_access_key_id").empty(); }

bool HasUnsupported(const Profile& profile) {
  return !ValueOf(profile, "credential_process").empty() ||
         !ValueOf(profile, "sso_session").empty() || !ValueOf(profile, "sso_start_url").empty();
}

absl::Status ProfileProblem(std::string_view name, std::string_view problem) {
  return absl::FailedPreconditionError(Format("the AWS profile '{}' {}", name, problem));
}

absl::StatusOr<AwsCredentialsPtr> KeysOf(std::string_view name, const Profile& profile) {
  auto credentials = std::make_shared<AwsCredentials>();
  credentials->access_key_id = std::string(ValueOf(profile, "aws_access_key_id"));
  credentials->secret_access_key = SecretBytes::CopyOf(ValueOf(profile, "aws_secret_access_key"));
  credentials->session_token = SecretBytes::CopyOf(ValueOf(profile, "aws_session_token"));
  if (credentials->secret_access_key.empty()) {
    return ProfileProblem(name, "has aws_access_key_id but no aws_secret_access_key");
  }
  return credentials;
}

}  // namespace

SharedFiles SharedFilesOf(const AwsSurroundings& surroundings) {
  return {HomePath(surroundings, "AWS_CONFIG_FILE", "config"),
          HomePath(surroundings, "AWS_SHARED_CREDENTIALS_FILE", "credentials")};
}

std::string AmbientRegion(const AwsSurroundings& surroundings, const std::string& profile) {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    std::string region = VariableOf(surroundings, name);
    if (!region.empty()) return region;
  }
  SharedFiles files = SharedFilesOf(surroundings);
  const absl::StatusOr<std::optional<Profile>> read =
      files.Read(ProfileName(surroundings, profile));
  if (!read.ok()) return "";
  const std::optional<Profile>& found = *read;
  return found.has_value() ? std::string(ValueOf(*found, "region")) : "";
}

std::vector<std::string> AmbientFiles(const AwsStoreConfig& config,
                                      const AwsSurroundings& surroundings) {
  const auto* found = std::get_if<AwsDefaultAuth>(&config.auth);
  if (found == nullptr && !config.region.empty()) return {};
  SharedFiles shared = SharedFilesOf(surroundings);
  std::vector<std::string> files{shared.config_path(), shared.credentials_path()};
  if (found == nullptr) return files;
  if (found->profile.empty()) {
    files.push_back(VariableOf(surroundings, "AWS_WEB_IDENTITY_TOKEN_FILE"));
  }
  files.push_back(VariableOf(surroundings, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
  std::set<std::string> visited;
  std::string name = ProfileName(surroundings, found->profile);
  while (!name.empty() && visited.insert(name).second) {
    // A file that cannot be read is told of at the login.
    absl::StatusOr<std::optional<Profile>> read = shared.Read(name);
    if (!read.ok()) break;
    const Profile profile = std::move(*read).value_or(Profile());
    files.emplace_back(ValueOf(profile, "web_identity_token_file"));
    name = ValueOf(profile, "source_profile");
  }
  return files;
}

Login::Login(const AwsStoreConfig& config, AwsSurroundings surroundings, std::shared_ptr<Sts> sts,
             std::shared_ptr<HttpCredentials> http, const Clock& clock)
    : config_(config),
      surroundings_(std::move(surroundings)),
      sts_(std::move(sts)),
      http_(std::move(http)),
      clock_(clock),
      files_(SharedFilesOf(surroundings_)) {}

std::string Login::Variable(const std::string& name) const {
  return VariableOf(surroundings_, name);
}

bool Login::HasNewCredential() const {
  return (watches_files_ && files_.Changed()) ||
         std::any_of(watched_.begin(), watched_.end(),
                     [](const Credential& one) { return one.Changed(); });
}

absl::StatusOr<SecretBytes> Login::ReadWatched(CredentialSource source, std::string what) {
  Credential credential(std::move(source), std::move(what));
  absl::StatusOr<SecretBytes> value = credential.Read();
  if (credential.is_file()) watched_.push_back(std::move(credential));
  return value;
}

asio::awaitable<Login::Result> Login::Run(MonotonicTime deadline) {
  watched_.clear();
  watches_files_ = false;
  Result credentials = co_await Base(deadline);
  if (!credentials.ok()) co_return AsLoginFailure(credentials.status());
  std::vector<RoleRequest> roles;
  for (const std::string& role : config_.additional_roles) roles.push_back({.role_arn = role});
  if (!config_.role.empty()) {
    roles.push_back({.role_arn = config_.role,
                     .external_id = config_.external_id,
                     .session_tags = config_.session_tags,
                     .transitive_tag_keys = config_.transitive_tag_keys});
  }
  for (RoleRequest& role : roles) {
    const std::string arn = role.role_arn;
    AwsCredentialsPtr with = *credentials;
    credentials = co_await sts_->AssumeRole(std::move(role), std::move(with), deadline);
    if (!credentials.ok()) {
      co_return WithContext(AsLoginFailure(credentials.status()), Format("with {}", origin_));
    }
    origin_ = Format("the role {}", arn);
  }
  co_return credentials;
}

asio::awaitable<Login::Result> Login::Base(MonotonicTime deadline) {
  if (const auto* keys = std::get_if<AwsStaticAuth>(&config_.auth)) {
    AwsStaticAuth auth = *keys;
    std::string origin = "the store's access key";
    co_return co_await Static(std::move(auth), std::move(origin));
  }
  if (const auto* identity = std::get_if<AwsWebIdentityAuth>(&config_.auth)) {
    AwsWebIdentityAuth auth = *identity;
    co_return co_await WebIdentity(std::move(auth), deadline);
  }
  if (const auto* container = std::get_if<AwsContainerAuth>(&config_.auth)) {
    origin_ = Format("the credentials of {}", container->url);
    co_return co_await http_->FromContainer(container->url, container->token, deadline);
  }
  const std::string profile = std::get<AwsDefaultAuth>(config_.auth).profile;
  std::set<std::string> none_visited;
  if (!profile.empty()) co_return co_await FromProfile(profile, std::move(none_visited), deadline);
  co_return co_await Found(deadline);
}

bool Login::HasEnvironmentKeys() const {
  return !Variable("AWS_ACCESS_KEY_ID").empty() && !Variable("AWS_SECRET_ACCESS_KEY").empty();
}

bool Login::HasContainerAddress() const {
  return !Variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").empty() ||
         !Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty();
}

// The order of AWS's SDK for Python.
asio::awaitable<Login::Result> Login::Found(MonotonicTime deadline) {
  if (HasEnvironmentKeys()) {
    AwsStaticAuth auth = EnvironmentKeys(surroundings_);
    std::string origin = "AWS_ACCESS_KEY_ID of the environment";
    co_return co_await Static(std::move(auth), std::move(origin));
  }
  const std::string name = ProfileName(surroundings_, "");
  std::set<std::string> none_visited;
  absl::StatusOr<std::optional<Profile>> read = files_.Read(name);
  watches_files_ = true;
  if (!read.ok()) co_return read.status();
  const Profile profile = std::move(*read).value_or(Profile());
  if (!ValueOf(profile, "role_arn").empty()) {
    co_return co_await FromProfile(name, std::move(none_visited), deadline);
  }
  AwsWebIdentityAuth identity{.role_arn = Variable("AWS_ROLE_ARN"),
                              .token = FromFile(Variable("AWS_WEB_IDENTITY_TOKEN_FILE")),
                              .session_name = Variable("AWS_ROLE_SESSION_NAME")};
  if (!identity.role_arn.empty() && !identity.token.file.empty()) {
    co_return co_await WebIdentity(std::move(identity), deadline);
  }
  const bool named = name != kDefaultProfile;
  if (HasKeys(profile) || HasUnsupported(profile) || named) {
    co_return co_await FromProfile(name, std::move(none_visited), deadline);
  }
  if (HasContainerAddress()) co_return co_await Container(deadline);
  const bool disabled = Variable("AWS_EC2_METADATA_DISABLED") == "true";
  Result instance = absl::NotFoundError("not asked, for AWS_EC2_METADATA_DISABLED is set");
  if (!disabled) instance = co_await Instance(deadline);
  if (instance.ok()) co_return instance;
  // A machine that once had credentials this way is having an outage; others have none.
  const bool had_some = origin_.starts_with("the instance metadata");
  if (had_some && IsTransient(instance.status())) co_return instance;
  co_return absl::FailedPreconditionError(
      Format("no AWS credentials found: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, "
             "neither {} nor {} has the profile '{}' with credentials, there is no web identity "
             "token (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE) and no container endpoint "
             "(AWS_CONTAINER_CREDENTIALS_FULL_URI); the instance metadata: {}",
             files_.config_path(), files_.credentials_path(), name, MessageOf(instance.status())));
}

asio::awaitable<Login::Result> Login::Static(AwsStaticAuth auth, std::string origin) {
  origin_ = std::move(origin);
  absl::StatusOr<SecretBytes> id = ReadWatched(auth.access_key_id, "access key id");
  if (!id.ok()) co_return id.status();
  absl::StatusOr<SecretBytes> secret = ReadWatched(auth.secret_access_key, "secret access key");
  if (!secret.ok()) co_return secret.status();
  auto credentials = std::make_shared<AwsCredentials>();
  credentials->access_key_id = std::string(id->ExposeAsText());
  credentials->secret_access_key = *std::move(secret);
  if (!auth.session_token.empty()) {
    absl::StatusOr<SecretBytes> token = ReadWatched(auth.session_token, "session token");
    if (!token.ok()) co_return token.status();
    credentials->session_token = *std::move(token);
  }
  co_return credentials;
}

asio::awaitable<Login::Result> Login::WebIdentity(AwsWebIdentityAuth auth, MonotonicTime deadline) {
  origin_ = Format("the web identity of the role {}", auth.role_arn);
  absl::StatusOr<SecretBytes> token = ReadWatched(auth.token, "web identity token");
  if (!token.ok()) co_return token.status();
  // A projected token is rotated long before it ends: its change alone is no reason to log in.
  if (!watched_.empty() && !auth.token.file.empty()) watched_.pop_back();
  auto shared = std::make_shared<const SecretBytes>(*std::move(token));
  RoleRequest role{.role_arn = auth.role_arn, .session_name = auth.session_name};
  co_return co_await sts_->AssumeRoleWithWebIdentity(std::move(role), std::move(shared), deadline);
}

asio::awaitable<Login::Result> Login::Container(MonotonicTime deadline) {
  std::string url = Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (const std::string path = Variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !path.empty()) {
    url = "http://169.254.170.2" + path;
  }
  CredentialSource token;
  if (const std::string file = Variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    token.file = file;
  } else if (!Variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").empty()) {
    token.environment = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
  }
  origin_ = "the container endpoint";
  co_return co_await http_->FromContainer(std::move(url), std::move(token), deadline);
}

asio::awaitable<Login::Result> Login::Instance(MonotonicTime deadline) {
  std::string endpoint = Variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (endpoint.empty()) endpoint = surroundings_.metadata_endpoint;
  while (endpoint.ends_with('/')) endpoint.pop_back();
  Result credentials = co_await http_->FromInstance(std::move(endpoint), deadline);
  if (credentials.ok()) origin_ = "the instance metadata";
  co_return credentials;
}

asio::awaitable<Login::Result> Login::FromProfile(std::string name, std::set<std::string> visited,
                                                  MonotonicTime deadline) {
  absl::StatusOr<std::optional<Profile>> read = files_.Read(name);
  watches_files_ = true;
  if (!read.ok()) co_return read.status();
  std::optional<Profile>& found = *read;
  if (!found.has_value()) {
    co_return ProfileProblem(name, Format("is neither in {} nor in {}", files_.config_path(),
                                          files_.credentials_path()));
  }
  if (!visited.insert(name).second) {
    co_return ProfileProblem(name, "is its own source_profile in a circle");
  }
  Profile profile = *std::move(found);
  const std::string role_arn(ValueOf(profile, "role_arn"));
  if (role_arn.empty()) {
    origin_ = Format("the AWS profile '{}'", name);
    if (HasKeys(profile)) co_return KeysOf(name, profile);
    if (HasUnsupported(profile)) {
      co_return ProfileProblem(
          name,
          "uses single sign-on or credential_process, which secretfs does not run: export "
          "credentials into the environment (aws configure export-credentials --format env), or "
          "write them to a profile");
    }
    co_return ProfileProblem(name, "has no credentials");
  }
  if (!ValueOf(profile, "mfa_serial").empty()) {
    co_return ProfileProblem(name, "wants a one-time password (mfa_serial), which nobody can type");
  }
  RoleRequest role{.role_arn = role_arn,
                   .session_name = std::string(ValueOf(profile, "role_session_name")),
                   .external_id = std::string(ValueOf(profile, "external_id")),
                   .duration_seconds = std::string(ValueOf(profile, "duration_seconds"))};
  if (const std::string_view file = ValueOf(profile, "web_identity_token_file"); !file.empty()) {
    AwsWebIdentityAuth auth{.role_arn = role_arn,
                            .token = FromFile(std::string(file)),
                            .session_name = role.session_name};
    co_return co_await WebIdentity(std::move(auth), deadline);
  }
  Result source = co_await SourceOf(name, std::move(profile), std::move(visited), deadline);
  if (!source.ok()) co_return source.status();
  Result assumed = co_await sts_->AssumeRole(std::move(role), *source, deadline);
  if (!assumed.ok()) co_return WithContext(assumed.status(), Format("with {}", origin_));
  origin_ = Format("the role {}", role_arn);
  co_return assumed;
}

asio::awaitable<Login::Result> Login::SourceOf(std::string name, Profile profile,
                                               std::set<std::string> visited,
                                               MonotonicTime deadline) {
  const std::string source(ValueOf(profile, "source_profile"));
  if (!source.empty()) {
    // A profile may assume its role with its own keys.
    if (source == name && HasKeys(profile)) co_return KeysOf(name, profile);
    co_return co_await FromProfile(source, std::move(visited), deadline);
  }
  const std::string_view kind = ValueOf(profile, "credential_source");
  if (kind == "Environment") {
    AwsStaticAuth auth = EnvironmentKeys(surroundings_);
    std::string origin = "AWS_ACCESS_KEY_ID of the environment";
    co_return co_await Static(std::move(auth), std::move(origin));
  }
  if (kind == "Ec2InstanceMetadata") co_return co_await Instance(deadline);
  if (kind == "EcsContainer") co_return co_await Container(deadline);
  co_return ProfileProblem(name,
                           "has role_arn, but neither source_profile nor a credential_source of "
                           "Environment, Ec2InstanceMetadata or EcsContainer");
}

}  // namespace secretfs::providers::aws
