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
    struct again *again;           /* the text's place, if it was prepared; else null */
    struct db_scope *scope;        /* whose failure its own is; null: the stream's */
    size_t size;                   /* of the block */
    PGresult **into;               /* who wants the result; null: nobody */
    void (*call)(void *);          /* of an ENTRY_CALL */
    void *data;
};

/* A text that was sent, and may be sent again. */
struct again {
    char *sql; /* null: nothing */
    unsigned hash;
    int times;
    int number;    /* part of the name under which it is prepared */
    bool prepared; /* sent, and not known to have failed */
};
enum { AGAIN_PLACES = 32 };

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
    struct db_scope *scope;   /* of what is sent now; null: the stream itself */
    size_t held;              /* bytes of the entries */
    size_t unflushed;         /* bytes sent since the socket last took everything */
    bool stuck;               /* it did not take everything the last time */
    bool relaxed;             /* whoever sends makes room */
    bool unasked;             /* statements were sent behind which neither Sync nor Flush asks for their answers */
    struct error failure;     /* the first since the last await */
    bool prepared[DB_SLOTS];  /* sent, and not known to have failed */
    long long rows;           /* that scripts' statements have written */
    db_counter *counter;      /* told of them, or null, */
    void *counts;             /* with its data */
    struct again again[AGAIN_PLACES]; /* what scripts send, by hash */
    int numbers;              /* of those that were prepared */
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

/* again.c */
/* The place of a text that is worth being prepared; null: it is not, yet. */
struct again *again_find(struct db *db, const struct db_statement *statement);
/* None is prepared any more. */
void again_forget(struct db *db);
void again_free(struct db *db);

/* take.c */
/* Takes what can be taken without waiting: one result, one sync, or a log line or call that is due. */
void stream_take_one(struct db *db);
/* All of that. */
void stream_take_ready(struct db *db);

/* stream.c */
/* Nothing that is still in the stream will be answered: fails it, and every scope in it. */
void stream_give_up(struct db *db, enum error_kind kind, const char *message, const char *hint);
/* The connection is lost: the same with what libpq says of it. */
void stream_lost(struct db *db);
/* Waits until the socket has something to read, or takes more if `write`; an interrupt is passed on. */
void stream_wait(struct db *db, bool write);

#endif
