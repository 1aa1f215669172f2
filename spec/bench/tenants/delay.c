/* delay LISTEN SERVER MS: stands between clients and PostgreSQL on Unix sockets and lets every byte of the server's
   answers arrive MS milliseconds after it came, in its order: a round trip takes MS longer, and what is in flight stays
   in flight, as on a long line. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 16 * 1024 };

struct chunk {
    struct chunk *next;
    double due;
    size_t size;
    char data[CHUNK];
};

static const char *server_path;
static double delay;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, data, size);
        if (count < 0 && errno != EINTR)
            return false;
        data += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* Reads what is there to the end of the queue. False at the end of the connection. */
static bool read_chunk(int fd, struct chunk ***tail)
{
    struct chunk *chunk = malloc(sizeof *chunk);
    ssize_t count = chunk != NULL ? read(fd, chunk->data, sizeof chunk->data) : -1;
    if (count <= 0) {
        free(chunk);
        return false;
    }
    chunk->next = NULL;
    chunk->size = (size_t)count;
    chunk->due = now() + delay;
    **tail = chunk;
    *tail = &chunk->next;
    return true;
}

static int wait_ms(const struct chunk *first)
{
    double left = first != NULL ? first->due - now() : 0;
    return first == NULL ? -1 : left > 0 ? (int)(left * 1000 + 0.999) : 0;
}

/* Carries both directions until either side ends; the answers wait in a queue until they are due. */
static void carry(int client, int server)
{
    struct chunk *first = NULL, **tail = &first;
    bool open = true;
    while (open || first != NULL) {
        struct pollfd fds[2] = {{.fd = open ? client : -1, .events = POLLIN}, {.fd = open ? server : -1, .events = POLLIN}};
        char data[CHUNK];
        poll(fds, 2, wait_ms(first));
        if (fds[0].revents != 0) {
            ssize_t count = read(client, data, sizeof data);
            open = open && count > 0 && write_all(server, data, (size_t)count);
        }
        if (fds[1].revents != 0)
            open = read_chunk(server, &tail) && open;
        while (first != NULL && first->due <= now()) {
            struct chunk *chunk = first;
            open = write_all(client, chunk->data, chunk->size) && open;
            first = chunk->next;
            tail = first == NULL ? &first : tail;
            free(chunk);
        }
    }
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

static void *serve(void *arg)
{
    int client = *(int *)arg, server = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = address_of(server_path);
    free(arg);
    if (connect(server, (struct sockaddr *)&address, sizeof address) == 0)
        carry(client, server);
    close(client);
    close(server);
    return NULL;
}

/* The socket gets its name when it can be connected to: whoever starts this waits for the name. */
static int listen_at(const char *path)
{
    char making[256];
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(making, sizeof making, "%s.new", path);
    address = address_of(making);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0 || rename(making, path) != 0)
        fail(path);
    return fd;
}

int main(int argc, char **argv)
{
    int listener;
    if (argc != 4) {
        fputs("delay LISTEN SERVER MS\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    server_path = argv[2];
    delay = atof(argv[3]) / 1000;
    listener = listen_at(argv[1]);
    for (;;) {
        pthread_t thread;
        int *client = malloc(sizeof *client);
        if (client == NULL || (*client = accept(listener, NULL, NULL)) < 0)
            fail("accept");
        if (pthread_create(&thread, NULL, serve, client) != 0)
            fail("thread");
        pthread_detach(thread);
    }
}
