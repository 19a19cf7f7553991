#include "tests/conformance/cases.h"

#include <cerrno>

#include "tests/conformance/case_functions.h"

namespace secretfs::conformance {

const std::vector<Case>& Cases() {
  static const std::vector<Case> kCases{
      {"found", "the secret is there", "the value, byte for byte", 0, Found},
      {"missing", "the store has no such secret", "an answer at once", ENOENT, Missing},
      {"one_of_many_denied", "of several secrets read together, the store denies one",
       "the others' values; EACCES for the denied one", EACCES, OneOfManyDenied},
      {"binary_value", "the value holds zero bytes and bytes that are no UTF-8",
       "the value, byte for byte", 0, BinaryValue},
      {"empty_value", "the value is empty", "an empty file", 0, EmptyValue},
      {"value_64k", "the value has 64 KiB", "the value", 0, Value64KiB},
      {"value_1m", "the value has 1 MiB", "the value", 0, Value1MiB},
      {"version_pinned", "an older version is wanted, beside the newest",
       "each version's value, also after a further version", 0, VersionPinned},
      {"version_missing", "a version is wanted that there never was", "an answer at once", ENOENT,
       VersionMissing},
      {"listing", "names are listed, on several pages, while a secret is added",
       "every name that was there, once", 0, ListedWhileAdded},
      {"rotation", "the secret gets a new version", "the old value, then the new one", 0, Rotation},
      {"deletion", "the secret is deleted; the manifest sets a grace of 1.5 s",
       "the last value during the grace, then ENOENT", ENOENT, DeletionAndGrace},
      {"throttled_retry_after", "too many requests, once, with Retry-After: 1",
       "the value, not asked for again before the second is over", 0, ThrottledRetryAfter},
      {"throttled", "too many requests, twice, without Retry-After",
       "the value, after growing pauses", 0, Throttled},
      {"throttled_for_ever", "too many requests, every time",
       "an error when the deadline is over, few requests until then", ETIMEDOUT, ThrottledForEver},
      {"slow_first_byte", "the store does not begin to answer",
       "an error when the deadline is over", ETIMEDOUT, SlowFirstByte},
      {"slow_body", "the answer stops in the middle, the connection stays",
       "an error when the deadline is over", ETIMEDOUT, SlowBody},
      {"cut_mid_body", "the connection is cut in the middle of the answer, once",
       "the value, from a second attempt", 0, CutMidBody},
      {"cut_every_time", "the connection is cut in the middle of every answer",
       "an error when the deadline is over", ETIMEDOUT, CutEveryTime},
      {"over_limit", "an answer of 24 MiB", "an error, without reading it all", EIO, BodyOverLimit},
      {"wrong_content_type", "a web page instead of the store's answer, with status 200",
       "an error when the deadline is over, which does not quote the page", ETIMEDOUT,
       WrongContentType},
      {"invalid_utf8", "an answer with bytes that are no UTF-8 where the store writes text",
       "an error when the deadline is over, which does not quote the answer", ETIMEDOUT,
       InvalidUtf8},
      {"redirect", "a redirect to another host",
       "an error that names both hosts; the other one is not asked", EIO, RedirectElsewhere},
      {"environment_proxy", "http_proxy and https_proxy are set", "the value, through the proxy", 0,
       EnvironmentProxy},
      {"tls_expired", "the server's certificate has run out",
       "an error that says so; no request is sent", EIO, TlsExpired},
      {"tls_self_signed", "nobody known has signed the server's certificate",
       "an error that says so; no request is sent", EIO, TlsSelfSigned},
      {"credentials_expire", "the store no longer accepts the session that secretfs logged in to",
       "the value, after a new login", 0, CredentialsExpire},
      {"credential_file_replaced", "the file with the credentials is replaced, the old ones end",
       "the value, with the new ones and without a restart", 0, CredentialFileReplaced},
      {"clock_ahead", "this machine's clock is an hour ahead", "the value", 0, ClockAhead},
      {"clock_behind", "this machine's clock is an hour behind", "the value", 0, ClockBehind},
  };
  return kCases;
}

}  // namespace secretfs::conformance
