/* A kernel that does not stamp what arrives, as on other systems: preloaded, it refuses SO_TIMESTAMPNS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
    static int (*real)(int, int, int, const void *, socklen_t);
    if (level == SOL_SOCKET && name == SO_TIMESTAMPNS) {
        errno = ENOPROTOOPT;
        return -1;
    }
    if (!real) real = dlsym(RTLD_NEXT, "setsockopt");
    return real(fd, level, name, value, size);
}
