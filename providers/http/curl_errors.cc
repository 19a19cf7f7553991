#include "providers/http/curl_errors.h"

#include <cstring>
#include <string_view>

#include "base/text.h"
#include "providers/http/url.h"

namespace secretfs::providers {
namespace {

std::string ServerOf(const FailureContext& context) {
  const auto origin = OriginOf(context.url);
  return origin.ok() ? origin->HostAndPort() : UrlForMessages(context.url);
}

curl_off_t TimeOf(CURL* handle, CURLINFO info) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(handle, info, &microseconds);
  return microseconds;
}

// Where curl tried to connect to ("HOST:PORT"), by its error text; empty when that does not say.
std::string ConnectedTo(std::string_view text) {
  constexpr std::string_view kBegin = "Failed to connect to ";
  constexpr std::string_view kMiddle = " port ";
  if (!text.starts_with(kBegin)) return "";
  text.remove_prefix(kBegin.size());
  const size_t middle = text.find(kMiddle);
  if (middle == std::string_view::npos) return "";
  const std::string_view rest = text.substr(middle + kMiddle.size());
  return Format("{}:{}", text.substr(0, middle), rest.substr(0, rest.find(' ')));
}

std::string ConnectFailure(CURL* handle, const FailureContext& context) {
  long error = 0;
  curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &error);
  const std::string reason =
      error == 0 ? "no address of it answers" : std::strerror(static_cast<int>(error));
  const std::string server = ServerOf(context);
  const std::string peer = ConnectedTo(context.text);
  std::string server_without_brackets = server;
  std::erase_if(server_without_brackets, [](char c) { return c == '[' || c == ']'; });
  if (!peer.empty() && peer != server_without_brackets) {
    return Format(
        "cannot connect to the proxy {}, which the environment sets (https_proxy, http_proxy, "
        "all_proxy), to reach {}: {}",
        peer, server, reason);
  }
  return Format("cannot connect to {}: {}", server, reason);
}

// Which step a transfer was in when its time was up.
std::string TimeoutMessage(CURL* handle, const FailureContext& context) {
  const std::string server = ServerOf(context);
  if (TimeOf(handle, CURLINFO_STARTTRANSFER_TIME_T) != 0) {
    return Format("deadline exceeded: the answer of {} did not arrive completely in time", server);
  }
  if (TimeOf(handle, CURLINFO_PRETRANSFER_TIME_T) != 0) {
    return Format("deadline exceeded: {} did not answer in time", server);
  }
  if (TimeOf(handle, CURLINFO_CONNECT_TIME_T) != 0) {
    return Format("deadline exceeded during the TLS handshake with {}", server);
  }
  return Format("deadline exceeded while connecting to {} (or waiting for a free connection to it)",
                server);
}

std::string CertificateMessage(const FailureContext& context) {
  const std::string_view text(context.text);
  const std::string begin =
      Format("the TLS certificate of {} is not accepted: {}", ServerOf(context), text);
  if (text.find("subject name") != std::string_view::npos ||
      text.find("does not match") != std::string_view::npos) {
    return begin +
           "; if the server's certificate is right, set the name in it as the TLS server name";
  }
  if (context.tls.ca_file.empty() && context.tls.ca_directory.empty() &&
      context.tls.ca_bundle.empty()) {
    return begin +
           "; if a private authority signed it, give that authority's certificate as the "
           "store's CA (caBundle, or VAULT_CACERT for a vault: URL)";
  }
  return begin +
         "; the store's CA (caBundle, CA file or directory) must hold the certificate of the "
         "authority that signed it";
}

// TLS 1.3 servers refuse a client only after the handshake, so it looks like a failed read.
bool ClientCertificateRefused(std::string_view text) {
  for (const std::string_view alert :
       {"certificate required", "bad certificate", "alert unknown ca", "unsupported certificate",
        "certificate unknown", "certificate expired", "certificate revoked"}) {
    if (text.find(alert) != std::string_view::npos &&
        text.find("alert") != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

std::string ClientCertificateMessage(const FailureContext& context) {
  return context.tls.client_certificate_file.empty()
             ? Format(
                   "{} requires a TLS client certificate: set the store's client certificate and "
                   "key",
                   ServerOf(context))
             : Format("{} does not accept the TLS client certificate {}: {}", ServerOf(context),
                      context.tls.client_certificate_file, context.text);
}

std::string CutMessage(CURL* handle, const FailureContext& context) {
  return TimeOf(handle, CURLINFO_STARTTRANSFER_TIME_T) != 0
             ? Format("{} closed the connection before the answer was complete", ServerOf(context))
             : Format("{} closed the connection without an answer", ServerOf(context));
}

std::string CaFileMessage(const FailureContext& context) {
  const std::string& file =
      context.tls.ca_file.empty() ? context.tls.ca_directory : context.tls.ca_file;
  return file.empty() ? Format("the store's CA is not valid PEM: {}", context.text)
                      : Format("cannot read CA certificates from {}", file);
}

}  // namespace

absl::Status StatusOfCurl(CURL* handle, CURLcode code, const FailureContext& context) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return absl::UnavailableError(
          Format("cannot resolve the host name of {}", ServerOf(context)));
    case CURLE_COULDNT_RESOLVE_PROXY:
      return absl::UnavailableError(
          "cannot resolve the host name of the proxy that the environment names (https_proxy)");
    case CURLE_COULDNT_CONNECT:
      return absl::UnavailableError(ConnectFailure(handle, context));
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(TimeoutMessage(handle, context));
    case CURLE_PEER_FAILED_VERIFICATION:
      return absl::FailedPreconditionError(CertificateMessage(context));
    case CURLE_SSL_CACERT_BADFILE:
      return absl::FailedPreconditionError(CaFileMessage(context));
    case CURLE_SSL_CERTPROBLEM:
      return absl::FailedPreconditionError(Format("cannot use the TLS client certificate {}: {}",
                                                  context.tls.client_certificate_file,
                                                  context.text));
    case CURLE_SSL_CONNECT_ERROR:
      if (ClientCertificateRefused(context.text)) {
        return absl::FailedPreconditionError(ClientCertificateMessage(context));
      }
      return absl::UnavailableError(
          Format("TLS handshake with {} failed: {}", ServerOf(context), context.text));
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      if (ClientCertificateRefused(context.text)) {
        return absl::FailedPreconditionError(ClientCertificateMessage(context));
      }
      [[fallthrough]];
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return absl::UnavailableError(CutMessage(handle, context));
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      // Also curl's word for an answer that does not begin like HTTP.
      if (TimeOf(handle, CURLINFO_PRETRANSFER_TIME_T) != 0) {
        return absl::UnavailableError(
            Format("no valid answer from {}: it does not speak HTTP", ServerOf(context)));
      }
      return absl::InvalidArgumentError("not a URL of the form https://HOST[:PORT]/PATH");
    case CURLE_LOGIN_DENIED:
      return absl::InvalidArgumentError(
          "user name or password in the URL: give credentials through the store's auth settings");
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
      return absl::InternalError(Format("libcurl failed: {}", curl_easy_strerror(code)));
    default:
      return absl::UnavailableError(
          Format("no valid answer from {}: {}", ServerOf(context), curl_easy_strerror(code)));
  }
}

}  // namespace secretfs::providers
