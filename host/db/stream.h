#ifndef DMLUA_DB_STREAM_H
#define DMLUA_DB_STREAM_H

#include <pthread.h>

#include "host/config.h"
#include "host/db/db.h"

enum entry_kind { ENTRY_STATEMENT, ENTRY_PREPARE, ENTRY_SYNC, ENTRY_LOG, ENTRY_CALL };

/* Something sent and not yet answered, or a log line waiting for its turn. Its texts stand behind it in the same
   block. */
struct entry {
    struct entry *next;
    enum entry_kind kind;
    enum report_level level; /* of a log line */
    const char *logger;
    struct db_statement statement; /* without its values; a log line's text is the sql */
    PGresult **into;               /* who wants the result; null: nobody */
    void (*call)(void *);          /* of an ENTRY_CALL */
    void *data;
};

struct db {
    PGconn *conn;
    PGcancel *cancel;
    struct config_connection connection; /* while it is being made */
    pthread_t thread;                    /* that makes it, */
    bool connecting;                     /* if it runs */
    char *shown;
    bool echo;
    bool broken;              /* the stream cannot go on: the connection is given up */
    struct entry *first, *last;
    size_t unflushed;         /* bytes sent since the socket last took everything */
    bool unasked;             /* statements were sent behind which neither Sync nor Flush asks for their answers */
    struct error failure;     /* the first since the last await */
    bool prepared[DB_SLOTS];  /* sent, and not known to have failed */
    long long rows;           /* that scripts' statements have written */
    int generation;           /* part of the prepared names; changes when they are forgotten */
    bool cancelled;           /* an interrupt was passed on to the server */
    double cancelled_at;      /* for the first time, by clock_now, */
    double cancel_sent;       /* and for the last */
};

/* queue.c */
/* Appends an entry with its own copies of the statement's texts. The stream's: it goes when it is answered. */
struct entry *entry_add(struct db *db, enum entry_kind kind, const struct db_statement *statement);
void entry_drop_first(struct db *db);
void stream_free(struct db *db);

/* stream.c, for copy.c */
/* The connection is lost: fails the stream with what libpq says of it. */
void stream_lost(struct db *db);
/* Waits until the socket has something to read, or takes more if `write`; an interrupt is passed on. */
void stream_wait(struct db *db, bool write);

#endif
