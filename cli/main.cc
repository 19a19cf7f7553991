#include "cli/application.h"

int main(int argc, char** argv) { return secretfs::cli::RunCommandLine(argc, argv); }
