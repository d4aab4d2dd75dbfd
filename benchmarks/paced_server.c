/* A paced completions server that writes down when it sent what: the truth that load clients are held against.
 *
 * paced_server PORT LOG GAP_US MODE SHAPE [PEM]
 *   MODE own:   each stream on its own schedule, from its request on
 *        step:  all streams get their token back to back at each multiple of GAP_US, as a batching engine does
 *        flood: everything at once, as fast as the sockets take it
 *   SHAPE usage: what vLLM sends when it is asked for continuous_usage_stats: a usage in every event, and, as under load,
 *                now and then an event of several tokens
 *         plain: an event for each token, a usage at the end only
 *         a file (a path with a slash): the bytes of one answer, sent to whoever asks for anything by POST. Pieces, each
 *         with its length before it (uint32): the head, what is sent at each multiple of GAP_US, and the end.
 * LOG "-": no log is kept. GET /health and /v1/models are answered, what else is no completion gets a 404.
 * Streams `max_tokens` tokens in events of vLLM's shape (240 to 340 bytes, one write each). The last usage's prompt_tokens is a serial
 * number, so that a client's record can be laid beside the log. LOG, written at SIGTERM, holds records of 16 bytes:
 * uint32 serial, uint32 event (0 = the request had arrived), int64 CLOCK_MONOTONIC ns taken right before the write.
 * PEM: key and certificate, where it was compiled with -DTLS -lssl: it then speaks TLS and nothing else.
 * One thread, epoll, a timerfd and a heap of due times.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
#endif

#define MAX_FD 65536
#define REQUEST_BYTES (4 << 20)

struct record { uint32_t serial, token; int64_t at_ns; };
struct conn {
    char *in;
    size_t in_len, need;
    uint32_t serial, tokens, sent, events;
    int64_t due_ns;
    int heap_at; /* -1 = not due */
    char *out;
    size_t out_len;
#ifdef TLS
    SSL *ssl;
#endif
};

static struct conn *conns[MAX_FD];
static int heap[MAX_FD], heap_len;
static struct record *log_;
static size_t log_len, log_cap;
static uint32_t serials;
static int64_t gap_ns;
static int epoll_fd, timer_fd, mode_step, mode_flood, no_log;
static volatile sig_atomic_t stop;
static int with_usage;
static struct { const char *bytes; uint32_t len; } *pieces;
static uint32_t piece_count;
/* Each twelfth event of a stream bears so many tokens; of 16 streams of vLLM 0.32 every twelfth bore several. */
#define PACKED_EVERY 12
#define PACKED 3
#define PROMPT_TOKENS 16
static const char HEAD_OF_TOKEN[] =
    "data: {\"id\":\"cmpl-%016x\",\"object\":\"text_completion\",\"created\":1795197172,\"model\":\"tiny\",\"choices\":[{\"index\":0,"
    "\"text\":\"%s\",\"logprobs\":null,\"finish_reason\":%s,\"stop_reason\":null,\"prompt_token_ids\":null,\"token_ids\":null}]";
static const char USAGE[] = ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u,\"completion_tokens\":%u}";

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static void note(uint32_t serial, uint32_t token, int64_t at_ns) {
    if (no_log) return;
    if (log_len == log_cap) {
        log_cap = log_cap ? log_cap * 2 : 1 << 20;
        log_ = realloc(log_, log_cap * sizeof *log_);
    }
    log_[log_len++] = (struct record){serial, token, at_ns};
}
#ifdef TLS
static SSL_CTX *ssl_context;
/* As recv and send return it; SSL_read shakes hands first. */
static ssize_t as_errno(SSL *ssl, int done) {
    if (done > 0) return done;
    int why = SSL_get_error(ssl, done);
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}
static ssize_t take(int fd, void *data, size_t len) { SSL *s = conns[fd]->ssl; return as_errno(s, SSL_read(s, data, len)); }
static ssize_t give(int fd, const void *data, size_t len) { SSL *s = conns[fd]->ssl; return as_errno(s, SSL_write(s, data, len)); }
#else
static ssize_t take(int fd, void *data, size_t len) { return recv(fd, data, len, 0); }
static ssize_t give(int fd, const void *data, size_t len) { return send(fd, data, len, MSG_NOSIGNAL); }
#endif
static void put(int at, int fd) { heap[at] = fd; conns[fd]->heap_at = at; }
static void up(int at) {
    int fd = heap[at];
    while (at && conns[heap[(at - 1) / 2]]->due_ns > conns[fd]->due_ns) { put(at, heap[(at - 1) / 2]); at = (at - 1) / 2; }
    put(at, fd);
}
static void down(int at) {
    int fd = heap[at];
    for (;;) {
        int child = 2 * at + 1;
        if (child >= heap_len) break;
        if (child + 1 < heap_len && conns[heap[child + 1]]->due_ns < conns[heap[child]]->due_ns) child++;
        if (conns[heap[child]]->due_ns >= conns[fd]->due_ns) break;
        put(at, heap[child]);
        at = child;
    }
    put(at, fd);
}
static void push(int fd) { heap[heap_len] = fd; up(heap_len++); }
static void drop(int fd) {
    int at = conns[fd]->heap_at;
    if (at < 0) return;
    conns[fd]->heap_at = -1;
    if (at == --heap_len) return;
    put(at, heap[heap_len]);
    down(at);
    up(conns[heap[at]]->heap_at);
}
static void finish(int fd) {
    drop(fd);
#ifdef TLS
    SSL_free(conns[fd]->ssl);
#endif
    free(conns[fd]->in);
    free(conns[fd]->out);
    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}
