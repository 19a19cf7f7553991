#pragma once

// How a server's certificate is verified and what ours is, as the blocks of all stores with an
// address of their own have it: `tls`, `caBundle`, `caProvider`. Free functions without state.

#include <string>

#include "k8s/manifest/store_reader.h"

namespace secretfs::k8s {

// The certificate authorities (PEM) of `caBundle` or `caProvider`; "" for the system's. REQUIRES:
// `fields` knows both names.
std::string ReadAuthorities(const Fields& fields, const StoreContext& context);

// The same with `tls`, which `fields` must know, too. Problems are reported; what could be read is
// returned.
providers::TlsConfig ReadTlsOf(const Fields& fields, const StoreContext& context);

// The address of a service that stands in the field `name`; "" without one.
std::string ReadAddress(const Fields& fields, std::string_view name);

}  // namespace secretfs::k8s
