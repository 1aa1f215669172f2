#include <stdlib.h>
#include <string.h>

#include "host/db/db.h"
#include "host/hints.h"

/* SQLSTATEs that say more than "a statement failed"; doc/verbs.md has the kinds, PostgreSQL's appendix A the codes. */
static enum error_kind kind_of(const char *sqlstate)
{
    if (strcmp(sqlstate, "08P01") == 0) /* parameters for a statement that takes none */
        return ERROR_MIGRATION;
    if (strncmp(sqlstate, "08", 2) == 0 || strncmp(sqlstate, "57P", 3) == 0)
        return ERROR_CONNECTION;
    if (strcmp(sqlstate, "55P03") == 0)
        return ERROR_BUSY;
    if (strncmp(sqlstate, "ZD", 2) == 0) /* a guard of ours has raised */
        return ERROR_REFUSED;
    return ERROR_MIGRATION;
}

bool db_is_passing(const struct error *error)
{
    /* serialization_failure, deadlock_detected, lock_not_available */
    static const char *const passing[] = {"40001", "40P01", "55P03"};
    size_t i;
    for (i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strcmp(error->sqlstate, passing[i]) == 0)
            return true;
    return false;
}

/* Line feeds in `text` before character `position` (1-based). */
static int lines_before(const char *text, int position)
{
    int lines = 0;
    for (; *text != '\0' && position > 1; text++) {
        if (((unsigned char)*text & 0xc0) != 0x80)
            position--;
        if (*text == '\n')
            lines++;
    }
    return lines;
}

/* A guard's block: dozens of lines that the author has not written and cannot mend. Its message says everything. */
static bool is_block(const struct db_statement *statement)
{
    return !statement->origin.raw && strncmp(statement->sql, "DO $dmlua", 9) == 0;
}

static void read_origin(const struct db_statement *statement, struct error *error)
{
    const struct origin *origin = &statement->origin;
    error_put(&error->revision, origin->revision);
    error_put(&error->tenant, origin->tenant);
    error_put(&error->file, origin->file);
    error->line = origin->line;
    if (statement->host != NULL)
        return;
    if (is_block(statement)) {
        free(error->context);
        error->context = NULL;
        return;
    }
    error_text(&error->statement, "%s", statement->sql);
    if (origin->lines && error->position > 0 && origin->line > 0)
        error->line += lines_before(statement->sql, error->position);
}

static void read_fields(const PGresult *result, struct error *error)
{
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    error_put(&error->detail, detail);
    error_put(&error->hint, hint);
    error_put(&error->context, context);
    if (position != NULL)
        error->position = atoi(position);
}

/* What a raising statement of the host says stands between "dmlua[" and "]", whatever language the server speaks. */
static void read_sentence(const char *message, struct error *error)
{
    const char *start = strstr(message, "dmlua[");
    const char *end = strrchr(message, ']');
    if (start != NULL && end > start)
        error_text(&error->detail, "%.*s", (int)(end - start - 6), start + 6);
    else
        error_text(&error->detail, "%s", message);
}

/* A statement of the host's own, on tables that the author has not written. */
static void explain_own_tables(struct error *error)
{
    free(error->statement);
    error->statement = NULL;
    error_text(&error->hint,
               "the version table and the dmlua_… tables belong to the role that made them: migrate as that "
               "role, or as a member of it");
}

/* The host's message, with the sentence as its detail; where it has none, the sentence says all. */
static void set_sentence(const struct db_host *host, const char *message, struct error *error)
{
    error_set(error, host->kind, "%s", host->failure);
    read_sentence(message, error);
    if (*host->failure != '\0')
        return;
    free(error->message);
    error->message = error->detail;
    error->detail = NULL;
}

void db_read_error(const PGresult *result, const struct db_statement *statement, struct error *error)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    const struct db_host *host = statement->host;
    char *tenant_message, *denied;
    const char *hint;
    if (error->kind != ERROR_NONE)
        return;
    if (sqlstate == NULL) /* made by libpq: the connection broke */
        sqlstate = "08006";
    if (message == NULL)
        message = PQresultErrorMessage(result);
    if (host != NULL && host->failure != NULL && strcmp(sqlstate, "22P02") == 0) {
        set_sentence(host, message, error);
        error_put(&error->hint, host->hint);
        read_origin(statement, error);
        return;
    }
    tenant_message = hint_tenant_message(sqlstate, function, message, statement->sql);
    error_set(error, kind_of(sqlstate), "%s", tenant_message ? tenant_message : message);
    denied = hint_denied(sqlstate, function, message, statement->sql, statement->origin.role);
    hint = denied != NULL ? denied : tenant_message != NULL ? hint_tenant : hint_for(sqlstate, statement->count > 0);
    memcpy(error->sqlstate, sqlstate, sizeof error->sqlstate - 1);
    read_fields(result, error);
    if (tenant_message != NULL)
        error_text(&error->detail, "%s", message);
    /* Ours knows dmlua; the server's own would give up FORCE ROW LEVEL SECURITY, say. What a script RAISEs it means. */
    if (hint != NULL && (error->hint == NULL || function == NULL || strcmp(function, "exec_stmt_raise") != 0))
        error_text(&error->hint, "%s", hint);
    free(tenant_message);
    free(denied);
    read_origin(statement, error);
    if (strcmp(sqlstate, "42501") == 0 && statement->origin.revision == NULL)
        explain_own_tables(error);
}
