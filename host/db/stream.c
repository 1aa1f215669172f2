#include "host/db/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/signal.h"

enum {
    FLUSH_AT = 32 * 1024,      /* bytes after which a sender makes sure that the socket keeps up */
    CANCEL_PATIENCE_MS = 3000, /* how long a cancelled statement may take to answer */
    CANCEL_AGAIN_MS = 200      /* a cancel that comes between two statements of a stream hits nothing */
};

/* The connection is lost: nothing that is still in the stream will be answered. */
static void give_up(struct db *db, enum error_kind kind, const char *message, const char *hint)
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
    give_up(db, ERROR_CONNECTION, message, "what was not committed was rolled back by the server; run again");
    free(message);
}

/* A failed transaction's COMMIT answers OK, with the tag ROLLBACK. */
static void check_tag(struct db *db, const struct entry *entry, const PGresult *result)
{
    const struct db_host *host = entry->statement.host;
    if (entry->kind != ENTRY_STATEMENT || host == NULL || host->tag == NULL)
        return;
    if (strcmp(PQcmdStatus((PGresult *)result), host->tag) != 0)
        error_set(&db->failure, ERROR_MIGRATION, "the server answered %s to %s", PQcmdStatus((PGresult *)result),
                  host->tag);
}

/* Rows that a script's statement has written: its command tag ends with their number. MERGE came with PostgreSQL 15. */
static void count_rows(struct db *db, const struct entry *entry, PGresult *result)
{
    static const char *const writers[] = {"INSERT ", "UPDATE ", "DELETE ", "MERGE "};
    const char *tag = PQcmdStatus(result);
    size_t i;
    if (entry->kind != ENTRY_STATEMENT || entry->statement.host != NULL)
        return;
    for (i = 0; i < sizeof writers / sizeof *writers; i++)
        if (strncmp(tag, writers[i], strlen(writers[i])) == 0)
            db->rows += strtoll(PQcmdTuples(result), NULL, 10);
}

/* A statement's results: it has one, and then a null. */
static void take_result(struct db *db, PGresult *result)
{
    struct entry *entry = db->first;
    ExecStatusType status = PQresultStatus(result);
    switch (status) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        check_tag(db, entry, result);
        count_rows(db, entry, result);
        if (entry->into != NULL) {
            PQclear(*entry->into);
            *entry->into = result;
            return;
        }
        break;
    case PGRES_PIPELINE_ABORTED: /* something before it failed */
        if (entry->kind == ENTRY_PREPARE)
            db->prepared[entry->statement.host->slot] = false;
        error_set(&db->failure, ERROR_MIGRATION, "not carried out, because a statement before it had failed");
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: /* libpq would answer so for ever inside a pipeline */
        give_up(db, ERROR_MIGRATION, "COPY from or to the client cannot be sent with op.execute",
                "op.copy_from sends rows");
        PQclear(result);
        PQfinish(db->conn);
        db->conn = NULL;
        return;
    default:
        if (entry->kind == ENTRY_PREPARE)
            db->prepared[entry->statement.host->slot] = false;
        db_read_error(result, &entry->statement, &db->failure);
        if (db->cancelled && strcmp(db->failure.sqlstate, "57014") == 0)
            db->failure.kind = ERROR_INTERRUPTED;
        break;
    }
    PQclear(result);
}

/* Nothing that the server answers: its turn has come when it is the first. */
static bool is_due(const struct entry *entry)
{
    return entry->kind == ENTRY_LOG || entry->kind == ENTRY_CALL;
}

/* Takes what can be taken without waiting: one result, one sync, or a log line or call that is due. */
static void take_one(struct db *db)
{
    struct entry *entry = db->first;
    PGresult *result;
    if (is_due(entry)) {
        if (db->failure.kind == ERROR_NONE && entry->kind == ENTRY_LOG)
            report_log(entry->level, entry->logger, "%s", entry->statement.sql);
        else if (db->failure.kind == ERROR_NONE)
            entry->call(entry->data);
        entry_drop_first(db);
        return;
    }
    result = PQgetResult(db->conn);
    if (result == NULL) { /* the end of a statement's results */
        if (entry->kind != ENTRY_SYNC)
            entry_drop_first(db);
        else if (PQstatus(db->conn) != CONNECTION_OK)
            stream_lost(db);
        return;
    }
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        entry_drop_first(db);
        return;
    }
    take_result(db, result);
    if (db->conn != NULL && PQstatus(db->conn) != CONNECTION_OK)
        stream_lost(db);
}

