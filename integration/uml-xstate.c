/*
 * User Mode Linux 6.1 exchanges its guests' floating point state through buffers of struct _xstate (x87, SSE, AVX: 832 bytes).
 * The host refuses to set less than its whole XSAVE area, which on processors with AVX-512 or AMX is larger, and UML panics
 * with "ptrace set fp regs failed, errno = 14". Preloaded into linux.uml, this widens those two calls: what UML doesn't know of
 * is passed on in its initial state, so guests must not use AVX-512 (guest-init.sh tells glibc and OpenSSL so).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum { AREA_BYTES = 16384, XSTATE_BV_AT = 512, KNOWN_FEATURES = 7 };

long ptrace(enum __ptrace_request request, ...) {
  static long (*next)(int, ...);
  static _Thread_local unsigned char area[AREA_BYTES] __attribute__((aligned(64)));
  va_list arguments;
  va_start(arguments, request);
  long pid = va_arg(arguments, long);
  void *address = va_arg(arguments, void *);
  void *data = va_arg(arguments, void *);
  va_end(arguments);
  if (!next) next = (long (*)(int, ...))dlsym(RTLD_NEXT, "ptrace");

  int get = (int)request == PTRACE_GETREGSET, set = (int)request == PTRACE_SETREGSET;
  if (!(get || set) || (long)address != NT_X86_XSTATE) return next(request, pid, address, data);

  struct iovec *given = data;
  struct iovec whole = {area, sizeof area};
  long result = next(PTRACE_GETREGSET, pid, address, &whole);
  if (result != 0 || whole.iov_len <= given->iov_len) return next(request, pid, address, data);
  unsigned long *features = (unsigned long *)(area + XSTATE_BV_AT);
  if (get) {
    *features &= KNOWN_FEATURES;
    memcpy(given->iov_base, area, given->iov_len);
    return 0;
  }
  memcpy(area, given->iov_base, given->iov_len);
  *features &= KNOWN_FEATURES;
  return next(PTRACE_SETREGSET, pid, address, &whole);
}
