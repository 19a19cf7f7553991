#pragma once

// Overwrites what functions that have returned left on the stack of this thread: copies of values
// in buffers and registers of libraries, which stay until something else is called that deep.
// Threads that handle values and then wait, for hours perhaps, scrub before they wait.
//
// Costs about a microsecond: memory below the caller's frame is read until there are 32 KiB of
// zeroes in a row, and what is not zero is overwritten; so memory that was never used stays unused.
// A word here and there, in the holes of this function's own frame, is passed over. Safe from any
// thread; concerns the calling one only.

namespace secretfs {

void ScrubStack();

}  // namespace secretfs