static int since_ms(double then)
{
    return (int)((clock_now() - then) * 1000);
}

/* Ctrl-C goes to the server; its answer then ends the wait. */
static void pass_interrupt(struct db *db)
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
        pass_interrupt(db);
    if (db->cancelled) {
        int left = CANCEL_PATIENCE_MS - since_ms(db->cancelled_at);
        if (left <= 0) {
            give_up(db, ERROR_INTERRUPTED, "interrupted; the server did not answer within three seconds",
                    "the server may still be rolling back");
            return;
        }
        timeout = left < CANCEL_AGAIN_MS ? left : CANCEL_AGAIN_MS;
        fds[1].fd = -1;
    }
    if (poll(fds, 2, timeout) < 0 && errno != EINTR)
        give_up(db, ERROR_CONNECTION, "poll failed on the connection's socket", NULL);
    else if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && PQconsumeInput(db->conn) == 0)
        stream_lost(db);
}

static void take_ready(struct db *db)
{
    while (!db->broken && db->first != NULL && (is_due(db->first) || !PQisBusy(db->conn)))
        take_one(db);
}

/* Hands everything to the socket, reading meanwhile: with both directions full, whoever only writes waits for ever. */
static void flush_out(struct db *db)
{
    int rc;
    while (!db->broken && (rc = PQflush(db->conn)) != 0) {
        if (rc < 0) {
            PQconsumeInput(db->conn); /* the server's last words may say why */
            take_ready(db);
            if (!db->broken)
                stream_lost(db);
            return;
        }
        stream_wait(db, true);
        take_ready(db);
    }
    db->unflushed = 0;
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

static void send_prepared(struct db *db, const struct db_statement *statement, PGresult **into)
{
    char name[32];
    int slot = statement->host->slot;
    slot_name(db, statement->host, name);
    if (!db->prepared[slot]) {
        entry_add(db, ENTRY_PREPARE, statement);
        db->prepared[slot] = true;
        if (!check_sent(db, PQsendPrepare(db->conn, name, statement->sql, 0, NULL)))
            return;
    }
    entry_add(db, ENTRY_STATEMENT, statement)->into = into;
    check_sent(db, PQsendQueryPrepared(db->conn, name, statement->count, statement->values, NULL, NULL, 0));
}

/* `into` is known before anything is sent: an answer may come while the socket is waited for. */
static void send_statement(struct db *db, const struct db_statement *statement, PGresult **into)
{
    if (db->broken) {
        error_set(&db->failure, ERROR_CONNECTION, "the connection to the server was lost");
        return;
    }
    if (db->echo)
        report_log(REPORT_INFO, "dmlua.echo", "%s", statement->sql);
    if (statement->host != NULL) {
        send_prepared(db, statement, into);
    } else {
        entry_add(db, ENTRY_STATEMENT, statement)->into = into;
        check_sent(db, PQsendQueryParams(db->conn, statement->sql, statement->count, NULL, statement->values, NULL, NULL,
                                         0));
    }
    db->unasked = true;
    db->unflushed += strlen(statement->sql);
    if (db->unflushed > FLUSH_AT) {
        flush_out(db);
        take_ready(db);
    }
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
        take_one(db);
}

void db_call(struct db *db, void (*call)(void *), void *data)
{
    static const struct db_statement nothing;
    struct entry *entry = entry_add(db, ENTRY_CALL, &nothing);
    entry->call = call;
    entry->data = data;
    if (db->first == entry)
        take_one(db);
}

void db_push(struct db *db)
{
    if (db->broken)
        return;
    PQflush(db->conn);
    if (PQconsumeInput(db->conn) == 0)
        stream_lost(db);
    take_ready(db);
}

int db_await(struct db *db, struct error *error)
{
    if (!db->broken && db->unasked)
        check_sent(db, PQsendFlushRequest(db->conn)); /* else the server keeps its answers to itself */
    db->unasked = false;
    if (!db->broken)
        flush_out(db);
    take_ready(db);
    while (!db->broken && db->first != NULL) {
        stream_wait(db, false);
        take_ready(db);
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

long long db_rows(const struct db *db)
{
    return db->rows;
}

bool db_failed(const struct db *db)
{
    return db->failure.kind != ERROR_NONE;
}

void db_echo(struct db *db, bool on)
{
    db->echo = on;
}

void db_forget_prepared(struct db *db)
{
    memset(db->prepared, 0, sizeof db->prepared);
    db->generation++;
}
