#include "host/db/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/signal.h"

enum {
    FLUSH_AT = 32 * 1024,      /* bytes after which a sender makes sure that the socket keeps up, */
    HELD_MAX = 4 * 1024 * 1024, /* and of what waits for answers, after which it waits for some of them */
    CANCEL_PATIENCE_MS = 3000, /* how long a cancelled statement may take to answer */
    CANCEL_AGAIN_MS = 50       /* a cancel that comes between two statements of a stream hits nothing */
};

/* The connection is lost: nothing that is still in the stream will be answered. */
void stream_give_up(struct db *db, enum error_kind kind, const char *message, const char *hint)
{
    if (db->failure.kind == ERROR_NONE && db->first != NULL) {
        const struct origin *origin = &db->first->statement.origin;
        error_set(&db->failure, kind, "%s", message);
        error_put(&db->failure.hint, hint);
        error_put(&db->failure.revision, origin->revision);
        error_put(&db->failure.file, origin->file);
        db->failure.line = origin->line;
    }
    error_set(&db->failure, kind, "%s", message);
    for (const struct entry *entry = db->first; entry != NULL; entry = entry->next)
        if (entry->scope != NULL)
            error_copy(&entry->scope->failure, &db->failure);
    db->broken = true;
    stream_free(db);
}

void stream_lost(struct db *db)
{
    const char *text = PQerrorMessage(db->conn);
    char *message = NULL;
    error_text(&message, "the connection to the server was lost: %s", *text ? text : "closed unexpectedly");
    for (char *end = message + strlen(message); end > message && end[-1] == '\n'; end--)
        end[-1] = '\0';
    stream_give_up(db, ERROR_CONNECTION, message, "what was not committed was rolled back by the server; run again");
    free(message);
}

static int since_ms(double then)
{
    return (int)((clock_now() - then) * 1000);
}

/* Ctrl-C goes to the server; its answer then ends the wait. */
void db_interrupt(struct db *db)
{
    char reason[256];
    db->cancel_sent = clock_now();
    if (!db->cancelled) {
        db->cancelled = true;
        db->cancelled_at = db->cancel_sent;
    }
    signal_awaited(); /* PQcancel waits for a server that may not answer any more */
    if (db->cancel != NULL)
        PQcancel(db->cancel, reason, sizeof reason);
    signal_noticed(); /* the wait for the statement ends by itself */
}

void stream_wait(struct db *db, bool write)
{
    struct pollfd fds[2] = {
        {.fd = PQsocket(db->conn), .events = (short)(POLLIN | (write ? POLLOUT : 0))},
        {.fd = signal_fd(), .events = POLLIN},
    };
    int timeout = -1;
    if (db->cancelled ? since_ms(db->cancel_sent) >= CANCEL_AGAIN_MS : signal_interrupted)
        db_interrupt(db);
    if (db->cancelled) {
        int left = CANCEL_PATIENCE_MS - since_ms(db->cancelled_at);
        if (left <= 0) {
            stream_give_up(db, ERROR_INTERRUPTED, "interrupted; the server did not answer within three seconds",
                    "the server may still be rolling back");
            return;
        }
        timeout = left < CANCEL_AGAIN_MS ? left : CANCEL_AGAIN_MS;
        fds[1].fd = -1;
    }
    if (poll(fds, 2, report_wait(timeout)) < 0 && errno != EINTR)
        stream_give_up(db, ERROR_CONNECTION, "poll failed on the connection's socket", NULL);
    else if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && PQconsumeInput(db->conn) == 0)
        stream_lost(db);
    report_changed();
}

/* Hands everything to the socket, reading meanwhile: with both directions full, whoever only writes waits for ever. */
static void flush_out(struct db *db)
{
    int rc;
    while (!db->broken && (rc = PQflush(db->conn)) != 0) {
        if (rc < 0) {
            PQconsumeInput(db->conn); /* the server's last words may say why */
            stream_take_ready(db);
            if (!db->broken)
                stream_lost(db);
            return;
        }
        stream_wait(db, true);
        stream_take_ready(db);
    }
    db->unflushed = 0;
}

