/* Stands between a client and PostgreSQL on Unix sockets, writes down which messages pass, and may delay
   answers or cut the connection. For specs only: see proxy.lua.

   proxy LISTEN SERVER TRACE [delay=MS] [cut-before=TEXT | cut-after=TEXT] [at=N]

   TRACE gets a letter a message, as the protocol names them, and a line a turn: "1>PBDES" for the first
   connection's client, "1<12nCZ" for its server; "1!" where it was cut. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_NAMES = 64, NAME_SIZE = 64 };

static struct {
    const char *server;
    const char *cut_text;
    bool cut_after; /* when the server has answered; else before the server sees it */
    int cut_at;     /* which of the executions of cut_text */
    int delay;      /* milliseconds before a burst of answers */
} options = {.cut_at = 1};

struct connection {
    int number, client, server;
    int waits;                        /* how many ReadyForQuery the client has asked for */
    _Atomic int lost;                 /* which of them is to be lost, and all that belongs to it; 0: none */
    char names[MAX_NAMES][NAME_SIZE]; /* of prepared statements that hold cut_text */
    int name_count;
};

struct message {
    char type; /* '\0': the start-up packet, which has none */
    char *body;
    uint32_t size;
};

static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *trace;
static int trace_connection;
static char trace_side = '\n';
static int seen_cut_text; /* under trace_lock */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void note(const struct connection *connection, char side, char letter)
{
    pthread_mutex_lock(&trace_lock);
    if (trace_connection != connection->number || trace_side != side)
        fprintf(trace, "\n%d%c", connection->number, side);
    trace_connection = connection->number;
    trace_side = side;
    if (letter != '\0')
        fputc(letter, trace);
    fflush(trace);
    pthread_mutex_unlock(&trace_lock);
}

