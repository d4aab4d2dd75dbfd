/* The least a client can do, as the measure for others: epoll, recv, count the events. No HTTP, no JSON, no records.
 *
 * epoll_client PORT USERS TOKENS SECONDS -> one line: events, CPU in us per event, user + system
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static char request[512], buffer[65536];
static int request_len;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int users = atoi(argv[2]), epoll_fd = epoll_create1(0), one = 1;
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    char body[128];
    int n = snprintf(body, sizeof body, "{\"max_tokens\":%s,\"prompt\":[1]}", argv[3]);
    request_len = snprintf(request, sizeof request, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", n, body);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (int i = 0; i < users; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) return 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event e = {EPOLLIN, {.fd = fd}};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
        if (send(fd, request, request_len, 0) != request_len) return 1;
    }
    static struct epoll_event events[1024];
    double cpu_before = cpu_s(), until = seconds() + atof(argv[4]);
    long counted = 0;
    while (seconds() < until) {
        int ready = epoll_wait(epoll_fd, events, 1024, 100);
        for (int i = 0; i < ready; i++) {
            ssize_t got = recv(events[i].data.fd, buffer, sizeof buffer, 0);
            if (got <= 0) return 1;
            for (char *at = buffer; (at = memmem(at, buffer + got - at, "\"text\"", 6)); at += 6) counted++;
            /* The end of a stream, which this server always sends in one piece. */
            if (got >= 5 && !memcmp(buffer + got - 5, "0\r\n\r\n", 5)) send(events[i].data.fd, request, request_len, 0);
        }
    }
    printf("%ld %.2f\n", counted, (cpu_s() - cpu_before) * 1e6 / counted);
    return 0;
}
