/* serial URL [read]: for each row of `tenants` a transaction with the tenant's context and one UPDATE, each statement
   waited for: what a plain loop over libpq costs. With `read` it reads a row first. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/bench/tenants/statements.h"

static PGresult *execute(PGconn *conn, const char *sql, const char *value)
{
    PGresult *result = PQexecParams(conn, sql, value != NULL, NULL, &value, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    fprintf(stderr, "%s: %s", sql, PQresultErrorMessage(result));
    exit(1);
}

int main(int argc, char **argv)
{
    PGconn *conn = PQconnectdb(argv[1]);
    int reads = argc > 2 && strcmp(argv[2], "read") == 0, i;
    PGresult *tenants = execute(conn, SQL_TENANTS, NULL);
    for (i = 0; i < PQntuples(tenants); i++) {
        const char *id = PQgetvalue(tenants, i, 0);
        PQclear(execute(conn, SQL_BEGIN, NULL));
        PQclear(execute(conn, SQL_CONTEXT, id));
        if (reads)
            PQclear(execute(conn, SQL_READ, id));
        PQclear(execute(conn, SQL_UPDATE, id));
        PQclear(execute(conn, SQL_COMMIT, NULL));
    }
    PQclear(tenants);
    PQfinish(conn);
    return 0;
}