/* Returns 0 when the connection is lost. What the socket does not take is kept and sent when it does. */
static int send_all(int fd, const char *data, size_t len) {
    struct conn *c = conns[fd];
    if (!c->out_len) {
        ssize_t sent = give(fd, data, len);
        if (sent < 0 && errno != EAGAIN) return 0;
        if (sent < 0) sent = 0;
        data += sent;
        len -= sent;
        if (!len) return 1;
        struct epoll_event e = {EPOLLIN | EPOLLOUT, {.fd = fd}};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &e);
    }
    c->out = realloc(c->out, c->out_len + len);
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
    return 1;
}
static int flush(int fd) {
    struct conn *c = conns[fd];
    ssize_t sent = give(fd, c->out, c->out_len);
    if (sent < 0) return errno == EAGAIN;
    memmove(c->out, c->out + sent, c->out_len - sent);
    c->out_len -= sent;
    if (!c->out_len) {
        struct epoll_event e = {EPOLLIN, {.fd = fd}};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &e);
    }
    return 1;
}
static int send_chunk(int fd, char *chunk, int at, int len) {
    char size[8];
    int digits = snprintf(size, sizeof size, "%x\r\n", len);
    memcpy(chunk + at - digits, size, digits);
    memcpy(chunk + at + len, "\r\n", 2);
    return send_all(fd, chunk + at - digits, digits + len + 2);
}
static int end_stream(int fd) {
    struct conn *c = conns[fd];
    if (pieces) return send_all(fd, pieces[piece_count - 1].bytes, pieces[piece_count - 1].len);
    char chunk[700];
    int at = 8, n = at;
    n += snprintf(chunk + n, sizeof chunk - n, "data: {\"id\":\"cmpl-%016x\",\"object\":\"text_completion\",\"created\":1795197172,"
                  "\"model\":\"tiny\",\"choices\":[]", c->serial);
    n += snprintf(chunk + n, sizeof chunk - n, USAGE, c->serial, c->serial + c->tokens, c->tokens);
    n += snprintf(chunk + n, sizeof chunk - n, ",\"system_fingerprint\":\"vllm-0.32.0-e5a00e20\"}\n\n");
    return send_chunk(fd, chunk, at, n - at) && send_all(fd, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24);
}
/* Sends the next event of a stream; returns 0 when the connection is lost. */
static int send_event(int fd) {
    struct conn *c = conns[fd];
    if (pieces) {
        note(c->serial, ++c->events, now_ns());
        c->sent++;
        return send_all(fd, pieces[c->sent].bytes, pieces[c->sent].len);
    }
    char chunk[700], text[64] = " quaquaber";
    uint32_t more = with_usage && c->events % PACKED_EVERY == PACKED_EVERY - 1 ? PACKED : 1;
    if (more > c->tokens - c->sent) more = c->tokens - c->sent;
    for (uint32_t word = 1; word < more; word++) strcat(text, " quaquaber");
    c->sent += more;
    int at = 8, n = at;
    n += snprintf(chunk + n, sizeof chunk - n, HEAD_OF_TOKEN, c->serial, text, c->sent < c->tokens ? "null" : "\"length\"");
    if (with_usage) n += snprintf(chunk + n, sizeof chunk - n, USAGE, PROMPT_TOKENS, PROMPT_TOKENS + c->sent, c->sent);
    n += snprintf(chunk + n, sizeof chunk - n, "}\n\n");
    note(c->serial, ++c->events, now_ns());
    return send_chunk(fd, chunk, at, n - at);
}
/* The same when it is due, with the end of the stream behind the last. */
static int send_due(int fd) {
    struct conn *c = conns[fd];
    if (!send_event(fd)) return 0;
    if (c->sent < c->tokens) {
        c->due_ns += gap_ns;
        push(fd);
        return 1;
    }
    return end_stream(fd);
}
/* Says what a client asks before it loads: that the server lives and what its model is called. */
static int answer_plainly(int fd) {
    struct conn *c = conns[fd];
    int get = !memcmp(c->in, "GET /health", 11) || !memcmp(c->in, "GET /v1/models", 14);
    const char *body = get ? "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\"}]}" : "{}";
    char out[256];
    int n = snprintf(out, sizeof out, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                     get ? "200 OK" : "404 Not Found", strlen(body), body);
    memmove(c->in, c->in + c->need, c->in_len -= c->need);
    c->need = 0;
    return send_all(fd, out, n);
}
static int begin_stream(int fd) {
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                               "transfer-encoding: chunked\r\n\r\n";
    struct conn *c = conns[fd];
    const char *asked = memmem(c->in, c->need, "\"max_tokens\":", 13);
    int64_t at_ns = now_ns();
    c->serial = ++serials;
    c->tokens = pieces ? piece_count - 2 : asked ? atoi(asked + 13) : 100;
    c->sent = c->events = 0;
    note(c->serial, 0, at_ns);
    memmove(c->in, c->in + c->need, c->in_len -= c->need);
    c->need = 0;
    if (!(pieces ? send_all(fd, pieces[0].bytes, pieces[0].len) : send_all(fd, head, sizeof head - 1))) return 0;
    if (mode_flood) {
        while (c->sent < c->tokens)
            if (!send_event(fd)) return 0;
        return end_stream(fd);
    }
    c->due_ns = mode_step ? (at_ns / gap_ns + 1) * gap_ns : at_ns + gap_ns;
    push(fd);
    return 1;
}
static int on_readable(int fd) {
    struct conn *c = conns[fd];
    ssize_t n = take(fd, c->in + c->in_len, REQUEST_BYTES - c->in_len);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    c->in_len += n;
    if (!c->need) {
        char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!end) return 1;
        char *length = strcasestr(c->in, "content-length:");
        c->need = end + 4 - c->in + (length && length < end ? atol(length + 15) : 0);
    }
    if (c->in_len < c->need) return 1;
    int asks = !memcmp(c->in, "POST / ", 7) || !memcmp(c->in, pieces ? "POST " : "POST /v1/c", pieces ? 5 : 10);
    return asks ? begin_stream(fd) : answer_plainly(fd);
}
/* Returns 0 for a file that holds no answer. */
static int read_pieces(const char *path) {
    FILE *file = fopen(path, "rb");
    uint32_t len;
    while (file && fread(&len, sizeof len, 1, file) == 1) {
        char *bytes = malloc(len + 1);
        if (fread(bytes, 1, len, file) != len) return 0;
        pieces = realloc(pieces, (piece_count + 1) * sizeof *pieces);
        pieces[piece_count].bytes = bytes;
        pieces[piece_count++].len = len;
    }
    if (file) fclose(file);
    return piece_count > 2;
}
static void on_stop(int signal_) { (void)signal_; stop = 1; }

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a benchmark that was killed leaves no server */
    if (argc < 6) return 2;
