/* For who waits for several connections at once. */
#include <poll.h>

#include "host/db/stream.h"

void db_scope(struct db *db, struct db_scope *scope)
{
    db->scope = scope;
}

void db_relax(struct db *db, bool on)
{
    db->relaxed = on;
}

bool db_idle(const struct db *db)
{
    return db->first == NULL;
}

size_t db_held(const struct db *db)
{
    return db->held;
}

bool db_stir(struct db *db)
{
    const struct entry *first = db->first;
    int rc;
    if (db->broken)
        return false;
    rc = PQflush(db->conn);
    if (rc == 0)
        db->unflushed = 0;
    db->stuck = rc > 0; /* after a failure the socket is ready to be read, and says why */
    stream_take_ready(db);
    return db->first != first || db->broken;
}

struct pollfd db_poll(const struct db *db)
{
    struct pollfd fd = {.fd = db->broken ? -1 : PQsocket(db->conn), .events = POLLIN};
    if (db->stuck)
        fd.events |= POLLOUT;
    return fd;
}