static bool read_exactly(int fd, void *place, size_t size)
{
    char *next = place;
    while (size > 0) {
        ssize_t count = read(fd, next, size);
        if (count <= 0 && !(count < 0 && errno == EINTR))
            return false;
        next += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool write_exactly(int fd, const void *place, size_t size)
{
    const char *next = place;
    while (size > 0) {
        ssize_t count = write(fd, next, size);
        if (count < 0 && errno != EINTR)
            return false;
        next += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

static uint32_t number_at(const unsigned char *place)
{
    return (uint32_t)place[0] << 24 | (uint32_t)place[1] << 16 | (uint32_t)place[2] << 8 | place[3];
}

/* The body keeps the four bytes of its length in front, and a NUL behind. */
static bool read_message(int fd, bool typed, struct message *message)
{
    unsigned char length[4];
    message->type = '\0';
    message->body = NULL;
    if ((typed && !read_exactly(fd, &message->type, 1)) || !read_exactly(fd, length, 4))
        return false;
    message->size = number_at(length);
    if (message->size < 4 || message->size > 1u << 30 || (message->body = malloc(message->size + 1)) == NULL)
        return false;
    memcpy(message->body, length, 4);
    message->body[message->size] = '\0';
    return read_exactly(fd, message->body + 4, message->size - 4);
}

static bool write_message(int fd, const struct message *message)
{
    if (message->type != '\0' && !write_exactly(fd, &message->type, 1))
        return false;
    return write_exactly(fd, message->body, message->size);
}

static void end_connection(struct connection *connection)
{
    shutdown(connection->client, SHUT_RDWR);
    shutdown(connection->server, SHUT_RDWR);
}

static bool has_name(const struct connection *connection, const char *name)
{
    int i;
    for (i = 0; i < connection->name_count; i++)
        if (strcmp(connection->names[i], name) == 0)
            return true;
    return false;
}

static void forget_name(struct connection *connection, const char *name)
{
    int i;
    for (i = 0; i < connection->name_count; i++)
        if (strcmp(connection->names[i], name) == 0)
            memcpy(connection->names[i--], connection->names[--connection->name_count], NAME_SIZE);
}

/* Does this message carry out a statement that holds the text? A Parse names one, a Bind carries it out. */
static bool executes_text(struct connection *connection, const struct message *message)
{
    const char *name = message->body + 4;
    if (message->type == 'Q')
        return strstr(name, options.cut_text) != NULL;
    if (message->type == 'P') {
        forget_name(connection, name);
        if (strstr(name + strlen(name) + 1, options.cut_text) != NULL && connection->name_count < MAX_NAMES)
            snprintf(connection->names[connection->name_count++], NAME_SIZE, "%s", name);
    }
    return message->type == 'B' && has_name(connection, name + strlen(name) + 1);
}

static bool is_cut(struct connection *connection, const struct message *message)
{
    bool now;
    if (options.cut_text == NULL || message->type == '\0' || !executes_text(connection, message))
        return false;
    pthread_mutex_lock(&trace_lock);
    now = ++seen_cut_text == options.cut_at;
    pthread_mutex_unlock(&trace_lock);
    return now;
}

/* Client to server, until either ends. */
static void pump_client(struct connection *connection)
{
    struct message message;
    bool typed = false;
    while (read_message(connection->client, typed, &message)) {
        bool cut = is_cut(connection, &message);
        if (cut && !options.cut_after) {
            note(connection, '!', '\0');
            free(message.body);
            return;
        }
        if (cut)
            connection->lost = connection->waits + 1;
        if (!typed || message.type == 'S' || message.type == 'Q')
            connection->waits++;
        if (typed)
            note(connection, '>', message.type);
        typed = true;
        if (!write_message(connection->server, &message))
            break;
        free(message.body);
        message.body = NULL;
    }
    free(message.body);
}

static bool is_silent(int fd)
{
    struct pollfd place = {.fd = fd, .events = POLLIN};
    return poll(&place, 1, 0) == 0;
}

static void *pump_server(void *arg)
{
    struct connection *connection = arg;
    struct message message;
    int group = 1; /* of answers, up to a ReadyForQuery each */
    for (;;) {
        bool burst = is_silent(connection->server);
        if (!read_message(connection->server, true, &message))
            break;
        if (burst && options.delay > 0)
            usleep((useconds_t)options.delay * 1000);
        if (connection->lost == 0 || group < connection->lost) {
            note(connection, '<', message.type);
            if (!write_message(connection->client, &message))
                break;
        } else if (message.type == 'Z') {
            note(connection, '!', '\0');
            break;
        }
        group += message.type == 'Z';
        free(message.body);
        message.body = NULL;
    }
    free(message.body);
    end_connection(connection);
    return NULL;
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
    struct connection *connection = arg;
    struct sockaddr_un address = address_of(options.server);
    pthread_t answers;
    connection->server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection->server, (struct sockaddr *)&address, sizeof address) == 0 &&
        pthread_create(&answers, NULL, pump_server, connection) == 0) {
        pump_client(connection);
        end_connection(connection);
        pthread_join(answers, NULL);
    }
    close(connection->client);
    close(connection->server);
    free(connection);
    return NULL;
}

static void read_option(const char *option)
{
    const char *value = strchr(option, '=');
    if (value == NULL)
        fail(option);
    value++;
    if (strncmp(option, "delay=", 6) == 0)
        options.delay = atoi(value);
    else if (strncmp(option, "at=", 3) == 0)
        options.cut_at = atoi(value);
    else if (strncmp(option, "cut-before=", 11) == 0 || strncmp(option, "cut-after=", 10) == 0)
        options.cut_text = value;
    options.cut_after = options.cut_after || strncmp(option, "cut-after=", 10) == 0;
}

/* The socket gets its name when it can be connected to: whoever starts the proxy waits for the name. */
static int listen_at(const char *path)
{
    char early[sizeof(struct sockaddr_un)];
    struct sockaddr_un address;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(early, sizeof early, "%s~", path);
    address = address_of(early);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 64) != 0 || rename(early, path) != 0)
        fail(path);
    return listener;
}

int main(int argc, char **argv)
{
    int i, listener, count = 0;
    pthread_t thread;
    if (argc < 4)
        return 2;
    options.server = argv[2];
    for (i = 4; i < argc; i++)
        read_option(argv[i]);
    trace = fopen(argv[3], "w");
    if (trace == NULL)
        fail(argv[3]);
    signal(SIGPIPE, SIG_IGN);
    listener = listen_at(argv[1]);
    for (;;) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL || (connection->client = accept(listener, NULL, NULL)) < 0)
            fail("accept");
        connection->number = ++count;
        if (pthread_create(&thread, NULL, serve, connection) != 0)
            fail("thread");
        pthread_detach(thread);
    }
}
