#include "host/db/stream.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "host/server.h"
#include "host/signal.h"

enum { OLDEST_SERVER = 130000 };

/* Tells what the server says beside its answers. libpq calls this in the middle of its work: nothing here may jump. */
static void receive_notice(void *arg, const PGresult *notice)
{
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    bool warning = severity != NULL && strcmp(severity, "WARNING") == 0;
    if (message == NULL)
        return;
    if (strncmp(message, "dmlua: ", 7) == 0) /* what a guard changed */
        report_log(warning ? REPORT_WARN : REPORT_INFO, "dmlua.guards", "%s", message + 7);
    else
        report_log(warning ? REPORT_WARN : REPORT_INFO, "dmlua.server", "%s: %s", severity ? severity : "NOTICE",
                   message);
}

/* The watchdog's last act, from a signal handler: ends the statement on the server. */
static void cancel_statement(void *cancel)
{
    char reason[64];
    PQcancel(cancel, reason, sizeof reason);
}

/* The first connection is the one that runs the steps; a second one only reads. */
static const struct db *watched;

static void watch(struct db *db)
{
    db->cancel = PQgetCancel(db->conn);
    if (watched != NULL || db->cancel == NULL)
        return;
    watched = db;
    signal_watch(cancel_statement, db->cancel);
}

static void unwatch(struct db *db)
{
    if (watched == db) {
        signal_watch(NULL, NULL);
        watched = NULL;
    }
    PQfreeCancel(db->cancel);
}

static int check_connected(struct db *db, const struct config *config, struct error *error)
{
    int version;
    if (PQstatus(db->conn) != CONNECTION_OK) {
        char *text = config_mask(config, PQerrorMessage(db->conn));
        size_t size;
        for (size = strlen(text); size > 0 && text[size - 1] == '\n'; size--)
            text[size - 1] = '\0';
        error_set(error, ERROR_CONNECTION, "%s", text);
        error_text(&error->hint,
                   "check the URL, the server and the network; `dmlua config` shows where the URL came from");
        free(text);
        return -1;
    }
    version = PQserverVersion(db->conn);
    if (version < OLDEST_SERVER) {
        error_set(error, ERROR_REFUSED, "PostgreSQL %d is too old: dmlua works with 13 to 18", version / 10000);
        return -1;
    }
    return 0;
}

/* The local server's address as the words that libpq takes. */
static void connect_address(struct db *db, struct server_address *address)
{
    static const char *const keywords[] = {"host", "port", "user", "dbname", "application_name",
                                            "client_encoding", "connect_timeout", NULL};
    const char *values[] = {address->host, address->port, address->user, address->database, "dmlua",
                             "UTF8", "10", NULL};
    PQfinish(db->conn);
    db->conn = PQconnectdbParams(keywords, values, 0);
    error_text(&db->shown, "%s@local/%s", address->user, address->database);
    server_address_free(address);
}

/* What the server is known to have may have been dropped since: then it is asked, and made again. */
static int connect_local(struct db *db, const struct config *config, const char *database, struct error *error)
{
    struct server_address address = {0};
    char **environment = server_environment_enter();
    int rc = server_ensure(config, database, &address, error);
    if (rc == 0)
        connect_address(db, &address);
    if (rc == 0 && PQstatus(db->conn) != CONNECTION_OK) {
        rc = server_prepare(config, database, &address, error);
        if (rc == 0)
            connect_address(db, &address);
    }
    server_environment_leave(environment);
    return rc;
}

/* The thread that connects. libpq's own call knows what its asynchronous one leaves to the caller: several hosts, and a
   time-out for each. */
static void *connect_in_thread(void *arg)
{
    struct db *db = arg;
    db->conn = PQconnectdbParams(db->connection.keywords, db->connection.values, 0);
    return NULL;
}

/* Begins to connect: the server starts a process while the caller reads its scripts. Without a thread it simply
   waits. */
static int start_remote(struct db *db, const struct config *config, struct error *error)
{
    sigset_t all, before;
    if (config_connection(config, &db->connection, error) != 0)
        return -1;
    error_text(&db->shown, "%s", db->connection.shown);
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    db->connecting = pthread_create(&db->thread, NULL, connect_in_thread, db) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!db->connecting)
        connect_in_thread(db);
    return 0;
}

static void wait_connected(struct db *db)
{
    if (db->connecting)
        pthread_join(db->thread, NULL);
    db->connecting = false;
    config_connection_free(&db->connection);
    memset(&db->connection, 0, sizeof db->connection);
}

/* What people are shown: what libpq settled on, which may have come from PG* variables or a service file. */
static void show_connection(struct db *db)
{
    const char *host = PQhost(db->conn);
    if (PQstatus(db->conn) == CONNECTION_OK && host != NULL && *host != '\0')
        error_text(&db->shown, "%s@%s:%s/%s", PQuser(db->conn), host, PQport(db->conn), PQdb(db->conn));
}

struct db *db_start(const struct config *config, struct error *error)
{
    const char *database = NULL;
    struct db *db = calloc(1, sizeof *db);
    int rc;
    if (db == NULL)
        abort();
    rc = config_is_local(config, &database) ? connect_local(db, config, database, error)
                                            : start_remote(db, config, error);
    if (rc == 0)
        return db;
    db_close(db);
    return NULL;
}

int db_finish(struct db *db, const struct config *config, struct error *error)
{
    bool remote = db->connection.keywords != NULL;
    wait_connected(db);
    if (check_connected(db, config, error) != 0)
        return -1;
    if (remote)
        show_connection(db);
    watch(db);
    PQsetNoticeReceiver(db->conn, receive_notice, NULL);
    PQsetnonblocking(db->conn, 1);
    PQenterPipelineMode(db->conn);
    return 0;
}

struct db *db_open(const struct config *config, struct error *error)
{
    struct db *db = db_start(config, error);
    if (db != NULL && db_finish(db, config, error) != 0) {
        db_close(db);
        return NULL;
    }
    return db;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    wait_connected(db);
    unwatch(db);
    PQfinish(db->conn);
    stream_free(db);
    again_free(db);
    error_clear(&db->failure);
    free(db->shown);
    free(db);
}

const char *db_shown(const struct db *db)
{
    return db->shown;
}

int db_server_version(const struct db *db)
{
    return PQserverVersion(db->conn);
}

PGconn *db_connection(struct db *db)
{
    return db->conn;
}

bool db_alive(const struct db *db)
{
    return !db->broken && PQstatus(db->conn) == CONNECTION_OK;
}