/* Asks for the answers of all that was sent: else the server keeps them to itself up to the next Sync. */
void db_ask(struct db *db)
{
    if (!db->broken && db->unasked && PQsendFlushRequest(db->conn) == 0)
        stream_lost(db);
    db->unasked = false;
}

bool db_crowded(const struct db *db)
{
    return !db->broken && (db->unflushed > FLUSH_AT || db->held > HELD_MAX);
}

void db_make_room(struct db *db)
{
    if (db->held > HELD_MAX)
        db_ask(db);
    flush_out(db);
    stream_take_ready(db);
    while (!db->broken && db->held > HELD_MAX) {
        stream_wait(db, false);
        stream_take_ready(db);
    }
}

static bool check_sent(struct db *db, int sent)
{
    if (sent == 0)
        stream_lost(db);
    return sent != 0;
}

static void slot_name(const struct db *db, const struct db_host *host, char name[32])
{
    snprintf(name, 32, "dmlua_%d_%d", db->generation, host->slot);
}

bool db_prepare(struct db *db, const struct db_statement *statement)
{
    char name[32];
    bool *prepared = &db->prepared[statement->host->slot];
    if (db->broken || *prepared)
        return false;
    slot_name(db, statement->host, name);
    entry_add(db, ENTRY_PREPARE, statement);
    *prepared = true;
    db->unasked = true;
    return check_sent(db, PQsendPrepare(db->conn, name, statement->sql, 0, NULL));
}

static void send_prepared(struct db *db, const struct db_statement *statement, PGresult **into)
{
    char name[32];
    db_prepare(db, statement);
    if (db->broken)
        return;
    slot_name(db, statement->host, name);
    entry_add(db, ENTRY_STATEMENT, statement)->into = into;
    check_sent(db, PQsendQueryPrepared(db->conn, name, statement->count, statement->values, NULL, NULL, 0));
}

static void count_bytes(struct db *db, const struct db_statement *statement)
{
    int i;
    db->unflushed += strlen(statement->sql);
    for (i = 0; i < statement->count; i++)
        if (statement->values[i] != NULL)
            db->unflushed += strlen(statement->values[i]);
}

/* Appends an entry of a text that has a place of its own. */
static struct entry *add_again(struct db *db, enum entry_kind kind, const struct db_statement *statement,
                               struct again *again)
{
    struct entry *entry = entry_add(db, kind, statement);
    entry->again = again;
    return entry;
}

/* A script's text that it sends again and again. */
static void send_again(struct db *db, const struct db_statement *statement, struct again *again, PGresult **into)
{
    char name[32];
    bool known = again->prepared;
    if (!known)
        again->number = ++db->numbers;
    snprintf(name, sizeof name, "dmlua_s%d", again->number);
    again->prepared = true;
    if (!known) {
        add_again(db, ENTRY_PREPARE, statement, again);
        if (!check_sent(db, PQsendPrepare(db->conn, name, statement->sql, 0, NULL)))
            return;
    }
    add_again(db, ENTRY_STATEMENT, statement, again)->into = into;
    check_sent(db, PQsendQueryPrepared(db->conn, name, statement->count, statement->values, NULL, NULL, 0));
}

static void send_text(struct db *db, const struct db_statement *statement, PGresult **into)
{
    struct again *again = statement->host == NULL ? again_find(db, statement) : NULL;
    if (again != NULL) {
        send_again(db, statement, again, into);
        return;
    }
    entry_add(db, ENTRY_STATEMENT, statement)->into = into;
    check_sent(db,
               PQsendQueryParams(db->conn, statement->sql, statement->count, NULL, statement->values, NULL, NULL, 0));
}

