#pragma once

// What all Kubernetes objects begin with: metadata. Other metadata than name and namespace is of no
// use here and not looked at. Free functions without state.

#include <string>

#include "k8s/manifest/field_reader.h"

namespace secretfs::k8s {

struct ObjectHeader {
  std::string name;  // empty: missing, reported
  std::string name_space;
};

// Reads metadata.name and metadata.namespace. REQUIRES: `object` knows the field metadata.
ObjectHeader ReadObjectHeader(const Fields& object);

}  // namespace secretfs::k8s
