#pragma once

// A program that links secretfs_wiping_heap overwrites every block of heap memory that it gives
// back, whoever had it: free(3) and realloc(3) stand in front of the C library's. Below them are
// operator delete, libcurl, OpenSSL, nghttp2 (whose own allocator libcurl does not pass on),
// yaml-cpp and the C library itself; so this one place is enough, and needs no hooks of theirs,
// some of which do not exist. (glibc's M_PERTURB does not do it: it passes over the per-thread
// cache, which takes blocks of up to 1,032 bytes.)
//
// Links into dynamic programs with glibc. Sanitizers have a heap of their own: with them there is
// none of this. Safe from any thread.
//
// Does not know which memory held a secret: what is still in use is the business of SecretBytes,
// and stacks that of base/stack_scrub.h.

namespace secretfs {

// Whether this program does it; false with a sanitizer.
bool HeapIsWiped();

}  // namespace secretfs