/* `into` is known before anything is sent: an answer may come while the socket is waited for. */
static void send_statement(struct db *db, const struct db_statement *statement, PGresult **into)
{
    if (db->broken) {
        error_set(db->scope != NULL ? &db->scope->failure : &db->failure, ERROR_CONNECTION,
                  "the connection to the server was lost");
        return;
    }
    if (db->echo)
        report_log(REPORT_INFO, "dmlua.echo", "%s", statement->sql);
    if (statement->host != NULL && !statement->host->plain)
        send_prepared(db, statement, into);
    else
        send_text(db, statement, into);
    db->unasked = true;
    count_bytes(db, statement);
    if (db_crowded(db) && !db->relaxed)
        db_make_room(db);
}

void db_send(struct db *db, const struct db_statement *statement)
{
    send_statement(db, statement, NULL);
}

void db_send_wanted(struct db *db, const struct db_statement *statement, PGresult **into)
{
    *into = NULL;
    send_statement(db, statement, into);
}

void db_sync(struct db *db)
{
    static const struct db_statement nothing = {.sql = ""}; /* the end of the session may be the answer to it */
    if (db->broken)
        return;
    entry_add(db, ENTRY_SYNC, &nothing);
    check_sent(db, PQpipelineSync(db->conn));
    db->unasked = false;
}

void db_log(struct db *db, enum report_level level, const char *logger, const char *text)
{
    struct db_statement line = {.sql = text};
    struct entry *entry = entry_add(db, ENTRY_LOG, &line);
    entry->level = level;
    entry->logger = logger;
    if (db->first == entry)
        stream_take_one(db);
}

void db_call(struct db *db, void (*call)(void *), void *data)
{
    static const struct db_statement nothing;
    struct entry *entry = entry_add(db, ENTRY_CALL, &nothing);
    entry->call = call;
    entry->data = data;
    if (db->first == entry)
        stream_take_one(db);
}

void db_push(struct db *db)
{
    int rc;
    bool well;
    if (db->broken)
        return;
    rc = PQflush(db->conn);
    if (rc == 0)
        db->unflushed = 0;
    db->stuck = rc > 0;
    well = PQconsumeInput(db->conn) != 0 && rc >= 0;
    stream_take_ready(db); /* the server's last words may say why */
    if (!well && !db->broken)
        stream_lost(db);
}

int db_await(struct db *db, struct error *error)
{
    db_ask(db);
    if (!db->broken)
        flush_out(db);
    stream_take_ready(db);
    while (!db->broken && db->first != NULL) {
        stream_wait(db, false);
        stream_take_ready(db);
    }
    if (db->scope != NULL && db->scope->failure.kind != ERROR_NONE) {
        error_copy(error, &db->scope->failure);
        return -1;
    }
    if (db->failure.kind == ERROR_NONE)
        return 0;
    error_move(error, &db->failure);
    return -1;
}

PGresult *db_query(struct db *db, const struct db_statement *statement, struct error *error)
{
    PGresult *result;
    db_send_wanted(db, statement, &result);
    if (db_await(db, error) == 0)
        return result;
    PQclear(result);
    return NULL;
}

PGresult *db_query_alone(struct db *db, const struct db_statement *statement, struct error *error)
{
    PGresult *result;
    db_send_wanted(db, statement, &result);
    db_sync(db); /* else the server would keep a transaction open behind it */
    if (db_await(db, error) == 0)
        return result;
    PQclear(result);
    return NULL;
}

void db_count(struct db *db, db_counter *counter, void *counts)
{
    db->counter = counter;
    db->counts = counts;
}

long long db_rows(const struct db *db)
{
    return db->rows;
}

bool db_failed(const struct db *db)
{
    return db->failure.kind != ERROR_NONE || (db->scope != NULL && db->scope->failure.kind != ERROR_NONE);
}

void db_echo(struct db *db, bool on)
{
    db->echo = on;
}

int db_generation(const struct db *db)
{
    return db->generation;
}

void db_forget_prepared(struct db *db)
{
    memset(db->prepared, 0, sizeof db->prepared);
    again_forget(db);
    db->generation++;
}
