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

bool db_unsent(const struct db *db)
{
    return !db->broken && !db->stuck && db->unflushed > 0;
}

size_t db_held(const struct db *db)
{
    return db->held;
}

struct pollfd db_poll(const struct db *db)
{
    struct pollfd fd = {.fd = db->broken ? -1 : PQsocket(db->conn), .events = POLLIN};
    if (db->stuck)
        fd.events |= POLLOUT;
    return fd;
}
