#pragma once

// Which descriptors a process has, and which it leaves to the programs that it starts. Libraries
// open some without close-on-exec (libcurl its socket pairs), and whoever starts us leaves some
// open by mistake, so every exec names what goes along instead of trusting the flag. Free functions
// without state; the standard streams are nobody's business here.

#include <spawn.h>

#include <span>
#include <vector>

namespace secretfs {

// From 3 up, those that are open now and survive exec: at the start of a program, what its caller
// left to it. Sorted.
std::vector<int> InheritedDescriptors();

// Closes everything from 3 up but `kept`. For the start of a program, before anything of its own is
// open.
void CloseDescriptorsExcept(std::span<const int> kept);

// In the program that is spawned with `actions`, nothing from 3 up is open but `kept`, however many
// descriptors other threads open meanwhile. To be added last.
void CloseInSpawnedExcept(posix_spawn_file_actions_t& actions, std::span<const int> kept);

}  // namespace secretfs
