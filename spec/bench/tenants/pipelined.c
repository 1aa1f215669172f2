/* pipelined URL [prepared] [read]: the statements of serial.c through libpq's pipeline mode, many tenants in flight; with
   `prepared` each statement is parsed once. With `read` a row is read first, and what follows is not sent before it is
   there: the next tenant begins behind it at once, a round trip a tenant. */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/bench/tenants/statements.h"

enum { WINDOW = 200 }; /* tenants in flight */

static struct {
    PGconn *conn;
    PGresult *tenants;
    int count, begun, done;
    int place; /* of the next answer among a tenant's: BEGIN, context, (read,) UPDATE, COMMIT, Sync */
    bool reads, prepared, waiting;
} run;

static const struct {
    const char *name, *sql;
    bool valued;
} statements[] = {
    {"begin", SQL_BEGIN, false}, {"context", SQL_CONTEXT, true}, {"read", SQL_READ, true},
    {"update", SQL_UPDATE, true}, {"commit", SQL_COMMIT, false},
};
enum { BEGIN, CONTEXT, READ, UPDATE, COMMIT, SYNC };

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, PQerrorMessage(run.conn));
    exit(1);
}

static void send(int which, int tenant)
{
    const char *id = PQgetvalue(run.tenants, tenant, 0);
    int count = statements[which].valued;
    int sent = run.prepared
                   ? PQsendQueryPrepared(run.conn, statements[which].name, count, &id, NULL, NULL, 0)
                   : PQsendQueryParams(run.conn, statements[which].sql, count, NULL, &id, NULL, NULL, 0);
    if (!sent)
        fail(statements[which].sql);
}

static void send_end(int tenant)
{
    send(UPDATE, tenant);
    send(COMMIT, tenant);
    if (!PQpipelineSync(run.conn))
        fail("Sync");
}

static void begin_next(void)
{
    send(BEGIN, run.begun);
    send(CONTEXT, run.begun);
    if (run.reads) {
        send(READ, run.begun);
        if (!PQsendFlushRequest(run.conn))
            fail("Flush");
        run.waiting = true;
    } else {
        send_end(run.begun);
    }
    run.begun++;
}

static void take(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    bool at_sync = run.place == SYNC;
    if (at_sync ? status != PGRES_PIPELINE_SYNC : status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail("answer");
    if (run.place == READ) {
        send_end(run.done);
        run.waiting = false;
    }
    run.done += at_sync;
    run.place = at_sync ? BEGIN : run.place == CONTEXT && !run.reads ? UPDATE : run.place + 1;
}

static void take_ready(void)
{
    while (run.done < run.begun && !PQisBusy(run.conn)) {
        PGresult *result = PQgetResult(run.conn);
        if (result != NULL)
            take(result);
        PQclear(result);
    }
}

static void turn(void)
{
    struct pollfd fd = {.fd = PQsocket(run.conn), .events = POLLIN};
    int flushed;
    while (run.begun < run.count && run.begun - run.done < WINDOW && !run.waiting)
        begin_next();
    flushed = PQflush(run.conn);
    if (flushed > 0)
        fd.events |= POLLOUT;
    if (flushed < 0 || (poll(&fd, 1, -1) < 0 && errno != EINTR))
        fail("socket");
    if ((fd.revents & POLLIN) != 0 && !PQconsumeInput(run.conn))
        fail("socket");
    take_ready();
}

static void prepare(void)
{
    size_t i;
    for (i = 0; i < sizeof statements / sizeof *statements; i++)
        PQclear(PQprepare(run.conn, statements[i].name, statements[i].sql, 0, NULL));
}

int main(int argc, char **argv)
{
    int i;
    run.conn = PQconnectdb(argv[1]);
    for (i = 2; i < argc; i++) {
        run.reads = run.reads || strcmp(argv[i], "read") == 0;
        run.prepared = run.prepared || strcmp(argv[i], "prepared") == 0;
    }
    run.tenants = PQexec(run.conn, SQL_TENANTS);
    run.count = PQntuples(run.tenants);
    if (run.count == 0)
        fail(SQL_TENANTS);
    if (run.prepared)
        prepare();
    if (PQsetnonblocking(run.conn, 1) != 0 || !PQenterPipelineMode(run.conn))
        fail("pipeline mode");
    while (run.done < run.count)
        turn();
    PQclear(run.tenants);
    PQfinish(run.conn);
    return 0;
}
