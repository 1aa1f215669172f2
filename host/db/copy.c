#include "host/db/stream.h"

#include <string.h>

enum { PIECE = 64 * 1024 };

/* Waits for the next result; null: there is none any more, or the connection is lost. Owned. */
static PGresult *next_result(struct db *db)
{
    while (!db->broken && PQflush(db->conn) > 0)
        stream_wait(db, true);
    while (!db->broken && PQisBusy(db->conn))
        stream_wait(db, false);
    return db->broken ? NULL : PQgetResult(db->conn);
}

static void take_failure(struct db *db, const PGresult *result, const struct db_statement *statement,
                         struct error *error)
{
    db_read_error(result, statement, error);
    if (db->cancelled && strcmp(error->sqlstate, "57014") == 0)
        error->kind = ERROR_INTERRUPTED;
}

/* Takes the results up to the end of the statement. Returns 1 when the server waits for rows. */
static int take_results(struct db *db, const struct db_statement *statement, struct error *error)
{
    PGresult *result;
    while ((result = next_result(db)) != NULL) {
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COPY_IN && status != PGRES_COMMAND_OK)
            take_failure(db, result, statement, error);
        PQclear(result);
        if (status == PGRES_COPY_IN)
            return 1;
        if (PQstatus(db->conn) != CONNECTION_OK)
            stream_lost(db);
    }
    return error->kind == ERROR_NONE && !db->broken ? 0 : -1;
}

/* Hands the rows to the socket. Once the server has refused one it passes over the rest by itself. */
static void put_rows(struct db *db, const char *data, size_t size)
{
    while (!db->broken && size > 0) {
        int piece = (int)(size < PIECE ? size : PIECE);
        int rc = PQputCopyData(db->conn, data, piece);
        if (rc < 0) {
            stream_lost(db);
        } else if (rc == 0) {
            stream_wait(db, true);
        } else {
            data += piece;
            size -= (size_t)piece;
        }
    }
    while (!db->broken) {
        int rc = PQputCopyEnd(db->conn, db->cancelled ? "interrupted" : NULL);
        if (rc > 0)
            return;
        if (rc < 0)
            stream_lost(db);
        else
            stream_wait(db, true);
    }
}

/* Outside the pipeline: inside of one libpq would answer COPY_IN for ever. The transaction block stays open. */
static int run_copy(struct db *db, const struct db_statement *statement, const char *data, size_t size,
                    struct error *error)
{
    int rc;
    if (PQsendQuery(db->conn, statement->sql) == 0) {
        stream_lost(db);
        return -1;
    }
    rc = take_results(db, statement, error);
    if (rc != 1)
        return rc;
    put_rows(db, data, size);
    return take_results(db, statement, error);
}

int db_copy(struct db *db, const struct db_statement *statement, const char *data, size_t size, struct error *error)
{
    int rc;
    db_sync(db);
    if (db_await(db, error) != 0)
        return -1;
    if (db->echo)
        report_log(REPORT_INFO, "dmlua.echo", "%s", statement->sql);
    if (PQexitPipelineMode(db->conn) == 0) {
        stream_lost(db);
        error_move(error, &db->failure);
        return -1;
    }
    rc = run_copy(db, statement, data, size, error);
    if (!db->broken && PQenterPipelineMode(db->conn) == 0)
        stream_lost(db);
    if (db->broken)
        error_move(error, &db->failure);
    return db->broken ? -1 : rc;
}
