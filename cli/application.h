#pragma once

// The whole program behind main: reads the command line, sets up what every command needs (umask,
// SIGPIPE), and runs the chosen subcommand.

namespace secretfs::cli {

// Returns the exit code (cli/exit_codes.h).
int RunCommandLine(int argc, char** argv);

}  // namespace secretfs::cli
