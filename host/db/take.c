/* Taking answers: whose they are, and what a failure among them fails. */
#include <stdlib.h>
#include <string.h>

#include "host/db/stream.h"

/* Whose failure the entry's is. */
static struct error *failure_of(struct db *db, const struct entry *entry)
{
    return entry->scope != NULL ? &entry->scope->failure : &db->failure;
}

/* A failed transaction's COMMIT answers OK, with the tag ROLLBACK. */
static void check_tag(struct db *db, const struct entry *entry, const PGresult *result)
{
    const struct db_host *host = entry->statement.host;
    if (entry->kind != ENTRY_STATEMENT || host == NULL || host->tag == NULL)
        return;
    if (strcmp(PQcmdStatus((PGresult *)result), host->tag) != 0)
        error_set(failure_of(db, entry), ERROR_MIGRATION, "the server answered %s to %s",
                  PQcmdStatus((PGresult *)result), host->tag);
}

/* Rows that a statement has written: its command tag ends with their number. MERGE came with PostgreSQL 15. -1: it is
   none that writes. */
static long long written_rows(PGresult *result)
{
    static const char *const writers[] = {"INSERT ", "UPDATE ", "DELETE ", "MERGE "};
    const char *tag = PQcmdStatus(result);
    size_t i;
    for (i = 0; i < sizeof writers / sizeof *writers; i++)
        if (strncmp(tag, writers[i], strlen(writers[i])) == 0)
            return strtoll(PQcmdTuples(result), NULL, 10);
    return -1;
}

static void count_rows(struct db *db, const struct entry *entry, PGresult *result)
{
    struct db_scope *scope = entry->scope;
    db_counter *counter = scope != NULL ? scope->counter : db->counter;
    long long rows;
    if (entry->kind != ENTRY_STATEMENT || entry->statement.host != NULL)
        return;
    rows = written_rows(result);
    if (counter != NULL)
        counter(scope != NULL ? scope->counts : db->counts, &entry->statement.origin, rows);
    if (rows < 0)
        return;
    db->rows += rows;
    if (scope != NULL)
        scope->rows += rows;
}

/* What was to be prepared is not. */
static void unprepare(struct db *db, const struct entry *entry)
{
    if (entry->again != NULL)
        entry->again->prepared = false;
    else
        db->prepared[entry->statement.host->slot] = false;
}

static void take_failure(struct db *db, const struct entry *entry, const PGresult *result)
{
    struct error *failure = failure_of(db, entry);
    const struct db_host *host = entry->statement.host;
    if (entry->kind == ENTRY_PREPARE)
        unprepare(db, entry);
    if (entry->scope != NULL && failure->kind == ERROR_NONE)
        entry->scope->slot = host != NULL ? host->slot : entry->again != NULL ? DB_SLOTS : 0;
    db_read_error(result, &entry->statement, failure);
    if (db->cancelled && strcmp(failure->sqlstate, "57014") == 0)
        failure->kind = ERROR_INTERRUPTED;
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
            unprepare(db, entry);
        error_set(failure_of(db, entry), ERROR_MIGRATION, "not carried out, because a statement before it had failed");
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: /* libpq would answer so for ever inside a pipeline */
        stream_give_up(db, ERROR_MIGRATION, "COPY from or to the client cannot be sent with op.execute",
                       "op.copy_from sends rows");
        PQclear(result);
        PQfinish(db->conn);
        db->conn = NULL;
        return;
    default:
        take_failure(db, entry, result);
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
void stream_take_one(struct db *db)
{
    struct entry *entry = db->first;
    PGresult *result;
    if (is_due(entry)) {
        bool well = failure_of(db, entry)->kind == ERROR_NONE;
        if (well && entry->kind == ENTRY_LOG)
            report_log(entry->level, entry->logger, "%s", entry->statement.sql);
        else if (well)
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

void stream_take_ready(struct db *db)
{
    while (!db->broken && db->first != NULL && (is_due(db->first) || !PQisBusy(db->conn)))
        stream_take_one(db);
}
