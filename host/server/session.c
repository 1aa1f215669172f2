#include "host/server/session.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/server.h"
#include "host/server/postmaster.h"
#include "host/server/wait.h"

enum { CONNECT_LIMIT_MS = 30000, QUERY_LIMIT_MS = 60000 };

extern char **environ;

char **server_environment_enter(void)
{
    char **saved = environ, **kept;
    size_t count = 0, i, k = 0;
    while (saved[count] != NULL)
        count++;
    kept = malloc((count + 1) * sizeof *kept);
    if (kept == NULL)
        return NULL;
    for (i = 0; i < count; i++)
        if (strncmp(saved[i], "PG", 2) != 0)
            kept[k++] = saved[i];
    kept[k] = NULL;
    environ = kept;
    return saved;
}

void server_environment_leave(char **saved)
{
    char **kept = environ;
    if (saved == NULL)
        return;
    environ = saved;
    free(kept);
}

static void fail(PGconn *session, enum wait_result result, const char *doing, struct error *error)
{
    char *text = NULL;
    error_text(&text, "%s", session != NULL ? PQerrorMessage(session) : "out of memory");
    text[strcspn(text, "\n")] = '\0';
    if (result == WAIT_INTERRUPTED)
        error_set(error, ERROR_INTERRUPTED, "interrupted while %s the local server", doing);
    else if (result == WAIT_OVER)
        error_set(error, ERROR_CONNECTION, "the local server did not answer in time to %s it", doing);
    else
        error_set(error, ERROR_CONNECTION, "%s the local server failed: %s", doing, text);
    free(text);
}

static enum wait_result connect_wait(PGconn *session)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    enum wait_result result = WAIT_MORE;
    struct wait wait;
    wait_begin(&wait, CONNECT_LIMIT_MS);
    while (next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED && result == WAIT_MORE) {
        result = wait_descriptor(&wait, PQsocket(session), next == PGRES_POLLING_WRITING);
        if (result == WAIT_MORE)
            next = PQconnectPoll(session);
    }
    return result;
}

PGconn *session_open(const struct place *place, const char *database, struct error *error)
{
    const char *keywords[] = {"host", "port", "user", "dbname", "application_name", "client_encoding", NULL};
    const char *values[] = {place->sockets, POSTMASTER_PORT, "postgres", database, "dmlua", "UTF8", NULL};
    char **saved = server_environment_enter();
    PGconn *session = PQconnectStartParams(keywords, values, 0);
    enum wait_result result = WAIT_MORE;
    if (session != NULL && PQstatus(session) != CONNECTION_BAD)
        result = connect_wait(session);
    server_environment_leave(saved);
    if (session != NULL && PQstatus(session) == CONNECTION_OK)
        return session;
    fail(session, result, "connecting to", error);
    PQfinish(session);
    return NULL;
}

static enum wait_result query_wait(PGconn *session)
{
    enum wait_result result = WAIT_MORE;
    struct wait wait;
    wait_begin(&wait, QUERY_LIMIT_MS);
    while (PQisBusy(session) && result == WAIT_MORE) {
        result = wait_descriptor(&wait, PQsocket(session), false);
        if (result == WAIT_MORE && !PQconsumeInput(session))
            break;
    }
    return result;
}

static void explain(const PGresult *rows, struct error *error)
{
    const char *state = PQresultErrorField(rows, PG_DIAG_SQLSTATE);
    error_set(error, ERROR_CONNECTION, "preparing the local server failed: %s",
              PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY));
    error_put(&error->detail, PQresultErrorField(rows, PG_DIAG_MESSAGE_DETAIL));
    if (state != NULL)
        memcpy(error->sqlstate, state, 5);
}

PGresult *session_query(PGconn *session, const char *sql, int count, const char *const *values, struct error *error)
{
    enum wait_result result = WAIT_MORE;
    PGresult *rows = NULL, *rest;
    if (PQsendQueryParams(session, sql, count, NULL, values, NULL, NULL, 0))
        result = query_wait(session);
    if (result == WAIT_MORE)
        rows = PQgetResult(session);
    while (rows != NULL && (rest = PQgetResult(session)) != NULL)
        PQclear(rest);
    if (PQresultStatus(rows) == PGRES_TUPLES_OK || PQresultStatus(rows) == PGRES_COMMAND_OK)
        return rows;
    if (rows != NULL && PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY) != NULL)
        explain(rows, error);
    else
        fail(session, result, "asking", error);
    PQclear(rows);
    return NULL;
}
