#pragma once

// What fixtures of real servers share: running their build scripts, and a port for them. Free
// functions; they throw std::runtime_error when the machine does not play along.

#include <cstdint>
#include <string>

namespace secretfs::testing {

// What the shell command prints, without the newlines at its end.
std::string RunAndRead(const std::string& command);

// A port of 127.0.0.1 on which nothing listens now.
uint16_t FreePort();

}  // namespace secretfs::testing