#ifdef TLS
    ssl_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(ssl_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (argc != 7 || SSL_CTX_use_certificate_file(ssl_context, argv[6], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(ssl_context, argv[6], SSL_FILETYPE_PEM) != 1) return 2;
#endif
    gap_ns = atoll(argv[3]) * 1000;
    no_log = !strcmp(argv[2], "-");
    mode_step = !strcmp(argv[4], "step");
    mode_flood = !strcmp(argv[4], "flood");
    with_usage = !strcmp(argv[5], "usage");
    if (strchr(argv[5], '/') && !read_pieces(argv[5])) return 2;
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8192)) { perror("bind"); return 1; }
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {EPOLLIN, {.fd = listener}};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    e.data.fd = timer_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &e);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    static struct epoll_event events[1024];
    int64_t armed_ns = 0;
    while (!stop) {
        if (heap_len && conns[heap[0]]->due_ns != armed_ns) {
            armed_ns = conns[heap[0]]->due_ns;
            struct itimerspec when = {{0, 0}, {armed_ns / 1000000000, armed_ns % 1000000000}};
            timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
        }
        int ready = epoll_wait(epoll_fd, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == timer_fd) {
                uint64_t count;
                if (read(timer_fd, &count, sizeof count) < 0) continue;
                armed_ns = 0;
            } else if (fd == listener) {
                int made;
                while ((made = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    conns[made] = calloc(1, sizeof **conns);
                    conns[made]->in = malloc(REQUEST_BYTES);
                    conns[made]->heap_at = -1;
#ifdef TLS
                    conns[made]->ssl = SSL_new(ssl_context);
                    SSL_set_fd(conns[made]->ssl, made);
                    SSL_set_accept_state(conns[made]->ssl);
#endif
                    struct epoll_event added = {EPOLLIN, {.fd = made}};
                    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, made, &added);
                }
            } else if (conns[fd]) {
                int fine = 1;
                if (events[i].events & EPOLLOUT) fine = flush(fd);
                if (fine && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) fine = on_readable(fd);
                if (!fine) finish(fd);
            }
        }
        int64_t now = now_ns();
        while (heap_len && conns[heap[0]]->due_ns <= now) {
            int fd = heap[0];
            drop(fd);
            if (!send_due(fd)) finish(fd);
        }
    }
    if (no_log) return 0;
    FILE *file = fopen(argv[2], "wb");
    if (!file) return 1;
    fwrite(log_, sizeof *log_, log_len, file);
    return fclose(file) != 0;
}
